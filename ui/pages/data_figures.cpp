#include "ui/pages/data_figures.h"

#include <QEvent>
#include <QGridLayout>
#include <QLabel>
#include <QVBoxLayout>
#include <algorithm>

#include "ui/format/format.h"
#include "ui/pages/data_length_chart.h"
#include "ui/theme/icons.h"
#include "ui/theme/tokens.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/figure_label.h"
#include "ui/widgets/make.h"
#include "ui/widgets/notice_row.h"

namespace qlora::ui {

using namespace Qt::StringLiterals;

namespace {

constexpr qsizetype most_classes = 8;
constexpr std::size_t most_sentences = 3;
constexpr int mark_px = 14;

QString count(std::size_t value) { return format::count(std::int64_t(value)); }

}  // namespace

DataFigures::DataFigures(QWidget* parent) : QWidget(parent) {
    auto* column = make<QVBoxLayout>(this);
    column->setContentsMargins({});
    column->setSpacing(theme::grid);

    struct Line {
        Figure figure;
        QString name, help;
    };
    const Line lines[] = {
        {rows, tr("Rows"), tr("Rows in the file")},
        {kept, tr("To learn from"), tr("Rows with an answer to learn")},
        {duplicates, tr("Duplicates"), tr("Rows that repeat an earlier one, apart from case and blanks")},
        {empty, tr("Empty"), tr("Rows with nothing to read or nothing to answer")},
        {dropped, tr("Dropped"), tr("Rows left out of training, and why")},
        {truncated, tr("Cut at limit"), tr("Rows longer than the limit: their end is not learned")},
        {leaks, tr("Also held out"), tr("Held-out rows that are training rows too: they make the measurement too good")},
        {mean_tokens, tr("Tokens a row"), tr("Mean number of tokens")},
        {longest, tr("Longest"), tr("Tokens of the longest row after the cut")},
        {trained, tr("Trained on"), tr("Share of all tokens that the loss is taken of")},
    };
    auto* grid = make<QGridLayout>();
    grid->setHorizontalSpacing(theme::grid);
    grid->setVerticalSpacing(3);
    grid->setColumnStretch(1, 1);
    int line = 0;
    for (const auto& [figure, name, help] : lines) {
        QLabel* label = plain_label(name, "dim");
        marks_[figure] = make<QLabel>();
        marks_[figure]->setFixedSize(mark_px, mark_px);
        values_[figure] = make<FigureLabel>(u"8,888,888"_s);
        values_[figure]->setAccessibleName(name);
        for (QWidget* widget : {static_cast<QWidget*>(label), static_cast<QWidget*>(values_[figure])}) widget->setToolTip(help);
        grid->addWidget(marks_[figure], line, 0);
        grid->addWidget(label, line, 1);
        grid->addWidget(values_[figure], line++, 2);
    }
    column->addLayout(grid);
    classes_ = wrapped_label({}, "dim");
    classes_->hide();
    column->addWidget(classes_);
    sentences_ = make<QVBoxLayout>();
    sentences_->setSpacing(theme::half_grid);
    column->addLayout(sentences_);
    chart_ = make<LengthChart>();
    chart_->setMinimumHeight(150);
    column->addWidget(chart_, 1);
    clear();
}

void DataFigures::set_figure(Figure figure, const QString& text, bool warn) {
    values_[figure]->setText(text);
    warned_[figure] = warn;
    draw_mark(figure);
}

void DataFigures::draw_mark(int figure) {
    marks_[figure]->setPixmap(
        warned_[figure] ? theme::icon_pixmap(u"info"_s, theme::current().warning, mark_px, devicePixelRatioF()) : QPixmap());
}

void DataFigures::changeEvent(QEvent* event) {
    QWidget::changeEvent(event);
    if (event->type() != QEvent::PaletteChange) return;
    for (int figure = 0; figure < figure_count; ++figure) draw_mark(figure);
}

void DataFigures::clear() {
    for (int figure = 0; figure < figure_count; ++figure) set_figure(Figure(figure), u"–"_s);
    set_classes({});
    set_sentences({});
    chart_->clear_points();
    chart_->set_marks(u"limit"_s, {}, [] { return QColor(); }, Qt::DashLine);
}

void DataFigures::set_rows(std::size_t count, const std::vector<std::string>& notices) {
    clear();
    set_figure(rows, ui::count(count));
    set_sentences(notices);
}

void DataFigures::set_report(const data::DatasetReport& report, bool has_held_out) {
    std::size_t repeated = 0, left_out = 0;
    for (const auto& group : report.duplicates) repeated += group.size() - 1;
    for (const auto& group : report.dropped) left_out += group.rows;
    set_figure(rows, count(report.rows));
    set_figure(kept, count(report.samples));
    set_figure(duplicates, count(repeated), repeated > 0);
    set_figure(empty, count(report.empty_rows.size()), !report.empty_rows.empty());
    set_figure(dropped, count(left_out), left_out > 0);
    set_figure(truncated, count(report.truncated), report.truncated > 0);
    set_figure(leaks, has_held_out ? count(report.leaks.size()) : u"–"_s, !report.leaks.empty());
    set_figure(mean_tokens, format::figure(report.mean_tokens));
    set_figure(longest, count(report.longest));
    // A class is learned from a whole text: no token has a loss of its own.
    set_figure(trained, report.tokens > 0 && report.trained_tokens > 0 ? format::percent(double(report.trained_tokens) / double(report.tokens)) : u"–"_s);
    set_classes(report.classes);
    set_sentences(report.sentences);
    chart_->set_histogram(report.lengths);
}

void DataFigures::set_classes(const std::vector<std::pair<std::string, std::size_t>>& classes) {
    QStringList named;
    for (const auto& [name, rows] : classes) named << u"%1 %2"_s.arg(QString::fromStdString(name), count(rows));
    const qsizetype more = named.size() - most_classes;
    if (more > 0) named = named.mid(0, most_classes) << tr("and %1 more").arg(more);
    classes_->setText(tr("Classes: %1").arg(named.join(u", ")));
    classes_->setVisible(!classes.empty());
}

void DataFigures::set_sentences(const std::vector<std::string>& sentences) {
    while (const auto item = std::unique_ptr<QLayoutItem>(sentences_->takeAt(0)))
        std::unique_ptr<QWidget> gone(item->widget());
    for (std::size_t i = 0; i < std::min(sentences.size(), most_sentences); ++i)
        sentences_->addWidget(make<NoticeRow>(NoticeRow::Weight::warning, QString::fromStdString(sentences[i])));
}

}  // namespace qlora::ui
