#include "ui/pages/data_page.h"

#include <QDragEnterEvent>
#include <QFileInfo>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QMenu>
#include <QMimeData>
#include <QPushButton>
#include <QSplitter>
#include <QStackedWidget>
#include <QTableView>
#include <QVBoxLayout>

#include "ui/dialogs/dialogs.h"
#include "ui/format/format.h"
#include "ui/pages/data_figures.h"
#include "ui/pages/data_roles.h"
#include "ui/pages/data_tokens.h"
#include "ui/pages/data_variants.h"
#include "ui/theme/icons.h"
#include "ui/theme/theme.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/empty_state.h"
#include "ui/widgets/error_panel.h"
#include "ui/widgets/make.h"
#include "ui/widgets/progress_strip.h"
#include "ui/widgets/segmented_control.h"

namespace qlora::ui {

using namespace Qt::StringLiterals;

namespace {

constexpr int row_height = 28, right_width = 288, remark_width = 170, other_width = 110;
enum Filter { all_rows, with_remarks };
enum Part { as_tokens, as_variants };

QFrame* card(QWidget* parent = nullptr) {
    auto* frame = make<QFrame>(parent);
    frame->setProperty("look", "card");
    return frame;
}

QVBoxLayout* card_column(QFrame* frame) {
    auto* column = make<QVBoxLayout>(frame);
    column->setContentsMargins(12, 10, 12, 10);
    column->setSpacing(theme::grid);
    return column;
}

}  // namespace

DataPage::DataPage(DatasetService& service, Dialogs& dialogs, QWidget* parent)
    : QWidget(parent), service_(service), dialogs_(dialogs) {
    setAcceptDrops(true);
    model_ = make<DatasetModel>(this);
    auto* column = make<QVBoxLayout>(this);
    column->setContentsMargins(16, 12, 16, 12);
    column->setSpacing(theme::grid);
    column->addWidget(make_heading());
    error_ = make<ErrorPanel>(this);
    connect(error_, &ErrorPanel::retry, this, [this] { edit([](recipe::Data& data) { data.skip_bad_rows = true; }); });
    column->addWidget(error_);

    stack_ = make<QStackedWidget>(this);
    auto* empty = make<EmptyState>(u"data"_s, tr("No data yet"),
                                   tr("A data set is a table of examples: what somebody asks, and the answer the model "
                                      "should learn to give. Choose one here, or drop a file on this page."),
                                   tr("Choose data"));
    connect(empty, &EmptyState::activated, this,
            [this, empty] { menu_->popup(empty->button()->mapToGlobal(QPoint(0, empty->button()->height()))); });
    stack_->addWidget(empty);
    stack_->addWidget(make_content());
    column->addWidget(stack_, 1);
    connect_service();
    service_.list();
}

QWidget* DataPage::make_heading() {
    auto* heading = make<QWidget>(this);
    auto* row = make<QHBoxLayout>(heading);
    row->setContentsMargins({});
    row->setSpacing(theme::grid * 2);
    row->addWidget(plain_label(tr("Data"), "title"));
    source_ = make<ElidedLabel>();
    source_->set_elide_mode(Qt::ElideMiddle);
    set_look(source_, "dim");
    row->addWidget(source_, 1);
    progress_ = make<ProgressStrip>();
    connect(progress_, &ProgressStrip::cancelled, this, [this] { service_.cancel(); });
    row->addWidget(progress_, 1);
    choose_ = make<QPushButton>(tr("Choose data…"));
    choose_->setIcon(theme::icon(u"folder"_s));
    choose_->setStyleSheet(u"QPushButton::menu-indicator { image: none; }"_s);
    menu_ = make<QMenu>(choose_);
    menu_->setAccessibleName(tr("Data sets"));
    choose_->setMenu(menu_);
    fill_menu({});
    row->addWidget(choose_);
    return heading;
}

QWidget* DataPage::make_content() {
    QFrame* rows = card();
    auto* rows_column = card_column(rows);
    roles_ = make<DataRoles>();
    filter_ = make<SegmentedControl>(tr("Rows shown"), QStringList{tr("All rows"), tr("With remarks")});
    roles_->add_beside_reason(filter_);
    rows_column->addWidget(roles_);
    table_ = make<QTableView>();
    table_->setModel(model_);
    table_->setAccessibleName(tr("Rows of the data set"));
    table_->setSelectionBehavior(QAbstractItemView::SelectRows);
    table_->setSelectionMode(QAbstractItemView::SingleSelection);
    table_->setVerticalScrollMode(QAbstractItemView::ScrollPerPixel);
    table_->setWordWrap(false);
    table_->setShowGrid(false);
    table_->setAlternatingRowColors(true);
    table_->setTabKeyNavigation(false);
    table_->verticalHeader()->setDefaultSectionSize(row_height);
    table_->verticalHeader()->setSectionResizeMode(QHeaderView::Fixed);
    table_->verticalHeader()->setDefaultAlignment(Qt::AlignRight | Qt::AlignVCenter);
    table_->horizontalHeader()->setDefaultAlignment(Qt::AlignLeft | Qt::AlignVCenter);
    table_->horizontalHeader()->setHighlightSections(false);
    table_->horizontalHeader()->setStyleSheet(u"QHeaderView::section { padding-left: 3px; }"_s);
    table_->verticalHeader()->setStyleSheet(u"QHeaderView::section { border: none; padding: 0 6px; }"_s);
    rows_column->addWidget(table_, 1);

    QFrame* seen = card();
    auto* seen_column = card_column(seen);
    auto* heading = make<QHBoxLayout>();
    token_title_ = make<ElidedLabel>(tr("As the model sees it"));
    set_look(token_title_, "card-title");
    heading->addWidget(token_title_, 1);
    legend_ = make<TokenLegend>();
    heading->addWidget(legend_);
    part_ = make<SegmentedControl>(tr("What is shown of the row"), QStringList{tr("Tokens"), tr("Variants")});
    heading->addWidget(part_);
    seen_column->addLayout(heading);
    tokens_ = make<TokenStrip>();
    token_status_ = make<ElidedLabel>();
    set_look(token_status_, "dim");
    auto* by_token = make<QWidget>();
    auto* token_column = make<QVBoxLayout>(by_token);
    token_column->setContentsMargins({});
    token_column->setSpacing(theme::grid);
    token_column->addWidget(tokens_, 1);
    token_column->addWidget(token_status_);
    variants_ = make<VariantList>();
    parts_ = make<QStackedWidget>();
    parts_->addWidget(by_token);
    parts_->addWidget(variants_);
    seen_column->addWidget(parts_, 1);

    auto* splitter = make<QSplitter>(Qt::Vertical);
    splitter->setAccessibleName(tr("Rows and tokens"));
    splitter->setChildrenCollapsible(false);
    splitter->setHandleWidth(theme::grid);
    splitter->setStyleSheet(u"QSplitter::handle { background: transparent; }"_s);
    splitter->addWidget(rows);
    splitter->addWidget(seen);
    splitter->setSizes({310, 270});
    splitter->setStretchFactor(0, 1);
    splitter->setStretchFactor(1, 1);

    QFrame* facts = card();
    facts->setFixedWidth(right_width);
    figures_ = make<DataFigures>();
    card_column(facts)->addWidget(figures_);

    auto* content = make<QWidget>();
    auto* columns = make<QHBoxLayout>(content);
    columns->setContentsMargins({});
    columns->setSpacing(theme::grid);
    columns->addWidget(splitter, 1);
    columns->addWidget(facts);

    connect(roles_, &DataRoles::chosen, this,
            [this](const recipe::Columns& chosen) { edit([&](recipe::Data& data) { data.columns = chosen; }); });
    connect(filter_, &SegmentedControl::changed, this, [this](int filter) {
        model_->set_only_remarks(filter == with_remarks);
        table_->selectRow(0);
    });
    connect(table_->selectionModel(), &QItemSelectionModel::currentRowChanged, this, &DataPage::row_chosen);
    connect(part_, &SegmentedControl::changed, this, &DataPage::show_part);
    connect(variants_, &VariantList::write_wanted, this, [this] { ask_variants(true); });
    connect(variants_, &VariantList::write_cancelled, this, [this] {
        service_.cancel_varying();
        ask_variants(false);
    });
    connect(tokens_, &TokenStrip::current_changed, this, [this](int token) {
        token_status_->set_text(token < 0 ? tr("Point at a token, or walk with the arrow keys, to see its text and id.")
                                          : tokens_->description(token));
    });
    return content;
}

void DataPage::connect_service() {
    connect(&service_, &DatasetService::listed, this, &DataPage::fill_menu);
    connect(model_, &DatasetModel::wanted, &service_, &DatasetService::read_rows);
    connect(&service_, &DatasetService::rows_read, model_, &DatasetModel::provide);
    connect(&service_, &DatasetService::progressed, progress_, &ProgressStrip::set_progress);
    connect(&service_, &DatasetService::finished, progress_, &ProgressStrip::end);
    connect(&service_, &DatasetService::cancelled, progress_, &ProgressStrip::end);
    connect(&service_, &DatasetService::failed, this, &DataPage::show_error);
    connect(&service_, &DatasetService::opened, this, [this](const DatasetOpened& dataset) {
        row_ = -1;
        opened_ = dataset.source;
        tokens_ready_ = false;
        filter_->set_current(all_rows);
        model_->reset(int(dataset.rows), dataset.columns);
        tokens_->set_tokens({});
        forget_variants();
        roles_->set_columns(dataset.columns);
        figures_->set_rows(dataset.rows, dataset.notices);
        source_->set_text(tr("%1 · %2 rows · %3").arg(dataset.name, format::count(qint64(dataset.rows)), format::path(dataset.path)));
        stack_->setCurrentIndex(1);
        table_->selectRow(0);
    });
    connect(&service_, &DatasetService::resolved, this, [this](const DatasetRoles& roles) {
        roles_->set_roles(roles.roles, roles.reason, roles.problems);
        model_->set_roles(roles.roles);
        size_columns();
        tokens_ready_ = false;
        if (roles.problems.empty() && !recipe_.model.empty()) return;
        tokens_->set_tokens({});
        forget_variants();
        token_status_->set_text(roles.problems.empty() ? tr("Choose a model on the Train page to see its tokens.")
                                                       : tr("Choose the columns above to see the tokens."));
    });
    connect(&service_, &DatasetService::tokens_ready, this, [this] {
        tokens_ready_ = true;
        row_chosen();
    });
    connect(&service_, &DatasetService::reported, this, [this](const data::DatasetReport& report) {
        figures_->set_report(report, !recipe_.data.test.empty() || !recipe_.data.validation.empty());
        model_->set_remarks(report);
    });
    connect(&service_, &DatasetService::varied, this, [this](const evaluate::RowVariants& variants) {
        if (int(variants.row) == row_) variants_->show_variants(variants, recipe_.data.augment.active());
    });
    connect(&service_, &DatasetService::vary_progressed, variants_, &VariantList::set_progress);
    connect(&service_, &DatasetService::vary_failed, this, [this](int row, const Error& error) {
        if (row == row_) variants_->show_message(QString::fromStdString(error.message() + " " + error.hint()));
    });
    connect(&service_, &DatasetService::described, this, &DataPage::show_tokens);
    connect(&service_, &DatasetService::describe_failed, this, [this](int row, const Error& error) {
        if (row != row_) return;
        tokens_->set_tokens({});
        token_status_->set_text(QString::fromStdString(error.message()));
    });
}

// The columns that are learned from share the room; the others keep to a narrow one.
void DataPage::size_columns() {
    auto* header = table_->horizontalHeader();
    bool any = false;
    for (int column = 0; column < model_->remark_column(); ++column) any |= model_->has_role(column);
    for (int column = 0; column < model_->columnCount(); ++column) {
        const bool wide = column != model_->remark_column() && (model_->has_role(column) || !any);
        header->setSectionResizeMode(column, wide ? QHeaderView::Stretch : QHeaderView::Interactive);
        if (!wide) header->resizeSection(column, column == model_->remark_column() ? remark_width : other_width);
    }
}

void DataPage::set_recipe(const recipe::Recipe& recipe) {
    const bool same = recipe.data == recipe_.data && recipe.model == recipe_.model && recipe.task == recipe_.task;
    // Which rows are held out, and what a model writes.
    const bool varied = recipe.train.seed != recipe_.train.seed || recipe.precision != recipe_.precision || recipe.compute != recipe_.compute ||
                        recipe.quantization_block != recipe_.quantization_block || recipe.double_quantization != recipe_.double_quantization;
    recipe_ = recipe;
    roles_->set_task(recipe.task);
    if (same && varied && part_->current() == as_variants) row_chosen();
    if (same) return;
    stale_ = true;
    if (isVisible()) read();
}

void DataPage::choose(const QString& source, const QString& held_out) {
    edit([&](recipe::Data& data) {
        data.train = source.toStdString();
        data.test = held_out.toStdString();
        data.validation.clear();
        data.columns = {};
        data.skip_bad_rows = false;
    });
}

void DataPage::set_busy(const QString& why_not) { variants_->set_busy(why_not); }

void DataPage::edit(const std::function<void(recipe::Data&)>& change) {
    const recipe::Data before = recipe_.data;
    change(recipe_.data);
    if (recipe_.data != before) emit data_edited(recipe_.data);
    stale_ = true;
    if (isVisible()) read();
}

void DataPage::read() {
    stale_ = false;
    error_->clear();
    if (recipe_.data.train.empty()) {
        service_.cancel();
        stack_->setCurrentIndex(0);
        source_->set_text({});
        return;
    }
    progress_->begin(tr("Reading the data"));
    service_.open(recipe_);
}

void DataPage::row_chosen() {
    const QModelIndex index = table_->currentIndex();
    if (!index.isValid()) return;
    row_ = model_->source_row(index.row());
    token_title_->set_text((part_->current() == as_tokens ? tr("Row %1 as the model sees it") : tr("Row %1 and its variants")).arg(format::count(row_ + 1)));
    if (!tokens_ready_) return;
    if (part_->current() == as_tokens) service_.describe(row_);
    else ask_variants(false);
}

void DataPage::show_part(int part) {
    parts_->setCurrentIndex(part);
    legend_->setVisible(part == as_tokens);
    if (part == as_tokens) service_.cancel_varying();
    row_chosen();
}

void DataPage::forget_variants() {
    service_.cancel_varying();
    variants_->show_message({});
}

void DataPage::ask_variants(bool write) {
    variants_->set_writing(write);
    service_.vary(recipe_, row_, write);
}

void DataPage::show_tokens(int row, const std::vector<data::TokenView>& tokens) {
    if (row == row_) tokens_->set_tokens(tokens);
}

void DataPage::show_error(const Error& error) {
    progress_->end();
    error_->show_error(error);
    if (opened_.toStdString() != recipe_.data.train) {
        // What lies below belongs to another data set than the error.
        opened_.clear();
        model_->reset(0, {});
        stack_->setCurrentIndex(0);
        source_->set_text(QString::fromStdString(recipe_.data.train));
    }
    const bool skippable = error.code() == "data.row" && !recipe_.data.skip_bad_rows;
    error_->set_retry(skippable ? tr("Leave out such rows") : QString());
}

void DataPage::fill_menu(const std::vector<hub::CatalogueData>& datasets) {
    menu_->clear();
    QAction* open = menu_->addAction(theme::icon(u"file"_s), tr("Open a file…"), this, &DataPage::browse);
    open->setToolTip(tr("JSON lines, CSV, Parquet or plain text"));
    bool parted = false;
    for (const auto& dataset : datasets) {
        if (!dataset.available) continue;
        if (!parted) menu_->addSeparator();
        parted = true;
        QString text = QString::fromStdString(dataset.name);
        if (dataset.rows > 0) text += u" · "_s + tr("%1 rows").arg(format::count(dataset.rows));
        const QString held_out = QString::fromStdString(dataset.held_out.string());
        menu_->addAction(theme::icon(u"data"_s), text.replace(u'&', u"&&"_s), this,
                         [this, id = QString::fromStdString(dataset.id), held_out] { choose(id, held_out); });
    }
}

void DataPage::browse() {
    const QString folder = QFileInfo(QString::fromStdString(recipe_.data.train)).absolutePath();
    const QString file = dialogs_.open_file(
        this, tr("Choose a data set"), folder,
        tr("Data sets (*.jsonl *.ndjson *.json *.csv *.tsv *.parquet *.txt *.md);;All files (*)"));
    if (!file.isEmpty()) choose(file);
}

void DataPage::showEvent(QShowEvent* event) {
    QWidget::showEvent(event);
    if (stale_) read();
}

void DataPage::dragEnterEvent(QDragEnterEvent* event) {
    const auto urls = event->mimeData()->urls();
    if (urls.size() == 1 && urls.front().isLocalFile()) event->acceptProposedAction();
}

void DataPage::dropEvent(QDropEvent* event) {
    event->acceptProposedAction();
    choose(event->mimeData()->urls().front().toLocalFile());
}

}  // namespace qlora::ui
