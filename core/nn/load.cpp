#include "core/nn/load.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <array>
#include <atomic>
#include <bit>
#include <cstring>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/random.h"
#include "core/memory/meters.h"
#include "core/nn/bitsandbytes.h"
#include "kernels/half.h"

namespace qlora::nn {

using recipe::Precision;
using torch::Tensor;

namespace {

torch::ScalarType scalar_type(formats::DType dtype, const std::string& where, const std::string& name) {
    using formats::DType;
    switch (dtype) {
        case DType::f32: return torch::kFloat32;
        case DType::f16: return torch::kFloat16;
        case DType::bf16: return torch::kBFloat16;
        case DType::f64: return torch::kFloat64;
        default: break;
    }
    throw input_error("tensor.dtype", where,
                      "the tensor \"" + name + "\": expected F32, F16, BF16 or F64, got " + std::string(formats::name(dtype)),
                      "Choose an unquantized model.");
}

bool all_finite(const float* values, std::int64_t count) {
    constexpr std::uint32_t exponent = 0x7F80'0000;
    std::uint32_t broken = 0;
    for (std::int64_t i = 0; i < count; ++i) broken |= static_cast<std::uint32_t>((std::bit_cast<std::uint32_t>(values[i]) & exponent) == exponent);
    return broken == 0;
}

class Loader {
  public:
    Loader(const ModelFiles& files, const LoadPrecision& precision, Control& control, const Progress& progress)
        : files_(files), config_(files.config()), precision_(precision), control_(control), progress_(progress) {
        if (stays_as_stored(bitsandbytes_form(files), precision.precision)) precision_.precision = Precision::native;
    }

    Model load(const HeadWish& wish) {
        memory::TagScope scope(MemoryTag::weights);
        const Family& family = files_.family();
        const ModelConfig& c = config_;
        bare_ = c.head.kind == HeadConfig::Kind::none && wish.task != recipe::Task::classification;
        Model model;
        model.config = c;
        model.embedding = stored_weight(files_.at(family.embedding, {{c.vocabulary, c.hidden}}));
        model.embedding_name = transformers_name(family.embedding.hugging_face.substr(0, family.embedding.hugging_face.rfind('.')));
        if (c.positions > 0) model.positions = parameter(family.positions, {c.positions, c.hidden});
        if (c.token_types > 0) model.token_types = parameter(family.token_types, {c.token_types, c.hidden});
        if (c.embedding_norm) model.embedding_norm = norm(family.embedding_norm, c.hidden, 0);
        // llama.cpp stores Llama 3's scaling as one divisor a frequency.
        if (files_.gguf() != nullptr && !c.ropes.empty() && files_.gguf()->find("rope_freqs.weight") != nullptr)
            model.rope_divisors = to_float(files_.at({"", "rope_freqs.weight"}, {{c.ropes[0].dimensions / 2}}));
        if (c.encoder_decoder()) model.encoder = stack(family.encoder, c.encoder_layers, false);
        model.stack = stack(family.stack, c.layers, c.encoder_decoder());
        head(model, wish);
        model.to(precision_.device);
        files_.check();
        return model;
    }

    Tensor original(const std::string& module) const {
        const auto among = [&](const StackNames& names, std::int64_t layers, bool crosses) -> Tensor {
            for (const LinearPlan& plan : plan_linears(names, config_, crosses))
                for (std::int64_t i = 0; i < layers; ++i) {
                    if (with_block(plan.name.module, i) != module && transformers_name(with_block(plan.name.module, i)) != module) continue;
                    const auto stored = files_.find(weight_of(plan.name), i);
                    const auto* type = stored ? std::get_if<formats::DType>(&stored->type) : nullptr;
                    if (!bitsandbytes_form(files_).empty() || (stored && type == nullptr && kernels::block_elements(std::get<kernels::BlockFormat>(stored->type)) > 1))
                        throw input_error("model.original", files_.path().string(), "expected a model in a float precision, got one that is quantized already",
                                          "LoftQ corrects what quantizing takes, and needs the weights before it.");
                    return linear(plan, i).weight.dequantized();
                }
            return {};
        };
        Tensor found = config_.encoder_decoder() ? among(files_.family().encoder, config_.encoder_layers, false) : Tensor();
        if (!found.defined()) found = among(files_.family().stack, config_.layers, config_.encoder_decoder());
        if (!found.defined()) throw input_error("model.original", module, "this layer lies in no block", "Leave it out of method.target_modules.");
        return found;
    }

