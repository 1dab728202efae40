#include "core/nn/load.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <cmath>
#include <cstring>

#include "core/base/error.h"
#include "core/memory/meters.h"

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

class Loader {
  public:
    Loader(const ModelFiles& files, const LoadPrecision& precision, Control& control, const Progress& progress)
        : files_(files), config_(files.config()), precision_(precision), control_(control), progress_(progress) {}

    Model load() {
        memory::TagScope scope(MemoryTag::weights);
        const Family& family = files_.family();
        const ModelConfig& c = config_;
        Model model;
        model.config = c;
        model.embedding = stored_weight(files_.at(family.embedding, {{c.vocabulary, c.hidden}}));
        if (c.ropes.empty()) model.positions = to_float(files_.at(family.positions, {{c.context, c.hidden}}));
        // llama.cpp stores Llama 3's scaling as one divisor a frequency.
        if (files_.gguf() != nullptr && !c.ropes.empty() && files_.gguf()->find("rope_freqs.weight") != nullptr)
            model.rope_divisors = to_float(files_.at({"", "rope_freqs.weight"}, {{c.ropes[0].dimensions / 2}}));
        model.final_norm = norm(family.final_norm, c.hidden, 0);
        model.head = {family.head.module, model.embedding, {}, nullptr};
        if (!c.tied_embeddings)
            model.head.weight = stored_weight(files_.at(weight_of(family.head), {{c.vocabulary, c.hidden}}));
        const auto linears = plan_linears(family, c);
        for (std::int64_t i = 0; i < c.layers; ++i) {
            control_.check();
            if (progress_) progress_("Loading the model", static_cast<double>(i), static_cast<double>(c.layers));
            Block block;
            block.attention_norm = norm(family.attention_norm, c.hidden, i);
            block.mlp_norm = norm(family.mlp_norm, c.hidden, i);
            if (c.post_norms) {
                block.attention_post_norm = norm(family.attention_post_norm, c.hidden, i);
                block.mlp_post_norm = norm(family.mlp_post_norm, c.hidden, i);
            }
            if (c.query_key_norm) {
                block.query_norm = norm(family.query_norm, c.head_dim, i);
                block.key_norm = norm(family.key_norm, c.head_dim, i);
            }
            for (const LinearPlan& plan : linears) block.*plan.layer = linear(plan, i);
            model.blocks.push_back(std::move(block));
        }
        files_.check();
        return model;
    }

  private:
    bool float_precision() const {
        return precision_.precision == Precision::fp32 || precision_.precision == Precision::fp16 ||
               precision_.precision == Precision::bf16;
    }

    [[noreturn]] void not_finite(const std::string& name) const {
        throw input_error("tensor.not_finite", files_.path().string(),
                          "the tensor \"" + name + "\" holds NaN or infinite values", "The file is damaged; download it again.");
    }

    // The stored values as they are, in a tensor of our own.
    Tensor stored_dense(const StoredTensor& stored) const {
        auto type = scalar_type(std::get<formats::DType>(stored.type), files_.path().string(), stored.name);
        Tensor values = torch::empty(stored.shape, type);
        std::memcpy(values.data_ptr(), stored.data.data(), stored.data.size());
        return type == torch::kFloat64 ? values.to(torch::kFloat32) : values;
    }

    Tensor to_float(const StoredTensor& stored) const {
        Tensor values;
        if (auto* format = std::get_if<kernels::BlockFormat>(&stored.type)) {
            values = torch::empty(stored.shape, torch::kFloat32);
            const std::int64_t elements = kernels::block_elements(*format), bytes = kernels::block_bytes(*format);
            at::parallel_for(0, stored.elements() / elements, 64, [&](std::int64_t begin, std::int64_t end) {
                kernels::dequantize(*format, stored.data.data() + begin * bytes, (end - begin) * elements,
                                    values.data_ptr<float>() + begin * elements);
            });
        } else {
            values = stored_dense(stored).to(torch::kFloat32);
        }
        if (!std::isfinite(values.sum().item<float>()) && !at::isfinite(values).all().item<bool>()) not_finite(stored.name);
        return values;
    }

    // Embedding and head.
    quant::Weight stored_weight(const StoredTensor& stored) const {
        if (float_precision()) return quant::Weight::quantized(to_float(stored), precision_.precision);
        return as_stored(stored);
    }

    quant::Weight as_stored(const StoredTensor& stored) const {
        if (auto* format = std::get_if<kernels::BlockFormat>(&stored.type))
            return quant::Weight::packed(*format, stored.shape[0], stored.shape[1], stored.data.data());
        return quant::Weight::dense(stored_dense(stored));
    }

    Norm norm(const NormName& name, std::int64_t size, std::int64_t block) const {
        auto part = [&](const char* which) {
            return to_float(files_.at({name.module + which, name.gguf + which}, {{size}}, block));
        };
        const bool bias = config_.norm == ModelConfig::Norm::layer;
        return {part(".weight"), bias ? part(".bias") : Tensor()};
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
                stored.data = rows;
            }
            return stored;
        };
        Linear layer;
        layer.name = with_block(plan.name.module, block);
        StoredTensor stored = fetch(weight_of(plan.name), transposed ? std::vector{plan.in, plan.out} : std::vector{plan.out, plan.in});
        if (precision_.precision == Precision::native) {
            layer.weight = transposed ? quant::Weight::dense(stored_dense(stored).t().contiguous()) : as_stored(stored);
        } else {
            Tensor values = scratch_float(stored);
            layer.weight = quant::Weight::quantized(transposed ? values.t().contiguous() : values, precision_.precision, precision_.blocks);
        }
        if (plan.bias) layer.bias = to_float(fetch(bias_of(plan.name), {plan.out}));
        return layer;
    }

    // The fp32 values on their way to a packed form; they are the weight itself when that stays dense.
    Tensor scratch_float(const StoredTensor& stored) const {
        memory::TagScope scope(float_precision() ? MemoryTag::weights : MemoryTag::scratch);
        return to_float(stored);
    }

    const ModelFiles& files_;
    const ModelConfig& config_;
    const LoadPrecision& precision_;
    Control& control_;
    const Progress& progress_;
};

}  // namespace

Model load(const ModelFiles& files, const LoadPrecision& precision, Control& control, const Progress& progress) {
    torch::NoGradGuard no_grad;
    return Loader(files, precision, control, progress).load();
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
