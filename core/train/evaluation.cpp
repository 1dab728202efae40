// The parts of a training run that measure and save: evaluations, early stopping, the best adapter, the end.

#include <torch/torch.h>

#include <cmath>

#include "core/adapters/rounding_file.h"
#include "core/adapters/task_file.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/train/training_run.h"

namespace qlora::train {

namespace fs = std::filesystem;

namespace {
std::string step_name(std::int64_t step) { return "step-" + std::to_string(step); }
}  // namespace

bool TrainingRun::evaluation_due() const {
    if (validation_.size() == 0 || state_.evaluated_step == state_.step) return false;
    if (state_.step >= steps_ || ends_here()) return true;
    const auto every = recipe_.evaluate.every;
    if (every > 0) return state_.step % every == 0;
    return sampler_->position().index == 0;  // an epoch has ended
}

Evaluated TrainingRun::evaluate_model(std::int64_t step) {
    const auto begun = Clock::now();
    Progress progress = [this](const char* what, double done, double total) { emit(Progressed{what, done, total}); };
    Evaluated evaluated;
    evaluated.step = step;
    auto measured = evaluate::measure(model_->network, validation_, control_, progress, group_.get());
    evaluated.loss = measured.loss;
    evaluated.metrics = std::move(measured.metrics);
    group_->together(control_, [&] {
        if (group_->first()) answer_questions(evaluated);
    });
    evaluated.seconds = std::chrono::duration<double>(Clock::now() - begun).count();
    return evaluated;
}

void TrainingRun::answer_questions(Evaluated& evaluated) {
    std::vector<std::string> expected, given;
    // Resumed: the base's answers are not in the checkpoint.
    if (evaluated.step > 0 && base_answers_.size() < questions_.size()) {
        evaluate::BaseScope base(adapter_.get());
        for (std::size_t i = base_answers_.size(); i < questions_.size(); ++i) base_answers_.push_back(answer_to(questions_[i]));
    }
    for (std::size_t i = 0; i < questions_.size(); ++i) {
        const auto row = questions_[i];
        const auto reply = answer_to(row);
        if (evaluated.step == 0 && base_answers_.size() == i) base_answers_.push_back(reply);
        Sample sample;
        sample.prompt = data_.renderer->prompt_text(*data_.validation.table, row);
        sample.expected = data_.renderer->answer_text(*data_.validation.table, row);
        sample.base = i < base_answers_.size() ? base_answers_[i] : "";
        sample.tuned = evaluated.step == 0 ? "" : reply;
        expected.push_back(sample.expected);
        given.push_back(reply);
        evaluated.samples.push_back(sample);
    }
    if (recipe_.task == recipe::Task::seq2seq) evaluated.metrics.merge(evaluate::answer_metrics(expected, given));
}

std::string TrainingRun::answer_to(data::RowIndex row) {
    return evaluate::answer(*model_, data_.validation, *data_.renderer, row, recipe_.evaluate.max_tokens, control_);
}

void TrainingRun::evaluate() {
    auto evaluated = evaluate_model(state_.step);
    state_.evaluated_step = state_.step;
    const auto& rule = recipe_.early_stopping;
    const bool finite = std::isfinite(evaluated.loss);
    // Losses before quantization-aware training began to round are those of another model.
    const bool first = state_.best_step == 0 || (quantizes(state_.step - 1) && !quantizes(state_.best_step - 1));
    const bool best = finite && (first || evaluated.loss < state_.best_loss);
    const bool improved = best && (first || evaluated.loss < state_.best_loss - rule.min_delta);
    if (finite) {
        state_.last_validation_loss = evaluated.loss;
        state_.last_metrics = evaluated.metrics;
    }
    state_.without_improvement = improved ? 0 : state_.without_improvement + 1;
    if (best) {
        evaluated.best = true;
        state_.best_loss = evaluated.loss;
        state_.best_metrics = evaluated.metrics;
        state_.best_step = state_.step;
        if (folder_) {
            create_folders(folder_->path() / "best");
            write_folder_atomically(folder_->path() / "best" / step_name(state_.step), [&](const fs::path& f) { adapter_->save(f); });
        }
    }
    emit(evaluated);
    state_.stopped_early = rule.patience > 0 && state_.without_improvement >= rule.patience;
}

void TrainingRun::restore_best() {
    const fs::path best = folder_->path() / "best" / step_name(state_.best_step);
    if (!recipe_.early_stopping.restore_best || state_.best_step == 0 || state_.best_step == state_.step || !fs::exists(best)) return;
    adapter_->restore(best);
    notice("train.best_restored", "The saved adapter is that of step " + std::to_string(state_.best_step) +
                                      ", where the validation loss was lowest.");
}

void TrainingRun::save_adapter(const fs::path& folder) const {
    write_folder_atomically(folder, [&](const fs::path& f) {
        adapter_->save(f);
        adapters::write_task(f, {recipe_.task, model_->network.config.head.labels, model_->network.config.head.problem});
        adapters::write_rounding(f, recipe_);
        for (const auto& [name, content] : model_->tokenizer->files()) write_atomically(f / name, content);
    });
    // What was written is read back before it is called saved.
    const torch::Tensor before = adapter_->values().clone();
    adapter_->restore(folder);
    if (!torch::equal(before, adapter_->values()))
        throw failure("adapter.written", folder.string(), "the adapter on disk differs from the one in memory", "Check the disk.");
}

Finished TrainingRun::ending(const std::string& reason) const {
    Finished finished;
    finished.run = options_.run_folder.string();
    finished.reason = reason;
    finished.steps = state_.step;
    finished.best_step = state_.best_step;
    finished.seconds = seconds();
    return finished;
}

Finished TrainingRun::finish(const std::string& reason) {
    if (!folder_) {
        const Finished followed = ending(reason);
        emit(followed);
        return followed;
    }
    // The checkpoint holds the last step's adapter, so that training can go on; adapter/ holds the best one.
    if (state_.step > 0) save_checkpoint();
    restore_best();
    save_adapter(folder_->path() / "adapter");
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder_->path() / "best", ignored))
        if (entry.path().filename() != step_name(state_.best_step)) fs::remove_all(entry.path(), ignored);

    const bool classifies = recipe_.task == recipe::Task::classification;
    Finished finished = ending(reason);
    finished.peak_bytes = state_.peak_bytes;
    if (state_.step > state_.skipped) finished.metrics["train_loss"] = state_.last_train_loss;  // some step had one
    finished.metrics["skipped_steps"] = static_cast<double>(state_.skipped);
    if (state_.base_evaluated) {
        finished.metrics["base_loss"] = state_.base_loss;
        if (!classifies) finished.metrics["base_perplexity"] = std::exp(state_.base_loss);
    }
    if (state_.best_step > 0) {
        const double loss = recipe_.early_stopping.restore_best ? state_.best_loss : state_.last_validation_loss;
        finished.metrics["validation_loss"] = loss;
        if (!classifies) finished.metrics["perplexity"] = std::exp(loss);
    }
    const auto& shown = recipe_.early_stopping.restore_best ? state_.best_metrics : state_.last_metrics;
    for (const auto& [name, value] : shown)
        if (name != "perplexity") finished.metrics[name] = value;
    write_atomically(folder_->path() / "metrics.json", to_json(Event(finished)).dump(2) + "\n");
    emit(finished);
    return finished;
}

}  // namespace qlora::train
