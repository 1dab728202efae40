#include "core/evaluate/logits.h"

#include <torch/torch.h>

#include "core/base/error.h"
#include "core/evaluate/loaded_model.h"
#include "core/formats/safetensors.h"

namespace qlora::evaluate {

namespace {

nn::Input input_of(const LoadedModel& model, const LogitsInput& given) {
    const nn::ModelConfig& config = model.network.config;
    nn::Input input;
    input.ids = given.ids.empty() ? model.tokenizer->encode(given.text).ids : given.ids;
    if (input.ids.empty()) throw input_error("logits.empty", "--text", "expected at least one token, got none");
    if (config.encoder_decoder()) input.decoder_ids = given.decoder_ids.empty() ? std::vector{config.decoder_start} : given.decoder_ids;
    else if (!given.decoder_ids.empty())
        throw input_error("logits.decoder_ids", "--decoder-ids", "this model has no decoder of its own: only encoder-decoder models take them");
    for (const auto* ids : {&input.ids, &input.decoder_ids})
        if (static_cast<std::int64_t>(ids->size()) > config.token_limit())
            throw input_error("logits.context", ids == &input.ids ? "--ids" : "--decoder-ids",
                              "expected at most " + std::to_string(config.token_limit()) + " tokens (the model's context), got " +
                                  std::to_string(ids->size()));
    return input;
}

}  // namespace

std::string write_logits(const LoadOptions& options, const LogitsInput& given, const std::filesystem::path& out, Control& control,
                         const Progress& progress) {
    const auto model = load_model(options, control, progress);
    const nn::Input input = input_of(*model, given);
    const bool bare = model->network.config.head.kind == nn::HeadConfig::Kind::none;
    const std::string name = bare ? "last_hidden_state" : "logits";
    const torch::Tensor values = (bare ? model->network.hidden_states(input).stack.back().to(torch::kFloat32) : model->network.logits(input)).cpu().contiguous();
    const std::vector<std::int64_t> ids(input.ids.begin(), input.ids.end()), decoder_ids(input.decoder_ids.begin(), input.decoder_ids.end());
    std::vector<formats::TensorView> tensors = {
        {name, formats::DType::f32, values.sizes().vec(), {static_cast<const std::byte*>(values.const_data_ptr()), values.nbytes()}},
        {"ids", formats::DType::i64, {static_cast<std::int64_t>(ids.size())}, std::as_bytes(std::span(ids))}};
    if (!decoder_ids.empty())
        tensors.push_back({"decoder_ids", formats::DType::i64, {static_cast<std::int64_t>(decoder_ids.size())}, std::as_bytes(std::span(decoder_ids))});
    formats::write_safetensors(out, tensors);
    return name;
}

}  // namespace qlora::evaluate