  private:
    bool float_precision() const { return recipe::is_float(precision_.precision); }

    [[noreturn]] void not_finite(const std::string& name) const {
        throw input_error("tensor.not_finite", files_.path().string(),
                          "the tensor \"" + name + "\" holds NaN or infinite values", "The file is damaged; download it again.");
    }

    // The stored values as they are, in a tensor of our own.
    Tensor stored_dense(const StoredTensor& stored) const {
        auto type = scalar_type(std::get<formats::DType>(stored.type), files_.path().string(), stored.name);
        Tensor values = torch::empty(stored.shape, type);
        std::memcpy(values.data_ptr(), stored.data.data(), stored.data.size());
        MappedFile::forget(stored.data);
        return type == torch::kFloat64 ? values.to(torch::kFloat32) : values;
    }

    Tensor to_float(const StoredTensor& stored) const {
        Tensor values = torch::empty(stored.shape, torch::kFloat32);
        expand(stored, 0, stored.elements(), values.data_ptr<float>());
        return values;
    }

    // Elements [begin, end) in fp32; of packed ones whole blocks. Throws where one is not finite. The file's pages are given
    // back.
    void expand(const StoredTensor& stored, std::int64_t begin, std::int64_t end, float* out) const {
        constexpr std::int64_t chunk = 4096;
        const auto* format = std::get_if<kernels::BlockFormat>(&stored.type);
        const auto type = format == nullptr ? scalar_type(std::get<formats::DType>(stored.type), files_.path().string(), stored.name)
                                            : torch::kFloat32;
        const std::int64_t elements = format == nullptr ? 1 : kernels::block_elements(*format);
        const std::int64_t bytes = format == nullptr ? static_cast<std::int64_t>(c10::elementSize(type)) : kernels::block_bytes(*format);
        const std::byte* data = stored.data.data();
        std::atomic<bool> finite = true;
        at::parallel_for(begin / elements, end / elements, std::max<std::int64_t>(1, 4 * chunk / elements), [&](std::int64_t from, std::int64_t to) {
            float* target = out + from * elements - begin;
            if (format != nullptr) {
                kernels::dequantize(*format, data + from * bytes, (to - from) * elements, target);
                if (!all_finite(target, (to - from) * elements)) finite = false;
                return;
            }
            std::array<std::uint16_t, chunk> halves;  // safetensors align nothing
            for (std::int64_t i = from; i < to; i += chunk) {
                const std::int64_t count = std::min(chunk, to - i);
                const auto size = static_cast<std::size_t>(count * bytes);
                if (type == torch::kFloat32) {
                    std::memcpy(target + (i - from), data + i * bytes, size);
                } else if (type == torch::kFloat64) {
                    for (std::int64_t k = 0; k < count; ++k) {
                        double value;
                        std::memcpy(&value, data + (i + k) * bytes, sizeof(value));
                        target[i - from + k] = static_cast<float>(value);
                    }
                } else {
                    std::memcpy(halves.data(), data + i * bytes, size);
                    if (type == torch::kFloat16) kernels::f16_to_f32(halves.data(), count, target + (i - from));
                    else kernels::bf16_to_f32(halves.data(), count, target + (i - from));
                }
                if (!all_finite(target + (i - from), count)) finite = false;
            }
        });
        if (!finite) not_finite(stored.name);
        MappedFile::forget(stored.data.subspan(static_cast<std::size_t>(begin / elements * bytes), static_cast<std::size_t>((end - begin) / elements * bytes)));
    }

    // In the wanted precision, row tile by row tile.
    quant::Weight quantized(const StoredTensor& stored, Precision precision) const {
        const std::int64_t cols = stored.shape[1];
        auto read = [&](std::int64_t begin, std::int64_t end, float* out) {
            control_.check();
            expand(stored, begin * cols, end * cols, out);
        };
        return quant::Weight::quantized(stored.shape[0], cols, read, precision, precision_.blocks);
    }

