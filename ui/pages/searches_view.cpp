#include "ui/pages/searches_view.h"

#include <QComboBox>
#include <QDesktopServices>
#include <QFileInfo>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QPushButton>
#include <QSortFilterProxyModel>
#include <QPainter>
#include <QSplitter>
#include <QStackedWidget>
#include <QStyledItemDelegate>
#include <QTableView>
#include <QUrl>
#include <QVBoxLayout>
#include <cmath>
#include <utility>

#include "ui/charts/chart.h"
#include "ui/charts/parallel_axes.h"
#include "ui/format/format.h"
#include "ui/models/trials_model.h"
#include "ui/theme/icons.h"
#include "ui/theme/theme.h"
#include "ui/widgets/card.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/empty_state.h"
#include "ui/widgets/error_panel.h"
#include "ui/widgets/make.h"

namespace qlora::ui {

using namespace Qt::StringLiterals;

namespace {

constexpr int each_run = 0, best_so_far = 1;
constexpr int cell_margin = 10;

// Room at the sides of every cell: figures stand at the right of theirs, words at the left of the next.
class CellDelegate : public QStyledItemDelegate {
  public:
    using QStyledItemDelegate::QStyledItemDelegate;

    void paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const override {
        QStyleOptionViewItem cell = option;
        initStyleOption(&cell, index);
        const QRect inner = cell.rect.adjusted(cell_margin, 0, -cell_margin, 0);
        const QString text = cell.fontMetrics.elidedText(std::exchange(cell.text, {}), Qt::ElideRight, inner.width());
        cell.widget->style()->drawControl(QStyle::CE_ItemViewItem, &cell, painter, cell.widget);
        painter->setFont(cell.font);
        painter->setPen(cell.palette.color(QPalette::Text));
        painter->drawText(inner, int(cell.displayAlignment), text);
    }
    QSize sizeHint(const QStyleOptionViewItem& option, const QModelIndex& index) const override {
        return QStyledItemDelegate::sizeHint(option, index) + QSize(2 * cell_margin, 0);
    }
};

QString name_of(const search::Standing& standing) {
    return QString::fromStdString(recipe::title(standing.search.recipe)) + u" · "_s + QString::fromStdString(standing.folder.filename().string());
}

QString strategy_text(search::Strategy strategy) {
    switch (strategy) {
        case search::Strategy::grid: return SearchesView::tr("Grid");
        case search::Strategy::random: return SearchesView::tr("Random");
        case search::Strategy::halving: break;
    }
    return SearchesView::tr("Successive halving");
}

QString best_text(const TrialsModel& model) {
    const auto* best = model.trial(model.best_row());
    const std::string& metric = model.standing().search.metric;
    return best ? SearchesView::tr("best: run %1 with %2 %3").arg(best->number).arg(search_metric_name(metric), search_metric_text(metric, best->value())) : QString();
}

}  // namespace

SearchesView::SearchesView(SearchService& service, QWidget* parent) : QWidget(parent), service_(service) {
    model_ = make<TrialsModel>(this);
    sorted_ = make<QSortFilterProxyModel>(this);
    sorted_->setSourceModel(model_);
    sorted_->setSortRole(TrialsModel::SortRole);
    auto* column = make<QVBoxLayout>(this);
    column->setContentsMargins({});
    column->setSpacing(theme::grid);
    error_ = make<ErrorPanel>(this);
    column->addWidget(error_);
    stack_ = make<QStackedWidget>(this);
    auto* empty = make<EmptyState>(u"compare"_s, tr("No searches yet"),
                                   tr("A search trains the same recipe with different settings, one run after the other, and keeps the best."),
                                   tr("Set up a search"));
    connect(empty, &EmptyState::activated, this, &SearchesView::search_requested);
    stack_->addWidget(empty);
    stack_->addWidget(make_content());
    column->addWidget(stack_, 1);

    connect(&service_, &SearchService::listed, this, &SearchesView::take);
    connect(&service_, &SearchService::progressed, this, &SearchesView::say);
    connect(&service_, &SearchService::began, this, [this](const QString& folder) {
        error_->clear();
        choose(folder);
    });
    connect(&service_, &SearchService::failed, error_, qOverload<const Error&>(&ErrorPanel::show_error));
    connect(&service_, &SearchService::busy_changed, this, [this] {
        refresh_buttons();
        if (!service_.searching()) service_.refresh();
    });
    refresh_buttons();
}

QWidget* SearchesView::make_bar() {
    auto* bar = make<QWidget>(this);
    auto* row = make<QHBoxLayout>(bar);
    row->setContentsMargins({});
    row->setSpacing(theme::grid);
    choice_ = make<QComboBox>(bar);
    choice_->setAccessibleName(tr("Search shown"));
    choice_->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    choice_->setMinimumContentsLength(28);
    connect(choice_, &QComboBox::activated, this, [this] { choose(choice_->currentData().toString()); });
    row->addWidget(choice_, 1);
    go_on_ = make<QPushButton>(bar);
    connect(go_on_, &QPushButton::clicked, this, [this] {
        if (service_.searching()) service_.stop();
        else service_.go_on(chosen_);
        refresh_buttons();
    });
    row->addWidget(go_on_);
    folder_ = make<QPushButton>(theme::icon(u"folder"_s), tr("Show in folder"), bar);
    connect(folder_, &QPushButton::clicked, this, [this] { QDesktopServices::openUrl(QUrl::fromLocalFile(chosen_)); });
    row->addWidget(folder_);
    open_ = make<QPushButton>(theme::icon(u"train"_s, theme::Ink::on_accent), tr("Open the winner as recipe"), bar);
    open_->setProperty("look", "primary");
    connect(open_, &QPushButton::clicked, this, [this] {
        if (const auto* standing = chosen())
            emit recipe_requested(QString::fromStdString(search::best_file(standing->folder).string()), name_of(*standing));
    });
    row->addWidget(open_);
    return bar;
}

QWidget* SearchesView::make_content() {
    auto* content = make<QWidget>(this);
    auto* column = make<QVBoxLayout>(content);
    column->setContentsMargins({});
    column->setSpacing(theme::grid);
    column->addWidget(make_bar());
    summary_ = make<ElidedLabel>(QString(), content);
    set_look(summary_, "dim");
    column->addWidget(summary_);

    auto* pictures = make<QWidget>(content);
    auto* row = make<QHBoxLayout>(pictures);
    row->setContentsMargins({});
    row->setSpacing(theme::grid);
    auto* settings = make<Card>(u"runs.settings"_s, tr("Runs over their settings"), u"compare"_s, Card::Folding::fixed, pictures);
    axes_ = make<ParallelAxes>(settings);
    settings->body()->addWidget(axes_);
    row->addWidget(settings, 5);
    auto* course = make<Card>(u"runs.best"_s, tr("Best so far"), u"live"_s, Card::Folding::fixed, pictures);
    best_ = make<Chart>(QString(), tr("runs ended"), QString(), course);
    const auto figure = [this](double value) { return search_metric_text(model_->standing().search.metric, value); };
    best_->add_curve(tr("each run"), {.color = [] { return theme::current().dim; }, .dash = Qt::NoPen, .markers = true, .fill = {}, .text = figure});
    best_->add_curve(tr("best so far"), {.color = [] { return theme::current().tag(MemoryTag::adapters); }, .fill = {}, .text = figure});
    course->body()->addWidget(best_);
    row->addWidget(course, 3);

    table_ = make<QTableView>(content);
    table_->setModel(sorted_);
    table_->setAccessibleName(tr("Runs of the search"));
    table_->setItemDelegate(make<CellDelegate>(table_));
    table_->setSortingEnabled(true);
    table_->setSelectionBehavior(QAbstractItemView::SelectRows);
    table_->setSelectionMode(QAbstractItemView::SingleSelection);
    table_->setAlternatingRowColors(true);
    table_->setShowGrid(false);
    table_->setTabKeyNavigation(false);
    table_->verticalHeader()->hide();
    table_->verticalHeader()->setDefaultSectionSize(28);
    table_->horizontalHeader()->setHighlightSections(false);
    table_->horizontalHeader()->setStretchLastSection(true);
    table_->setMouseTracking(true);
    connect(table_->selectionModel(), &QItemSelectionModel::selectionChanged, this, [this] {
        const auto rows = table_->selectionModel()->selectedRows();
        axes_->set_selected(rows.isEmpty() ? -1 : sorted_->mapToSource(rows.front()).row());
    });
    connect(axes_, &ParallelAxes::clicked, this, &SearchesView::select_row);

    auto* splitter = make<QSplitter>(Qt::Vertical, content);
    splitter->setChildrenCollapsible(false);
    splitter->addWidget(pictures);
    splitter->addWidget(table_);
    splitter->setStretchFactor(0, 3);
    splitter->setStretchFactor(1, 2);
    splitter->setHandleWidth(theme::grid);
    splitter->setStyleSheet(u"QSplitter::handle { background: transparent; }"_s);
    column->addWidget(splitter, 1);
    return content;
}

const search::Standing* SearchesView::chosen() const {
    for (const auto& standing : searches_)
        if (QString::fromStdString(standing.folder.string()) == chosen_) return &standing;
    return nullptr;
}

void SearchesView::choose(const QString& folder) {
    chosen_ = folder;
    show_chosen();
}

void SearchesView::take(const std::vector<search::Standing>& searches) {
    searches_ = searches;
    // What has just begun may be in no listing yet.
    if (!chosen() && !searches_.empty() && (chosen_.isEmpty() || !service_.searching())) chosen_ = QString::fromStdString(searches_.front().folder.string());
    stack_->setCurrentIndex(searches_.empty() ? 0 : 1);
    choice_->clear();
    for (const auto& standing : searches_) choice_->addItem(name_of(standing), QString::fromStdString(standing.folder.string()));
    show_chosen();
}

void SearchesView::show_chosen() {
    const auto* standing = chosen();
    refresh_buttons();
    if (!standing) return;
    choice_->setCurrentIndex(choice_->findData(chosen_));
    const bool other = model_->standing().folder != standing->folder;
    model_->set_standing(*standing);
    if (other) {
        axes_->set_selected(-1);
        // The best first, as a search for it should be read.
        table_->sortByColumn(TrialsModel::metric_column, standing->search.maximize ? Qt::DescendingOrder : Qt::AscendingOrder);
        table_->resizeColumnsToContents();
    }
    std::int64_t ended = 0, failed = 0;
    for (const auto& trial : standing->trials) {
        ended += trial.status == search::Trial::Status::completed || trial.status == search::Trial::Status::left;
        failed += trial.status == search::Trial::Status::failed;
    }
    QStringList parts{strategy_text(standing->search.strategy), tr("%1 of %2 runs done").arg(ended + failed).arg(standing->trials.size())};
    if (failed > 0) parts << tr("%1 failed").arg(failed);
    if (const QString best = best_text(*model_); !best.isEmpty()) parts << best;
    summary_->set_text(parts.join(u" · "_s));
    draw();
}

void SearchesView::draw() {
    const auto& standing = model_->standing();
    const auto& trials = standing.trials;
    auto axes = trial_axes(standing.search, trials);
    std::vector<ParallelAxes::Line> lines;
    for (int i = 0; i < int(trials.size()); ++i) {
        const auto& trial = trials[std::size_t(i)];
        ParallelAxes::Line line{places_of(trial, standing.search, axes), {}, i == model_->best_row(), trial.baseline};
        QStringList words{tr("Run %1").arg(trial.number) + (trial.baseline ? tr(", the recipe as it is") : QString())};
        for (const auto& [key, value] : trial.values) words << u"%1: %2"_s.arg(field_label(key), value_text(key, value));
        words << u"%1: %2"_s.arg(search_metric_name(standing.search.metric), search_metric_text(standing.search.metric, trial.value()));
        line.text = words.join(u'\n');
        lines.push_back(std::move(line));
    }
    axes_->set(std::move(axes), std::move(lines));

    std::vector<const search::Trial*> ended;
    for (const auto& trial : trials)
        if (trial.ended > 0 && trial.status != search::Trial::Status::failed && std::isfinite(trial.value())) ended.push_back(&trial);
    std::ranges::sort(ended, {}, &search::Trial::ended);
    std::vector<double> x, values, best;
    std::vector<search::Trial> two;  // the best before, and the next
    for (const auto* trial : ended) {
        two.push_back(*trial);
        two = {two[*search::best_of(standing.search, two)]};
        x.push_back(double(x.size() + 1));
        values.push_back(trial->value());
        best.push_back(two.front().value());
    }
    const std::string metric = standing.search.metric;
    best_->set_y_label(search_metric_name(metric));
    best_->set_y_text([metric](double value) { return search_metric_text(metric, value); });
    best_->set_points(each_run, x, std::move(values));
    best_->set_points(best_so_far, std::move(x), std::move(best));
}

void SearchesView::say(const SearchProgress& progress) {
    if (progress.folder != chosen_) return;
    QString text = tr("Run %1 of %2").arg(progress.trial).arg(progress.trials);
    if (progress.rungs > 1) text += u", "_s + tr("rung %1 of %2").arg(progress.rung + 1).arg(progress.rungs);
    text += u" · "_s + (progress.step > 0 ? tr("step %1 of %2, loss %3").arg(format::count(progress.step), format::count(progress.steps), format::figure(progress.loss))
                                         : tr("loading"));
    if (const QString best = best_text(*model_); !best.isEmpty()) text += u" · "_s + best;
    summary_->set_text(text);
}

void SearchesView::select_row(int row) {
    const QModelIndex index = sorted_->mapFromSource(model_->index(row, 0));
    table_->setCurrentIndex(index);
    table_->scrollTo(index);
}

void SearchesView::set_busy(const QString& why_not) {
    busy_ = why_not;
    refresh_buttons();
}

void SearchesView::refresh_buttons() {
    const auto* standing = chosen();
    const bool searching = service_.searching();
    go_on_->setText(searching ? tr("Stop") : tr("Go on"));
    go_on_->setIcon(theme::icon(searching ? u"stop"_s : u"play"_s));
    const QString why_not = searching                          ? QString()
                            : !standing                        ? tr("Choose a search first.")
                            : standing->done()                 ? tr("This search has done all its runs.")
                            : standing->running                ? tr("Another program runs this search.")
                            : service_.busy()                  ? tr("A learning-rate test is going.")
                                                               : busy_;
    go_on_->setEnabled(why_not.isEmpty());
    go_on_->setToolTip(searching ? tr("Saves the run that goes; the search can go on later.") : why_not);
    go_on_->setAccessibleDescription(go_on_->toolTip());
    const bool winner = standing && search::best_of(standing->search, standing->trials);
    open_->setEnabled(winner);
    open_->setToolTip(winner ? tr("On the Train page, ready to start or to change") : tr("No run has a figure yet."));
    open_->setAccessibleDescription(open_->toolTip());
    folder_->setEnabled(standing);
}

void SearchesView::showEvent(QShowEvent* event) {
    QWidget::showEvent(event);
    service_.refresh();
}

}  // namespace qlora::ui
