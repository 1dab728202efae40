#include "core/nn/quantization/quantize_model.h"

#include <torch/torch.h>

#include <array>
#include <map>

#include "core/base/error.h"
#include "core/memory/meters.h"
#include "core/nn/functions/observe.h"
#include "core/nn/functions/poll.h"
#include "core/quant/awq.h"
#include "core/quant/gptq.h"

namespace qlora::nn {

using recipe::Precision;
using torch::Tensor;

namespace {

constexpr std::array<std::string_view, 4> method_names{"absmax", "search", "awq", "gptq"};

// Embedding or head: as it is where it is dense.
quant::Weight plain_weight(const quant::Weight& weight, Precision precision) {
    if (recipe::is_float(precision)) return quant::Weight::quantized(weight.dequantized(), precision);
    if (weight.dense_values().defined()) return weight;
    const Tensor values = weight.dequantized();
    return quant::Weight::quantized(values, values.abs().max().item<float>() <= 65504 ? Precision::fp16 : Precision::fp32);
}

// The calibration as one batch.
data::Batch packed(std::span<const std::vector<std::int32_t>> sequences) {
    data::Batch batch;
    batch.starts = {0};
    for (const auto& ids : sequences) {
        for (std::size_t i = 0; i < ids.size(); ++i) batch.positions.push_back(static_cast<std::int32_t>(i));
        batch.ids.insert(batch.ids.end(), ids.begin(), ids.end());
        batch.starts.push_back(static_cast<std::int32_t>(batch.ids.size()));
    }
    return batch;
}

class ModelQuantizer {
  public:
    ModelQuantizer(Model& model, const QuantizationRule& rule, Control& control, const Progress& progress)
        : model_(model), rule_(rule), control_(control), progress_(progress) {
        const bool searches = recipe::is_four_bit(rule.precision) && rule.method != QuantizationMethod::absmax;
        options_ = {rule.block, rule.double_quantization, searches ? quant::ScaleChoice::search : quant::ScaleChoice::absmax};
        if (!recipe::is_four_bit(rule.precision)) rule_.method = QuantizationMethod::absmax;
        for (Stack* of : {&model.encoder, &model.stack})
            for (Block& block : of->blocks)
                for (Linear* layer : block.linears()) {
                    const std::size_t number = places_.size();
                    places_[&layer->weight] = {&block, layer, number};
                }
        results_.resize(places_.size());
    }

    std::vector<QuantizedMatrix> run(std::span<const std::vector<std::int32_t>> calibration) {
        const bool tied = model_.config.head_is_embedding() && same_storage(model_.embedding, model_.head.weight);
        model_.embedding = plain_weight(model_.embedding, rule_.precision);
        if (tied) model_.head.weight = model_.embedding;
        else if (model_.head.defined() && model_.config.head.kind == HeadConfig::Kind::language_model) model_.head.weight = plain_weight(model_.head.weight, rule_.precision);
        if (calibration.empty()) {
            for (auto& [weight, place] : places_) plainly(*place.layer, nullptr);
        } else {
            const data::Batch batch = packed(calibration);
            PollScope poll([this] { control_.check(); });
            ObserveScope observe([this](const Tensor& x, std::span<const LinearParts> layers) { return seen(x, layers); });
            model_.hidden(batch);
        }
        return std::move(results_);
    }

    static bool same_storage(const quant::Weight& a, const quant::Weight& b) {
        return a.defined() && b.defined() && a.storage()[0].second.data_ptr() == b.storage()[0].second.data_ptr();
    }

  private:
    struct Place {
        Block* block;
        Linear* layer;
        std::size_t number;
    };

    quant::Weight quantized(const Tensor& values) const { return quant::Weight::quantized(values, rule_.precision, options_); }

    void advance() {
        control_.check();
        if (progress_) progress_("Quantizing", static_cast<double>(done_++), static_cast<double>(places_.size()));
    }

