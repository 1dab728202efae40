#include "core/nn/bitsandbytes.h"

#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>

#include "core/base/error.h"
#include "kernels/quantize.h"

namespace qlora::nn {

using recipe::Precision;
using torch::Tensor;

namespace {

constexpr std::int64_t largest_dimension = std::int64_t{1} << 31;
const std::string form_prefix = "bitsandbytes ", own_form_prefix = std::string(own_quantization) + " ";
constexpr const char* state_name = ".quant_state.";
constexpr const char* damaged = "The file is damaged or half converted; save the model again.";

// A tensor beside a weight: its name is the weight's with `suffix` in place of its last `dropped` characters.
TensorName beside(const TensorName& weight, const std::string& suffix, std::size_t dropped = 0) {
    return {weight.hugging_face.substr(0, weight.hugging_face.size() - dropped) + suffix, ""};
}
TensorName scales_of_int8(const TensorName& weight) { return beside(weight, "SCB", std::strlen("weight")); }

bool is_dtype(const StoredTensor& tensor, formats::DType dtype) { return tensor.type == std::variant<formats::DType, kernels::BlockFormat>(dtype); }

[[noreturn]] void refuse(const ModelFiles& files, const std::string& tensor, const std::string& what, const char* hint = damaged) {
    throw input_error("bitsandbytes.layer", files.path().string(), "the tensor \"" + tensor + "\": " + what, hint);
}

StoredTensor part(const ModelFiles& files, const TensorName& name, std::int64_t block, formats::DType dtype, std::int64_t elements) {
    auto tensor = files.find(name, block);
    if (!tensor) refuse(files, with_block(name.hugging_face, block), "is missing beside a quantized weight");
    if (!is_dtype(*tensor, dtype)) refuse(files, tensor->name, "expected " + std::string(formats::name(dtype)) + ", got " + tensor->type_name());
    if (tensor->elements() != elements)
        refuse(files, tensor->name, "expected " + std::to_string(elements) + " elements, got " + std::to_string(tensor->elements()));
    return *tensor;
}

Tensor copied(const StoredTensor& stored, torch::ScalarType type) {
    Tensor values = torch::empty({stored.elements()}, type);
    std::memcpy(values.data_ptr(), stored.data.data(), stored.data.size());
    return values;
}

void expect_levels(const ModelFiles& files, const TensorName& name, std::int64_t block, std::span<const float> levels) {
    const StoredTensor map = part(files, name, block, formats::DType::f32, static_cast<std::int64_t>(levels.size()));
    for (std::size_t i = 0; i < levels.size(); ++i) {
        float value;
        std::memcpy(&value, map.data.data() + i * sizeof(float), sizeof(float));
        if (!(std::abs(value - levels[i]) <= 1e-6f))
            refuse(files, map.name, "expected bitsandbytes' own levels, got " + std::to_string(value) + " for the code " + std::to_string(i),
                   "Levels of its own making are not supported: choose the unquantized model.");
    }
}

BitsAndBytesLayer read_state(const ModelFiles& files, const StoredTensor& state, Precision precision, bool own_layout) {
    const std::string where = files.path().string() + ", tensor \"" + state.name + "\"";
    if (!is_dtype(state, formats::DType::u8)) refuse(files, state.name, "expected U8, got " + state.type_name());
    const Json json = parse_json({reinterpret_cast<const char*>(state.data.data()), state.data.size()}, where, {.bytes = 65536, .depth = 4});
    const JsonObject object(json, where);
    BitsAndBytesLayer layer{.precision = precision, .rows = 0, .cols = 0, .block = object.integer("blocksize", 1, largest_dimension), .own_layout = own_layout};
    if (const auto kind = object.string("quant_type"); kind != recipe::name(precision)) object.fail("quant_type", std::string(recipe::name(precision)));
    const Json& shape = object.value("shape");
    auto dimension = [&](std::size_t i) {
        const bool fits = shape.is_array() && shape.size() == 2 && shape[i].is_number_integer() && shape[i] >= 1 && shape[i] <= largest_dimension;
        if (!fits) object.fail("shape", "two numbers from 1 to 2147483648");
        return shape[i].get<std::int64_t>();
    };
    layer.rows = dimension(0);
    layer.cols = dimension(1);
    const bool usual = layer.block >= 32 && layer.block <= 4096 && (layer.block & (layer.block - 1)) == 0;
    if (!usual && !(own_layout && layer.block == layer.cols))
        object.fail("blocksize", own_layout ? "a power of two from 32 to 4096, or the length of a row" : "a power of two from 32 to 4096");
    layer.double_quantization = object.has("nested_blocksize");
    if (layer.double_quantization) {
        if (object.integer("nested_blocksize", 1, 1 << 20) != kernels::nested_block)
            object.fail("nested_blocksize", std::to_string(kernels::nested_block));
        const double limit = std::numeric_limits<float>::max();
        layer.offset = static_cast<float>(object.number("nested_offset", -limit, limit));
    }
    return layer;
}

void expect_row_order(const ModelFiles& files, const TensorName& weight, std::int64_t block) {
    const auto format = files.find(beside(weight, "weight_format", std::strlen("weight")), block);
    if (format && (!is_dtype(*format, formats::DType::u8) || format->elements() != 1 || format->data[0] != std::byte{0}))
        refuse(files, format->name, "expected 0, the order by rows, got another",
               "Load the model with a current bitsandbytes and save it again.");
}

}  // namespace

std::string quantization_state_name(Precision precision, bool own_layout) {
    return state_name + std::string(own_layout ? "qlora__" : "bitsandbytes__") + std::string(recipe::name(precision));
}

void expect_bitsandbytes(const JsonObject& config) {
    if (!config.has("quantization_config")) return;
    const JsonObject object(config.value("quantization_config"), config.where() + ", quantization_config");
    // Older files name no method.
    const bool unnamed = object.boolean("load_in_4bit", false) || object.boolean("load_in_8bit", false);
    const std::string method = unnamed ? object.string("quant_method", "bitsandbytes") : object.string("quant_method");
    if (method == "bitsandbytes" || method == own_quantization) return;
    throw input_error("model.quantization", config.where(),
                      "the field \"quantization_config.quant_method\": expected bitsandbytes, got \"" + method +
                          "\"; the weights of this checkpoint are packed in a way that is not read",
                      "Choose the unquantized model (it is quantized while it loads), its bitsandbytes version, or a GGUF file.");
}

std::optional<BitsAndBytesLayer> bitsandbytes_layer(const ModelFiles& files, const TensorName& name, std::int64_t block) {
    if (files.gguf() != nullptr) return {};
    for (const bool own : {false, true})
        for (const Precision precision : {Precision::nf4, Precision::fp4, Precision::int4, Precision::int3})
            if (const auto state = files.find(beside(name, quantization_state_name(precision, own)), block))
                return read_state(files, *state, precision, own);
    const auto weight = files.find(name, block);
    if (!weight) return {};
    if (files.find(scales_of_int8(name), block)) {
        if (!is_dtype(*weight, formats::DType::i8) || weight->shape.size() != 2)
            refuse(files, weight->name, "expected a matrix of I8 beside SCB, got " + weight->type_name() + " " + formats::describe(weight->shape));
        expect_row_order(files, name, block);
        return BitsAndBytesLayer{Precision::int8, weight->shape[0], weight->shape[1], weight->shape[1]};
    }
    if (is_dtype(*weight, formats::DType::u8)) refuse(files, weight->name, "is packed, but its quant_state is missing");
    if (is_dtype(*weight, formats::DType::i8)) refuse(files, weight->name, "is packed, but its scales (SCB) are missing");
    return {};
}

std::optional<quant::Weight> read_bitsandbytes(const ModelFiles& files, const TensorName& name, std::int64_t rows, std::int64_t cols,
                                               std::int64_t block) {
    using formats::DType;
    const auto layer = bitsandbytes_layer(files, name, block);
    if (!layer) return {};
    const auto weight = files.find(name, block);
    if (!weight) refuse(files, with_block(name.hugging_face, block), "is missing");
    if (layer->rows != rows || layer->cols != cols)
        throw input_error("tensor.shape", files.path().string(),
                          "the tensor \"" + weight->name + "\": expected the shape " + formats::describe(std::vector{rows, cols}) +
                              ", got " + formats::describe(std::vector{layer->rows, layer->cols}) + " (packed)",
                          "The weights do not fit the configuration beside them.");
    quant::Prequantized parts{layer->precision, rows, cols, layer->block, weight->data};
    const std::int64_t blocks = kernels::block_count(rows * cols, layer->block);
    if (layer->precision == Precision::int8) {
        parts.absmax = copied(part(files, scales_of_int8(name), block, DType::f32, blocks), torch::kFloat32);
    } else {
        expect_levels(files, beside(name, ".quant_map"), block,
                      kernels::levels(quant::code_of(layer->precision)));
        const DType type = layer->double_quantization ? DType::u8 : DType::f32;
        const StoredTensor absmax = part(files, beside(name, ".absmax"), block, type, blocks);
        if (layer->double_quantization) {
            expect_levels(files, beside(name, ".nested_quant_map"), block, kernels::dynamic_map());
            parts.absmax_codes = copied(absmax, torch::kUInt8);
            parts.nested_absmax = copied(part(files, beside(name, ".nested_absmax"), block, DType::f32,
                                              kernels::block_count(blocks, kernels::nested_block)), torch::kFloat32);
            parts.offset = layer->offset;
        } else {
            parts.absmax = copied(absmax, torch::kFloat32);
        }
    }
    return quant::Weight::prequantized(parts, files.path().string(), weight->name);
}

std::optional<std::string> module_of_bitsandbytes_part(const std::string& name) {
    for (const std::string suffix : {".weight.absmax", ".weight.quant_map", ".weight.nested_absmax", ".weight.nested_quant_map", ".SCB", ".weight_format"})
        if (name.ends_with(suffix)) return name.substr(0, name.size() - suffix.size());
    const auto state = name.find(std::string(".weight") + state_name);
    return state == std::string::npos ? std::nullopt : std::optional(name.substr(0, state));
}

std::string bitsandbytes_form(const ModelFiles& files) {
    std::map<std::string, double> elements;
    for (const StoredTensor& tensor : files.all()) {
        if (!tensor.name.ends_with(".weight")) continue;
        if (const auto layer = bitsandbytes_layer(files, {tensor.name, ""}))
            elements[(layer->own_layout ? own_form_prefix : form_prefix) + std::string(recipe::name(layer->precision)) + (layer->double_quantization ? ", double quantization" : "")] +=
                static_cast<double>(layer->rows) * static_cast<double>(layer->cols);
    }
    const auto most = std::max_element(elements.begin(), elements.end(), [](auto& a, auto& b) { return a.second < b.second; });
    return most == elements.end() ? "" : most->first;
}

bool stays_as_stored(const std::string& form, Precision precision) {
    if (precision == Precision::native) return true;
    return std::ranges::any_of(std::array{form_prefix, own_form_prefix}, [&](const std::string& prefix) {
        return (form + ",").starts_with(prefix + std::string(recipe::name(precision)) + ",");
    });
}

std::string requantization_notice(const std::string& form, Precision precision) {
    if (!(form.starts_with(form_prefix) || form.starts_with(own_form_prefix)) || stays_as_stored(form, precision)) return "";
    return "The model is stored as " + form + " and loaded anew in " + std::string(recipe::name(precision)) +
           ": what it lost stays lost. Choose the precision native to keep it as it is.";
}

}  // namespace qlora::nn
