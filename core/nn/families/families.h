#pragma once
// The families of models, one file each. A family is described from config.json as transformers reads it (defaults
// included) and from GGUF metadata as llama.cpp writes them.

#include "core/nn/files.h"

namespace qlora::nn {

Family llama();    // LLaMA 1 to 3, SmolLM. Touvron et al. 2023
Family mistral();  // Jiang et al. 2023
Family qwen2();    // Yang et al. 2024
Family qwen3();    // Yang et al. 2025
Family phi3();     // Abdin et al. 2024
Family gemma();    // Gemma Team 2024
Family gemma2();
Family gemma3();   // the text model
Family gpt2();     // Radford et al. 2019
Family bert();     // Devlin et al. 2018
Family roberta();  // Liu et al. 2019
Family xlm_roberta();
Family distilbert();  // Sanh et al. 2019
Family t5();       // Raffel et al. 2020; Flan-T5

}  // namespace qlora::nn