    // A matrix that bitsandbytes quantized; nothing where it is plain.
    std::optional<quant::Weight> prequantized(const TensorName& name, std::int64_t rows, std::int64_t cols, std::int64_t block,
                                              Precision wanted) const {
        auto weight = read_bitsandbytes(files_, name, rows, cols, block);
        if (!weight || wanted == Precision::native) return weight;
        auto read = [&](std::int64_t begin, std::int64_t end, float* out) { weight->expand(begin, end, out); };
        return quant::Weight::quantized(rows, cols, read, wanted, precision_.blocks);
    }

    // Embedding and head.
    quant::Weight stored_weight(const StoredTensor& stored) const {
        return float_precision() ? quantized(stored, precision_.precision) : as_stored(stored);
    }

    quant::Weight as_stored(const StoredTensor& stored) const {
        if (auto* format = std::get_if<kernels::BlockFormat>(&stored.type)) {
            auto weight = quant::Weight::packed(*format, stored.shape[0], stored.shape[1], stored.data.data());
            MappedFile::forget(stored.data);
            return weight;
        }
        return quant::Weight::dense(stored_dense(stored));
    }

    Norm norm(const NormName& name, std::int64_t size, std::int64_t block) const {
        // Checkpoints older than PyTorch's layer norm say gamma and beta.
        auto part = [&](const char* which, const char* old) {
            const TensorName today{name.module + which, name.gguf + which}, then{name.module + old, ""};
            const bool is_old = files_.gguf() == nullptr && !files_.find(today, block) && files_.find(then, block);
            return Parameter{transformers_name(with_block(today.hugging_face, block)), to_float(files_.at(is_old ? then : today, {{size}}, block))};
        };
        const bool bias = config_.norm == ModelConfig::Norm::layer;
        return {part(".weight", ".gamma"), bias ? part(".bias", ".beta") : Parameter()};
    }

    Parameter parameter(const TensorName& name, std::vector<std::int64_t> shape) const {
        return {transformers_name(with_block(name.hugging_face, 0)), to_float(files_.at(name, shape))};
    }

    // llama.cpp stores the rows of q and k with the two halves of each rotary pair side by side; row (head, half, i) of
    // Hugging Face's layout is row (head, i, half) of the file.
    std::vector<std::byte> reordered(const StoredTensor& stored, std::int64_t heads) const {
        const std::int64_t rows = stored.shape[0], half = rows / heads / 2;
        const std::size_t row_bytes = stored.data.size() / static_cast<std::size_t>(rows);
        std::vector<std::byte> out(stored.data.size());
        for (std::int64_t row = 0; row < rows; ++row) {
            const std::int64_t head = row / (2 * half), within = row % (2 * half);
            const std::int64_t source = head * 2 * half + (within % half) * 2 + within / half;
            std::memcpy(out.data() + static_cast<std::size_t>(row) * row_bytes,
                        stored.data.data() + static_cast<std::size_t>(source) * row_bytes, row_bytes);
        }
        return out;
    }

    Linear linear(const LinearPlan& plan, std::int64_t block) const {
        const bool reorder = plan.rotary_heads > 0 && files_.gguf() != nullptr && files_.family().gguf_interleaves_rotary_rows;
        const bool transposed = files_.gguf() == nullptr && files_.family().transposed_linears;
        std::vector<std::byte> rows;
        auto fetch = [&](const TensorName& tensor, std::vector<std::int64_t> shape) {
            StoredTensor stored = files_.at(tensor, shape, block);
            if (reorder) {
                rows = reordered(stored, plan.rotary_heads);
                MappedFile::forget(stored.data);
                stored.data = rows;
            }
            return stored;
        };
        Linear layer;
        layer.name = transformers_name(with_block(plan.name.module, block));
        if (auto packed = prequantized(weight_of(plan.name), plan.out, plan.in, block, precision_.precision)) {
            layer.weight = std::move(*packed);
        } else if (transposed) {
            const StoredTensor stored = fetch(weight_of(plan.name), {plan.in, plan.out});
            const Tensor values = precision_.precision == Precision::native ? stored_dense(stored) : scratch_float(stored);
            layer.weight = quant::Weight::quantized(values.t().contiguous(), precision_.precision, precision_.blocks);
        } else {
            const StoredTensor stored = fetch(weight_of(plan.name), {plan.out, plan.in});
            layer.weight = precision_.precision == Precision::native ? as_stored(stored) : quantized(stored, precision_.precision);
        }
        if (plan.bias) layer.bias = {layer.name + ".bias", to_float(fetch(bias_of(plan.name), {plan.out}))};
        return layer;
    }

