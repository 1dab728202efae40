#pragma once
// A whole model quantized after training, matrix by matrix, with or without calibration.

#include <span>
#include <vector>

#include "core/base/control.h"
#include "core/nn/model.h"
#include "core/nn/quantization/quantization.h"

namespace qlora::nn {

// Replaces the linear layers of the blocks by quantized ones, and embedding and head, where they are packed GGUF blocks, by
// fp16 (by fp32 where a number does not fit); for a float precision all are that. `calibration`, perhaps empty: token ids, of
// which each span is a sequence of its own. They go through the model once: a layer is quantized when its inputs reach it, so
// these come from layers that are quantized already. Takes the activations of all of them at once. On the CPU, without an
// adapter on the model; no thread may use the model meanwhile. Throws input_error "quantize.calibration" for awq and gptq
// without calibration or for a model that is no decoder; stopped() through `control`.
std::vector<QuantizedMatrix> quantize_model(Model& model, const QuantizationRule& rule, std::span<const std::vector<std::int32_t>> calibration,
                                            Control& control, const Progress& progress = {});

}  // namespace qlora::nn
