#pragma once
// What a model is, read from its headers alone (no weights are loaded): for `qlora inspect`, the Model card and the planner.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace qlora::nn {

struct LinearInfo {
    std::string name;  // as in transformers: "model.layers.0.self_attn.q_proj"
    std::int64_t in = 0, out = 0;
};

struct ModelInfo {
    std::filesystem::path path;  // folder or .gguf
    std::string name;            // for people: "SmolLM2 135M Instruct"
    std::string family;          // "llama"
    std::string format;          // "safetensors", "GGUF"
    std::string dtype;           // most frequent stored type of the large weights: "bfloat16", "Q4_1"
    std::string quantization;    // "" or e.g. "GGUF Q4_1", "bitsandbytes nf4"
    std::int64_t parameters = 0, layers = 0, hidden = 0, intermediate = 0, heads = 0, kv_heads = 0, head_dim = 0;
    std::int64_t encoder_layers = 0;  // of an encoder-decoder, whose `layers` are the decoder's
    std::int64_t vocabulary = 0, context = 0;
    bool tied_embeddings = false;
    std::string tokenizer;       // kind, e.g. "byte-level BPE, 49,152 tokens"
    bool chat_template = false;
    std::string licence;         // when the folder or file names one
    std::int64_t file_bytes = 0;
    double rest_bits = 0;        // stored bits a parameter of all that LoRA may not target (embedding, norms, head)
    double linear_bits = 0;      // the same of the blocks' matrices, scales included
    std::string embedding;                    // the token embedding's module: "model.embed_tokens"
    std::int64_t biases = 0;                  // numbers in biases, of layers and norms
    std::vector<LinearInfo> linears;          // those that LoRA may target, in order
    std::vector<std::string> notices;         // what was ignored or is worth knowing
    std::map<std::string, std::int64_t> tensor_types;  // stored type -> tensors
};

// `model`: a folder, a .gguf file, or a catalogue name. Throws input_error naming file and field.
ModelInfo inspect(const std::string& model);

}  // namespace qlora::nn
