#include "core/nn/quantization/save_model.h"

#include <torch/torch.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "core/base/error.h"
#include "core/formats/safetensors.h"
#include "core/nn/bitsandbytes.h"
#include "core/nn/load.h"
#include "core/nn/quantization/model_parts.h"
#include "kernels/quantize.h"

namespace qlora::nn {

namespace fs = std::filesystem;
using formats::DType;
using recipe::Precision;
using torch::Tensor;

namespace {

DType dtype_of(torch::ScalarType type) {
    return type == torch::kFloat16 ? DType::f16 : type == torch::kBFloat16 ? DType::bf16 : DType::f32;
}
const char* name_of(torch::ScalarType type) {
    return type == torch::kFloat16 ? "float16" : type == torch::kBFloat16 ? "bfloat16" : "float32";
}

Precision precision_of(const std::string& form) {
    for (const Precision precision : {Precision::nf4, Precision::fp4, Precision::int4, Precision::int3, Precision::int8})
        if (form == recipe::name(precision)) return precision;
    return Precision::native;
}

// Whether bitsandbytes has a place for what is quantized so.
bool in_bitsandbytes(const quant::Weight& weight) {
    const Precision precision = precision_of(weight.form());
    const std::int64_t block = weight.block();
    if (precision == Precision::int8) return true;
    return (precision == Precision::nf4 || precision == Precision::fp4) && block >= 32 && block <= 4096 && (block & (block - 1)) == 0;
}

// The tensors of a file, which this keeps while the file is written.
class Tensors {
  public:
    Tensors(torch::ScalarType rest, bool own_layout) : rest_(rest), own_layout_(own_layout) {}

    void add(const ModelPart& part) {
        if (part.weight == nullptr) return dense(part.name, in_rest(part.values));
        const quant::Weight& weight = *part.weight;
        if (const Tensor& values = weight.dense_values(); values.defined()) return dense(part.name, part.transposed ? values.t() : values);
        std::map<std::string, Tensor> stored;
        for (const auto& [name, tensor] : weight.storage()) stored[name] = tensor;
        const Precision precision = precision_of(weight.form());
        if (precision == Precision::native)
            throw failure("quantize.form", part.name, "the tensor \"" + part.name + "\" is kept as " + weight.form() + ", which has no place in safetensors");
        if (precision == Precision::int8) {
            const std::string module = part.name.substr(0, part.name.size() - std::string("weight").size());
            put(part.name, DType::i8, {weight.rows(), weight.cols()}, stored["weight"]);
            put(module + "SCB", DType::f32, {weight.rows()}, stored["absmax"]);
            put(module + "weight_format", DType::u8, {}, torch::zeros({1}, torch::kUInt8));
            quantized_ = weight;
            return;
        }
        const bool nested = stored.contains("nested_absmax");
        put(part.name, DType::u8, {stored["weight"].numel(), 1}, stored["weight"]);
        put(part.name + ".absmax", nested ? DType::u8 : DType::f32, {stored["absmax"].numel()}, stored["absmax"]);
        put(part.name + ".quant_map", DType::f32, {16}, numbers(kernels::levels(quant::code_of(precision))));
        OrderedJson state{{"quant_type", recipe::name(precision)}, {"blocksize", weight.block()}, {"dtype", "float32"}, {"shape", {weight.rows(), weight.cols()}}};
        if (nested) {
            put(part.name + ".nested_absmax", DType::f32, {stored["nested_absmax"].numel()}, stored["nested_absmax"]);
            put(part.name + ".nested_quant_map", DType::f32, {256}, numbers(kernels::dynamic_map()));
            state.update(OrderedJson{{"nested_blocksize", kernels::nested_block}, {"nested_dtype", "float32"}, {"nested_offset", stored["offset"].item<float>()}});
            nested_ = true;
        }
        const std::string text = state.dump();
        Tensor bytes = torch::empty({static_cast<std::int64_t>(text.size())}, torch::kUInt8);
        std::memcpy(bytes.data_ptr(), text.data(), text.size());
        put(part.name + quantization_state_name(precision, own_layout_), DType::u8, {bytes.numel()}, bytes);
        quantized_ = weight;
    }
    void copy(const StoredTensor& stored) { views_.push_back({stored.name, std::get<DType>(stored.type), stored.shape, stored.data}); }
    void write(const fs::path& file) const { formats::write_safetensors(file, views_, {{"format", "pt"}}); }

    // What config.json says of it; null where all is dense.
    Json quantization_config() const {
        if (!quantized_.defined()) return nullptr;
        const Precision precision = precision_of(quantized_.form());
        if (own_layout_)
            return {{"quant_method", own_quantization}, {"precision", recipe::name(precision)}, {"double_quantization", nested_}};
        const bool eight = precision == Precision::int8;
        return {{"quant_method", "bitsandbytes"}, {"load_in_8bit", eight}, {"load_in_4bit", !eight}, {"_load_in_8bit", eight}, {"_load_in_4bit", !eight},
                {"bnb_4bit_quant_type", eight ? "fp4" : std::string(recipe::name(precision))}, {"bnb_4bit_use_double_quant", nested_},
                {"bnb_4bit_compute_dtype", name_of(rest_)}, {"bnb_4bit_quant_storage", "uint8"}, {"llm_int8_enable_fp32_cpu_offload", false},
                {"llm_int8_has_fp16_weight", false}, {"llm_int8_skip_modules", nullptr}, {"llm_int8_threshold", 6.0}};
    }

