#include "core/base/error.h"
#include "core/nn/quantization/save_model.h"

namespace qlora::nn {

Json config_json_of(const ModelFiles& gguf, const Model& model, const tokenizer::Tokenizer& tokenizer) {
    const ModelConfig& c = gguf.config();
    const auto refuse = [&](const std::string& why) -> void {
        throw input_error("model.config", gguf.path().string(), "no config.json can be made for this GGUF file: " + why,
                          "Quantize the model's folder in Hugging Face layout instead.");
    };
    if (c.family != "llama") refuse("expected a model of the family llama, got " + c.family);
    if (c.attention_bias != c.output_bias) refuse("only some of its attention's layers have biases");
    const RopeConfig& rope = c.ropes.at(0);
    if (model.rope_divisors.defined() || (rope.scaling != RopeConfig::Scaling::none && rope.scaling != RopeConfig::Scaling::linear))
        refuse("its rotary positions are scaled in a way whose settings the file does not hold");
    if (rope.dimensions != c.head_dim) refuse("only a part of each head is rotated");
    Json parameters{{"rope_theta", rope.theta}, {"rope_type", "default"}};
    if (rope.scaling == RopeConfig::Scaling::linear) parameters["rope_type"] = "linear", parameters["factor"] = rope.factor;
    Json json{{"architectures", {"LlamaForCausalLM"}}, {"model_type", "llama"}, {"vocab_size", c.vocabulary}, {"hidden_size", c.hidden},
              {"intermediate_size", c.intermediate}, {"num_hidden_layers", c.layers}, {"num_attention_heads", c.heads},
              {"num_key_value_heads", c.kv_heads}, {"head_dim", c.head_dim}, {"max_position_embeddings", c.context}, {"hidden_act", "silu"},
              {"rms_norm_eps", c.norm_eps}, {"attention_bias", c.attention_bias}, {"mlp_bias", c.mlp_bias},
              {"tie_word_embeddings", c.tied_embeddings}, {"rope_parameters", parameters}, {"rope_theta", rope.theta}};
    const auto token = [&](const char* key, std::optional<std::int32_t> id) {
        if (id) json[key] = *id;
    };
    token("bos_token_id", tokenizer.bos());
    token("eos_token_id", tokenizer.eos());
    token("pad_token_id", tokenizer.pad());
    return json;
}

}  // namespace qlora::nn
