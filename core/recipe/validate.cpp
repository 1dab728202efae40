#include "core/recipe/fields.h"

namespace qlora::recipe {

namespace {

void check_ranges(const Recipe& recipe, std::vector<Problem>& problems) {
    Recipe scratch;
    for (const Field& field : fields())
        if (Json value = field.get(recipe); !field.set(scratch, value))
            problems.push_back({field.key, field.expected(), describe(value), ""});
}

// What a task makes of the data: labels for one, pairs for another.
void check_task(const Recipe& recipe, std::vector<Problem>& problems) {
    const Data& data = recipe.data;
    const bool classifies = recipe.task == Task::classification;
    auto refuse = [&](const char* key, const std::string& got, const char* hint) {
        problems.push_back({key, "nothing in the task " + std::string(name(recipe.task)), got, hint});
    };
    if (!classifies && !data.columns.label.empty())
        refuse("data.columns.label", "\"" + data.columns.label + "\"", "set task to classification to learn labels");
    if (!classifies && data.problem_type != ProblemType::automatic)
        refuse("data.problem_type", std::string(name(data.problem_type)), "set task to classification, or leave it at auto");
    if (classifies)
        for (const auto& [key, column] : {std::pair{"data.columns.prompt", data.columns.prompt},
                                          {"data.columns.completion", data.columns.completion},
                                          {"data.columns.messages", data.columns.messages}})
            if (!column.empty()) refuse(key, "\"" + column + "\"", "name data.columns.text and data.columns.label instead");
    if (classifies && !data.columns.system.empty())
        refuse("data.columns.system", "\"" + data.columns.system + "\"", "a classifier reads the text alone");
    if (classifies && !data.system_prompt.empty()) refuse("data.system_prompt", "a text", "a classifier reads the text alone");
    if (recipe.task == Task::seq2seq && !data.columns.text.empty())
        refuse("data.columns.text", "\"" + data.columns.text + "\"", "name data.columns.prompt and data.columns.completion instead");
    if (recipe.task != Task::causal_lm && data.packing)
        problems.push_back({"data.packing", "false in the task " + std::string(name(recipe.task)), "true",
                            "rows are laid end to end without padding already; packing would only change how many make a step"});
}

// What belongs to one method and means nothing, or something wrong, beside another.
void check_method(const Recipe& recipe, std::vector<Problem>& problems) {
    const Method& method = recipe.method;
    const std::string kind(name(method.kind)), precision(name(recipe.precision));
    const bool lora = method.kind == MethodKind::lora;
    const bool quantizes = !is_float(recipe.precision) && recipe.precision != Precision::native;
    auto refuse = [&](const char* key, const std::string& expected, const std::string& got, const char* hint) { problems.push_back({key, expected, got, hint}); };
    auto only_lora = [&](const char* key, bool set, const std::string& got) {
        if (!lora && set) refuse(key, "nothing beside the method " + kind, got, "it is a variant of LoRA; set method.kind to lora, or leave it out");
    };
    only_lora("method.dora", method.dora, "true");
    only_lora("method.rslora", method.rslora, "true");
    only_lora("method.lora_plus_ratio", method.lora_plus_ratio != 1, Json(method.lora_plus_ratio).dump());
    only_lora("method.start", method.start != Start::unchanged, std::string(name(method.start)));
    if (method.kind != MethodKind::full && !method.freeze.empty())
        refuse("method.freeze", "nothing beside the method " + kind, std::to_string(method.freeze.size()) + " entries",
               "the base is frozen already; choose layers with method.target_modules");
    if (method.kind == MethodKind::full && quantizes)
        refuse("precision", "fp32, fp16, bf16 or native with the method full", precision,
               "full fine-tuning changes the weights themselves, which a quantized base rounds away; train LoRA over it instead (QLoRA)");
    if (lora && method.start == Start::loftq && !quantizes)
        refuse("method.start", "default or pissa over a base in " + precision, "loftq", "LoftQ corrects what quantizing takes: choose int8, nf4, fp4 or int4");
    if (lora && method.start != Start::unchanged && method.dora)
        refuse("method.start", "default with DoRA", std::string(name(method.start)), "choose one of the two");
    if (lora && method.start != Start::unchanged && !method.adapter.empty())
        refuse("method.start", "default when method.adapter is named", std::string(name(method.start)), "an adapter that goes on begins as it was saved");
    if (method.kind == MethodKind::prefix_tuning && recipe.task == Task::seq2seq)
        refuse("method.kind", "lora, full, adapter, prompt-tuning or bitfit in the task seq2seq", kind, "a prefix of two stacks is not supported");
}

void check_qat(const Recipe& recipe, std::vector<Problem>& problems) {
    if (!recipe.qat.active()) return;
    const Method& method = recipe.method;
    auto refuse = [&](const char* key, const std::string& expected, const std::string& got, const char* hint) { problems.push_back({key, expected, got, hint}); };
    const std::string wanted = recipe.qat.precision;
    if (method.kind != MethodKind::lora && method.kind != MethodKind::full)
        refuse("qat.precision", "none with the method " + std::string(name(method.kind)), wanted, "it trains no matrix that could learn to be rounded; choose lora or full");
    if (!is_float(recipe.precision) && recipe.precision != Precision::native)
        refuse("qat.precision", "none over a base in " + std::string(name(recipe.precision)), wanted,
               "what the base has lost cannot be trained back by rounding it again; set precision to fp32 or bf16");
    if (method.kind == MethodKind::lora && method.dora) refuse("qat.precision", "none with DoRA", wanted, "switch one of the two off");
    if (method.kind == MethodKind::lora && method.dropout > 0)
        refuse("method.dropout", "0 when qat.precision is set", Json(method.dropout).dump(), "weight and adapter are rounded as one matrix, of which no part can be dropped");
}

void check_columns(const Columns& columns, std::vector<Problem>& problems) {
    bool pair = !columns.prompt.empty() || !columns.completion.empty();
    int layouts = !columns.text.empty() + pair + !columns.messages.empty();
    if (layouts > 1)
        problems.push_back({"data.columns", "one layout: text, prompt and completion, or messages",
                            "columns of " + std::to_string(layouts) + " layouts", "keep those of one"});
    else if (pair && (columns.prompt.empty() || columns.completion.empty()))
        problems.push_back({columns.prompt.empty() ? "data.columns.prompt" : "data.columns.completion",
                            "a column", "nothing, while the other of the pair is named",
                            "name both, or neither to have them guessed"});
}

void check_data(const Data& data, std::vector<Problem>& problems) {
    if (data.train.empty())
        problems.push_back(
            {"data.train", "a file or a catalogue name", "nothing", "choose what to learn from"});
    auto same = [&](const char* key, const std::string& file, const std::string& other, const char* what) {
        if (!file.empty() && file == other)
            problems.push_back({key, "other rows than " + std::string(what), "the same file",
                                "leave it empty to hold rows out of the training data"});
    };
    same("data.validation", data.validation, data.train, "those to learn from");
    same("data.test", data.test, data.train, "those to learn from");
    same("data.test", data.test, data.validation, "those for validation");
    double held_out = (data.validation.empty() ? data.validation_fraction : 0) +
                      (data.test.empty() ? data.test_fraction : 0);
    if (held_out > 0.95)
        problems.push_back({"data.validation_fraction", "at least 5 % of the rows left to learn from",
                            Json(data.validation_fraction).dump() + " and data.test_fraction " +
                                Json(data.test_fraction).dump(),
                            "lower one of the two"});
    check_columns(data.columns, problems);
}

}  // namespace

std::vector<Problem> validate(const Recipe& recipe) {
    std::vector<Problem> problems;
    if (recipe.model.empty())
        problems.push_back(
            {"model", "a folder, a .gguf file or a catalogue name", "nothing", "choose a base model"});
    check_data(recipe.data, problems);
    check_task(recipe, problems);
    check_method(recipe, problems);
    check_qat(recipe, problems);
    check_ranges(recipe, problems);
    const Train& train = recipe.train;
    if (train.max_steps > 0 && train.warmup >= 1 && train.warmup >= static_cast<double>(train.max_steps))
        problems.push_back({"train.warmup",
                            "fewer steps than train.max_steps, " + std::to_string(train.max_steps),
                            Json(train.warmup).dump(), "the learning rate would never reach its full value"});
    if (recipe.early_stopping.patience > 0 && recipe.data.validation.empty() &&
        recipe.data.validation_fraction == 0)
        problems.push_back({"early_stopping.patience", "0 without validation rows",
                            std::to_string(recipe.early_stopping.patience),
                            "set data.validation_fraction above 0 or name a validation file"});
    return problems;
}

}  // namespace qlora::recipe
