#pragma once
// The course of one run, from the recipe to the saved adapter. Used by train::run alone.

#include <chrono>
#include <memory>
#include <optional>

#include "core/data/batches.h"
#include "core/evaluate/measure.h"
#include "core/train/adamw.h"
#include "core/train/checkpoint.h"
#include "core/train/run_folder.h"
#include "core/train/schedule.h"
#include "core/train/trainer.h"

namespace qlora::train {

class TrainingRun {
  public:
    // Validates the recipe and takes the run folder. Throws Error.
    TrainingRun(const recipe::Recipe& recipe, const RunOptions& options, Control& control, const Sink& sink);
    Event run();

  private:
    using Clock = std::chrono::steady_clock;

    void emit(const Event& event);
    void notice(std::string code, std::string message, std::string hint = {});
    void poll();             // pause, stop, memory samples; called by every linear layer
    double seconds() const;  // of this run, earlier sittings included

    void load();
    void resume_from_checkpoint();
    void check_resumable(const RunState& state) const;
    void train_steps();
    void train_step();
    void complete_step();  // evaluations and checkpoints that are due
    void save_checkpoint();
    bool evaluation_due() const;
    void evaluate();
    Evaluated evaluate_model(std::int64_t step);
    void restore_best();
    Finished finish(const std::string& reason);
    void save_adapter(const std::filesystem::path& folder) const;

    const recipe::Recipe recipe_;
    const RunOptions options_;
    Control& control_;
    const Sink& sink_;
    RunFolder folder_;
    Clock::time_point started_ = Clock::now(), sampled_{};

    std::unique_ptr<evaluate::LoadedModel> model_;
    evaluate::RunData data_;
    data::TokenizedDataset train_, validation_;
    std::vector<data::RowIndex> questions_;
    std::vector<std::string> base_answers_;
    std::unique_ptr<adapters::Lora> adapter_;
    std::optional<AdamW> optimizer_;
    std::optional<data::BatchSampler> sampler_;
    std::optional<LearningRate> learning_rate_;
    std::int64_t steps_ = 0;
    RunState state_;
    std::int64_t checkpointed_step_ = -1;
};

}  // namespace qlora::train
