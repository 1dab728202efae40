#include "core/recipe/recipe.h"

#include <array>

#include "core/base/error.h"
#include "core/recipe/fields.h"

namespace qlora::recipe {

namespace fs = std::filesystem;

namespace {

template <std::size_t N, typename E>
std::string_view word(const std::array<std::string_view, N>& words, E value) {
    return words.at(static_cast<std::size_t>(value));
}

// The part of a path or name that people know it by.
std::string stem(const std::string& value) {
    fs::path path(value);
    fs::path last = path.has_filename() ? path.filename() : path.parent_path().filename();
    return last.has_extension() && last.extension().string().find_first_of("0123456789") != 1
               ? last.stem().string()
               : last.string();
}

}  // namespace

std::string_view name(Precision precision) {
    static constexpr std::array<std::string_view, 9> words = {"fp32", "fp16", "bf16",   "int8", "nf4",
                                                              "fp4",  "int4", "native", "int3"};
    return word(words, precision);
}

bool is_float(Precision precision) { return precision == Precision::fp32 || precision == Precision::fp16 || precision == Precision::bf16; }

bool is_four_bit(Precision precision) {
    return precision == Precision::nf4 || precision == Precision::fp4 || precision == Precision::int4 || precision == Precision::int3;
}

std::string_view name(Schedule schedule) {
    static constexpr std::array<std::string_view, 6> words = {"linear", "cosine", "constant", "cosine_with_restarts", "inverse_sqrt", "polynomial"};
    return word(words, schedule);
}

std::string_view name(Optimizer optimizer) {
    static constexpr std::array<std::string_view, 5> words = {"adamw", "adamw-8bit", "sgd", "adafactor", "lion"};
    return word(words, optimizer);
}

std::string_view name(MethodKind kind) {
    static constexpr std::array<std::string_view, 6> words = {"lora", "full", "adapter", "prompt-tuning", "prefix-tuning", "bitfit"};
    return word(words, kind);
}

std::string_view name(Start start) {
    static constexpr std::array<std::string_view, 3> words = {"default", "pissa", "loftq"};
    return word(words, start);
}

std::string_view name(Placement placement) {
    static constexpr std::array<std::string_view, 2> words = {"pfeiffer", "houlsby"};
    return word(words, placement);
}

std::string_view name(Task task) {
    static constexpr std::array<std::string_view, 3> words = {"causal-lm", "classification", "seq2seq"};
    return word(words, task);
}

std::string_view name(ProblemType type) {
    static constexpr std::array<std::string_view, 4> words = {"auto", "single_label_classification", "multi_label_classification",
                                                              "regression"};
    return word(words, type);
}

OrderedJson to_json(const Recipe& recipe) {
    OrderedJson json = OrderedJson::object();
    for (const Field& field : fields()) {
        OrderedJson* place = &json;
        std::string_view key = field.key;
        for (std::size_t dot; (dot = key.find('.')) != std::string_view::npos; key.remove_prefix(dot + 1))
            place = &(*place)[std::string(key.substr(0, dot))];
        (*place)[std::string(key)] = field.get(recipe);
    }
    return json;
}

Recipe load(const fs::path& path) {
    Json json = read_json_file(path, {.bytes = 1 << 20, .depth = 16});
    std::vector<Problem> problems;
    Recipe recipe = from_json(json, fs::absolute(path).parent_path(), problems);
    std::size_t read = problems.size();
    for (Problem& problem : validate(recipe)) {
        // A field that could not be read is at its default; say only what was written wrong.
        bool told = std::any_of(problems.begin(), problems.begin() + static_cast<std::ptrdiff_t>(read),
                                [&](const Problem& known) { return known.field == problem.field; });
        if (!told) problems.push_back(std::move(problem));
    }
    if (!problems.empty()) throw_problems(path.string(), problems);
    return recipe;
}

void throw_problems(const std::string& where, const std::vector<Problem>& problems) {
    std::string message =
        where + ": " + (problems.size() == 1 ? "one problem" : std::to_string(problems.size()) + " problems");
    for (const Problem& problem : problems) {
        message += "\n  " + problem.field + ": expected " + problem.expected + ", got " + problem.got;
        if (!problem.hint.empty()) message += " (" + problem.hint + ")";
    }
    throw input_error("recipe.invalid", where, message, "Correct what is named and try again.");
}

std::string title(const Recipe& recipe) {
    if (!recipe.name.empty()) return recipe.name;
    std::string text = recipe.model.empty() ? "no model" : stem(recipe.model);
    if (!recipe.data.train.empty()) text += " on " + stem(recipe.data.train);
    if (recipe.task != Task::causal_lm) text += ", " + std::string(name(recipe.task));
    return text + ", " + std::string(name(recipe.precision)) + " " + method_title(recipe.method);
}

std::string method_title(const Method& method) {
    switch (method.kind) {
        case MethodKind::lora: break;
        case MethodKind::full: return method.freeze.empty() ? "full fine-tuning" : "full fine-tuning, partly frozen";
        case MethodKind::adapter:
            return std::string(method.placement == Placement::houlsby ? "Houlsby" : "Pfeiffer") + " adapters, 1/" + std::to_string(method.reduction_factor);
        case MethodKind::prompt_tuning: return "prompt tuning, " + std::to_string(method.virtual_tokens) + " tokens";
        case MethodKind::prefix_tuning: return "prefix tuning, " + std::to_string(method.virtual_tokens) + " tokens";
        case MethodKind::bitfit: return "BitFit";
    }
    return (method.dora ? "DoRA r " : method.start == Start::pissa ? "PiSSA r " : method.start == Start::loftq ? "LoftQ r " : "LoRA r ") +
           std::to_string(method.rank);
}

std::vector<std::string> differences(const Recipe& a, const Recipe& b) {
    std::vector<std::string> keys;
    for (const Field& field : fields())
        if (field.get(a) != field.get(b)) keys.push_back(field.key);
    return keys;
}

}  // namespace qlora::recipe
