#include "tests/ui/recorded_engine.h"

#include <cmath>

namespace qlora::ui {

namespace {

constexpr std::int64_t mega = 1'000'000;

MemoryBytes bytes_at(double share) {
    MemoryBytes bytes;
    bytes[MemoryTag::weights] = 96 * mega;
    bytes[MemoryTag::adapters] = 10 * mega;
    bytes[MemoryTag::gradients] = 10 * mega;
    bytes[MemoryTag::optimizer] = 20 * mega;
    bytes[MemoryTag::activations] = std::int64_t(330 * mega * share);
    bytes[MemoryTag::scratch] = 42 * mega;
    bytes[MemoryTag::other] = 6 * mega;
    return bytes;
}

// A run of 156 steps that learns as such runs do: quickly, then slowly, with noise.
std::vector<train::Event> recorded_run() {
    std::vector<train::Event> events;
    constexpr std::int64_t steps = 156;
    train::Loaded loaded;
    loaded.model = "SmolLM2 135M Instruct";
    loaded.steps = steps;
    loaded.steps_per_epoch = 52;
    loaded.train_rows = 412;
    loaded.validation_rows = 38;
    loaded.bytes = bytes_at(0);
    events.emplace_back(loaded);
    double best = INFINITY;
    for (std::int64_t i = 1; i <= steps; ++i) {
        train::StepDone step;
        step.step = i;
        step.epoch = double(i) / 52;
        const double noise = 0.12 * std::sin(double(i) * 12.9898) + 0.06 * std::sin(double(i) * 4.1);
        step.loss = 0.9 + 2.1 * std::exp(-double(i) / 28) + noise;
        step.learning_rate = 2e-4 * std::min(1.0, double(i) / 5) * (1 - double(i - 1) / steps);
        step.grad_norm = 0.8 + 0.9 * std::exp(-double(i) / 15) + 0.1 * std::cos(double(i) * 3.3);
        step.tokens = 700;
        step.trained_tokens = 310;
        step.tokens_per_second = 620 + 25 * std::sin(double(i));
        step.seconds = 0.82;
        step.bytes = bytes_at(1);
        step.peak_bytes = step.bytes.total();
        events.emplace_back(step);
        for (int quarter = 0; quarter < 3; ++quarter)
            events.emplace_back(
                train::MemorySample{.seconds = double(i) * 0.82 + quarter * 0.25,
                                    .bytes = bytes_at(quarter == 1 ? 1 : 0.35 + 0.2 * quarter)});
        if (i % 26 == 0) {
            train::Evaluated evaluated;
            evaluated.step = i;
            evaluated.loss = 1.15 + 1.7 * std::exp(-double(i) / 30) + (i > 130 ? 0.05 : 0);
            evaluated.best = evaluated.loss < best;
            best = std::min(best, evaluated.loss);
            evaluated.samples = {
                {"I lost my card yesterday, what should I do?",
                 "I'm sorry to hear that. Freeze the card in the app at once, then order a new one.",
                 "Losing a card can be a stressful experience. Here are some general steps that you might "
                 "take in such a situation:",
                 "I'm sorry to hear that. Please freeze your card in the app now; then choose “Order a new "
                 "card”."}};
            events.emplace_back(evaluated);
        }
        if (i % 50 == 0)
            events.emplace_back(
                train::Checkpointed{.step = i, .path = "/runs/banking-1/checkpoints", .seconds = 0.1});
    }
    train::Finished finished;
    finished.run = "/runs/banking-1";
    finished.reason = "completed";
    finished.steps = steps;
    finished.best_step = 130;
    finished.peak_bytes = bytes_at(1).total();
    finished.seconds = 128;
    events.emplace_back(finished);
    return events;
}

}  // namespace

RecordedEngine::RecordedEngine() {
    catalogue.models = {{.id = "smollm2-135m",
                         .name = "SmolLM2 135M Instruct",
                         .description = "A small chat model that learns on a laptop.",
                         .licence = "Apache-2.0",
                         .path = "/models/smollm2-135m.gguf",
                         .bytes = 98 * mega,
                         .available = true}};
    catalogue.datasets = {{.id = "banking-support",
                           .name = "Banking support",
                           .description = "Questions to a bank, answered in one voice.",
                           .licence = "CC0",
                           .layout = "prompt/completion",
                           .path = "/data/banking.jsonl",
                           .held_out = "/data/banking-held-out.jsonl",
                           .rows = 412,
                           .available = true},
                          {.id = "movie-reviews",
                           .name = "Movie reviews",
                           .description = "Snippets with their sentiment.",
                           .licence = "MIT",
                           .layout = "text",
                           .path = {},
                           .held_out = {},
                           .rows = 10604,
                           .available = false}};
    machine = {"CPU · 8 threads", budget, 120e9};
    model.name = "SmolLM2 135M Instruct";
    model.family = "llama";
    model.format = "GGUF";
    model.dtype = "Q4_1";
    model.parameters = 134'515'008;
    model.layers = 30;
    model.context = 8192;
    model.tokenizer = "byte-level BPE, 49,152 tokens";
    model.chat_template = true;
    model.licence = "Apache-2.0";
    model.file_bytes = 98 * mega;
    for (int block = 0; block < 30; ++block) {
        const std::string at = "model.layers." + std::to_string(block) + ".";
        for (const char* name : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"})
            model.linears.push_back({at + name, 576, name[10] == 'k' || name[10] == 'v' ? 192 : 576});
        for (const char* name : {"mlp.gate_proj", "mlp.up_proj"}) model.linears.push_back({at + name, 576, 1536});
        model.linears.push_back({at + "mlp.down_proj", 1536, 576});
    }
    data.source = "banking-support";
    data.name = "Banking support";
    data.columns = {"question", "answer"};
    data.rows = 412;
    data.facts = {.train_rows = 374,
                  .validation_rows = 38,
                  .mean_tokens = 84,
                  .mean_trained_tokens = 41,
                  .longest_tokens = 212,
                  .truncated_rows = 0};
    data.prompt = "I lost my card yesterday, what should I do?";
    data.answer =
        "I'm sorry to hear that. Please freeze your card in the app now; then choose “Order a new card” and "
        "it will reach you in three working days.";
    events = recorded_run();
}

void RecordedEngine::inspect_model(const QString& asked) {
    calls << "inspect " + asked;
    if (model_error)
        emit model_failed(asked, *model_error);
    else
        emit model_ready(asked, model);
}

void RecordedEngine::summarize_data(const recipe::Recipe& recipe) {
    if (data_error) {
        emit data_failed(QString::fromStdString(recipe.data.train), *data_error);
        return;
    }
    DataSummary summary = data;
    summary.source = QString::fromStdString(recipe.data.train);
    emit data_ready(summary);
}

plan::Plan RecordedEngine::make_plan(const recipe::Recipe& recipe, const nn::ModelInfo& info,
                                     const std::optional<DataSummary>&, const Machine&) const {
    plan::Plan plan;
    plan.bytes = bytes_at(double(recipe.train.batch_size) / 8);
    plan.bytes[MemoryTag::adapters] = recipe.method.rank * 600'000;
    plan.peak_bytes = plan.bytes.total();
    plan.budget_bytes = budget;
    plan.fits = plan.peak_bytes <= budget;
    plan.total_seconds = 130;
    plan.step_seconds = 0.83;
    plan.steps = 156;
    plan.trainable_parameters = recipe.method.rank * 305'000;
    plan.sentence = "Teach " + info.name + " in NF4 with LoRA r " + std::to_string(recipe.method.rank) +
                    " on 374 rows, 3 epochs.";
    return plan;
}

void RecordedEngine::start(const recipe::Recipe& recipe) {
    calls << "start";
    started = recipe;
    played_ = 0;
    set_state(RunState::preparing);
    emit run_started(recipe, run_folder());
}

void RecordedEngine::play(std::int64_t until_step) {
    for (; played_ < events.size(); ++played_) {
        const auto& next = events[played_];
        if (const auto* step = std::get_if<train::StepDone>(&next)) {
            if (step->step > until_step) return;
            if (state == RunState::preparing) set_state(RunState::running);
        }
        emit event(next);
        if (std::holds_alternative<train::Finished>(next) || std::holds_alternative<train::Failed>(next))
            set_state(RunState::idle);
    }
}

void RecordedEngine::set_state(RunState next) {
    state = next;
    emit run_state_changed(next);
}

}  // namespace qlora::ui