    Stack stack(const StackNames& names, std::int64_t layers, bool crosses) {
        const ModelConfig& c = config_;
        Stack stack;
        if (c.norm_first) stack.final_norm = norm(names.final_norm, c.hidden, 0);
        if (c.relative_buckets > 0) stack.relative_bias = parameter(names.relative_bias, {c.relative_buckets, c.heads});
        const auto linears = plan_linears(names, c, crosses);
        for (std::int64_t i = 0; i < layers; ++i) {
            control_.check();
            if (progress_) progress_("Loading the model", static_cast<double>(loaded_++), static_cast<double>(c.layers + c.encoder_layers));
            Block block;
            block.attention_norm = norm(names.attention_norm, c.hidden, i);
            block.mlp_norm = norm(names.mlp_norm, c.hidden, i);
            if (crosses) block.cross_norm = norm(names.cross_norm, c.hidden, i);
            if (c.post_norms) {
                block.attention_post_norm = norm(names.attention_post_norm, c.hidden, i);
                block.mlp_post_norm = norm(names.mlp_post_norm, c.hidden, i);
            }
            if (c.query_key_norm) {
                block.query_norm = norm(names.query_norm, c.head_dim, i);
                block.key_norm = norm(names.key_norm, c.head_dim, i);
            }
            for (const LinearPlan& plan : linears) block.*plan.layer = linear(plan, i);
            block.to(precision_.device);
            stack.blocks.push_back(std::move(block));
        }
        return stack;
    }

    void head(Model& model, const HeadWish& wish) {
        const Family& family = files_.family();
        const ModelConfig& c = config_;
        if (wish.task == recipe::Task::classification) return classifier(model, wish);
        if (wish.task && (!c.causal || (*wish.task == recipe::Task::seq2seq) != c.encoder_decoder())) wrong_task(*wish.task);
        if (c.head.kind == HeadConfig::Kind::classifier && !wish.task) return classifier(model, wish);
        if (!c.causal) {
            // A bare encoder; its pooler is there for adapters.
            if (family.classifier.dense_in_base && files_.find(weight_of(family.classifier.dense)))
                model.head_dense = linear({family.classifier.dense, nullptr, c.hidden, c.hidden, true, 0}, 0);
            return;
        }
        model.config.head.kind = HeadConfig::Kind::language_model;
        model.head = {family.head.module, model.embedding};
        if (c.tied_embeddings) return;
        const TensorName name = weight_of(family.head);
        const auto packed = prequantized(name, c.vocabulary, c.hidden, 0, float_precision() ? precision_.precision : Precision::native);
        model.head.weight = packed ? *packed : stored_weight(files_.at(name, {{c.vocabulary, c.hidden}}));
    }

    [[noreturn]] void wrong_task(recipe::Task task) const {
        const bool encoder = !config_.causal, both = config_.encoder_decoder();
        throw input_error("model.task", files_.path().string(),
                          std::string(config_.family) + " is " + (encoder ? "an encoder" : both ? "an encoder with a decoder" : "a decoder") +
                              ": it cannot do the task " + std::string(recipe::name(task)),
                          encoder ? "Choose the task classification, or a GPT, LLaMA or T5 kind of model."
                          : both  ? "Choose the task seq2seq, or another model."
                                  : "Choose the task causal-lm or classification, or a T5 model.");
    }

    void classifier(Model& model, const HeadWish& wish) {
        const ClassifierNames& names = files_.family().classifier;
        const std::int64_t hidden = config_.hidden;
        if (names.out.module.empty())
            throw input_error("model.task", files_.path().string(), "models of the family " + config_.family + " do not classify yet",
                              "Choose a BERT, GPT or LLaMA kind of model.");
        HeadConfig& head = model.config.head;
        const bool stored = head.kind == HeadConfig::Kind::classifier && (wish.labels.empty() || wish.labels.size() == head.labels.size());
        head.kind = HeadConfig::Kind::classifier;
        if (!wish.labels.empty()) head.labels = wish.labels;
        if (wish.problem != recipe::ProblemType::automatic) head.problem = wish.problem;
        if (head.dense) {
            const LinearPlan plan{names.dense, nullptr, hidden, hidden, true, 0};
            const bool there = files_.find(weight_of(names.dense)).has_value();
            if (there && (names.dense_in_base || stored)) model.head_dense = names.dense_in_base ? linear(plan, 0) : plain_linear(names.dense, hidden, hidden, true);
            else model.head_dense = fresh_linear(model, names.dense.module, hidden, hidden, true, wish.seed);
        }
        model.head = stored ? plain_linear(names.out, hidden, head.size(), head.bias)
                            : fresh_linear(model, names.out.module, hidden, head.size(), head.bias, wish.seed);
    }

