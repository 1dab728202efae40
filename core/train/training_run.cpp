#include "core/train/training_run.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "core/adapters/attach.h"
#include "core/adapters/task_file.h"
#include "core/base/error.h"
#include "core/data/augment.h"
#include "core/evaluate/paraphrase.h"
#include "core/hub/catalogue.h"
#include "core/memory/meters.h"
#include "core/nn/bitsandbytes.h"
#include "core/nn/functions/poll.h"

namespace qlora::train {

namespace fs = std::filesystem;

namespace {

// Updates in a row that may fail to give finite numbers before the run ends.
constexpr std::int64_t most_skipped = 20;

// What is trained whole: the classifier and what else starts from random numbers. By PEFT's names, which takes the layers
// of a "classifier" together.
std::vector<std::string> classifier_modules(const nn::Model& model) {
    std::vector<std::string> modules;
    auto add = [&](const std::string& name) {
        const std::string entry = name.starts_with("classifier.") ? "classifier" : name;
        if (std::ranges::find(modules, entry) == modules.end()) modules.push_back(entry);
    };
    for (const auto& name : model.fresh_modules) add(name);
    add(model.head.name);
    return modules;
}

// LoRA+ (Hayou et al. 2024): B learns at a multiple of A's rate.
std::vector<Part> parts_of(const adapters::Adapter& adapter, const recipe::Method& method) {
    std::vector<Part> parts;
    for (const auto& named : adapter.tensors()) {
        const auto& tensor = named.tensor;
        // Weight decay pulls at all of them, biases and norms included, as that of torch.optim does.
        parts.push_back({tensor.size(0), tensor.dim() > 1 ? tensor.size(1) : 1, named.name.ends_with("lora_B.weight") ? method.lora_plus_ratio : 1});
    }
    return parts;
}

bool stopping(const Error& error) { return error.kind() == Error::Kind::stopped; }

std::unique_ptr<RunFolder> open_folder(const recipe::Recipe& recipe, const RunOptions& options) {
    if (options.processes.rank > 0) return nullptr;
    if (const auto problems = recipe::validate(recipe); !problems.empty()) recipe::throw_problems("recipe", problems);
    return std::make_unique<RunFolder>(options.run_folder, options.resume);
}

}  // namespace

TrainingRun::TrainingRun(const recipe::Recipe& recipe, const RunOptions& options, Control& control, const Sink& sink)
    : options_(options), control_(control), sink_(sink), folder_(open_folder(recipe, options)), group_(join()),
      recipe_(recipe_of_all(recipe)) {}

void TrainingRun::emit(const Event& event) {
    if (folder_) folder_->log(event);
    if (folder_ || std::holds_alternative<Finished>(event)) sink_(event);
}

void TrainingRun::notice(std::string code, std::string message, std::string hint) {
    emit(Notice{std::move(code), std::move(message), std::move(hint)});
}

double TrainingRun::seconds() const {
    return state_.seconds + std::chrono::duration<double>(Clock::now() - started_).count();
}

void TrainingRun::poll() {
    if (Clock::now() - sampled_ > std::chrono::milliseconds(250)) {
        sampled_ = Clock::now();
        group_->poll();
        const auto reading = memory::read();
        emit(MemorySample{seconds(), reading.live, reading.peak_bytes, reading.process_bytes, reading.device ? reading.device->used : 0});
    }
    if (control_.paused()) memory::give_back();
    if (control_.wait() != Control::Request::none) throw stopped();
}

Event TrainingRun::run() {
    nn::PollScope scope([this] { poll(); });
    if (folder_) folder_->write_recipe(recipe_);
    std::string reason = "completed";
    try {
        group_->together(control_, [this] { open(); });
        write_paraphrases();
        group_->together(control_, [this] { load(); });
        share_state();
        announce();
        train_steps();
        if (state_.stopped_early) reason = "early_stopping";
    } catch (const Error& error) {
        if (!stopping(error)) {
            const bool lost = error.code() == "parallel.lost";
            if (lost && state_.step > 0) save_checkpoint();
            if (folder_) folder_->log(failed(error));
            if (!lost) group_->leave(error.message());
            throw;
        }
        // Half a step is given up; the state is that of the last whole one.
        reason = control_.request() == Control::Request::stop_and_save ? "stopped_and_saved" : "stopped";
        if (!adapter_ || !optimizer_ || reason == "stopped") {
            const Finished finished = ending("stopped");
            emit(finished);
            return finished;
        }
    }
    return finish(reason);
}

Progress TrainingRun::progress() {
    return [this](const char* what, double done, double total) {
        emit(Progressed{what, done, total});
        poll();
    };
}

void TrainingRun::open() {
    const auto begun = Clock::now();
    evaluate::LoadOptions& load = load_options_;
    load = evaluate::LoadOptions::of(recipe_);
    load.activations = recipe_.train.activations;
    load.device = parallel::own_device(options_.device, options_.processes);
    load.threads = options_.threads;
    model_ = evaluate::open_model(load);
    if (const auto limit = model_->files->config().token_limit(); recipe_.data.max_length > limit)
        throw input_error("recipe.invalid", "data.max_length",
                          "expected at most the model's context of " + std::to_string(limit) + " tokens, got " +
                              std::to_string(recipe_.data.max_length), "Lower data.max_length.");
    for (const auto& message : model_->notices) notice("model", message);
    data_ = evaluate::open_data(recipe_, model_->tokenizer, model_->files->config().head.labels, control_, progress());
    load_seconds_ = std::chrono::duration<double>(Clock::now() - begun).count();
}

// Rank 0 writes, or reads what the run that goes on was begun with, and keeps it in the run's folder.
void TrainingRun::write_paraphrases() {
    if (recipe_.data.augment.paraphrases == 0) return;
    std::string lines;
    group_->together(control_, [&] {
        if (!folder_) return;
        const auto file = folder_->path() / "paraphrases.jsonl";
        if (std::filesystem::exists(file)) {
            lines = read_file(file);
            return;
        }
        const auto written = evaluate::paraphrase(recipe_, data_, data_.train.rows, load_options_.device, options_.threads, control_, progress());
        lines = written->lines();
        write_atomically(file, lines);
        notice("data.paraphrases", std::to_string(written->kept()) + " paraphrases of training rows are used; paraphrases.jsonl has them, and those refused.");
    });
    paraphrases_ = std::make_shared<const data::Paraphrases>(data::Paraphrases::parse(group_->broadcast(lines)));
}

void TrainingRun::load() {
    const auto begun = Clock::now();
    memory::reset_peak();
    const Progress progress = this->progress();
    evaluate::load_weights(*model_, load_options_, evaluate::head_wish(recipe_, data_), control_, progress);
    model_->network.gradient_checkpointing = recipe_.train.gradient_checkpointing;
    model_->network.base_dropout = recipe_.train.base_dropout;
    model_->network.label_smoothing = recipe_.train.label_smoothing;
    if (const auto& head = model_->network.config.head;
        recipe_.train.label_smoothing > 0 && head.kind == nn::HeadConfig::Kind::classifier && head.problem != recipe::ProblemType::single_label)
        throw input_error("recipe.invalid", "train.label_smoothing", "expected 0 for labels that are not one class of many, got " + Json(recipe_.train.label_smoothing).dump(),
                          "Set train.label_smoothing to 0.");
    model_->network.neftune_alpha = recipe_.train.neftune_alpha;
    if (recipe_.train.base_dropout && !model_->network.config.dropout.any())
        notice("model.dropout", "The model's files ask for no dropout inside it, so none is done.");

    std::optional<data::Augmenter> augmenter;
    if (recipe_.data.augment.active()) augmenter.emplace(recipe_.data.augment, recipe_.train.seed, data_.renderer->roles(), paraphrases_);
    train_ = data::prepare(*data_.train.table, data_.train.rows, *data_.renderer, &control_, progress, options_.threads,
                           augmenter ? &*augmenter : nullptr);
    if (augmenter && train_.size() + train_.dropped_rows() > data_.train.rows.size())
        notice("data.augmented", std::to_string(train_.size() + train_.dropped_rows() - data_.train.rows.size()) + " variants of " +
                                     std::to_string(data_.train.rows.size() - train_.dropped_rows()) + " training rows are added.");
    if (!data_.validation.empty()) {
        auto& rows = data_.validation.rows;
        rows = evaluate::spread(rows, recipe_.evaluate.max_rows);
        validation_ = data::prepare(*data_.validation.table, rows, *data_.renderer, &control_, progress, options_.threads);
    }
    for (const auto& message : data_.notices) notice("data", message);
    for (const auto& [rows, what] : {std::pair{&train_, " training row"}, {&validation_, " validation row"}})
        for (const auto& dropped : rows->dropped())
            notice("data.dropped", std::to_string(dropped.rows) + what + (dropped.rows == 1 ? " is" : "s are") + " left out: " + dropped.reason + ".");
    if (train_.truncated() > 0)
        notice("data.truncated", std::to_string(train_.truncated()) + " training rows are cut at " +
                                     std::to_string(recipe_.data.max_length) + " tokens.",
               "Raise the length limit to keep them whole.");

    attach_adapter();
    if (!data_.validation.empty()) questions_ = evaluate::pick_questions(*model_, data_.validation, *data_.renderer, recipe_.evaluate.samples);
    data::BatchOptions batches;
    batches.batch_size = recipe_.train.batch_size;
    batches.bin_tokens = recipe_.data.packing ? recipe_.data.max_length : 0;
    batches.accumulate = recipe_.train.accumulate;
    batches.seed = recipe_.train.seed;
    sampler_.emplace(train_, batches);
    steps_ = recipe_.train.max_steps > 0 ? recipe_.train.max_steps : sampler_->steps(recipe_.train.epochs);
    if (const double warmup = recipe_.train.warmup; warmup >= 1 && warmup >= static_cast<double>(steps_))
        throw input_error("recipe.invalid", "train.warmup", "expected fewer steps than the " + std::to_string(steps_) + " of this run, got " + Json(warmup).dump() +
                          ": the learning rate would never reach its full value", "Lower train.warmup, or write it as a part of the run: 0.05.");
    learning_rate_.emplace(recipe_.train, steps_);
    optimizer_ = make_optimizer(parts_of(*adapter_, recipe_.method), recipe_.train, model_->network.device());
    state_.train_fingerprint = train_.fingerprint();
    state_.validation_fingerprint = validation_.fingerprint();
    state_.threads = at::get_num_threads();
    state_.processes = group_->size();
    if (options_.resume && group_->first()) resume_from_checkpoint();
    load_seconds_ += std::chrono::duration<double>(Clock::now() - begun).count();
}

void TrainingRun::attach_adapter() {
    const recipe::Method& method = recipe_.method;
    if (method.adapter.empty()) {
        adapters::Beginning beginning;
        if (recipe_.task == recipe::Task::classification) beginning.saved = classifier_modules(model_->network);
        if (!method.prompt_text.empty()) beginning.text_ids = model_->tokenizer->encode(method.prompt_text, {.add_special = false}).ids;
        if (method.start == recipe::Start::loftq) beginning.original = nn::original_matrices(hub::resolve_model(recipe_.model));
        adapter_ = adapters::attach(model_->network, recipe_, beginning);
    } else {
        if (const auto kind = adapters::kind_of(method.adapter); kind != method.kind)
            throw input_error("recipe.invalid", "method.adapter", "expected what the method " + std::string(recipe::name(method.kind)) + " has trained, got " +
                              std::string(recipe::name(kind)), "Set method.kind to " + std::string(recipe::name(kind)) + ".");
        adapter_ = adapters::load(model_->network, method.adapter, method.dropout);
    }
    if (recipe_.qat.active()) adapters::quantize_aware(model_->network, *adapter_, recipe_.qat, false);
    const auto virtual_tokens = model_->network.virtual_tokens(), limit = model_->network.config.token_limit();
    if (virtual_tokens + recipe_.data.max_length > limit)
        throw input_error("recipe.invalid", "data.max_length", "expected at most " + std::to_string(limit - virtual_tokens) + " tokens beside " +
                              std::to_string(virtual_tokens) + " virtual ones in the model's context of " + std::to_string(limit) + ", got " +
                              std::to_string(recipe_.data.max_length), "Lower data.max_length.");
}

void TrainingRun::announce() {
    const auto reading = memory::read();
    Loaded loaded;
    loaded.model = recipe_.model;
    loaded.family = model_->network.config.family;
    loaded.precision = std::string(recipe::name(recipe_.precision));
    loaded.device = model_->device;
    loaded.compute = model_->network.arithmetic.products == kernels::Arithmetic::bf16 ? "bf16" : "fp32";
    loaded.parameters = model_->network.parameters();
    loaded.trainable_parameters = adapter_->parameters();
    loaded.train_rows = static_cast<std::int64_t>(train_.size());
    loaded.validation_rows = static_cast<std::int64_t>(validation_.size());
    loaded.test_rows = static_cast<std::int64_t>(data_.test.rows.size());
    loaded.dropped_rows = static_cast<std::int64_t>(train_.dropped_rows());
    loaded.steps = steps_;
    loaded.steps_per_epoch = sampler_->steps_in_epoch(0);
    loaded.first_step = state_.step;
    loaded.processes = group_->size();
    loaded.load_seconds = load_seconds_;
    loaded.bytes = reading.live;
    emit(loaded);
}

void TrainingRun::check_resumable(const RunState& saved) const {
    if (saved.train_fingerprint != state_.train_fingerprint || saved.validation_fingerprint != state_.validation_fingerprint)
        throw input_error("resume.data", "data", "the data is not what this run was trained on",
                          "Restore the files, or start a new run from this run's adapter.");
    if (saved.step > steps_)
        throw input_error("resume.steps", "train.max_steps",
                          "the run has already done " + std::to_string(saved.step) + " of " + std::to_string(steps_) + " steps");
}

void TrainingRun::resume_from_checkpoint() {
    std::vector<std::string> damaged;
    const auto checkpoints = list_checkpoints(folder_->path(), &damaged);
    for (const auto& problem : damaged) notice("resume.damaged", "A checkpoint cannot be used: " + problem);
    if (checkpoints.empty()) {
        folder_->rewind_events(0);
        notice("resume.fresh", "There is no whole checkpoint yet: the run starts from its beginning.");
        return;
    }
    const RunState saved = read_checkpoint(checkpoints.back(), *adapter_, *optimizer_);
    check_resumable(saved);
    const int threads = state_.threads, processes = state_.processes;
    state_ = saved;
    state_.threads = threads;
    state_.processes = processes;
    started_ = Clock::now();
    sampler_->seek(state_.position);
    checkpointed_step_ = state_.step;
    folder_->rewind_events(state_.step);
    if (saved.processes != processes)
        notice("resume.processes", "The run went on in " + std::to_string(saved.processes) + " processes before and goes on in " +
                                       std::to_string(processes) + " now: its numbers will differ in the last digits.");
    if (saved.threads != threads)
        notice("resume.threads", "The run went on " + std::to_string(saved.threads) + " threads before and goes on " + std::to_string(threads) +
                                     " now: its numbers will differ in the last digits.");
}

void TrainingRun::train_steps() {
    for (;;) {
        // First what the step before still owes: it may have been cut off from it by an earlier sitting's end.
        if (state_.step > 0) complete_step();
        if (state_.step >= steps_ || state_.stopped_early) return;
        if (ends_here()) {
            control_.stop_and_save();
            throw stopped();
        }
        const auto before = sampler_->position();
        if (recipe_.qat.active()) adapter_->set_quantizing(quantizes(state_.step));
        try {
            train_step();
        } catch (...) {
            adapter_->gradients().zero_();
            sampler_->seek(before);
            throw;
        }
    }
}

bool TrainingRun::quantizes(std::int64_t step) const {
    return recipe_.qat.active() && static_cast<double>(step) >= recipe_.qat.warmup * static_cast<double>(steps_);
}

void TrainingRun::complete_step() {
    // The base is measured after the first step, not before it: the curve starts sooner, and an adapter that is off
    // gives the base's figures at any time.
    if (!state_.base_evaluated && validation_.size() > 0) {
        evaluate::BaseScope base(adapter_.get());
        const auto evaluated = evaluate_model(0);
        state_.base_evaluated = true;
        state_.base_loss = evaluated.loss;
        emit(evaluated);
    }
    if (evaluation_due()) evaluate();
    const auto every = recipe_.train.checkpoint_every;
    if (every > 0 && state_.step % every == 0) save_checkpoint();
}

void TrainingRun::train_step() {
    const auto begun = Clock::now();
    memory::reset_peak();
    const auto batches = sampler_->next_step();
    StepDone done;
    for (const auto& batch : batches) {
        done.tokens += batch.tokens();
        done.trained_tokens += batch.trained_tokens();
    }
    const double learning_rate = options_.learning_rate ? options_.learning_rate(state_.step) : learning_rate_->at(state_.step);
    const double loss = gradients_of(batches, done.trained_tokens);
    const Clip clipped = clip(adapter_->gradients(), recipe_.train.max_grad_norm);
    done.grad_norm = clipped.norm;
    done.skipped = !std::isfinite(loss) || !std::isfinite(done.grad_norm);
    if (!done.skipped) optimizer_->step(adapter_->values(), adapter_->gradients(), learning_rate, clipped.scale);
    adapter_->gradients().zero_();

    ++state_.step;
    state_.position = sampler_->position();
    state_.skipped_in_a_row = done.skipped ? state_.skipped_in_a_row + 1 : 0;
    state_.skipped += done.skipped ? 1 : 0;
    if (!done.skipped) state_.last_train_loss = loss;

    const auto reading = memory::read();
    state_.peak_bytes = std::max(state_.peak_bytes, reading.peak_bytes);
    done.step = state_.step;
    done.epoch = sampler_->epochs_done();
    done.loss = done.skipped ? std::nan("") : loss;
    done.learning_rate = learning_rate;
    done.seconds = std::chrono::duration<double>(Clock::now() - begun).count();
    done.tokens_per_second = static_cast<double>(done.tokens) / done.seconds;
    done.bytes = reading.at_peak;
    done.peak_bytes = reading.peak_bytes;
    done.process_bytes = reading.process_bytes;
    done.device_used_bytes = reading.device ? reading.device->used : 0;
    emit(done);
    if (done.skipped)
        notice("train.skipped", "Step " + std::to_string(done.step) + " gave no finite loss or gradient; it changed nothing.",
               "If it happens again, lower the learning rate.");
    if (state_.skipped_in_a_row >= most_skipped)
        throw failure("train.diverged", "step " + std::to_string(state_.step),
                      std::to_string(most_skipped) + " steps in a row gave no finite loss or gradient",
                      "Lower the learning rate; the last good adapter is in the newest checkpoint.");
}

void TrainingRun::save_checkpoint() {
    if (!folder_ || checkpointed_step_ == state_.step) return;
    const auto begun = Clock::now();
    RunState saved = state_;
    saved.seconds = seconds();
    const auto path = write_checkpoint(folder_->path(), saved, *adapter_, *optimizer_, recipe_.train.keep_checkpoints);
    checkpointed_step_ = state_.step;
    emit(Checkpointed{state_.step, path.string(), std::chrono::duration<double>(Clock::now() - begun).count()});
}

}  // namespace qlora::train
