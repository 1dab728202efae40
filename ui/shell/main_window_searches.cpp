// What the window does about searches and the learning-rate test: sets them up, offers to go on, opens a winner.
#include <QLabel>

#include "core/recipe/fields.h"
#include "ui/engine/search_service.h"
#include "ui/models/live_run.h"
#include "ui/models/recipe_draft.h"
#include "ui/pages/rate_dialog.h"
#include "ui/pages/runs_page.h"
#include "ui/pages/search_dialog.h"
#include "ui/pages/searches_view.h"
#include "ui/pages/train_page.h"
#include "ui/shell/main_window.h"
#include "ui/widgets/error_panel.h"
#include "ui/widgets/make.h"
#include "ui/widgets/toast.h"

namespace qlora::ui {

QString MainWindow::busy_text() const {
    if (run_->active()) return tr("A run is going");
    if (parts_.searches.searching()) return tr("A search is going");
    if (parts_.searches.testing()) return tr("A learning-rate test is going");
    return {};
}

void MainWindow::connect_searches() {
    SearchService& searches = parts_.searches;
    connect(train_, &TrainPage::search_requested, this, &MainWindow::set_up_search);
    connect(train_, &TrainPage::rate_requested, this, &MainWindow::find_rate);
    connect(searches_, &SearchesView::search_requested, this, &MainWindow::set_up_search);
    connect(searches_, &SearchesView::recipe_requested, this, &MainWindow::open_recipe);
    connect(&searches, &SearchService::busy_changed, this, &MainWindow::refresh_busy);
    connect(&searches, &SearchService::ended, this, [this](const search::Ended& ended) {
        toast_->say(ended.reason == "stopped" ? tr("The search is stopped and can go on later.")
                    : ended.winner > 0        ? tr("The search is done: run %1 is the best.").arg(ended.winner)
                                              : tr("The search is done, but no run came to a figure."));
    });
    connect(&searches, &SearchService::began, this, [this] { search_offered_ = true; });  // what is stopped from now on was meant to be
    // Once, after the start: what a search that was cut off still had to do.
    connect(&searches, &SearchService::listed, this, [this](const std::vector<search::Standing>& all) {
        if (search_offered_ || all.empty() || parts_.searches.busy()) return;
        search_offered_ = true;
        for (const auto& standing : all) {
            if (standing.running || standing.done()) continue;
            std::int64_t ended = 0;
            for (const auto& trial : standing.trials) ended += trial.ended > 0;
            offer(tr("The search “%1” was interrupted: %2 of %3 runs were measured. It can go on where it stopped.")
                      .arg(QString::fromStdString(recipe::title(standing.search.recipe)))
                      .arg(ended)
                      .arg(standing.trials.size()),
                  [this, folder = QString::fromStdString(standing.folder.string())] {
                      if (const QString busy = busy_text(); !busy.isEmpty()) return toast_->say(busy);
                      show_searches();
                      parts_.searches.go_on(folder);
                  });
            return;
        }
    });
}

void MainWindow::offer(const QString& text, std::function<void()> go_on) {
    if (!banner_->isHidden()) return;  // one at a time
    banner_action_ = std::move(go_on);
    banner_text_->setText(text);
    banner_->show();
}

void MainWindow::show_searches() {
    show_page(Page::runs);
    runs_->show_searches(true);
}

void MainWindow::set_up_search() {
    const QString why_not = busy_text().isEmpty() ? draft_->missing() : busy_text();
    if (!why_not.isEmpty()) {
        show_page(Page::train);
        return toast_->say(why_not);
    }
    const auto& plan = draft_->plan();
    auto* dialog = make<SearchDialog>(draft_->recipe(), plan && plan->total_seconds > 0 ? std::optional(plan->total_seconds) : std::nullopt, this);
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    connect(dialog, &QDialog::accepted, this, [this, dialog] {
        if (!dialog->search()) return;
        show_searches();
        parts_.searches.begin(*dialog->search());
    });
    dialog->open();
}

void MainWindow::find_rate() {
    const QString why_not = busy_text().isEmpty() ? draft_->missing() : busy_text();
    if (!why_not.isEmpty()) return toast_->say(why_not);
    auto* dialog = make<RateDialog>(draft_->recipe(), parts_.searches, this);
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    connect(dialog, &RateDialog::taken, this, [this](double rate) {
        const recipe::Recipe before = draft_->recipe();
        if (draft_->set("train.learning_rate", rate))
            toast_->offer_undo(tr("The learning rate is %1 now.").arg(rate), [this, before] { draft_->set_recipe(before); });
    });
    dialog->open();
}

void MainWindow::open_recipe(const QString& file, const QString& name) {
    try {
        const recipe::Recipe before = draft_->recipe();
        draft_->set_recipe(recipe::load(file.toStdString()));
        show_page(Page::train);
        toast_->offer_undo(tr("The recipe is the winner of \"%1\" now.").arg(name), [this, before] { draft_->set_recipe(before); });
    } catch (const Error& error) {
        show_page(Page::train);
        train_->error()->show_error(error);
    }
}

}  // namespace qlora::ui
