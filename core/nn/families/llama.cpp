#include "core/nn/families/common.h"
#include "core/nn/families/families.h"

namespace qlora::nn {

Family llama() {
    Family family = named_like_llama("llama", "llama");
    family.gguf_interleaves_rotary_rows = true;
    family.from_config = [](const JsonObject& config) {
        ModelConfig c = read_sizes(config, "llama", {});
        c.attention_bias = c.output_bias = config.boolean("attention_bias", false);
        c.mlp_bias = config.boolean("mlp_bias", false);
        return c;
    };
    family.from_gguf = [](const formats::GgufFile& file) {
        ModelConfig c = read_sizes(file, "llama", "llama");
        read_rope_scaling(c.ropes[0], file, "llama");
        return c;
    };
    return family;
}

}  // namespace qlora::nn
