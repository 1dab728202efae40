#pragma once
// The course of one run, from the recipe to the saved adapter. Used by train::run alone.

#include <chrono>
#include <memory>
#include <optional>

#include "core/data/batches.h"
#include "core/data/paraphrases.h"
#include "core/evaluate/measure.h"
#include "core/parallel/group.h"
#include "core/train/adamw.h"
#include "core/train/checkpoint.h"
#include "core/train/run_folder.h"
#include "core/train/schedule.h"
#include "core/train/trainer.h"

namespace qlora::train {

class TrainingRun {
  public:
    // Validates the recipe, takes the run folder and waits for the other processes. Throws Error.
    TrainingRun(const recipe::Recipe& recipe, const RunOptions& options, Control& control, const Sink& sink);
    Event run();

  private:
    using Clock = std::chrono::steady_clock;

    std::unique_ptr<parallel::Group> join() const;
    recipe::Recipe recipe_of_all(const recipe::Recipe& recipe) const;

    void emit(const Event& event);
    void notice(std::string code, std::string message, std::string hint = {});
    Progress progress();     // that tells and polls
    void poll();             // pause, stop, memory samples; called by every linear layer
    double seconds() const;  // of this run, earlier sittings included

    void open();           // the model's files and the data
    void write_paraphrases();  // of training rows, where wanted
    void load();
    void attach_adapter();
    void announce();  // that everything is loaded
    void resume_from_checkpoint();
    void share_state();  // every process takes rank 0's adapter, moments and state
    void check_resumable(const RunState& state) const;
    void train_steps();
    void train_step();
    // Adds the step's gradients, of all processes, to the adapter's; gives the mean loss over its trained tokens.
    double gradients_of(const std::vector<data::Batch>& step, std::int64_t trained_tokens);
    bool quantizes(std::int64_t step) const;  // steps counted from 0; by the recipe's quantization-aware training
    void complete_step();  // evaluations and checkpoints that are due
    void save_checkpoint();
    bool evaluation_due() const;
    bool ends_here() const { return state_.step > 0 && options_.stop_after && options_.stop_after(state_.step); }
    void evaluate();
    Evaluated evaluate_model(std::int64_t step);
    void answer_questions(Evaluated& evaluated);
    std::string answer_to(data::RowIndex row);
    void restore_best();
    Finished finish(const std::string& reason);
    Finished ending(const std::string& reason) const;
    void save_adapter(const std::filesystem::path& folder) const;

    const RunOptions options_;
    Control& control_;
    const Sink& sink_;
    const std::unique_ptr<RunFolder> folder_;  // rank 0's alone
    const std::unique_ptr<parallel::Group> group_;
    const recipe::Recipe recipe_;
    Clock::time_point started_ = Clock::now(), sampled_{};

    std::unique_ptr<evaluate::LoadedModel> model_;
    evaluate::LoadOptions load_options_;
    evaluate::RunData data_;
    std::shared_ptr<const data::Paraphrases> paraphrases_;  // null: none
    data::TokenizedDataset train_, validation_;
    std::vector<data::RowIndex> questions_;
    std::vector<std::string> base_answers_;
    std::unique_ptr<adapters::Adapter> adapter_;
    std::unique_ptr<Optimizer> optimizer_;
    std::optional<data::BatchSampler> sampler_;
    std::optional<LearningRate> learning_rate_;
    std::int64_t steps_ = 0;
    double load_seconds_ = 0;
    RunState state_;
    std::int64_t checkpointed_step_ = -1;
};

}  // namespace qlora::train