  private:
    // fp32 in the type of what stays dense, where that loses nothing.
    Tensor in_rest(const Tensor& values) const {
        const Tensor small = values.to(rest_);
        return torch::equal(small.to(torch::kFloat32), values) ? small : values;
    }
    static Tensor numbers(std::span<const float> values) { return torch::tensor(c10::ArrayRef<float>(values.data(), values.size()), torch::kFloat32); }

    void dense(const std::string& name, const Tensor& values) { put(name, dtype_of(values.scalar_type()), values.sizes().vec(), values); }
    void put(const std::string& name, DType dtype, std::vector<std::int64_t> shape, const Tensor& tensor) {
        kept_.push_back(tensor.contiguous());
        views_.push_back({name, dtype, std::move(shape), {static_cast<const std::byte*>(kept_.back().const_data_ptr()), kept_.back().nbytes()}});
    }

    torch::ScalarType rest_;
    bool own_layout_;
    quant::Weight quantized_;  // one of them
    bool nested_ = false;
    std::vector<Tensor> kept_;
    std::vector<formats::TensorView> views_;
};

// Beside config.json and the tokenizer's files; no code and no weights.
constexpr const char* files_to_copy[] = {"generation_config.json", "chat_template.jinja", "LICENSE", "README.md"};

[[noreturn]] void differs(const fs::path& folder, const std::string& name) {
    throw failure("quantize.readback", folder.string(), "the tensor \"" + name + "\", read back, is not the one that was written", "The disk or its memory may be failing; try another folder.");
}

void compare(const fs::path& folder, const ModelFiles& source, const Model& model, Control& control) {
    const ModelFiles files = ModelFiles::open(folder);
    const Model again = load(files, {Precision::native, {}}, control);
    const auto wanted = model_parts(source, model), got = model_parts(files, again);
    if (wanted.size() != got.size()) differs(folder, got.size() < wanted.size() ? wanted[got.size()].name : got[wanted.size()].name);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        if (wanted[i].name != got[i].name) differs(folder, wanted[i].name);
        if (wanted[i].weight == nullptr) {
            if (!torch::equal(wanted[i].values, got[i].values)) differs(folder, wanted[i].name);
            continue;
        }
        const auto ours = wanted[i].weight->storage(), theirs = got[i].weight->storage();
        bool same = ours.size() == theirs.size() && wanted[i].weight->form() == got[i].weight->form();
        for (std::size_t k = 0; same && k < ours.size(); ++k)
            same = ours[k].second.numel() == theirs[k].second.numel() && torch::equal(ours[k].second.view({-1}), theirs[k].second.view({-1}));
        if (!same) differs(folder, wanted[i].name);
    }
}

}  // namespace

void save_model(const ModelFiles& source, const Model& model, const tokenizer::Tokenizer& tokenizer, const fs::path& folder, Control& control) {
    torch::NoGradGuard no_grad;
    const bool gguf = source.gguf() != nullptr;
    Json config = gguf ? config_json_of(source, model, tokenizer) : source.config_json();
    const torch::ScalarType rest = model.embedding.dense_values().defined() ? model.embedding.dense_values().scalar_type() : torch::kFloat32;
    const auto parts = model_parts(source, model);
    // One layout for all: bitsandbytes would not find its way among the others.
    const bool own_layout = std::ranges::any_of(parts, [](const ModelPart& part) {
        return part.weight != nullptr && part.weight->block() > 0 && !in_bitsandbytes(*part.weight);
    });
    Tensors tensors(rest, own_layout);
    std::set<std::string> written;
    for (const ModelPart& part : parts) {
        control.check();
        tensors.add(part);
        written.insert(part.name);
    }
    const bool own_head = written.contains(source.family().head.module + ".weight");
    for (const StoredTensor& stored : gguf ? std::vector<StoredTensor>{} : source.all()) {
        const auto module = module_of_bitsandbytes_part(stored.name);
        const bool tied_copy = !own_head && model.config.head_is_embedding() && stored.name == source.family().head.module + ".weight";
        if (!written.contains(stored.name) && !tied_copy && !(module && written.contains(*module + ".weight"))) tensors.copy(stored);
    }
    config.erase("quantization_config");
    config.erase("torch_dtype");
    if (const Json quantization = tensors.quantization_config(); !quantization.is_null()) config["quantization_config"] = quantization;
    config["dtype"] = name_of(rest);
    if (own_head && model.config.tied_embeddings) config["tie_word_embeddings"] = false;
    tensors.write(folder / "model.safetensors");
    write_atomically(folder / "config.json", config.dump(2) + "\n");
    for (const auto& [name, content] : tokenizer.files()) write_atomically(folder / name, content);
    for (const char* name : files_to_copy)
        if (!gguf && fs::is_regular_file(source.path() / name) && !fs::exists(folder / name)) write_atomically(folder / name, read_file(source.path() / name));
    compare(folder, source, model, control);
}

}  // namespace qlora::nn