    // `used`: the matrix that the layer's weight stands for, next to the one wanted.
    void report(const Linear& layer, const Tensor& used, const Tensor& wanted, const quant::InputStatistics* inputs) {
        QuantizedMatrix& one = results_[places_.at(&layer.weight).number];
        one = {.name = layer.name, .rows = layer.weight.rows(), .cols = layer.weight.cols(), .block = layer.weight.block(),
               .bytes = layer.weight.bytes(), .form = layer.weight.form(), .output_error = {}, .channel_exponent = {}};
        one.relative_squared_error = quant::relative_squared_error(used, wanted);
        one.signal_to_noise = quant::signal_to_noise(one.relative_squared_error);
        if (inputs != nullptr) one.output_error = quant::output_error(used, wanted, inputs->hessian);
    }

    void plainly(Linear& layer, const quant::InputStatistics* inputs) {
        advance();
        const Tensor values = layer.weight.dequantized();
        layer.weight = quantized(values);
        report(layer, layer.weight.dequantized(), values, inputs);
    }

    Tensor seen(const Tensor& x, std::span<const LinearParts> layers) {
        std::vector<Linear*> group;
        Block* block = nullptr;
        for (const LinearParts& layer : layers) {
            const auto place = places_.find(layer.weight);
            if (place == places_.end()) return x;  // the head's
            group.push_back(place->second.layer);
            block = place->second.block;
        }
        memory::TagScope scope(MemoryTag::scratch);
        const quant::InputStatistics inputs = quant::statistics_of(x);
        switch (rule_.method) {
            case QuantizationMethod::awq: return scaled(x, *block, group, inputs);
            case QuantizationMethod::gptq: {
                const quant::ErrorFeedback feedback(inputs.hessian);
                for (Linear* layer : group) {
                    advance();
                    const Tensor values = layer->weight.dequantized();
                    layer->weight = feedback.quantize(values, rule_.precision, options_);
                    report(*layer, layer->weight.dequantized(), values, &inputs);
                }
                return x;
            }
            default:
                for (Linear* layer : group) plainly(*layer, &inputs);
                return x;
        }
    }

    // AWQ: what the group reads is divided by scales that something before it takes in, and its weights are multiplied.
    Tensor scaled(const Tensor& x, Block& block, const std::vector<Linear*>& group, const quant::InputStatistics& inputs) {
        const Fold fold = fold_before(block, *group[0]);
        std::vector<Tensor> wanted;
        for (Linear* layer : group) wanted.push_back(layer->weight.dequantized());
        quant::ChannelScales chosen{.scales = torch::ones_like(inputs.magnitudes)};
        if (fold.norm != nullptr || fold.rows != nullptr)
            chosen = quant::choose_channel_scales(wanted, fold.shared > 1 ? shared(inputs.magnitudes, fold.shared) : inputs.magnitudes,
                                                  inputs.hessian, rule_.precision, options_);
        const bool moved = chosen.exponent > 0;
        for (std::size_t i = 0; i < group.size(); ++i) {
            advance();
            Linear& layer = *group[i];
            const Tensor values = moved ? wanted[i] * chosen.scales : wanted[i];
            layer.weight = quantized(values);
            report(layer, moved ? layer.weight.dequantized().div_(chosen.scales) : layer.weight.dequantized(), wanted[i], &inputs);
            if (moved) results_[places_.at(&layer.weight).number].channel_exponent = chosen.exponent;
            if (may_take_scales(block, layer)) before_[&layer] = values;
        }
        if (moved && fold.norm != nullptr) divide(*fold.norm, chosen.scales);
        if (moved && fold.rows != nullptr) divide_rows(*fold.rows, fold.shared > 1 ? one_of_each(chosen.scales, fold.shared) : chosen.scales);
        if (fold.rows != nullptr) before_.erase(fold.rows);
        return moved ? x / chosen.scales : x;
    }

