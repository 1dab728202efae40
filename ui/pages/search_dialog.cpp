#include "ui/pages/search_dialog.h"

#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QScrollArea>
#include <QStyle>
#include <QToolButton>
#include <algorithm>

#include "ui/format/format.h"
#include "ui/models/trial_axes.h"
#include "ui/theme/icons.h"
#include "ui/theme/tokens.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/make.h"
#include "ui/widgets/number_box.h"
#include "ui/widgets/segmented_control.h"

namespace qlora::ui {

using namespace Qt::StringLiterals;

namespace {

constexpr search::Strategy strategies[] = {search::Strategy::halving, search::Strategy::random, search::Strategy::grid};

QString text_of(const std::string& text) { return QString::fromStdString(text); }

}  // namespace

SearchRowEditor::SearchRowEditor(const SearchRow& row, const recipe::Recipe& recipe, QWidget* parent) : QWidget(parent) {
    auto* column = make<QVBoxLayout>(this);
    column->setContentsMargins({});
    column->setSpacing(2);
    auto* line = make<QHBoxLayout>();
    line->setSpacing(theme::grid);
    field_ = make<QComboBox>(this);
    field_->setAccessibleName(tr("Setting to vary"));
    field_->setFixedWidth(190);
    field_->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    field_->setMaxVisibleItems(16);
    for (const auto* field : variable_fields(recipe)) {
        field_->addItem(text_of(field->label), text_of(field->key));
        field_->setItemData(field_->count() - 1, text_of(field->key), Qt::ToolTipRole);
    }
    values_ = make<QLineEdit>(this);
    values_->setPlaceholderText(tr("4, 8, 16 or 1e-5..1e-2"));
    scale_ = make<QComboBox>(this);
    scale_->addItems({tr("evenly"), tr("log scale")});
    scale_->setAccessibleName(tr("Scale of the range"));
    scale_->setFixedWidth(100);
    auto* remove = make<QToolButton>(this);
    remove->setIcon(theme::icon(u"close"_s));
    remove->setToolTip(tr("Leave this setting as it is"));
    remove->setAccessibleName(remove->toolTip());
    help_ = make<ElidedLabel>(QString(), this);
    set_look(help_, "dim");
    for (QWidget* widget : std::initializer_list<QWidget*>{field_, values_, scale_, remove}) line->addWidget(widget, widget == values_);
    column->addLayout(line);
    column->addWidget(help_);

    const auto show_row = [this](const SearchRow& shown) {
        values_->setText(shown.values);
        scale_->setCurrentIndex(shown.log ? 1 : 0);
        values_->setAccessibleName(tr("Values of %1").arg(field_->currentText()));
    };
    field_->setCurrentIndex(field_->findData(text_of(row.key)));
    show_row(row);
    connect(field_, &QComboBox::activated, this, [this, recipe, show_row] {
        show_row(suggested_row(*recipe::find_field(field_->currentData().toString().toStdString()), recipe));
        emit edited();
    });
    connect(values_, &QLineEdit::textEdited, this, &SearchRowEditor::edited);
    connect(scale_, &QComboBox::activated, this, &SearchRowEditor::edited);
    connect(remove, &QToolButton::clicked, this, &SearchRowEditor::removed);
}

SearchRow SearchRowEditor::row() const {
    return {field_->currentData().toString().toStdString(), values_->text(), scale_->currentIndex() == 1};
}

void SearchRowEditor::set_values(const QString& text) {
    values_->setText(text);
    emit edited();
}

void SearchRowEditor::set_problem(const QString& problem) {
    const auto* field = recipe::find_field(field_->currentData().toString().toStdString());
    const bool range = is_range(values_->text());
    scale_->setVisible(range);
    help_->set_text(!problem.isEmpty()          ? problem
                    : field->typical.empty()    ? text_of(field->help)
                                                : tr("Typical: %1").arg(text_of(field->typical)));
    set_look(help_, problem.isEmpty() ? "dim" : "bad");
    if (values_->property("invalid").toBool() == !problem.isEmpty()) return;
    values_->setProperty("invalid", !problem.isEmpty());
    values_->style()->unpolish(values_);
    values_->style()->polish(values_);
}

SearchDialog::SearchDialog(const recipe::Recipe& recipe, std::optional<double> seconds, QWidget* parent)
    : QDialog(parent), recipe_(recipe), seconds_(seconds) {
    setWindowTitle(tr("Search for better settings"));
    resize(680, 560);
    auto* column = make<QVBoxLayout>(this);
    column->setContentsMargins(20, 16, 20, 16);
    column->setSpacing(10);
    column->addWidget(plain_label(tr("Which settings to try"), "card-title", this));
    column->addWidget(wrapped_label(tr("Each run takes one value of every line; all else is as on the Train page. Values are parted by "
                                       "commas, a range is written with two dots."),
                                    "dim", this));
    auto* rows = make<QWidget>(this);
    list_ = make<QVBoxLayout>(rows);
    list_->setContentsMargins(0, 0, 8, 0);
    list_->setSpacing(8);
    add_ = make<QPushButton>(theme::icon(u"plus"_s), tr("Another setting"), rows);
    add_->setAutoDefault(false);
    auto* adding = make<QHBoxLayout>();
    adding->addWidget(add_);
    adding->addStretch(1);
    list_->addLayout(adding);
    list_->addStretch(1);
    connect(add_, &QPushButton::clicked, this, [this] {
        for (const auto* field : variable_fields(recipe_))
            if (field->level == recipe::Field::Level::simple && field->key.find('.') != std::string::npos && !field->key.starts_with("data.") &&
                std::ranges::none_of(rows_, [&](auto* row) { return row->row().key == field->key; }))
                return add_row(suggested_row(*field, recipe_));
        for (const auto* field : variable_fields(recipe_))
            if (std::ranges::none_of(rows_, [&](auto* row) { return row->row().key == field->key; })) return add_row(suggested_row(*field, recipe_));
    });
    auto* scroll = make<QScrollArea>(this);
    scroll->setWidgetResizable(true);
    scroll->setFrameShape(QFrame::NoFrame);
    scroll->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    scroll->setWidget(rows);
    column->addWidget(scroll, 1);
    column->addWidget(make_strategy());

    auto* foot = make<QHBoxLayout>();
    estimate_ = wrapped_label({}, "dim", this);
    foot->addWidget(estimate_, 1);
    auto* cancel = make<QPushButton>(tr("Cancel"), this);
    cancel->setAutoDefault(false);
    start_ = make<QPushButton>(tr("Start the search"), this);
    start_->setProperty("look", "primary");
    start_->setDefault(true);
    foot->addWidget(cancel);
    foot->addWidget(start_);
    column->addLayout(foot);
    connect(cancel, &QPushButton::clicked, this, &QDialog::reject);
    connect(start_, &QPushButton::clicked, this, &QDialog::accept);
    for (const SearchRow& row : suggested_rows(recipe_)) add_row(row);
}

QWidget* SearchDialog::make_strategy() {
    auto* box = make<QWidget>(this);
    auto* column = make<QVBoxLayout>(box);
    column->setContentsMargins({});
    column->setSpacing(4);
    auto* row = make<QHBoxLayout>();
    row->setSpacing(theme::grid);
    strategy_ = make<SegmentedControl>(tr("How runs are chosen"), QStringList{tr("Halving"), tr("Random"), tr("Grid")}, box);
    connect(strategy_, &SegmentedControl::changed, this, &SearchDialog::refresh);
    row->addWidget(strategy_);
    const auto number = [&](const QString& name, NumberBox::Range range, double value) {
        auto* label = plain_label(name, nullptr, box);
        auto* number_box = make<NumberBox>(range, box);
        number_box->set_value(value);
        number_box->setFixedWidth(80);
        number_box->setAccessibleName(name);
        label->setBuddy(number_box);
        connect(number_box, &NumberBox::text_edited, this, &SearchDialog::refresh);
        row->addSpacing(theme::grid);
        row->addWidget(label);
        row->addWidget(number_box);
        return number_box;
    };
    runs_ = number(tr("Runs"), {1, 10000, true, {}}, 12);
    seed_ = number(tr("Seed"), {0, 1e15, true, {}}, 42);
    row->addStretch(1);
    auto* label = plain_label(tr("Best by"), nullptr, box);
    metric_ = make<QComboBox>(box);
    metric_->setAccessibleName(tr("Best by"));
    for (const auto& metric : metrics_of(recipe_)) metric_->addItem(search_metric_name(metric), text_of(metric));
    metric_->setCurrentIndex(metric_->findData(text_of(suggested_metric(recipe_))));
    connect(metric_, &QComboBox::activated, this, &SearchDialog::refresh);
    row->addWidget(label);
    row->addWidget(metric_);
    column->addLayout(row);
    strategy_help_ = wrapped_label({}, "dim", box);
    column->addWidget(strategy_help_);
    return box;
}

void SearchDialog::add_row(const SearchRow& row) {
    auto* editor = make<SearchRowEditor>(row, recipe_, this);
    list_->insertWidget(int(rows_.size()), editor);
    rows_.push_back(editor);
    connect(editor, &SearchRowEditor::edited, this, &SearchDialog::refresh);
    connect(editor, &SearchRowEditor::removed, this, [this, editor] { remove_row(editor); });
    refresh();
}

void SearchDialog::remove_row(SearchRowEditor* row) {
    std::erase(rows_, row);
    row->hide();
    row->deleteLater();
    refresh();
}

void SearchDialog::refresh() {
    search::Search base;
    base.recipe = recipe_;
    base.strategy = strategies[strategy_->current()];
    base.runs = std::int64_t(runs_->value().value_or(12));
    base.seed = std::uint64_t(seed_->value().value_or(42));
    base.metric = metric_->currentData().toString().toStdString();
    base.maximize = search::higher_is_better(base.metric);
    base.baseline = base.strategy != search::Strategy::grid;
    std::vector<SearchRow> rows;
    for (const auto* editor : rows_) rows.push_back(editor->row());
    std::vector<recipe::Problem> problems;
    const auto search = search_of(base, rows, problems);
    QString other;
    for (const auto& problem : problems)
        if (!problem.field.starts_with("space.")) other = tr("%1: expected %2").arg(text_of(problem.field), text_of(problem.expected));
    std::vector<std::string> seen;
    bool twice = false;
    for (auto* editor : rows_) {
        QString text;
        const std::string key = editor->row().key;
        for (const auto& problem : problems)
            if (problem.field == "space." + key || problem.field.starts_with("space." + key + ".")) text = tr("Expected %1").arg(text_of(problem.expected));
        if (std::ranges::find(seen, key) != seen.end()) text = tr("This setting is varied above already"), twice = true;
        seen.push_back(key);
        editor->set_problem(text);
    }
    const bool good = problems.empty() && !twice && runs_->value() && seed_->value() && !rows_.empty();
    search_ = good ? std::optional(search) : std::nullopt;
    runs_->setEnabled(base.strategy != search::Strategy::grid);
    seed_->setEnabled(base.strategy != search::Strategy::grid);
    switch (base.strategy) {
        case search::Strategy::halving:
            strategy_help_->setText(tr("All runs are trained a little, the best third three times as long, and so on: the same answer for a part of the time."));
            break;
        case search::Strategy::random: strategy_help_->setText(tr("Values by chance, every run to its end: better than a grid when some settings hardly matter.")); break;
        case search::Strategy::grid: strategy_help_->setText(tr("Every combination, every run to its end; ranges at five points.")); break;
    }
    start_->setEnabled(good);
    start_->setToolTip(good ? QString() : tr("Correct what is marked first"));
    if (!good) return estimate_->setText(!other.isEmpty() ? other : rows_.empty() ? tr("Add a setting to vary.") : QString());
    const double whole = whole_runs(search);
    const auto trials = search::make_trials(search).size();
    estimate_->setText(seconds_ ? tr("%1 runs, as long as %2 whole ones: ~%3 by the run preview").arg(trials).arg(format::figure(whole), format::duration(whole * *seconds_))
                                : tr("%1 runs, as long as %2 whole ones").arg(trials).arg(format::figure(whole)));
}

}  // namespace qlora::ui
