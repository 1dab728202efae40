#include "core/nn/families/common.h"
#include "core/nn/families/families.h"

namespace qlora::nn {

Family mistral() {
    Family family = named_like_llama("mistral", "");  // llama.cpp stores it as "llama", without the window
    family.from_config = [](const JsonObject& config) {
        ModelConfig c = read_sizes(config, "mistral", {.kv_heads = 8, .context = 4096 * 32});
        c.set_layers(read_window(config, 4096));
        return c;
    };
    return family;
}

}  // namespace qlora::nn
