#include "ui/pages/runs_page.h"

#include <QDesktopServices>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QListView>
#include <QMenu>
#include <QPushButton>
#include <QRegularExpression>
#include <QShortcut>
#include <QSortFilterProxyModel>
#include <QStackedWidget>
#include <QTimer>
#include <QUrl>
#include <QVBoxLayout>

#include "ui/dialogs/dialogs.h"
#include "ui/format/format.h"
#include "ui/pages/runs_delegate.h"
#include "ui/theme/icons.h"
#include "ui/theme/tokens.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/empty_state.h"
#include "ui/widgets/error_panel.h"
#include "ui/widgets/make.h"
#include "ui/widgets/segmented_control.h"

namespace qlora::ui {

using namespace Qt::StringLiterals;

namespace {

constexpr int refresh_ms = 2000;

// A disabled button says why.
void allow(QPushButton* button, bool allowed, const QString& why_not) {
    button->setEnabled(allowed);
    button->setToolTip(allowed ? QString() : why_not);
    button->setAccessibleDescription(button->toolTip());
}

}  // namespace

RunsPage::RunsPage(RunsService& service, Dialogs& dialogs, QWidget* parent)
    : QWidget(parent), service_(service), dialogs_(dialogs) {
    model_ = make<RunsModel>(this);
    filtered_ = make<QSortFilterProxyModel>(this);
    filtered_->setSourceModel(model_);
    filtered_->setFilterRole(RunsModel::SearchRole);
    filtered_->setFilterCaseSensitivity(Qt::CaseInsensitive);
    timer_ = make<QTimer>(this);
    timer_->setInterval(refresh_ms);
    connect(timer_, &QTimer::timeout, this, [this] { service_.refresh(); });

    auto* column = make<QVBoxLayout>(this);
    column->setContentsMargins(16, 12, 16, 12);
    column->setSpacing(theme::grid);
    column->addWidget(make_heading());
    views_ = make<QStackedWidget>(this);
    auto* runs = make<QWidget>(this);
    column->addWidget(views_, 1);
    views_->addWidget(runs);
    column = make<QVBoxLayout>(runs);
    column->setContentsMargins({});
    column->setSpacing(theme::grid);
    error_ = make<ErrorPanel>(this);
    column->addWidget(error_);
    stack_ = make<QStackedWidget>(this);
    auto* empty = make<EmptyState>(u"runs"_s, tr("No runs yet"),
                                   tr("Every training run is kept here with its curve, its checkpoints and its adapter."),
                                   tr("Set up a run"));
    connect(empty, &EmptyState::activated, this, &RunsPage::train_requested);
    stack_->addWidget(empty);
    stack_->addWidget(make_list());
    stack_->addWidget(wrapped_label(tr("No run has all of these words."), "dim"));
    column->addWidget(stack_, 1);

    connect(model_, &RunsModel::rename_requested, &service_, &RunsService::rename);
    connect(&service_, &RunsService::listed, this, &RunsPage::take);
    connect(&service_, &RunsService::failed, error_, qOverload<const Error&>(&ErrorPanel::show_error));
    refresh_buttons();
}

QWidget* RunsPage::make_heading() {
    auto* heading = make<QWidget>(this);
    auto* row = make<QHBoxLayout>(heading);
    row->setContentsMargins({});
    row->setSpacing(theme::grid * 2);
    row->addWidget(plain_label(tr("Runs"), "title"));
    view_ = make<SegmentedControl>(tr("View"), QStringList{tr("All runs"), tr("Searches")}, heading);
    view_->hide();  // until there are searches to show
    connect(view_, &SegmentedControl::changed, this, [this](int index) {
        views_->setCurrentIndex(index);
        for (QWidget* of_runs : std::initializer_list<QWidget*>{count_, search_}) of_runs->setVisible(index == 0);
    });
    row->addWidget(view_);
    count_ = plain_label({}, "dim");
    row->addWidget(count_);
    row->addStretch(1);
    search_ = make<QLineEdit>();
    search_->setPlaceholderText(tr("Find by name, model, data or status"));
    search_->setAccessibleName(tr("Find runs"));
    search_->setClearButtonEnabled(true);
    search_->setFixedWidth(280);
    search_->addAction(theme::icon(u"search"_s, theme::Ink::dim), QLineEdit::LeadingPosition);
    connect(search_, &QLineEdit::textChanged, this, [this](const QString& text) {
        // All words, in any order.
        QString pattern;
        for (const QString& word : text.split(u' ', Qt::SkipEmptyParts))
            pattern += u"(?=.*%1)"_s.arg(QRegularExpression::escape(word));
        filtered_->setFilterRegularExpression(QRegularExpression(
            pattern, QRegularExpression::CaseInsensitiveOption | QRegularExpression::DotMatchesEverythingOption));
        if (model_->rowCount() > 0) stack_->setCurrentIndex(filtered_->rowCount() > 0 ? 1 : 2);
    });
    row->addWidget(search_);
    return heading;
}

QWidget* RunsPage::make_list() {
    auto* content = make<QWidget>();
    auto* column = make<QVBoxLayout>(content);
    column->setContentsMargins({});
    column->setSpacing(theme::grid);
    auto* buttons = make<QHBoxLayout>();
    buttons->setSpacing(theme::grid);

    list_ = make<QListView>(content);
    list_->setObjectName(u"runs"_s);
    list_->setModel(filtered_);
    list_->setItemDelegate(make<RunsDelegate>(list_));
    list_->setAccessibleName(tr("Runs"));
    list_->setUniformItemSizes(true);
    list_->setVerticalScrollMode(QAbstractItemView::ScrollPerPixel);
    list_->setEditTriggers(QAbstractItemView::EditKeyPressed);
    list_->setMouseTracking(true);
    list_->setFrameShape(QFrame::NoFrame);
    list_->setStyleSheet(u"QListView#runs, QListView#runs:focus { background: transparent; border: none; }"_s);
    list_->setContextMenuPolicy(Qt::CustomContextMenu);
    connect(list_, &QListView::customContextMenuRequested, this, &RunsPage::show_menu);
    connect(list_, &QListView::activated, this, &RunsPage::open);
    connect(list_->selectionModel(), &QItemSelectionModel::selectionChanged, this, &RunsPage::refresh_buttons);

    open_ = add_button(tr("Open"), u"live"_s, {}, &RunsPage::open);
    open_->setProperty("look", "primary");
    open_->setIcon(theme::icon(u"live"_s, theme::Ink::on_accent));
    resume_ = add_button(tr("Resume"), u"play"_s, {}, &RunsPage::resume);
    evaluate_ = add_button(tr("Evaluate"), u"evaluate"_s, {}, &RunsPage::evaluate);
    rename_ = add_button(tr("Rename"), u"method"_s, {}, &RunsPage::rename);
    folder_ = add_button(tr("Show in folder"), u"folder"_s, {}, &RunsPage::show_folder);
    delete_ = add_button(tr("Delete…"), u"trash"_s, QKeySequence::Delete, &RunsPage::remove);
    delete_->setProperty("look", "danger");
    delete_->setIcon(theme::icon(u"trash"_s, theme::Ink::bad));
    for (QPushButton* button : {open_, resume_, evaluate_, rename_, folder_}) buttons->addWidget(button);
    buttons->addStretch();
    buttons->addWidget(delete_);
    column->addLayout(buttons);
    column->addWidget(list_, 1);
    return content;
}

QPushButton* RunsPage::add_button(const QString& text, const QString& icon, const QKeySequence& key,
                                  void (RunsPage::*slot)()) {
    auto* button = make<QPushButton>(theme::icon(icon), text);
    connect(button, &QPushButton::clicked, this, slot);
    if (!key.isEmpty()) connect(make<QShortcut>(key, list_, nullptr, nullptr, Qt::WidgetShortcut), &QShortcut::activated, this, slot);
    return button;
}

void RunsPage::take(const std::vector<RunEntry>& entries) {
    const bool first = model_->rowCount() == 0;
    model_->set_entries(entries);
    std::int64_t bytes = 0;
    for (const auto& entry : entries) bytes += entry.run.folder_bytes;
    count_->setText(entries.empty()       ? QString()
                      : entries.size() == 1 ? tr("1 run · %1 on disk").arg(format::bytes(bytes))
                                            : tr("%1 runs · %2 on disk").arg(format::count(std::int64_t(entries.size())), format::bytes(bytes)));
    search_->setEnabled(!entries.empty());
    stack_->setCurrentIndex(entries.empty() ? 0 : filtered_->rowCount() > 0 ? 1 : 2);
    if (first && filtered_->rowCount() > 0) {
        list_->setCurrentIndex(filtered_->index(0, 0));
        if (isVisible()) list_->setFocus();
    }
    refresh_buttons();
}

const RunEntry* RunsPage::chosen() const {
    const auto rows = list_->selectionModel()->selectedIndexes();
    return rows.isEmpty() ? nullptr : model_->entry(filtered_->mapToSource(rows.front()));
}

void RunsPage::set_searches(QWidget* view) {
    views_->addWidget(view);
    view_->show();
}

void RunsPage::show_searches(bool shown) { view_->set_current(shown ? 1 : 0); }

void RunsPage::set_busy(const QString& why_not) {
    busy_ = why_not;
    refresh_buttons();
}

void RunsPage::refresh_buttons() {
    const RunEntry* entry = chosen();
    const QString none = tr("Choose a run first.");
    const bool running = entry && entry->run.status == "running";
    for (QPushButton* button : {open_, rename_, folder_}) allow(button, entry, none);
    allow(resume_, entry && entry->run.resumable && busy_.isEmpty(),
          !entry                  ? none
          : running               ? tr("This run is going on.")
          : !entry->run.resumable ? tr("This run left no checkpoint to go on from.")
                                  : busy_);
    allow(evaluate_, entry && entry->has_adapter, entry ? tr("This run has no adapter yet.") : none);
    allow(delete_, entry && !running, entry ? tr("Stop the run before you delete it.") : none);
}

void RunsPage::show_menu(const QPoint& position) {
    if (!list_->indexAt(position).isValid()) return;
    QMenu menu;
    for (QPushButton* button : {open_, resume_, evaluate_, rename_, folder_, delete_}) {
        QAction* action = menu.addAction(button->icon(), button->text(), button, &QPushButton::click);
        action->setEnabled(button->isEnabled());
    }
    menu.exec(list_->viewport()->mapToGlobal(position));
}

void RunsPage::open() {
    if (const auto* entry = chosen()) emit open_requested(QString::fromStdString(entry->run.folder.string()));
}

void RunsPage::resume() {
    if (const auto* entry = chosen()) emit resume_requested(QString::fromStdString(entry->run.folder.string()));
}

void RunsPage::evaluate() {
    if (const auto* entry = chosen()) emit evaluate_requested(QString::fromStdString(entry->run.folder.string()));
}

void RunsPage::rename() {
    if (chosen()) list_->edit(list_->currentIndex());
}

void RunsPage::show_folder() {
    if (const auto* entry = chosen())
        QDesktopServices::openUrl(QUrl::fromLocalFile(QString::fromStdString(entry->run.folder.string())));
}

void RunsPage::remove() {
    const RunEntry* entry = chosen();
    if (!entry || !delete_->isEnabled()) return;
    const qint64 id = entry->run.id;
    Question question;
    question.title = tr("Delete a run");
    question.text = delete_question(*entry) + u"\n\n"_s + tr("Its curve, checkpoints and adapter go with it. This cannot be undone.");
    question.buttons = {tr("Delete"), tr("Cancel")};
    question.dangerous = 0;
    if (dialogs_.ask(this, question) == 0) service_.remove(id);
}

void RunsPage::showEvent(QShowEvent* event) {
    QWidget::showEvent(event);
    if (list_->isVisible()) list_->setFocus();
    service_.refresh();
    timer_->start();
}

void RunsPage::hideEvent(QHideEvent* event) {
    QWidget::hideEvent(event);
    timer_->stop();
}

}  // namespace qlora::ui
