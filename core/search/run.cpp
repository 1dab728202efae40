#include "core/search/run.h"

#include <algorithm>
#include <chrono>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/search/rungs.h"

namespace qlora::search {

namespace fs = std::filesystem;

namespace {

class Course {
  public:
    Course(const fs::path& folder, const Trainer& trainer, Control& control, const Sink& sink)
        : trainer_(trainer), control_(control), sink_(sink), lock_(folder), standing_(read(folder)) {
        rungs_ = rung_count(search(), trials().size());
        for (const Trial& trial : trials()) ended_ = std::max(ended_, trial.ended);
    }

    Ended run() {
        write_best();
        while (const auto job = next_job(search(), trials())) {
            if (control_.wait() != Control::Request::none || !take(*job)) return finish("stopped");
        }
        return finish("completed");
    }

  private:
    const Search& search() const { return standing_.search; }
    std::vector<Trial>& trials() { return standing_.trials; }
    void save() { write_trials(standing_.folder, trials()); }

    // One rung of one trial; false when the user stopped it.
    bool take(const Job& job) {
        Trial& trial = trials()[job.trial];
        trial.status = Trial::Status::running;
        save();
        sink_(TrialStarted{trial, job.rung, rungs_, trials().size(), run_folder(standing_.folder, trial).string()});
        std::vector<recipe::Problem> problems;
        const recipe::Recipe recipe = recipe_of(search(), trial);
        if (problems = recipe::validate(recipe); !problems.empty()) {
            fail(trial, problems.front().field + ": expected " + problems.front().expected + ", got " + problems.front().got);
        } else if (!train(job, recipe, trial)) {
            save();
            return false;
        }
        trial.ended = ++ended_;
        save();
        sink_(TrialEnded{trial});
        write_best();
        return true;
    }

    bool train(const Job& job, const recipe::Recipe& recipe, Trial& trial) {
        Sitting sitting;
        sitting.recipe = recipe;
        sitting.folder = run_folder(standing_.folder, trial);
        std::error_code absent;
        sitting.resume = fs::exists(sitting.folder / "events.jsonl", absent);
        std::int64_t end = 0;
        bool reached = false;
        sitting.stop_after = [&](std::int64_t step) { return reached = end > 0 && step >= end; };
        Control own;
        const Forward forward(control_, own);
        const auto last = trainer_(sitting, own, [&](const train::Event& event) {
            if (const auto* loaded = std::get_if<train::Loaded>(&event)) {
                trial.all_steps = loaded->steps;
                end = job.rung + 1 < rungs_ ? rung_end(search(), job.rung, rungs_, *loaded) : 0;
            }
            if (const auto* step = std::get_if<train::StepDone>(&event)) trial.steps = step->step;
            sink_(TrialTold{trial.number, event});
        });
        if (const auto* failed = std::get_if<train::Failed>(&last)) return fail(trial, failed->message), true;
        const auto* finished = std::get_if<train::Finished>(&last);
        if (finished == nullptr) return fail(trial, "the run ended without saying why"), true;
        if (finished->reason == "stopped" || (finished->reason == "stopped_and_saved" && !reached)) return false;
        take_figures(job, *finished, trial);
        return true;
    }

    void take_figures(const Job& job, const train::Finished& finished, Trial& trial) {
        trial.metrics = finished.metrics;
        trial.steps = finished.steps;
        trial.seconds = finished.seconds;
        const auto found = finished.metrics.find(search().metric);
        if (found == finished.metrics.end()) {
            std::string told;
            for (const auto& [name, value] : finished.metrics) told += (told.empty() ? "" : ", ") + name;
            return fail(trial, "expected the run to give " + search().metric + ", got " + (told.empty() ? "no figures" : told));
        }
        if (!std::isfinite(found->second)) return fail(trial, "diverged: " + search().metric + " is no finite number");
        const bool whole = !finished.reason.starts_with("stopped");
        // A run that ended before the last rung stands in those left with what it has.
        trial.rungs.resize(whole ? rungs_ : job.rung + 1, found->second);
        trial.status = whole ? Trial::Status::completed : Trial::Status::between;
    }

    void fail(Trial& trial, const std::string& reason) {
        trial.status = Trial::Status::failed;
        trial.reason = reason;
    }

    void write_best() {
        const auto best = best_of(search(), trials());
        if (!best) return;
        const Trial& trial = trials()[*best];
        if (trial.number == best_ && trial.value() == best_value_) return;
        best_ = trial.number;
        best_value_ = trial.value();
        write_atomically(best_file(standing_.folder), recipe::to_json(recipe_of(search(), trial)).dump(2) + "\n");
        sink_(Best{trial, best_value_});
    }

    Ended finish(const std::string& reason) {
        save();  // those that are left behind
        Ended ended;
        ended.folder = standing_.folder.string();
        ended.reason = reason;
        for (const Trial& trial : trials()) {
            if (trial.status == Trial::Status::completed) ++ended.completed;
            else if (trial.status == Trial::Status::failed) ++ended.failed;
            else if (trial.status == Trial::Status::left) ++ended.left;
            else ++ended.waiting;
        }
        if (best_ > 0) {
            ended.winner = best_;
            ended.value = best_value_;
            ended.best = best_file(standing_.folder).string();
        }
        sink_(ended);
        return ended;
    }

    const Trainer& trainer_;
    Control& control_;
    const Sink& sink_;
    const Lock lock_;
    Standing standing_;
    std::size_t rungs_ = 1;
    std::int64_t ended_ = 0, best_ = 0;
    double best_value_ = 0;
};

}  // namespace

Forward::Forward(Control& outer, Control& inner)
    : thread_([&outer, &inner](const std::stop_token& over) {
          for (bool paused = false; !over.stop_requested(); std::this_thread::sleep_for(std::chrono::milliseconds(50))) {
              if (outer.paused() != paused) {
                  paused = outer.paused();
                  paused ? inner.pause() : inner.resume();
              }
              if (outer.request() == Control::Request::stop) inner.stop();
              else if (outer.request() == Control::Request::stop_and_save) inner.stop_and_save();
          }
      }) {}

Forward::~Forward() = default;

Ended run(const fs::path& folder, const Trainer& trainer, Control& control, const Sink& sink) {
    return Course(folder, trainer, control, sink).run();
}

}  // namespace qlora::search
