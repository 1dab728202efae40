#include "ui/shell/main_window.h"

#include <QButtonGroup>
#include <QCloseEvent>
#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QSettings>
#include <QStackedWidget>

#include "core/base/error.h"
#include "ui/dialogs/dialogs.h"
#include "ui/engine/runs_service.h"
#include "ui/models/live_run.h"
#include "ui/models/recipe_draft.h"
#include "ui/pages/data_page.h"
#include "ui/pages/evaluate_page.h"
#include "ui/pages/live_page.h"
#include "ui/pages/runs_page.h"
#include "ui/pages/searches_view.h"
#include "ui/pages/train_page.h"
#include "ui/pages/train_preview.h"
#include "ui/shell/command_palette.h"
#include "ui/shell/latency_probe.h"
#include "ui/shell/status_foot.h"
#include "ui/theme/icons.h"
#include "ui/theme/theme.h"
#include "ui/widgets/card.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/error_panel.h"
#include "ui/widgets/make.h"
#include "ui/widgets/rail_button.h"
#include "ui/widgets/segmented_control.h"
#include "ui/widgets/toast.h"

namespace qlora::ui {

namespace {

constexpr const char* names[page_count] = {"train", "data", "live", "evaluate", "runs"};
constexpr int rail_width = 108;

const QString recipe_key = QStringLiteral("recipe"), page_key = QStringLiteral("page"),
              geometry_key = QStringLiteral("geometry"), scheme_key = QStringLiteral("theme"),
              advanced_key = QStringLiteral("advanced"), folded_key = QStringLiteral("folded/");

}  // namespace

std::optional<Page> page_from_name(const QString& name) {
    for (int i = 0; i < page_count; ++i)
        if (name == QLatin1String(names[i])) return static_cast<Page>(i);
    return {};
}

QString page_name(Page page) {
    return QString::fromLatin1(names[static_cast<int>(page)]);
}

MainWindow::MainWindow(const Parts& parts) : parts_(parts) {
    setWindowTitle(tr("QLoRA Studio"));
    setWindowIcon(QIcon(QStringLiteral(":/icons/studio.svg")));
    setAcceptDrops(true);
    setMinimumSize(1080, 640);
    draft_ = make<RecipeDraft>(parts_.engine, this);
    run_ = make<LiveRun>(this);
    latency_ = make<LatencyProbe>(this);
    // Made in the order in which Tab goes through them: rail, top, page.
    auto* central = make<QWidget>(this);
    QWidget* rail = make_rail();
    QWidget* top = make_top_bar();
    stack_ = make<QStackedWidget>(this);
    make_pages();
    auto* right = make<QVBoxLayout>();
    right->setContentsMargins(0, 0, 0, 0);
    right->setSpacing(0);
    right->addWidget(top);
    right->addWidget(make_banner());
    right->addWidget(stack_, 1);
    auto* row = make<QHBoxLayout>(central);
    row->setContentsMargins(0, 0, 0, 0);
    row->setSpacing(0);
    row->addWidget(rail);
    row->addLayout(right, 1);
    setCentralWidget(central);
    palette_ = make<CommandPalette>(this);
    toast_ = make<Toast>(this);
    connect_engine();
    connect_searches();
    make_shortcuts();
    restore();
    rail_->button(static_cast<int>(page()))->setFocus();
    parts_.engine.read_catalogue();
    parts_.engine.read_machine();
    parts_.engine.recover_runs();
    parts_.searches.refresh();
}

MainWindow::~MainWindow() = default;

void MainWindow::make_pages() {
    train_ = make<TrainPage>(*draft_, parts_.dialogs, stack_);
    data_ = make<DataPage>(parts_.datasets, parts_.dialogs, stack_);
    live_ = make<LivePage>(*run_, parts_.dialogs, stack_);
    evaluate_ = make<EvaluatePage>(parts_.chat, parts_.runs, stack_);
    runs_ = make<RunsPage>(parts_.runs, parts_.dialogs, stack_);
    searches_ = make<SearchesView>(parts_.searches, runs_);
    runs_->set_searches(searches_);
    for (QWidget* page : std::initializer_list<QWidget*>{train_, data_, live_, evaluate_, runs_})
        stack_->addWidget(page);

    connect(train_, &TrainPage::start_requested, this, &MainWindow::start_run);
    connect(train_, &TrainPage::example_chosen, this, [this](const recipe::Recipe& example) {
        const recipe::Recipe before = draft_->recipe();
        draft_->set_recipe(example);
        toast_->offer_undo(tr("The recipe is \"%1\" now.").arg(QString::fromStdString(example.name)),
                           [this, before] { draft_->set_recipe(before); });
    });
    connect(train_, &TrainPage::look_at_data_requested, this, [this] { show_page(Page::data); });
    connect(draft_, &RecipeDraft::edited, this, [this] { data_->set_recipe(draft_->recipe()); });
    connect(data_, &DataPage::data_edited, this, [this](const recipe::Data& data) {
        recipe::Recipe changed = draft_->recipe();
        if (changed.data == data) return;
        changed.data = data;
        draft_->set_recipe(changed);
    });
    connect(live_, &LivePage::train_requested, this, [this] { show_page(Page::train); });
    connect(live_, &LivePage::pause_requested, this, [this] { parts_.engine.pause(); });
    connect(live_, &LivePage::unpause_requested, this, [this] { parts_.engine.unpause(); });
    connect(live_, &LivePage::stop_and_save_requested, this, [this] { parts_.engine.stop_and_save(); });
    connect(live_, &LivePage::stop_requested, this, [this] { parts_.engine.stop(); });
    const auto evaluate = [this](const QString& folder) {
        evaluate_->choose(folder);
        show_page(Page::evaluate);
    };
    connect(live_, &LivePage::evaluate_requested, this, evaluate);
    connect(evaluate_, &EvaluatePage::train_requested, this, [this] { show_page(Page::train); });
    connect(runs_, &RunsPage::evaluate_requested, this, evaluate);
    connect(runs_, &RunsPage::train_requested, this, [this] { show_page(Page::train); });
    connect(runs_, &RunsPage::resume_requested, this, &MainWindow::resume_run);
    connect(runs_, &RunsPage::open_requested, this, &MainWindow::look_at_run);
}

QWidget* MainWindow::make_rail() {
    auto* rail = make<QFrame>(this);
    rail->setProperty("look", "rail");
    rail->setFixedWidth(rail_width);
    auto* column = make<QVBoxLayout>(rail);
    column->setContentsMargins(0, 8, 1, 0);
    column->setSpacing(2);
    rail_ = make<QButtonGroup>(this);
    const QString words[page_count] = {tr("Train"), tr("Data"), tr("Live"), tr("Evaluate"), tr("Runs")};
    for (int i = 0; i < page_count; ++i) {
        auto* button = make<RailButton>(QString::fromLatin1(names[i]), words[i], rail);
        button->setToolTip(tr("%1 (Ctrl+%2)").arg(words[i]).arg(i + 1));
        rail_->addButton(button, i);
        rail_buttons_.push_back(button);
        column->addWidget(button);
    }
    connect(rail_, &QButtonGroup::idClicked, this, [this](int id) { show_page(static_cast<Page>(id)); });
    column->addStretch(1);
    auto* separator = make<QFrame>(rail);
    separator->setProperty("look", "separator");
    column->addWidget(separator);
    foot_ = make<StatusFoot>(*run_, rail);
    connect(foot_, &StatusFoot::activated, this, [this] { show_page(Page::live); });
    column->addWidget(foot_);
    return rail;
}

QWidget* MainWindow::make_top_bar() {
    auto* bar = make<QWidget>(this);
    bar->setFixedHeight(44);
    auto* row = make<QHBoxLayout>(bar);
    row->setContentsMargins(20, 6, 14, 4);
    row->setSpacing(12);
    auto* search = make<QPushButton>(theme::icon(QStringLiteral("search"), theme::Ink::dim),
                                     tr("Search actions and settings      Ctrl+K"), bar);
    search->setProperty("look", "quiet");
    search->setFocusPolicy(Qt::NoFocus);  // Ctrl+K is its key
    connect(search, &QPushButton::clicked, this, &MainWindow::open_palette);
    device_ = plain_label({}, "dim", bar);
    scheme_ =
        make<SegmentedControl>(tr("Colours"), QStringList{tr("As the system"), tr("Light"), tr("Dark")}, bar);
    scheme_->set_icons({QStringLiteral("system"), QStringLiteral("sun"), QStringLiteral("moon")});
    connect(scheme_, &SegmentedControl::changed, this, [this](int index) {
        parts_.theme.set_scheme(static_cast<theme::Scheme>(index));
        parts_.settings.setValue(scheme_key, index);
    });
    connect(&parts_.theme, &theme::Theme::scheme_changed, scheme_,
            [this] { scheme_->set_current(int(parts_.theme.scheme())); });
    row->addWidget(search);
    row->addStretch(1);
    row->addWidget(device_);
    row->addWidget(scheme_);
    return bar;
}

QWidget* MainWindow::make_banner() {
    auto* frame = make<QFrame>(this);
    frame->setProperty("look", "notice-warning");
    auto* row = make<QHBoxLayout>(frame);
    row->setContentsMargins(14, 6, 8, 6);
    banner_text_ = wrapped_label({}, nullptr, frame);
    auto* resume = make<QPushButton>(tr("Go on with it"), frame);
    auto* later = make<QPushButton>(tr("Not now"), frame);
    later->setProperty("look", "quiet");
    connect(resume, &QPushButton::clicked, this, [this] {
        banner_->hide();
        banner_action_();
    });
    connect(later, &QPushButton::clicked, this, [this] { banner_->hide(); });
    row->addWidget(banner_text_, 1);
    row->addWidget(resume);
    row->addWidget(later);
    banner_ = make<QWidget>(this);
    auto* around = make<QVBoxLayout>(banner_);
    around->setContentsMargins(20, 0, 14, 4);
    around->addWidget(frame);
    banner_->hide();
    return banner_;
}

Page MainWindow::page() const {
    return static_cast<Page>(stack_->currentIndex());
}

void MainWindow::show_page(Page page) {
    const int index = static_cast<int>(page);
    stack_->setCurrentIndex(index);
    rail_->button(index)->setChecked(true);
}

void MainWindow::restore() {
    QSettings& settings = parts_.settings;
    resize(1280, 720);
    restoreGeometry(settings.value(geometry_key).toByteArray());
    scheme_->set_current(int(parts_.theme.scheme()));
    train_->set_advanced(settings.value(advanced_key, false).toBool());
    for (Card* card : train_->cards()) {
        card->set_unfolded(!settings.value(folded_key + card->objectName(), false).toBool(), false);
        connect(card, &Card::unfolded_changed, this, [this, card](bool unfolded) {
            parts_.settings.setValue(folded_key + card->objectName(), !unfolded);
        });
    }
    show_page(page_from_name(settings.value(page_key).toString()).value_or(Page::train));
    recipe::Recipe recipe;
    const QByteArray kept = settings.value(recipe_key).toByteArray();
    if (!kept.isEmpty()) {
        try {
            std::vector<recipe::Problem> problems;  // a setting of another version falls back to its default
            recipe = recipe::from_json(parse_json(kept.toStdString(), "the kept recipe"), {}, problems);
        } catch (const Error&) {
            recipe = {};
        }
    }
    draft_->set_recipe(recipe);
}

void MainWindow::save_state() {
    QSettings& settings = parts_.settings;
    settings.setValue(geometry_key, saveGeometry());
    settings.setValue(page_key, page_name(page()));
    settings.setValue(advanced_key, train_->advanced());
    settings.setValue(recipe_key, QByteArray::fromStdString(recipe::to_json(draft_->recipe()).dump()));
    settings.sync();
}

void MainWindow::closeEvent(QCloseEvent* event) {
    save_state();
    if (parts_.searches.searching() && !closing_) {
        const int answer = parts_.dialogs.ask(this, {.title = tr("A search is going"),
                                                     .text = tr("Closing saves the run that goes; the search can go on from there later."),
                                                     .buttons = {tr("Save, stop and close"), tr("Keep searching")}});
        event->setAccepted(answer == 0);
        if (answer == 0) parts_.searches.stop();
        return;
    }
    if (!run_->active()) {
        event->accept();
        return;
    }
    event->ignore();
    if (closing_) return;  // it closes once the run has saved
    const std::int64_t step = run_->steps().empty() ? 0 : run_->steps().back().step;
    const int answer =
        parts_.dialogs.ask(this, {.title = tr("A run is going"),
                                  .text = tr("The run is at step %1 of %2. Stopping saves a checkpoint, and "
                                             "it can go on from there later.")
                                              .arg(step)
                                              .arg(run_->total_steps()),
                                  .buttons = {tr("Save, stop and close"), tr("Keep running")}});
    if (answer != 0) return;
    closing_ = true;
    parts_.engine.stop_and_save();
    toast_->say(tr("Saving a checkpoint; the window closes after it."));
}

void MainWindow::refresh_busy() {
    const bool busy = run_->active();
    const QString why_not = busy_text();
    train_->preview()->set_busy(why_not);
    train_->set_busy(why_not);
    searches_->set_busy(busy ? why_not : QString());
    data_->set_busy(why_not);
    evaluate_->set_busy(why_not);
    runs_->set_busy(why_not);
    rail_buttons_[std::size_t(Page::live)]->set_busy(busy);
}

}  // namespace qlora::ui
