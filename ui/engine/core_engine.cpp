#include "ui/engine/core_engine.h"

#include <QFileInfo>
#include <algorithm>
#include <mutex>
#include <thread>

#include "core/evaluate/device.h"
#include "core/runs/recorder.h"
#include "core/train/trainer.h"
#include "ui/engine/core_data_summary.h"

namespace qlora::ui {

namespace {

constexpr int meter_ms = 500;

// Of the device that runs will compute on.
std::int64_t free_bytes(const memory::Reading& reading, const std::string& device) {
    return reading.device && evaluate::gpu_index(device) >= 0 ? reading.device->total - reading.device->used : reading.machine_available_bytes;
}

std::string run_name(const recipe::Recipe& recipe) {
    if (!recipe.name.empty()) return recipe.name;
    const auto stem = [](const std::string& path) { return std::filesystem::path(path).stem().string(); };
    return stem(recipe.data.train) + " " + stem(recipe.model) + " " +
           std::string(recipe::name(recipe.precision)) + " " + recipe::method_title(recipe.method);
}

Catalogue catalogue_on_disk() {
    Catalogue catalogue{hub::models(), hub::datasets(), {}};
    auto ready = [](const auto& list, const std::string& id) {
        return std::any_of(list.begin(), list.end(), [&](const auto& entry) { return entry.id == id && entry.available; });
    };
    for (const auto& known : hub::recipes()) {
        const auto recipe = recipe::load(known.path);
        if (ready(catalogue.models, recipe.model) && ready(catalogue.datasets, recipe.data.train)) catalogue.recipes.push_back(recipe);
    }
    return catalogue;
}

}  // namespace

// What the training thread and the UI thread share. The thread joins before the rest goes.
struct CoreEngine::Run {
    Control control;
    std::mutex mutex;
    std::vector<train::Event> waiting;  // guarded by mutex
    std::jthread thread;
};

CoreEngine::CoreEngine(Options options, QObject* parent) : Engine(parent), options_(std::move(options)) {
    connect(&catalogue_task_, &Task::failed, this, &Engine::catalogue_failed);
    connect(&data_task_, &Task::progressed, this, &Engine::data_progressed);
    // A machine without an answer to its speed or device still trains; the preview then says less.
    connect(&machine_task_, &Task::failed, this, [this](const Error& error) {
        emit machine_ready({QString::fromStdString(error.message()), 0, 0});
    });
    meter_timer_.setInterval(meter_ms);
    connect(&meter_timer_, &QTimer::timeout, this, [this] {
        if (meter_task_.running()) return;
        meter_task_.start([this](Worker& worker) {
            worker.post([this, reading = memory::read()] { emit metered(reading); });
        });
    });
    meter_timer_.start();
}

CoreEngine::~CoreEngine() {
    if (run_) run_->control.stop();
}

void CoreEngine::read_catalogue() {
    catalogue_task_.start([this](Worker& worker) {
        worker.post([this, catalogue = catalogue_on_disk()] {
            emit catalogue_ready(catalogue);
        });
    });
}

void CoreEngine::read_machine() {
    machine_task_.start([this](Worker& worker) {
        Machine machine;
        machine.device = QString::fromStdString(evaluate::use_device(options_.device, options_.threads));
        machine.budget_bytes = free_bytes(memory::read(), options_.device);
        worker.post([this, machine] { emit machine_ready(machine); });
        machine.gemm = plan::measured_gemm_rates();
        worker.post([this, machine] { emit machine_ready(machine); });
    });
}

void CoreEngine::inspect_model(const QString& model) {
    model_task_.start([this, model](Worker& worker) {
        try {
            worker.post(
                [this, model, info = nn::inspect(model.toStdString())] { emit model_ready(model, info); });
        } catch (const Error& error) {
            worker.post([this, model, error] { emit model_failed(model, error); });
        }
    });
}

void CoreEngine::summarize_data(const recipe::Recipe& recipe) {
    data_task_.start([this, recipe](Worker& worker) {
        const QString source = QString::fromStdString(recipe.data.train);
        try {
            const DataSummary summary = summarize(recipe, worker.control(), worker.progress());
            worker.post([this, summary] { emit data_ready(summary); });
        } catch (const Error& error) {
            if (error.kind() == Error::Kind::stopped) throw;
            worker.post([this, source, error] { emit data_failed(source, error); });
        }
    });
}

void CoreEngine::recover_runs() {
    recover_task_.start([this](Worker& worker) {
        runs::Store store(options_.home);
        worker.post([this, interrupted = store.recover()] { emit recovered(interrupted); });
    });
}

plan::Plan CoreEngine::make_plan(const recipe::Recipe& recipe, const nn::ModelInfo& model,
                                 const std::optional<DataSummary>& data, const Machine& machine) const {
    return plan::make_plan(recipe, model, data ? std::optional(data->facts) : std::nullopt,
                           machine.budget_bytes, machine.gemm);
}

void CoreEngine::start(const recipe::Recipe& recipe) {
    if (state_ == RunState::idle) launch(recipe, QString::fromStdString(recipe.output), false);
}

void CoreEngine::resume(const QString& run_folder) {
    if (state_ == RunState::idle) launch({}, run_folder, true);
}

void CoreEngine::launch(recipe::Recipe recipe, const QString& folder, bool resume) {
    run_ = std::make_unique<Run>();
    set_state(RunState::preparing);
    const auto send = [this, run = run_.get()](const train::Event& event) {
        const std::lock_guard lock(run->mutex);
        run->waiting.push_back(event);
        if (run->waiting.size() > 1) return;  // a delivery is on its way
        QMetaObject::invokeMethod(
            this,
            [this, run] {
                if (run_.get() != run) return;
                std::vector<train::Event> events;
                {
                    const std::lock_guard lock(run->mutex);
                    events.swap(run->waiting);
                }
                take(events);
            },
            Qt::QueuedConnection);
    };
    run_->thread = std::jthread([this, run = run_.get(), recipe = std::move(recipe), folder, resume, send,
                                 options = options_]() mutable {
        try {
            std::filesystem::path place = folder.toStdString();
            if (resume) recipe = recipe::load(place / "recipe.json");
            if (place.empty()) place = runs::Store(options.home).new_folder(run_name(recipe));
            recipe.output = place.string();
            runs::Recorder recorder(options.home, recipe, place, resume);
            QMetaObject::invokeMethod(
                this,
                [this, run, recipe, place] {
                    if (run_.get() != run) return;
                    folder_ = QString::fromStdString(place.string());
                    emit run_started(recipe, folder_);
                },
                Qt::QueuedConnection);
            train::run(recipe, {place, resume, options.device, options.threads}, run->control,
                       [&](const train::Event& event) {
                           recorder(event);
                           send(event);
                       });
        } catch (const Error& error) {
            send(train::failed(error));
        } catch (const std::exception& error) {
            send(train::failed(failure("run.unexpected", "the run", error.what())));
        }
    });
}

void CoreEngine::take(const std::vector<train::Event>& events) {
    for (const auto& event : events) {
        const bool ended =
            std::holds_alternative<train::Finished>(event) || std::holds_alternative<train::Failed>(event);
        if (std::holds_alternative<train::StepDone>(event) && state_ == RunState::preparing)
            set_state(run_->control.paused() ? RunState::paused : RunState::running);
        emit this->event(event);
        if (ended) set_state(RunState::idle);
    }
}

void CoreEngine::set_state(RunState state) {
    if (state == state_) return;
    state_ = state;
    emit run_state_changed(state);
}

void CoreEngine::pause() {
    if (state_ != RunState::running) return;
    run_->control.pause();
    set_state(RunState::paused);
}

void CoreEngine::unpause() {
    if (state_ != RunState::paused) return;
    run_->control.resume();
    set_state(RunState::running);
}

void CoreEngine::stop_and_save() {
    if (state_ == RunState::idle) return;
    run_->control.stop_and_save();
    set_state(RunState::stopping);
}

void CoreEngine::stop() {
    if (state_ == RunState::idle) return;
    run_->control.stop();
    set_state(RunState::stopping);
}

void CoreEngine::read_history(const QString& run_folder) {
    history_task_.start([this, run_folder](Worker& worker) {
        try {
            const auto events =
                train::read_events(std::filesystem::path(run_folder.toStdString()) / "events.jsonl");
            worker.post([this, run_folder, events] { emit history_ready(run_folder, events); });
        } catch (const Error& error) {
            worker.post([this, run_folder, error] { emit history_failed(run_folder, error); });
        }
    });
}

}  // namespace qlora::ui
