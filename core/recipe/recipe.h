#pragma once
// The one description of a run: used by the window, the CLI, checkpoints, the run store, lessons and sweeps.
// A plain value; every field is described once, in fields.h.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/json.h"

namespace qlora::recipe {

// How the frozen base weights are kept. `native` keeps a GGUF file's blocks packed as they lie in the file
// (for a safetensors model: its stored type).
enum class Precision { fp32, fp16, bf16, int8, nf4, fp4, int4, native, int3 };
enum class Task { causal_lm, classification, seq2seq };
// What a label says: one class of many, any number of labels, or numbers. `automatic`: by the label column.
enum class ProblemType { automatic, single_label, multi_label, regression };
// What is trained: adapters beside the base, all of the base, its biases, or virtual tokens in front of it.
enum class MethodKind { lora, full, adapter, prompt_tuning, prefix_tuning, bitfit };
// How LoRA begins: unchanged; with the base's principal parts; with what quantizing took.
enum class Start { unchanged, pissa, loftq };
enum class Placement { pfeiffer, houlsby };  // of bottleneck adapters: behind the MLP; behind attention too
enum class Schedule { linear, cosine, constant, cosine_with_restarts, inverse_sqrt, polynomial };
enum class Optimizer { adamw, adamw_8bit, sgd, adafactor, lion };

struct Columns {  // empty members are guessed from the table
    std::string text, prompt, completion, messages, system, label;
    bool operator==(const Columns&) const = default;
};

struct Augment {  // of training rows: see core/data/augment.h
    std::int64_t copies = 0;                               // variants a row; 0: none
    double synonyms = 0.1, swap = 0.1, deletion = 0.1;     // parts of the words of a variant; each takes one of these
    double mask = 0;                                       // part of the tokens that are read
    bool balance = false;                                  // classification: rare classes get more variants
    std::int64_t paraphrases = 0;                          // texts in other words a row, at most; 0: none
    std::string paraphraser;                               // the model that writes them; empty: the recipe's own
    double similarity = 0.7;                               // least similarity of a paraphrase to its text
    bool operator==(const Augment&) const = default;
    bool active() const { return copies > 0 || balance || paraphrases > 0; }
};

struct Data {
    std::string train, validation, test;  // paths or catalogue ids; empty validation/test are split off train
    Columns columns;
    std::string system_prompt;
    std::int64_t max_length = 512;  // tokens a row
    bool packing = false;           // fill sequences of max_length tokens with as many rows as fit
    bool answer_only = true;        // loss on answers only
    bool skip_bad_rows = false;
    double validation_fraction = 0.1, test_fraction = 0.0;
    ProblemType problem_type = ProblemType::automatic;  // classification only
    Augment augment;
    bool operator==(const Data&) const = default;
};

struct Method {
    MethodKind kind = MethodKind::lora;
    std::int64_t rank = 16;
    double alpha = 32, dropout = 0;
    std::vector<std::string> target_modules{"all-linear"};  // as in PEFT: names, suffixes, or all-linear
    bool rslora = false;  // scale alpha / sqrt(rank) instead of alpha / rank
    bool dora = false;    // weight-decomposed (DoRA): the length of each output's weights is trained too
    double lora_plus_ratio = 1;  // LoRA+: B's learning rate over A's
    Start start = Start::unchanged;
    std::vector<std::string> freeze;         // full: what stays as it is (core/adapters/freeze.h)
    Placement placement = Placement::pfeiffer;
    std::int64_t reduction_factor = 16;      // of bottleneck adapters: hidden size over their width
    bool parallel = false;                   // of bottleneck adapters: beside a part of a block rather than behind it
    std::int64_t virtual_tokens = 20;        // of prompt and prefix tuning
    std::string prompt_text;                 // what virtual tokens begin as; empty: random tokens
    std::string adapter;  // a folder to go on from; empty: fresh
    bool operator==(const Method&) const = default;
};

struct Train {
    double epochs = 3;
    std::int64_t max_steps = 0;                   // optimizer steps; 0: by epochs
    std::int64_t batch_size = 8, accumulate = 1;  // rows a micro-batch, micro-batches an optimizer step
    double learning_rate = 2e-4;
    Schedule schedule = Schedule::linear;
    std::int64_t schedule_cycles = 1;  // of cosine_with_restarts
    double schedule_power = 1;         // of polynomial
    Optimizer optimizer = Optimizer::adamw;
    double warmup = 0.03;  // below 1: fraction of all steps; from 1: steps
    double momentum = 0.9;  // of sgd
    double weight_decay = 0, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
    double max_grad_norm = 1;  // 0: no clipping
    double label_smoothing = 0;  // the part of each target's probability spread over all classes
    double neftune_alpha = 0;    // of the noise on embeddings; 0: none
    std::uint64_t seed = 42;
    std::int64_t checkpoint_every = 50,
                 keep_checkpoints = 2;  // optimizer steps (0: only at the end); newest kept
    bool gradient_checkpointing = false;
    std::string activations = "auto";  // kept for backward in: auto (as products are computed), fp32, bf16
    bool base_dropout = false;  // inside the base too, as its config.json has it
    bool operator==(const Train&) const = default;
};

struct QuantizationAware {  // training that computes with quantized weights, as they are to be exported
    std::string precision = "none";  // none, int8, int4, int3, nf4
    std::int64_t block = 64;         // elements that share a scale; 0: a row (an output channel)
    double warmup = 0.1;             // the part of the steps before it begins
    bool operator==(const QuantizationAware&) const = default;
    bool active() const { return precision != "none"; }
};

struct EarlyStopping {
    std::int64_t patience = 0;  // evaluations without improvement; 0: off
    double min_delta = 0;
    bool restore_best = true;
    bool operator==(const EarlyStopping&) const = default;
};

struct Evaluate {
    std::int64_t every = 25;       // optimizer steps; 0: at the end of each epoch
    std::int64_t max_rows = 200;   // validation rows used; 0: all
    std::int64_t samples = 1;      // validation questions answered at each evaluation
    std::int64_t max_tokens = 64;  // length of those answers
    bool operator==(const Evaluate&) const = default;
};

struct Recipe {
    std::string name;   // for people; empty: made from model, data and method
    std::string model;  // folder, .gguf file or catalogue name
    Precision precision = Precision::nf4;
    bool double_quantization = true;  // 4-bit only: absmax in 8 bit
    std::int64_t quantization_block = 64;  // elements; 0: a row
    std::string compute = "auto";  // auto, fp32, bf16, fp16
    Task task = Task::causal_lm;
    Data data;
    Method method;
    Train train;
    QuantizationAware qat;
    EarlyStopping early_stopping;
    Evaluate evaluate;
    std::string output;  // run folder; empty: a new folder in the program's home
    bool operator==(const Recipe&) const = default;
};

struct Problem {
    std::string field, expected, got, hint;  // field: dotted key, e.g. "train.learning_rate"
};

// Reads a recipe, accepting the names of PEFT and transformers too (r, lora_alpha,
// per_device_train_batch_size, ...). Unknown keys, wrong types and values out of range are all collected in
// `problems`; nothing is thrown for them. Relative paths (model, data, adapter, output) that exist or look
// like paths are resolved against `folder`, unless that is empty.
Recipe from_json(const Json& json, const std::filesystem::path& folder, std::vector<Problem>& problems);
// Reads a file; throws input_error "recipe.invalid" whose message lists every problem (validate's too), one a
// line.
Recipe load(const std::filesystem::path& path);
// All keys, in the order of the table; from_json(to_json(r)) == r.
OrderedJson to_json(const Recipe& recipe);
// Problems of a recipe as a whole (ranges, contradictions, missing model, data or output), all at once. Does
// not touch files.
std::vector<Problem> validate(const Recipe& recipe);
[[noreturn]] void throw_problems(const std::string& where, const std::vector<Problem>& problems);
// Sets one field from "key=value" as the CLI's --set gives it (numbers with a point in every locale; lists
// separated by commas; relative paths are relative to the current folder); throws input_error "recipe.set".
void set(Recipe& recipe, const std::string& assignment);

// The recipe's name, or one made from model, data and method: "smollm2-135m on banking-support, nf4 LoRA r
// 16".
std::string title(const Recipe& recipe);
std::string method_title(const Method& method);  // "LoRA r 16", "full fine-tuning", "prompt tuning, 20 tokens"
// The keys of the fields in which two recipes differ, in the order of the table.
std::vector<std::string> differences(const Recipe& a, const Recipe& b);

std::string_view name(Precision precision);
bool is_float(Precision precision);  // fp32, fp16 or bf16
bool is_four_bit(Precision precision);  // of 16 levels in blocks: nf4, fp4, int4, int3
std::string_view name(Schedule schedule);
std::string_view name(Optimizer optimizer);
std::string_view name(MethodKind kind);
std::string_view name(Start start);
std::string_view name(Placement placement);
std::string_view name(Task task);
std::string_view name(ProblemType type);

}  // namespace qlora::recipe
