#include "core/plan/memory_model.h"

#include <algorithm>

#include "core/adapters/freeze.h"
#include "core/adapters/targets.h"
#include "core/base/error.h"
#include "core/nn/bitsandbytes.h"
#include "core/nn/functions/head.h"

namespace qlora::plan {

using recipe::Precision;

namespace {

constexpr double fp32_bytes = 4;

double linear_parameters(const nn::ModelInfo& model) {
    double total = 0;
    for (const auto& linear : model.linears) total += static_cast<double>(linear.in) * static_cast<double>(linear.out);
    return total;
}

// Elements that share a scale: of blocks that are rows, as many as the model's rows have on average.
double block_elements(const recipe::Recipe& recipe, const nn::ModelInfo& model) {
    if (recipe.quantization_block > 0) return static_cast<double>(recipe.quantization_block);
    double rows = 0;
    for (const auto& linear : model.linears) rows += static_cast<double>(linear.out);
    return std::max(1.0, linear_parameters(model) / std::max(1.0, rows));
}

double bits_a_weight(const recipe::Recipe& recipe, const nn::ModelInfo& model, double stored_bits) {
    // A scale a block; doubly quantized, a byte a block and four bytes per 256 of those.
    const double block = block_elements(recipe, model);
    switch (recipe.precision) {
        case Precision::fp32: return 32;
        case Precision::fp16:
        case Precision::bf16: return 16;
        case Precision::int8: return 8;
        case Precision::nf4:
        case Precision::fp4:
        case Precision::int4:
        case Precision::int3: return 4 + (recipe.double_quantization ? 8 + 32.0 / 256 : 32) / block;
        case Precision::native: break;
    }
    return stored_bits;
}

std::vector<std::string> targets_of(const recipe::Recipe& recipe, const nn::ModelInfo& model) {
    std::vector<std::string> names;
    for (const auto& linear : model.linears) names.push_back(linear.name);
    try {
        return adapters::select_targets(names, recipe.method.target_modules);
    } catch (const Error&) {
        return {};  // validation says so; the plan shows no adapters
    }
}

}  // namespace

double weight_bytes(const recipe::Recipe& recipe, const nn::ModelInfo& model) {
    const double linears = linear_parameters(model);
    const double stored_bits = 8.0 * static_cast<double>(model.file_bytes) /
                               std::max<double>(1, static_cast<double>(model.parameters));
    const double rest = std::max(0.0, static_cast<double>(model.parameters) - linears);
    const bool as_stored = nn::stays_as_stored(model.quantization, recipe.precision);
    const bool as_float = recipe::is_float(recipe.precision);
    const double rest_bits = as_float ? bits_a_weight(recipe, model, stored_bits) : model.rest_bits > 0 ? model.rest_bits : stored_bits;
    const double linear_bits = as_stored && model.linear_bits > 0 ? model.linear_bits : bits_a_weight(recipe, model, stored_bits);
    return (linears * linear_bits + rest * rest_bits) / 8;
}

namespace {

using recipe::MethodKind;

// Rows and columns of everything that is trained, a vector being one row: what Adafactor keeps a number for each of.
struct Trained {
    std::int64_t parameters = 0, edges = 0;
    void add(std::int64_t rows, std::int64_t cols, std::int64_t times = 1) {
        parameters += times * rows * cols;
        edges += times * (rows > 1 && cols > 1 ? rows + cols : rows * cols);
    }
};

void add_lora(const recipe::Recipe& recipe, const nn::ModelInfo& model, Trained& trained) {
    const auto targets = targets_of(recipe, model);
    const std::int64_t rank = recipe.method.rank;
    for (const auto& linear : model.linears) {
        if (std::find(targets.begin(), targets.end(), linear.name) == targets.end()) continue;
        trained.add(rank, linear.in);
        trained.add(linear.out, rank);
        if (recipe.method.dora) trained.add(1, linear.out);
    }
}

void add_full(const recipe::Recipe& recipe, const nn::ModelInfo& model, Trained& trained) {
    const auto trains = [&](const std::string& module) { return !adapters::is_frozen(module + ".weight", model.embedding, recipe.method.freeze); };
    std::int64_t known = 0;
    const auto add = [&](const std::string& module, std::int64_t rows, std::int64_t cols) {
        known += rows * cols;
        if (trains(module)) trained.add(rows, cols);
    };
    for (const auto& linear : model.linears) add(linear.name, linear.out, linear.in);
    add(model.embedding, model.vocabulary, model.hidden);
    if (!model.tied_embeddings && known + model.vocabulary * model.hidden <= model.parameters) add("lm_head", model.vocabulary, model.hidden);
    trained.add(1, std::max<std::int64_t>(0, model.parameters - known));  // norms, biases, positions
}

Trained trained_by(const recipe::Recipe& recipe, const nn::ModelInfo& model) {
    Trained trained;
    const recipe::Method& method = recipe.method;
    const std::int64_t hidden = model.hidden, width = std::max<std::int64_t>(1, hidden / method.reduction_factor);
    switch (method.kind) {
        case MethodKind::lora: add_lora(recipe, model, trained); break;
        case MethodKind::full: add_full(recipe, model, trained); break;
        case MethodKind::bitfit: trained.add(1, model.biases); break;
        case MethodKind::prompt_tuning: trained.add(method.virtual_tokens, hidden); break;
        case MethodKind::prefix_tuning: trained.add(method.virtual_tokens, model.layers * 2 * model.kv_heads * model.head_dim); break;
        case MethodKind::adapter: {
            const std::int64_t layers = (model.layers + model.encoder_layers) * (method.placement == recipe::Placement::houlsby ? 2 : 1);
            trained.add(width, hidden, layers);
            trained.add(hidden, width, layers);
            trained.add(1, hidden + width, layers);
        }
    }
    return trained;
}

// What an optimizer keeps for every parameter: two moments in fp32, or a byte each with a scale for every 256; one; or, by Adafactor,
// a number for each row and column.
double optimizer_bytes(const recipe::Recipe& recipe, const Trained& trained) {
    const auto parameters = static_cast<double>(trained.parameters);
    switch (recipe.train.optimizer) {
        case recipe::Optimizer::adamw: return 2 * parameters * fp32_bytes;
        case recipe::Optimizer::adamw_8bit: return 2 * parameters * (1 + fp32_bytes / 256.0);
        case recipe::Optimizer::sgd:
        case recipe::Optimizer::lion: return parameters * fp32_bytes;
        case recipe::Optimizer::adafactor: break;
    }
    return static_cast<double>(trained.edges) * fp32_bytes;
}

}  // namespace

std::int64_t adapter_parameters(const recipe::Recipe& recipe, const nn::ModelInfo& model) { return trained_by(recipe, model).parameters; }

MemoryBytes step_bytes(const recipe::Recipe& recipe, const nn::ModelInfo& model, const StepShape& shape) {
    MemoryBytes bytes;
    const Trained trained = trained_by(recipe, model);
    const double adapters = static_cast<double>(trained.parameters) * fp32_bytes;
    bytes[MemoryTag::weights] = static_cast<std::int64_t>(weight_bytes(recipe, model));
    bytes[MemoryTag::adapters] = static_cast<std::int64_t>(adapters);
    bytes[MemoryTag::gradients] = static_cast<std::int64_t>(adapters);
    bytes[MemoryTag::optimizer] = static_cast<std::int64_t>(optimizer_bytes(recipe, trained));

    // Kept for backward, a token and block: what both norms read, q, k (turned), v and attention's output, gate and up, and a
    // rank-wide vector for each target; norms and activations are made again. Of attention a logarithm for each head, in fp32.
    const auto hidden = static_cast<double>(model.hidden), mlp = static_cast<double>(model.intermediate),
               heads = static_cast<double>(model.heads * model.head_dim), kv = static_cast<double>(model.kv_heads * model.head_dim);
    const double between = recipe.method.kind == MethodKind::lora ? 7 * static_cast<double>(recipe.method.rank) : 0;
    const double block = shape.kept_bytes * (2 * hidden + 2 * heads + 2 * kv + 2 * mlp + between) +
                         fp32_bytes * static_cast<double>(model.heads);
    const auto layers = static_cast<double>(model.layers + model.encoder_layers);
    const double kept = recipe.train.gradient_checkpointing ? layers * hidden * fp32_bytes + block : layers * block;
    // The head's chunk of logits, and what the last block's backward has in flight, are never there together.
    const auto vocabulary = static_cast<double>(model.vocabulary);
    const auto head = nn::head_chunk(std::max<std::int64_t>(1, model.vocabulary), shape.logits_in_bf16 ? nn::LogitsIn::bf16 : nn::LogitsIn::fp32);
    const double chunk = std::min(shape.trained_tokens, static_cast<double>(head.most_rows));
    const double logits = chunk * vocabulary * static_cast<double>(head.number_bytes), in_flight = (6 * mlp + 3 * hidden) * fp32_bytes * shape.tokens;
    bytes[MemoryTag::activations] = static_cast<std::int64_t>(kept * shape.tokens + std::max(0.0, in_flight - logits) +
                                                              3 * hidden * shape.trained_tokens * fp32_bytes);
    // An embedding that is trained gets its gradient in a tensor of its size, and as a head once more.
    const bool embeds = recipe.method.kind == MethodKind::full && !adapters::is_frozen(model.embedding + ".weight", model.embedding, recipe.method.freeze);
    // And the kernels' workspaces.
    bytes[MemoryTag::scratch] = static_cast<std::int64_t>(logits + (embeds ? 2 * vocabulary * hidden * fp32_bytes : 0) + 4.0 * 1048576);
    return bytes;
}

double step_flops(const recipe::Recipe& recipe, const nn::ModelInfo& model, const StepShape& shape) {
    const double base = linear_parameters(model), trained = static_cast<double>(adapter_parameters(recipe, model));
    // What is trained of the base itself is multiplied with anyway.
    const bool whole = recipe.method.kind == MethodKind::full, tokens = recipe.method.kind == MethodKind::prompt_tuning || recipe.method.kind == MethodKind::prefix_tuning;
    const double adapters = whole ? std::min(trained, base) / 3 : tokens ? 0 : trained;
    const double head = static_cast<double>(model.vocabulary) * static_cast<double>(model.hidden);
    // Forward and the gradient of the input: 2 + 2 a weight and token; adapters need the weight's gradient as well.
    double flops = 4 * base * shape.tokens + 6 * adapters * shape.tokens + 4 * head * shape.trained_tokens;
    if (recipe.train.gradient_checkpointing) flops += 2 * (base + adapters) * shape.tokens;
    // Causal attention: half of the scores, two products forward, five backward.
    const auto width = static_cast<double>(model.heads * model.head_dim * (model.layers + model.encoder_layers));
    return flops + 7 * width * shape.tokens * shape.longest;
}

}  // namespace qlora::plan
