#pragma once
// A loaded model to talk to, base and tuned from the same weights, and its held-out figures.

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/control.h"
#include "core/base/json.h"
#include "core/evaluate/metrics.h"
#include "core/recipe/recipe.h"

namespace qlora::evaluate {

struct GenerateOptions {
    std::int64_t max_tokens = 128;
    double temperature = 0;  // 0: greedy
    std::int64_t top_k = 0;  // 0: off
    double top_p = 1;
    std::uint64_t seed = 0;
};

struct Message {
    std::string role, content;
};

struct LabelScore {
    std::string name;
    double score = 0;  // a probability; of a regression the value
};

struct GenerateResult {
    std::string text;                // of a classifier its labels with their probabilities, a line each
    std::vector<LabelScore> labels;  // of a classifier, the likeliest first
    std::int64_t prompt_tokens = 0, tokens = 0;
    double prompt_seconds = 0, seconds = 0;
    std::string stop;  // "eos", "length", "stopped"
};

struct LoadOptions {
    std::string model;  // folder, .gguf or catalogue name
    recipe::Precision precision = recipe::Precision::native;
    bool double_quantization = true;
    std::int64_t quantization_block = 64;
    std::filesystem::path adapter;  // PEFT folder; empty: none
    std::string device = "auto";
    std::string compute = "fp32";  // or "auto", "bf16": device.h
    std::string activations = "auto";  // what backward needs is kept in: auto (as products are), fp32, bf16
    int threads = 0;

    // The recipe's model as the recipe has it, on the usual device.
    static LoadOptions of(const recipe::Recipe& recipe) {
        LoadOptions options;
        options.model = recipe.model;
        options.precision = recipe.precision;
        options.double_quantization = recipe.double_quantization;
        options.quantization_block = recipe.quantization_block;
        options.compute = recipe.compute;
        return options;
    }
};

// One model in memory. Every method works on the calling thread and polls `control`; one call at a time (calls from
// several threads wait for each other).
class Session {
  public:
    static std::shared_ptr<Session> load(const LoadOptions& options, Control& control, const Progress& progress = {});
    virtual ~Session() = default;

    // What was ignored of the model's files, or is worth knowing about them.
    virtual std::vector<std::string> notices() const = 0;
    virtual bool has_adapter() const = 0;
    virtual bool has_chat_template() const = 0;
    // A model that does not write: chat() and complete() say what they make of the last message or of the prompt.
    virtual bool classifies() const = 0;
    // Text after `messages` (rendered by the chat template when there is one, else joined by blank lines), or after
    // a raw prompt. `stream` receives whole UTF-8 pieces as they come.
    virtual GenerateResult chat(const std::vector<Message>& messages, bool use_adapter, const GenerateOptions& options,
                                Control& control, const std::function<void(const std::string&)>& stream) = 0;
    virtual GenerateResult complete(const std::string& prompt, bool use_adapter, const GenerateOptions& options,
                                    Control& control, const std::function<void(const std::string&)>& stream) = 0;
};

// Held-out figures of a run (or of a recipe's base model): one contender an entry.
struct Contender {
    std::string name;  // "base", "tuned", ...
    double loss = 0, perplexity = 0;  // perplexity 0: the task has none
    std::int64_t rows = 0, tokens = 0;
    std::vector<std::string> answers;  // to `questions`; of a classifier what it says, in the words of `Report::expected`
    std::map<std::string, double> metrics{};  // beside loss and perplexity, named as figures() of metrics.h does; "chrf"
    std::optional<Classification> classification{};  // at most one of the three
    std::optional<MultiLabel> multi_label{};
    std::optional<Regression> regression{};
};
struct Report {
    std::string split;  // "validation", "test"
    std::int64_t rows = 0;
    std::vector<Contender> contenders;
    // Of a classifier: texts, and the label's name, several joined by ", ", none as "", or the number.
    std::vector<std::string> questions, expected;
    recipe::Task task = recipe::Task::causal_lm;
    std::vector<std::string> labels{};  // the names of classification's classes, in the model's order
};
struct ReportOptions {
    std::string split = "test";      // falls back to validation with a notice when there is no test part
    std::string data;                // another data set to evaluate on; empty: the recipe's
    bool baselines = false;          // base beside tuned
    std::int64_t answers = 0;        // questions answered by each contender
    std::int64_t max_tokens = 96;
    std::int64_t max_rows = 0;       // 0: all
    std::string device = "auto";
    int threads = 0;
};
Report report(const recipe::Recipe& recipe, const std::filesystem::path& adapter, const ReportOptions& options,
              Control& control, const Progress& progress = {});
// {task, split, rows, labels, metrics (of the last contender), contenders, questions, expected}. A contender has
// {name, metrics, classes, confusion_matrix, answers}: metrics flat, "loss" first, numbers that are not finite null;
// classes a list of {name, precision, recall, f1, rows, predicted, right}; the matrix [true class][predicted class].
OrderedJson to_json(const Report& report);
// What the run measured itself while it trained, on its validation rows and without counts of rows and tokens: the base
// model before the first step, and the model as saved. No contenders: it measured nothing. Throws as read_events().
Report training_report(const std::filesystem::path& run_folder);

}  // namespace qlora::evaluate
