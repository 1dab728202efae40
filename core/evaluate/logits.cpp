#include "core/evaluate/logits.h"

#include <torch/torch.h>

#include "core/base/error.h"
#include "core/evaluate/loaded_model.h"
#include "core/formats/safetensors.h"

namespace qlora::evaluate {

void write_logits(const LoadOptions& options, const LogitsInput& input, const std::filesystem::path& out, Control& control,
                  const Progress& progress) {
    if (!input.decoder_ids.empty())
        throw input_error("logits.decoder_ids", "--decoder-ids", "this model has no decoder of its own: only encoder-decoder models take them");
    const auto model = load_model(options, control, progress);
    const auto ids = input.ids.empty() ? model->tokenizer->encode(input.text).ids : input.ids;
    if (ids.empty()) throw input_error("logits.empty", "--text", "expected at least one token, got none");
    if (static_cast<std::int64_t>(ids.size()) > model->network.config.context)
        throw input_error("logits.context", "--ids", "expected at most " + std::to_string(model->network.config.context) +
                                                         " tokens (the model's context), got " + std::to_string(ids.size()));
    const torch::Tensor logits = model->network.logits(ids).contiguous();
    const std::vector<std::int64_t> wide(ids.begin(), ids.end());
    const std::vector<formats::TensorView> tensors = {
        {"logits", formats::DType::f32, logits.sizes().vec(), {static_cast<const std::byte*>(logits.const_data_ptr()), logits.nbytes()}},
        {"ids", formats::DType::i64, {static_cast<std::int64_t>(wide.size())}, std::as_bytes(std::span(wide))}};
    formats::write_safetensors(out, tensors);
}

}  // namespace qlora::evaluate
