// What the window does: runs, keys, the command palette, drops.
#include <QDragEnterEvent>
#include <QFileInfo>
#include <QKeyEvent>
#include <QLabel>
#include <QMimeData>
#include <QSettings>
#include <QShortcut>
#include <QUrl>

#include "core/base/error.h"
#include "core/recipe/fields.h"
#include "ui/engine/runs_service.h"
#include "ui/format/format.h"
#include "ui/models/live_run.h"
#include "ui/models/recipe_draft.h"
#include "ui/pages/data_page.h"
#include "ui/pages/live_page.h"
#include "ui/pages/train_page.h"
#include "ui/shell/command_palette.h"
#include "ui/shell/drop.h"
#include "ui/shell/latency_probe.h"
#include "ui/shell/main_window.h"
#include "ui/shell/status_foot.h"
#include "ui/theme/theme.h"
#include "ui/widgets/error_panel.h"
#include "ui/widgets/help_popover.h"
#include "ui/widgets/make.h"
#include "ui/widgets/segmented_control.h"
#include "ui/widgets/toast.h"

namespace qlora::ui {

void MainWindow::connect_engine() {
    Engine& engine = parts_.engine;
    connect(&engine, &Engine::catalogue_ready, draft_, &RecipeDraft::choose_defaults);
    connect(&engine, &Engine::catalogue_failed, this,
            [this](const Error& error) { train_->error()->show_error(error); });
    connect(&engine, &Engine::machine_ready, this,
            [this](const Machine& machine) { device_->setText(machine.device); });
    connect(&engine, &Engine::recovered, this, &MainWindow::offer_resume);
    connect(&engine, &Engine::metered, foot_, &StatusFoot::set_reading);
    connect(&engine, &Engine::event, run_, &LiveRun::take);
    connect(&engine, &Engine::run_state_changed, run_, &LiveRun::set_state);
    connect(&engine, &Engine::run_started, this, [this](const recipe::Recipe& recipe, const QString& folder) {
        const auto& plan = draft_->plan();
        run_->begin(recipe, folder);
        if (plan && recipe.model == draft_->recipe().model) {
            run_->set_sentence(QString::fromStdString(plan->sentence));
            live_->set_predicted_peak(plan->peak_bytes);
        }
        show_page(Page::live);
        live_->setFocus();  // on the page, not on a control: Space pauses
    });
    connect(&engine, &Engine::history_ready, this,
            [this](const QString& folder, const std::vector<train::Event>& events) {
                if (run_->active()) return;  // the run that goes is not hidden behind an old one
                run_->replay(folder, events);
                run_->set_sentence(QFileInfo(folder).fileName());
                show_page(Page::live);
            });
    connect(&engine, &Engine::history_failed, this, [this](const QString&, const Error& error) {
        show_page(Page::live);
        live_->error()->show_error(error);
    });
    connect(run_, &LiveRun::state_changed, this, &MainWindow::refresh_busy);
    connect(run_, &LiveRun::ended, this, [this] {
        parts_.runs.refresh();
    });
    connect(run_, &LiveRun::state_changed, this, [this] {
        if (run_->active()) return;
        if (closing_) close();
        else if (run_->finished()) toast_->say(run_->state_text());
    });
}

void MainWindow::make_shortcuts() {
    for (int i = 0; i < page_count; ++i)
        connect(make<QShortcut>(QKeySequence(QStringLiteral("Ctrl+%1").arg(i + 1)), this),
                &QShortcut::activated, this, [this, i] { show_page(static_cast<Page>(i)); });
    connect(make<QShortcut>(QKeySequence(QStringLiteral("Ctrl+R")), this), &QShortcut::activated, this,
            &MainWindow::start_run);
    connect(make<QShortcut>(QKeySequence(QStringLiteral("Ctrl+K")), this), &QShortcut::activated, this,
            &MainWindow::open_palette);
    connect(make<QShortcut>(QKeySequence(Qt::Key_F1), this), &QShortcut::activated, this,
            &MainWindow::explain_page);
}

// Space reaches the window only when no control wanted it.
void MainWindow::keyPressEvent(QKeyEvent* event) {
    if (event->key() == Qt::Key_Space && run_->active()) {
        toggle_pause();
        return;
    }
    if (event->key() == Qt::Key_Escape) HelpPopover::of(this)->dismiss();
    QMainWindow::keyPressEvent(event);
}

void MainWindow::start_run() {
    const QString missing = !busy_text().isEmpty() ? busy_text() : draft_->missing();
    if (!missing.isEmpty()) {
        show_page(run_->active() ? Page::live : Page::train);
        toast_->say(missing);
        return;
    }
    train_->error()->clear();
    save_state();
    parts_.engine.start(draft_->recipe());
}

void MainWindow::resume_run(const QString& folder) {
    if (const QString busy = busy_text(); !busy.isEmpty())
        toast_->say(busy);
    else
        parts_.engine.resume(folder);
}

void MainWindow::look_at_run(const QString& folder) {
    if (folder == run_->folder())
        show_page(Page::live);
    else if (run_->active())
        toast_->say(tr("A run is going; its curves stay on the Live page until it ends."));
    else
        parts_.engine.read_history(folder);
}

void MainWindow::toggle_pause() {
    if (run_->state() == RunState::paused)
        parts_.engine.unpause();
    else if (run_->state() == RunState::running)
        parts_.engine.pause();
}

void MainWindow::offer_resume(const std::vector<runs::Run>& interrupted) {
    for (const auto& run : interrupted) {
        if (!run.resumable) continue;
        offer(tr("The run “%1” was interrupted at step %2 of %3. It can go on from its last checkpoint.")
                  .arg(QString::fromStdString(run.name), format::count(run.steps_done), format::count(run.steps)),
              [this, folder = QString::fromStdString(run.folder.string())] { resume_run(folder); });
        return;
    }
}

void MainWindow::open_palette() {
    palette_->open(commands());
}

std::vector<Command> MainWindow::commands() {
    const auto not_running = [this] { return run_->active() ? QString() : tr("No run is going"); };
    std::vector<Command> all{
        {tr("Start the run"), tr("Train as set up"), "play", "Ctrl+R", [this] { start_run(); },
         [this] { return !busy_text().isEmpty() ? busy_text() : draft_->missing(); }},
        {tr("Search for better settings"), tr("Around the recipe on the Train page"), "compare", {}, [this] { set_up_search(); },
         [this] { return !busy_text().isEmpty() ? busy_text() : draft_->missing(); }},
        {tr("Find a learning rate"), tr("Trains a few steps while the rate grows"), "live", {}, [this] { find_rate(); },
         [this] { return !busy_text().isEmpty() ? busy_text() : draft_->missing(); }},
        {tr("Go to the searches"), tr("On the Runs page"), "runs", {}, [this] { show_searches(); }, {}},
        {tr("Pause or go on"), tr("The run that goes"), "pause", tr("Space"), [this] { toggle_pause(); },
         not_running},
        {tr("Stop and save"),
         tr("Ends the run with a checkpoint"),
         "save",
         {},
         [this] { parts_.engine.stop_and_save(); },
         not_running},
        {tr("Stop without saving"),
         tr("Ends the run at its last checkpoint"),
         "stop",
         {},
         [this] { parts_.engine.stop(); },
         not_running},
        {tr("Go to Train"), {}, "train", "Ctrl+1", [this] { show_page(Page::train); }, {}},
        {tr("Go to Data"), {}, "data", "Ctrl+2", [this] { show_page(Page::data); }, {}},
        {tr("Go to Live"), {}, "live", "Ctrl+3", [this] { show_page(Page::live); }, {}},
        {tr("Go to Evaluate"), {}, "evaluate", "Ctrl+4", [this] { show_page(Page::evaluate); }, {}},
        {tr("Go to Runs"), {}, "runs", "Ctrl+5", [this] { show_page(Page::runs); }, {}},
        {tr("Choose a model"),
         tr("On the Train page"),
         "model",
         {},
         [this] {
             show_page(Page::train);
             train_->choose_model();
         },
         {}},
        {tr("Choose a data set"),
         tr("On the Train page"),
         "data",
         {},
         [this] {
             show_page(Page::train);
             train_->choose_data();
         },
         {}},
        {tr("Set everything back to its default"),
         tr("Keeps the model and the data"),
         "undo",
         {},
         [this] {
             const recipe::Recipe before = draft_->recipe();
             recipe::Recipe fresh;
             fresh.model = before.model;
             fresh.data.train = before.data.train;
             fresh.data.test = before.data.test;
             draft_->set_recipe(fresh);
             toast_->offer_undo(tr("All settings are at their defaults."),
                                [this, before] { draft_->set_recipe(before); });
         },
         {}},
        {tr("Light colours"), tr("Theme"), "sun", {}, [this] { scheme_->set_current(1); }, {}},
        {tr("Dark colours"), tr("Theme"), "moon", {}, [this] { scheme_->set_current(2); }, {}},
        {tr("Colours as the system"), tr("Theme"), "system", {}, [this] { scheme_->set_current(0); }, {}},
    };
    for (const recipe::Field& field : recipe::fields()) {
        if (field.type == recipe::Field::Type::choice && field.choices.size() < 2) continue;
        if (field.key == "model" || field.key == "data.train") continue;
        const Json value = field.get(draft_->recipe());
        const QString shown =
            QString::fromStdString(value.is_string() ? value.get<std::string>() : value.dump());
        all.push_back({QString::fromStdString(field.label),
                       QStringLiteral("%1 = %2").arg(QString::fromStdString(field.key),
                                                     shown.isEmpty() ? tr("none") : shown),
                       "settings",
                       {},
                       [this, key = field.key] {
                           show_page(Page::train);
                           train_->go_to_field(key);
                       },
                       {}});
    }
    return all;
}

void MainWindow::explain_page() {
    static const char* words[page_count] = {
        QT_TR_NOOP("Choose a model and a data set, set how to train, and press Start. The preview at the "
                   "right shows what each setting costs in memory and time before anything runs."),
        QT_TR_NOOP("The rows as they lie in the file, which column plays which part, and each row as the "
                   "model will see it. Coloured tokens are those it is trained on."),
        QT_TR_NOOP("The run as it goes. In a chart the wheel zooms, dragging pans, a double click fits, and "
                   "the right button offers log scale, smoothing and export."),
        QT_TR_NOOP("How well the tuned model answers held-out questions, beside the base model; and a chat "
                   "with both."),
        QT_TR_NOOP("All runs, newest first: open the curves, go on with one, evaluate or delete it."),
    };
    const int index = static_cast<int>(page());
    HelpPopover::of(this)->explain(device_, tr("Help"), tr(words[index]),
                                   tr("Ctrl+1 to Ctrl+5 pages, Ctrl+R start, Space pause, Ctrl+K all actions "
                                      "and settings, F1 on a field explains it"));
}

void MainWindow::dragEnterEvent(QDragEnterEvent* event) {
    for (const QUrl& url : event->mimeData()->urls())
        if (url.isLocalFile() && classify_drop(url.toLocalFile()) != Dropped::nothing) {
            event->acceptProposedAction();
            return;
        }
}

void MainWindow::dropEvent(QDropEvent* event) {
    for (const QUrl& url : event->mimeData()->urls()) {
        const QString path = url.toLocalFile();
        switch (classify_drop(path)) {
            case Dropped::nothing:
                continue;
            case Dropped::model:
                draft_->choose_model(path);
                show_page(Page::train);
                break;
            case Dropped::data:
                draft_->choose_data(path);
                if (page() != Page::data) show_page(Page::train);
                break;
        }
        event->acceptProposedAction();
        return;
    }
}

}  // namespace qlora::ui