    // What gives the numbers that a layer reads, and can give them divided: a norm that nothing else reads, or the rows of a
    // layer whose outputs only meet sums and products on the way. `shared`: query heads that read one head of value.
    struct Fold {
        Norm* norm = nullptr;
        Linear* rows = nullptr;
        std::int64_t shared = 1;
    };
    Fold fold_before(Block& block, const Linear& layer) const {
        const ModelConfig& c = model_.config;
        if (&layer == &block.query && c.norm_first && block.attention_norm.weight.defined()) return {.norm = &block.attention_norm};
        if (&layer == (c.gated && !c.fused_gate_up ? &block.gate : &block.up) && c.norm_first && block.mlp_norm.weight.defined()) return {.norm = &block.mlp_norm};
        if (&layer == &block.output && !c.fused_qkv) return {.rows = &block.value, .shared = c.heads / c.kv_heads};
        if (&layer == &block.down && c.gated && !c.fused_gate_up) return {.rows = &block.up};
        return {};
    }
    bool may_take_scales(const Block& block, const Linear& layer) const {
        return (&layer == &block.value && !model_.config.fused_qkv) || (&layer == &block.up && model_.config.gated && !model_.config.fused_gate_up);
    }

    // Channels of the query heads that read one head of value: all get the mean of theirs; and one of each.
    Tensor shared(const Tensor& channels, std::int64_t heads) const {
        const Tensor by_head = channels.view({model_.config.kv_heads, heads, model_.config.head_dim});
        return by_head.mean(1, true).expand_as(by_head).reshape({-1});
    }
    Tensor one_of_each(const Tensor& channels, std::int64_t heads) const {
        return channels.view({model_.config.kv_heads, heads, model_.config.head_dim}).select(1, 0).reshape({-1});
    }

    void divide(Norm& norm, const Tensor& scales) const {
        const double offset = model_.config.norm == ModelConfig::Norm::rms ? model_.config.norm_offset : 0;
        norm.weight.base = (norm.weight.base + offset) / scales - offset;
        if (norm.bias.defined()) norm.bias.base = norm.bias.base / scales;
    }

    // A block of one row that is divided has the same codes, so nothing is lost a second time. (Doubly quantized scales, and
    // those of blocks that reach over the end of a row, are rounded anew.)
    void divide_rows(Linear& layer, const Tensor& scales) {
        layer.weight = quantized(before_.at(&layer) / scales.unsqueeze(1));
        results_[places_.at(&layer.weight).number].bytes = layer.weight.bytes();
        if (layer.bias.defined()) layer.bias.base = layer.bias.base / scales;
    }

    Model& model_;
    QuantizationRule rule_;
    quant::BlockOptions options_;
    Control& control_;
    const Progress& progress_;
    std::map<const quant::Weight*, Place> places_;
    std::map<const Linear*, Tensor> before_;  // matrices whose rows may yet be divided, as they were quantized
    std::vector<QuantizedMatrix> results_;
    std::size_t done_ = 0;
};

}  // namespace

std::string_view name(QuantizationMethod method) { return method_names.at(static_cast<std::size_t>(method)); }

std::optional<QuantizationMethod> quantization_method(std::string_view name) {
    const auto found = std::ranges::find(method_names, name);
    if (found == method_names.end()) return {};
    return static_cast<QuantizationMethod>(found - method_names.begin());
}

std::vector<QuantizedMatrix> quantize_model(Model& model, const QuantizationRule& rule, std::span<const std::vector<std::int32_t>> calibration,
                                            Control& control, const Progress& progress) {
    torch::NoGradGuard no_grad;
    memory::TagScope scope(MemoryTag::weights);
    const bool looks = recipe::is_four_bit(rule.precision) && (rule.method == QuantizationMethod::awq || rule.method == QuantizationMethod::gptq);
    const bool decoder = model.config.causal && !model.config.encoder_decoder();
    if (looks && (calibration.empty() || !decoder))
        throw input_error("quantize.calibration", std::string(name(rule.method)),
                          std::string(name(rule.method)) + (decoder ? " needs a text to calibrate on, got none" : " needs a decoder that reads text, got a model of the family " + model.config.family),
                          decoder ? "Give one with --text." : "Use --method search.");
    return ModelQuantizer(model, rule, control, progress).run(decoder ? calibration : std::span<const std::vector<std::int32_t>>{});
}

}  // namespace qlora::nn
