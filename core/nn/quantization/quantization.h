#pragma once
// How a model is quantized after training, and what became of its matrices. Without LibTorch, for whoever asks and shows.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/recipe/recipe.h"

namespace qlora::nn {

// How codes and scales are found. `awq` and `gptq` look at what the layers read; both search scales as `search` does.
//   absmax  a block's scale is its largest magnitude
//   search  the scale of the least squared error (kernels::search_scales)
//   awq     input channels scaled by their activations first (quant/awq.h), folded where that is exact: into the norm before
//           query, key and value, and before gate and up; into the rows of value before output, of up before down
//   gptq    errors handed on from column to column (quant/gptq.h)
enum class QuantizationMethod { absmax, search, awq, gptq };
std::string_view name(QuantizationMethod method);
std::optional<QuantizationMethod> quantization_method(std::string_view name);

struct QuantizationRule {
    recipe::Precision precision = recipe::Precision::nf4;
    QuantizationMethod method = QuantizationMethod::absmax;  // of 4-bit levels; others have one way
    std::int64_t block = 64;           // elements that share a scale; 0: a row
    bool double_quantization = false;  // of 4-bit levels
};

// What became of one matrix. Errors are over the matrix as it is used, so with channel scales divided out again.
struct QuantizedMatrix {
    std::string name;
    std::int64_t rows = 0, cols = 0, block = 0, bytes = 0;
    std::string form;
    double relative_squared_error = 0, signal_to_noise = 0;  // the latter in dB
    std::optional<double> output_error;       // relative squared error of what the layer gives, where inputs were seen
    std::optional<double> channel_exponent;   // awq: of the magnitudes, where channels were scaled
};

}  // namespace qlora::nn
