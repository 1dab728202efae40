#include "ui/pages/evaluate_contender.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QVBoxLayout>
#include <cmath>

#include "ui/models/metric.h"
#include "ui/theme/theme.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/figure_label.h"
#include "ui/widgets/make.h"

namespace qlora::ui {

using namespace Qt::StringLiterals;

namespace {

constexpr int large_px = 28, small_px = 18, value_height = 36;

}  // namespace

ContenderCard::ContenderCard(const QString& name, const QString& help, QWidget* parent) : QFrame(parent), name_(name) {
    setProperty("look", "card");
    setToolTip(help);
    auto* column = make<QVBoxLayout>(this);
    column->setContentsMargins(14, 8, 14, 8);
    column->setSpacing(2);
    title_ = plain_label(name, "card-title", this);
    column->addWidget(title_);
    row_ = make<QHBoxLayout>();
    row_->setSpacing(2 * theme::grid);
    column->addLayout(row_);
    detail_ = make<ElidedLabel>(QString(), this);
    set_look(detail_, "dim");
    column->addWidget(detail_);
}

void ContenderCard::set_figures(const std::vector<std::string>& keys) {
    if (keys == keys_ && !figures_.empty()) return;
    keys_ = keys;
    figures_.clear();
    while (QLayoutItem* item = row_->takeAt(0)) {
        std::unique_ptr<QLayoutItem> owned(item);
        if (item->widget()) delete item->widget();
    }
    for (const std::string& key : keys) {
        const Metric shown = metric_of(key);
        auto* figure = make<QWidget>(this);
        auto* column = make<QVBoxLayout>(figure);
        column->setContentsMargins({});
        column->setSpacing(0);
        auto* value = make<FigureLabel>(figures_.empty() ? u"100.0 %"_s : u"−0.888"_s, figures_.empty() ? large_px : small_px, figure);
        value->setAlignment(Qt::AlignLeft | Qt::AlignBottom);
        value->setFixedHeight(value_height);
        value->setAccessibleName(tr("%1, %2").arg(name_, shown.name));
        auto* caption = plain_label(shown.name, "dim", figure);
        if (!shown.help.isEmpty()) figure->setToolTip(shown.help);
        column->addWidget(value);
        column->addWidget(caption);
        row_->addWidget(figure);
        figures_.push_back({caption, value});
    }
    row_->addStretch(1);
}

void ContenderCard::show_contender(const evaluate::Contender* contender, const std::vector<std::string>& keys,
                                   const QString& detail) {
    set_figures(keys);
    for (std::size_t i = 0; i < keys.size(); ++i)
        figures_[i].value->setText(contender ? metric_of(keys[i]).text(value_of(*contender, keys[i])) : u"–"_s);
    detail_->set_text(detail);
}

void ContenderCard::show_figure(const QString& caption, const QString& value, const QString& detail, bool bad) {
    set_figures({std::string()});
    figures_[0].caption->setText(caption);
    figures_[0].value->setText(value);
    figures_[0].value->setAccessibleName(tr("%1, %2").arg(name_, caption));
    detail_->set_text(detail);
    set_look(detail_, bad ? "bad" : "dim");
}

}  // namespace qlora::ui