    // In fp32, whatever the precision of the base.
    Linear plain_linear(const LinearName& name, std::int64_t in, std::int64_t out, bool bias) const {
        Linear layer;
        layer.name = name.module;
        const auto packed = prequantized(weight_of(name), out, in, 0, Precision::fp32);
        layer.weight = packed ? *packed : quant::Weight::dense(to_float(files_.at(weight_of(name), {{out, in}})));
        if (bias) layer.bias = {layer.name + ".bias", to_float(files_.at(bias_of(name), {{out}}))};
        return layer;
    }

    // As transformers sets what is not in a checkpoint: normally distributed by initializer_range, biases 0.
    Linear fresh_linear(Model& model, const std::string& module, std::int64_t in, std::int64_t out, bool bias, std::uint64_t seed) const {
        model.fresh_modules.push_back(module);
        double deviation = 0.02;
        if (files_.config_json().contains("initializer_range"))
            deviation = JsonObject(files_.config_json(), files_.path().string()).number("initializer_range", 0, 1, deviation);
        RandomStream random(seed, "head/" + module);
        Tensor weight = torch::empty({out, in}, torch::kFloat32);
        for (std::int64_t i = 0; i < weight.numel(); ++i) weight.data_ptr<float>()[i] = static_cast<float>(deviation * random.normal());
        Linear layer;
        layer.name = module;
        layer.weight = quant::Weight::dense(weight);
        if (bias) layer.bias = {layer.name + ".bias", torch::zeros({out}, torch::kFloat32)};
        return layer;
    }

    std::string transformers_name(const std::string& module) const {
        const std::string& prefix = files_.family().prefix;
        return bare_ && module.starts_with(prefix) ? module.substr(prefix.size()) : module;
    }

    // The fp32 values on their way to a packed form; they are the weight itself when that stays dense.
    Tensor scratch_float(const StoredTensor& stored) const {
        memory::TagScope scope(float_precision() ? MemoryTag::weights : MemoryTag::scratch);
        return to_float(stored);
    }

    const ModelFiles& files_;
    const ModelConfig& config_;
    LoadPrecision precision_;
    Control& control_;
    const Progress& progress_;
    bool bare_ = false;        // no head: transformers' names lack the family's prefix
    std::int64_t loaded_ = 0;  // blocks
};

}  // namespace

Model load(const ModelFiles& files, const LoadPrecision& precision, Control& control, const Progress& progress, const HeadWish& wish) {
    torch::NoGradGuard no_grad;
    return Loader(files, precision, control, progress).load(wish);
}

std::function<Tensor(const std::string& module)> original_matrices(const std::filesystem::path& model) {
    struct Originals {
        ModelFiles files;
        Control control{};
        Progress progress{};
        Loader loader{files, {Precision::fp32, {}, torch::kCPU}, control, progress};
        explicit Originals(const std::filesystem::path& path) : files(ModelFiles::open(path)) {}
    };
    return [originals = std::make_shared<Originals>(model)](const std::string& module) { return originals->loader.original(module); };
}

std::shared_ptr<const tokenizer::Tokenizer> load_tokenizer(const ModelFiles& files) {
    auto tokenizer = files.gguf() != nullptr ? tokenizer::Tokenizer::from_gguf(*files.gguf())
                                             : tokenizer::Tokenizer::load(files.path());
    // Some models pad the embedding; the other way round an id would have no row. Added tokens without a row are
    // refused when a text uses them (Model::embed).
    if (tokenizer->vocabulary_size() < 1)
        throw input_error("model.vocabulary", files.path().string(), "the tokenizer has no tokens");
    return tokenizer;
}

}  // namespace qlora::nn
