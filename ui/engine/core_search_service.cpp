#include "ui/engine/core_search_service.h"

#include <chrono>

#include "core/train/search_trainer.h"
#include "core/train/trainer.h"

namespace qlora::ui {

namespace {

constexpr auto tell_every = std::chrono::milliseconds(100);

}  // namespace

CoreSearchService::CoreSearchService(Options options, QObject* parent) : SearchService(parent), options_(std::move(options)) {
    connect(&list_task_, &Task::failed, this, &SearchService::failed);
    const auto idle = [this] { set_busy(false, false); };
    for (Task* task : {&search_task_, &rate_task_}) {
        connect(task, &Task::failed, this, idle);
        connect(task, &Task::finished, this, idle);
    }
    connect(&search_task_, &Task::failed, this, &SearchService::failed);
    connect(&rate_task_, &Task::failed, this, &SearchService::rates_failed);
}

CoreSearchService::~CoreSearchService() {
    if (control_) control_->stop_and_save();
}

void CoreSearchService::set_busy(bool searching, bool testing) {
    searching_ = searching;
    testing_ = testing;
    if (!busy()) control_.reset();
    emit busy_changed();
}

void CoreSearchService::refresh() {
    list_task_.start([this](Worker& worker) {
        worker.post([this, searches = search::list(options_.home)] { emit listed(searches); });
    });
}

void CoreSearchService::begin(const search::Search& search) {
    run([search, home = options_.home] {
        train::require_files(search.recipe);
        const auto folder = search::new_folder(home, "search " + recipe::title(search.recipe));
        search::create(folder, search);
        return folder;
    });
}

void CoreSearchService::go_on(const QString& folder) {
    run([folder = std::filesystem::path(folder.toStdString())] { return folder; });
}

void CoreSearchService::run(std::function<std::filesystem::path()> place) {
    if (busy()) return;
    control_ = std::make_shared<Control>();
    set_busy(true, false);
    search_task_.start([this, place = std::move(place), control = control_, trainer = train::search_trainer(options_.device, options_.threads)](Worker& worker) {
        SearchProgress now;
        const auto folder = place();
        now.folder = QString::fromStdString(folder.string());
        worker.post([this, at = now.folder] { emit began(at); });
        std::chrono::steady_clock::time_point told{};
        const auto tell = [&](bool at_once) {
            if (!at_once && std::chrono::steady_clock::now() - told < tell_every) return;
            told = std::chrono::steady_clock::now();
            worker.post([this, now] { emit progressed(now); });
        };
        const auto list = [&] {
            worker.post([this, searches = search::list(options_.home)] { emit listed(searches); });
        };
        const auto ended = search::run(folder, trainer, *control, [&](const search::Event& event) {
            if (const auto* started = std::get_if<search::TrialStarted>(&event)) {
                now.trial = started->trial.number, now.trials = static_cast<std::int64_t>(started->trials);
                now.rung = started->rung, now.rungs = started->rungs, now.step = 0, now.steps = started->trial.all_steps;
                tell(true);
                list();
            } else if (const auto* said = std::get_if<search::TrialTold>(&event)) {
                if (const auto* loaded = std::get_if<train::Loaded>(&said->event)) now.steps = loaded->steps;
                const auto* step = std::get_if<train::StepDone>(&said->event);
                if (step == nullptr) return;
                now.step = step->step, now.loss = step->loss;
                tell(false);
            } else if (std::holds_alternative<search::TrialEnded>(event)) {
                list();
            }
        });
        worker.post([this, ended] { emit this->ended(ended); });
        list();
    });
}

void CoreSearchService::stop() {
    if (searching_) control_->stop_and_save();
}

void CoreSearchService::test_rates(const recipe::Recipe& recipe, const search::RateTest& test) {
    if (busy()) return;
    control_ = std::make_shared<Control>();
    set_busy(false, true);
    rate_task_.start([this, recipe, test, control = control_, trainer = train::search_trainer(options_.device, options_.threads)](Worker& worker) {
        train::require_files(recipe);
        std::chrono::steady_clock::time_point told{};
        const auto curve = search::test_rates(
            recipe, test, trainer, *control,
            [&](const train::Event& event) {
                const auto* progress = std::get_if<train::Progressed>(&event);
                if (progress == nullptr || std::chrono::steady_clock::now() - told < tell_every) return;
                told = std::chrono::steady_clock::now();
                worker.post([this, at = *progress] { emit rate_told(QString::fromStdString(at.what), at.done, at.total); });
            },
            [&](const search::RatePoint& point) { worker.post([this, point] { emit rate_point(point); }); });
        worker.post([this, curve] { emit rates_ready(curve); });
    });
}

void CoreSearchService::stop_test() {
    if (testing_) control_->stop();
}

}  // namespace qlora::ui
