#include <array>

#include "app/qlora/command.h"

namespace qlora::cli {

std::span<const Command> commands() {
    static constexpr std::array all = {
#ifdef QLORA_ENGINE
        Command{"doctor", "The machine, its devices, the libraries, and what will run how fast",
                define_doctor},
#endif
        Command{"models", "The catalogue, and what of it is on disk", define_models},
        Command{"tokenize", "A text as the model's tokens", define_tokenize},
        Command{"runs", "List, show, compare or delete runs", define_runs},
#ifdef QLORA_ENGINE
        Command{"inspect", "What a model is, from its headers alone", define_inspect},
        Command{"logits", "A model's raw answer to a text or to token ids, as a safetensors file",
                define_logits},
        Command{"generate", "A model's answer to a prompt", define_generate},
        Command{"plan", "The memory and time that a recipe will take", define_plan},
        Command{"augment", "What augmentation makes of a recipe's training rows", define_augment},
        Command{"train", "Run a recipe, or go on with a run", define_train},
        Command{"search", "Search a recipe's settings for the best, or go on with a search", define_search},
        Command{"lr-range", "Train with a growing learning rate, and suggest one", define_lr_range},
        Command{"evaluate", "Held-out figures of a run or of a recipe", define_evaluate},
        Command{"quantize", "A model at several precisions: errors, perplexity, bytes, speed", define_quantize},
#endif
    };
    return all;
}

}  // namespace qlora::cli
