#pragma once
// One model quantized to several levels: what each loses, what it weighs, how fast it is, and a folder for each.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/base/control.h"
#include "core/base/json.h"
#include "core/nn/quantization/quantization.h"
#include "core/recipe/recipe.h"
#include "core/tokenizer/tokenizer.h"

namespace qlora::evaluate {

struct QuantizeOptions {
    std::string model;                        // folder, .gguf or catalogue name
    std::filesystem::path adapter;            // PEFT folder, worked into the model first; empty: none
    std::vector<recipe::Precision> levels;    // each once, none of them native
    nn::QuantizationMethod method = nn::QuantizationMethod::absmax;  // of 4-bit levels
    std::int64_t block = 64;                  // elements; 0: a row
    bool double_quantization = false;
    std::filesystem::path text;               // UTF-8; empty: what the bundled data set says
    std::int64_t calibration_tokens = 4096, measured_tokens = 8192;  // at most
    std::filesystem::path out;                // a folder of each level, and report.json
    int threads = 0;
};

// Sequences of a text: those to calibrate on, and those that perplexity is measured on, every fifth, which the others never
// are.
struct TextSequences {
    std::string source;  // for people
    std::vector<std::vector<std::int32_t>> calibration, held_out;
    static std::int64_t tokens(const std::vector<std::vector<std::int32_t>>& sequences);
};
// Throws input_error "quantize.text" for a text that is missing, no UTF-8, or too short to be cut in parts.
TextSequences read_sequences(const QuantizeOptions& options, const tokenizer::Tokenizer& tokenizer, std::int64_t context);

struct LevelReport {
    recipe::Precision level = recipe::Precision::native;
    std::string method, folder;              // "" for the model as it was
    std::int64_t bytes = 0;                  // of the weights in memory
    std::int64_t file_bytes = 0;             // of model.safetensors
    std::optional<double> perplexity;        // of decoders
    double reading_tokens_per_second = 0, writing_tokens_per_second = 0;  // 0: not measured
    double seconds = 0;                      // quantizing took
    std::vector<nn::QuantizedMatrix> matrices;
};

struct QuantizeReport {
    std::string model, form, adapter, text;
    std::int64_t calibration_tokens = 0, measured_tokens = 0, parameters = 0;
    LevelReport base;                        // as it lies in the file, with the adapter
    std::vector<LevelReport> levels;
    std::vector<std::string> notices;
};
OrderedJson to_json(const QuantizeReport& report);

// Writes options.out/LEVEL for each level, whole or not at all and read back, and report.json last. Computes on the CPU.
// Throws input_error: "quantize.levels", "quantize.out" for a folder that lies in the model's own or holds other things,
// "quantize.text", "quantize.calibration", "quantize.adapter" for adapters of classifiers, and what loading throws.
QuantizeReport quantize(const QuantizeOptions& options, Control& control, const Progress& progress = {});

}  // namespace qlora::evaluate
