#include "core/nn/families/common.h"
#include "core/nn/families/families.h"

namespace qlora::nn {

Family phi3() {
    Family family = named_like_llama("phi3", "phi3");
    family.stack.query = {"model.layers.{}.self_attn.qkv_proj", "blk.{}.attn_qkv"};
    family.stack.up = {"model.layers.{}.mlp.gate_up_proj", "blk.{}.ffn_up"};
    family.from_config = [](const JsonObject& config) {
        ModelConfig c = read_sizes(config, "phi3", {.context = 4096, .norm_eps = 1e-5});
        c.fused_qkv = c.fused_gate_up = true;
        c.dropout.attention_output = c.dropout.mlp_output = read_dropout(config, "resid_pdrop");
        c.set_layers(read_window(config, 0));
        return c;
    };
    family.from_gguf = [](const formats::GgufFile& file) {
        ModelConfig c = read_sizes(file, "phi3", "phi3");
        c.fused_qkv = c.fused_gate_up = true;
        RopeConfig& rope = c.ropes[0];
        if (file.find("rope_factors_long.weight") != nullptr) {
            rope.scaling = RopeConfig::Scaling::longrope;
            rope.long_factors = read_numbers(file, "rope_factors_long.weight", rope.dimensions / 2);
            rope.short_factors = read_numbers(file, "rope_factors_short.weight", rope.dimensions / 2);
            rope.original_context = file.integer("phi3.rope.scaling.original_context_length", 1, largest_size, c.context);
            rope.attention_factor = file.number("phi3.rope.scaling.attn_factor", 0, 1e3, 1);
        }
        c.set_layers(file.integer("phi3.attention.sliding_window", 0, largest_size, 0));
        return c;
    };
    return family;
}

}  // namespace qlora::nn
