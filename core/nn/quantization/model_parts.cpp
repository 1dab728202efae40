#include "core/nn/quantization/model_parts.h"

#include <torch/torch.h>

namespace qlora::nn {

namespace {

class Parts {
  public:
    Parts(const ModelFiles& files, const Model& model) : files_(files), model_(model) {}

    std::vector<ModelPart> all() {
        const Family& family = files_.family();
        const ModelConfig& c = model_.config;
        matrix(family.embedding, 0, model_.embedding);
        if (c.positions > 0) values(family.positions, 0, model_.positions.base);
        if (c.token_types > 0) values(family.token_types, 0, model_.token_types.base);
        if (c.embedding_norm) norm(family.embedding_norm, 0, model_.embedding_norm);
        if (c.encoder_decoder()) stack(family.encoder, model_.encoder, false);
        stack(family.stack, model_.stack, c.encoder_decoder());
        head(family);
        return std::move(parts_);
    }

  private:
    std::string name_of(const TensorName& name, std::int64_t block) const {
        if (files_.gguf() == nullptr)
            if (const auto stored = files_.find(name, block)) return stored->name;
        return with_block(name.hugging_face, block);
    }

    void matrix(const TensorName& name, std::int64_t block, const quant::Weight& weight, bool transposed = false) {
        parts_.push_back({name_of(name, block), &weight, {}, transposed});
    }
    void values(const TensorName& name, std::int64_t block, const torch::Tensor& values) {
        if (values.defined()) parts_.push_back({name_of(name, block), nullptr, values});
    }
    void norm(const NormName& name, std::int64_t block, const Norm& norm) {
        const auto part = [&](const char* today, const char* old, const torch::Tensor& tensor) {
            const bool is_old = files_.gguf() == nullptr && !files_.find({name.module + today, ""}, block) && files_.find({name.module + old, ""}, block);
            values({name.module + (is_old ? old : today), ""}, block, tensor);
        };
        part(".weight", ".gamma", norm.weight.base);
        part(".bias", ".beta", norm.bias.base);
    }
    void linear(const LinearName& name, std::int64_t block, const Linear& layer, bool transposed) {
        if (!layer.defined()) return;
        matrix(weight_of(name), block, layer.weight, transposed);
        values(bias_of(name), block, layer.bias.base);
    }

    void stack(const StackNames& names, const Stack& of, bool crosses) {
        norm(names.final_norm, 0, of.final_norm);
        values(names.relative_bias, 0, of.relative_bias.base);
        const auto plans = plan_linears(names, model_.config, crosses);
        for (std::size_t i = 0; i < of.blocks.size(); ++i) {
            const Block& block = of.blocks[i];
            const auto number = static_cast<std::int64_t>(i);
            norm(names.attention_norm, number, block.attention_norm);
            norm(names.cross_norm, number, block.cross_norm);
            norm(names.mlp_norm, number, block.mlp_norm);
            norm(names.attention_post_norm, number, block.attention_post_norm);
            norm(names.mlp_post_norm, number, block.mlp_post_norm);
            norm(names.query_norm, number, block.query_norm);
            norm(names.key_norm, number, block.key_norm);
            for (const LinearPlan& plan : plans) linear(plan.name, number, block.*plan.layer, files_.family().transposed_linears);
        }
    }

    void head(const Family& family) {
        const bool own = model_.config.head.kind == HeadConfig::Kind::classifier;
        if (model_.head_dense.defined()) linear(family.classifier.dense, 0, model_.head_dense, false);
        if (!model_.head.defined()) return;
        if (own) return linear(family.classifier.out, 0, model_.head, false);
        const bool tied = model_.head.weight.storage()[0].second.is_alias_of(model_.embedding.storage()[0].second);
        if (!tied) linear(family.head, 0, model_.head, false);
    }

    const ModelFiles& files_;
    const Model& model_;
    std::vector<ModelPart> parts_;
};

}  // namespace

std::vector<ModelPart> model_parts(const ModelFiles& files, const Model& model) { return Parts(files, model).all(); }

}  // namespace qlora::nn
