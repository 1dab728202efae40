#include <cmath>

#include "core/base/error.h"
#include "core/adapters/task_file.h"
#include "core/evaluate/measure.h"
#include "core/events/events.h"

namespace qlora::evaluate {

namespace {

Part wanted_part(RunData& data, std::string& split) {
    if (split == "train") return data.train;
    if (split == "validation") return data.validation;
    if (split != "test") throw input_error("evaluate.split", "--split", "expected train, validation or test, got \"" + split + "\"");
    if (!data.test.empty()) return data.test;
    split = "validation";
    return data.validation;
}

// The rows whose answers exact match and chrF are taken over, at most.
constexpr std::int64_t compared_answers = 200;

Contender contender_of(const LoadedModel& model, const std::string& name, const Part& part, const RunData& data,
                       const data::TokenizedDataset& dataset, const std::vector<data::RowIndex>& questions,
                       const ReportOptions& options, Control& control, const Progress& progress) {
    Contender contender;
    contender.name = name;
    auto measured = measure(model.network, dataset, control, progress);
    contender.loss = measured.loss;
    contender.rows = measured.rows;
    contender.tokens = measured.tokens;
    if (auto perplexity = measured.metrics.extract("perplexity")) contender.perplexity = perplexity.mapped();
    contender.metrics = std::move(measured.metrics);
    contender.classification = std::move(measured.classification);
    contender.multi_label = std::move(measured.multi_label);
    contender.regression = std::move(measured.regression);
    if (model.network.config.encoder_decoder()) {
        std::vector<std::string> expected, given;
        const auto rows = pick_questions(model, part, *data.renderer, compared_answers);
        for (const auto row : rows) {
            if (progress) progress("Answering", static_cast<double>(given.size()), static_cast<double>(rows.size()));
            expected.push_back(data.renderer->answer_text(*part.table, row));
            given.push_back(answer(model, part, *data.renderer, row, options.max_tokens, control));
        }
        contender.metrics.merge(answer_metrics(expected, given));
    }
    for (const auto row : questions) contender.answers.push_back(answer(model, part, *data.renderer, row, options.max_tokens, control));
    return contender;
}

recipe::Task task_of(const std::filesystem::path& run_folder) {
    const auto file = run_folder / "recipe.json";
    return std::filesystem::exists(file) ? recipe::load(file).task : recipe::Task::causal_lm;
}

}  // namespace

Report report(const recipe::Recipe& recipe, const std::filesystem::path& adapter, const ReportOptions& options,
              Control& control, const Progress& progress) {
    LoadOptions load = LoadOptions::of(recipe);
    load.adapter = adapter;
    load.device = options.device;
    load.threads = options.threads;
    const auto model = open_model(load);

    recipe::Recipe used = recipe;
    if (!options.data.empty()) used.data.test = options.data;
    // The labels keep the order that the adapter was trained with.
    std::vector<std::string> labels = model->files->config().head.labels;
    if (!adapter.empty()) labels = adapters::read_task(adapter).labels;
    RunData data = open_data(used, model->tokenizer, labels, control, progress);
    load_weights(*model, load, head_wish(recipe, data), control, progress);
    if (!adapter.empty()) model->adapter = adapters::load(model->network, adapter);
    if (model->adapter && recipe.qat.active()) adapters::quantize_aware(model->network, *model->adapter, recipe.qat, true);
    Report report;
    report.task = recipe.task;
    report.labels = model->network.config.head.labels;
    report.split = options.split;
    Part part = wanted_part(data, report.split);
    part.rows = spread(part.rows, options.max_rows);
    if (part.empty())
        throw input_error("evaluate.empty", "data." + report.split, "there are no " + report.split + " rows",
                          "Name a file in data." + report.split + ", or a fraction to hold out.");
    const auto dataset = data::prepare(*part.table, part.rows, *data.renderer, &control, progress, options.threads);
    report.rows = static_cast<std::int64_t>(dataset.size());
    const auto questions = pick_questions(*model, part, *data.renderer, options.answers);
    for (const auto row : questions) {
        report.questions.push_back(data.renderer->prompt_text(*part.table, row));
        report.expected.push_back(data.renderer->answer_text(*part.table, row));
    }
    auto add = [&](const char* name) {
        report.contenders.push_back(contender_of(*model, name, part, data, dataset, questions, options, control, progress));
    };
    if (model->adapter == nullptr || options.baselines) {
        BaseScope base(model->adapter.get());
        add("base");
    }
    if (model->adapter != nullptr) add("tuned");
    return report;
}

Report training_report(const std::filesystem::path& run_folder) {
    const std::filesystem::path file = run_folder / "events.jsonl";
    if (!std::filesystem::exists(file)) return {};
    train::Evaluated before, last, best;
    before.step = last.step = -1;
    bool best_restored = false;
    for (const auto& event : train::read_events(file)) {
        if (const auto* evaluated = std::get_if<train::Evaluated>(&event)) {
            (evaluated->step == 0 ? before : last) = *evaluated;
            if (evaluated->best) best = *evaluated;
        } else if (const auto* finished = std::get_if<train::Finished>(&event)) {
            best_restored = finished->reason == "early_stopping";
        }
    }
    if (best_restored) last = best;
    Report report;
    report.split = "validation";
    report.task = task_of(run_folder);
    auto contender = [&](const char* name, const train::Evaluated& evaluated) {
        if (evaluated.step < 0) return;
        Contender measured;
        measured.name = name;
        measured.loss = evaluated.loss;
        if (report.task != recipe::Task::classification) measured.perplexity = std::exp(evaluated.loss);
        measured.metrics = evaluated.metrics;
        measured.metrics.erase("perplexity");
        for (const auto& sample : last.samples) measured.answers.push_back(evaluated.step == 0 ? sample.base : sample.tuned);
        report.contenders.push_back(std::move(measured));
    };
    contender("base", before);
    contender("tuned", last);
    for (const auto& sample : last.samples) {
        report.questions.push_back(sample.prompt);
        report.expected.push_back(sample.expected);
    }
    return report;
}

}  // namespace qlora::evaluate
