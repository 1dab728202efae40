#include "core/evaluate/quantize.h"

#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "core/adapters/attach.h"
#include "core/adapters/rounding_file.h"
#include "core/adapters/task_file.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/evaluate/device.h"
#include "core/hub/catalogue.h"
#include "core/nn/bitsandbytes.h"
#include "core/nn/generate.h"
#include "core/nn/load.h"
#include "core/nn/model_info.h"
#include "core/nn/quantization/quantize_model.h"
#include "core/nn/quantization/save_model.h"

namespace qlora::evaluate {

namespace fs = std::filesystem;
using recipe::Precision;

namespace {

constexpr std::size_t tokens_a_pass = 1024;
constexpr std::int64_t written_tokens = 24, asked_tokens = 32;

class Stopwatch {
  public:
    double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count(); }

  private:
    std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

void check_levels(const QuantizeOptions& options) {
    const auto refuse = [](const std::string& what, const char* hint) { throw input_error("quantize.levels", "levels", what, hint); };
    if (options.levels.empty()) refuse("expected at least one level, got none", "Name some of bf16, fp16, fp32, int8, nf4, fp4, int4, int3.");
    for (std::size_t i = 0; i < options.levels.size(); ++i) {
        if (options.levels[i] == Precision::native) refuse("native says to leave a model as it is stored: there is nothing to quantize", "Name a level.");
        if (std::find(options.levels.begin(), options.levels.begin() + static_cast<std::ptrdiff_t>(i), options.levels[i]) !=
            options.levels.begin() + static_cast<std::ptrdiff_t>(i))
            refuse("the level " + std::string(recipe::name(options.levels[i])) + " is named twice", "Name each once.");
    }
    if (options.method != nn::QuantizationMethod::absmax && std::ranges::none_of(options.levels, recipe::is_four_bit))
        refuse(std::string(nn::name(options.method)) + " is for 4-bit levels, of which none is named", "Add nf4, fp4, int4 or int3, or leave --method out.");
}

// Whether `path` is `folder` or lies in it.
bool lies_in(const fs::path& path, const fs::path& folder) {
    const fs::path inner = fs::weakly_canonical(path), outer = fs::weakly_canonical(folder);
    const auto [end, same] = std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
    return end == outer.end();
}

void check_out(const QuantizeOptions& options, const fs::path& model) {
    const auto refuse = [&](const std::string& what, const char* hint) { throw input_error("quantize.out", options.out.string(), what, hint); };
    if (fs::is_directory(model) && lies_in(options.out, model)) refuse("the output folder lies in the model's own folder, " + model.string(), "Choose another one.");
    if (!fs::exists(options.out)) return;
    if (!fs::is_directory(options.out)) refuse("expected a folder to write to, got a file", "Choose another name.");
    if (!fs::is_empty(options.out) && !fs::exists(options.out / "report.json")) refuse("the folder holds other things than an earlier report of this command", "Choose an empty one.");
}

// Sequences in batches, each token but the last of a sequence telling the next.
std::vector<data::Batch> batches_of(const std::vector<std::vector<std::int32_t>>& sequences) {
    std::vector<data::Batch> all;
    for (const auto& ids : sequences) {
        if (all.empty() || all.back().ids.size() + ids.size() > tokens_a_pass) all.emplace_back().starts = {0};
        data::Batch& batch = all.back();
        for (std::size_t i = 0; i < ids.size(); ++i) {
            batch.ids.push_back(ids[i]);
            batch.positions.push_back(static_cast<std::int32_t>(i));
            batch.targets.push_back(i + 1 < ids.size() ? ids[i + 1] : data::ignored_target);
        }
        batch.starts.push_back(static_cast<std::int32_t>(batch.ids.size()));
        batch.rows.push_back(static_cast<data::RowIndex>(batch.rows.size()));
    }
    return all;
}

void measure_level(const nn::Model& model, const TextSequences& text, LevelReport& level, Control& control, const Progress& progress) {
    level.bytes = model.weight_bytes();
    if (text.held_out.empty()) return;
    torch::NoGradGuard no_grad;
    double loss = 0;
    std::int64_t targets = 0, read = 0;
    const auto batches = batches_of(text.held_out);
    const Stopwatch watch;
    for (std::size_t i = 0; i < batches.size(); ++i) {
        control.check();
        if (progress) progress("Measuring perplexity", static_cast<double>(i), static_cast<double>(batches.size()));
        loss += model.loss_sum(batches[i]).item<double>();
        targets += batches[i].trained_tokens();
        read += batches[i].tokens();
    }
    level.perplexity = std::exp(loss / static_cast<double>(targets));
    level.reading_tokens_per_second = static_cast<double>(read) / watch.seconds();
    const auto& first = text.held_out.front();
    const std::vector<std::int32_t> prompt(first.begin(), first.begin() + std::min<std::ptrdiff_t>(asked_tokens, static_cast<std::ptrdiff_t>(first.size()) / 2));
    const auto answer = nn::generate(model, prompt, written_tokens, {}, {}, control);
    if (answer.seconds > 0) level.writing_tokens_per_second = static_cast<double>(answer.ids.size()) / answer.seconds;
}

}  // namespace

QuantizeReport quantize(const QuantizeOptions& options, Control& control, const Progress& progress) {
    check_levels(options);
    const fs::path path = hub::resolve_model(options.model);
    check_out(options, path);
    use_device("cpu", options.threads);
    if (!options.adapter.empty() && adapters::read_task(options.adapter).task == recipe::Task::classification)
        throw input_error("quantize.adapter", options.adapter.string(), "expected the adapter of a language model, got one of a classifier",
                          "Quantize its base model, and load the adapter over it.");
    const auto files = nn::ModelFiles::open(path);
    const auto tokenizer = nn::load_tokenizer(files);
    const bool decoder = files.config().causal && !files.config().encoder_decoder() && files.config().head.kind == nn::HeadConfig::Kind::language_model;

    QuantizeReport report;
    const nn::ModelInfo info = nn::inspect(options.model);
    report.model = options.model;
    report.form = info.quantization.empty() ? info.dtype : info.quantization;
    report.adapter = options.adapter.string();
    report.notices = files.notices();
    TextSequences text;
    if (decoder) {
        text = read_sequences(options, *tokenizer, files.config().context);
        report.text = text.source;
        report.calibration_tokens = TextSequences::tokens(text.calibration);
        report.measured_tokens = TextSequences::tokens(text.held_out);
    } else {
        report.notices.push_back("Perplexity and the errors of outputs are measured for decoders that tell the next token only.");
    }
    // A model that was trained to be rounded begins from the weights that it was trained on.
    std::optional<adapters::TrainedRounding> rounding;
    if (!options.adapter.empty()) rounding = adapters::read_rounding(options.adapter);
    nn::Model base = nn::load(files, {rounding ? rounding->base : Precision::native, {}}, control, progress);
    // Refused before the work is done, not behind it.
    if (files.gguf() != nullptr) nn::config_json_of(files, base, *tokenizer);
    std::unique_ptr<adapters::Adapter> adapter;
    if (!options.adapter.empty()) {
        adapter = adapters::load(base, options.adapter);
        adapter->merge(base);
    }
    if (rounding)
        for (const Precision level : options.levels)
            if (level != rounding->precision || (recipe::is_four_bit(level) && (options.block != rounding->block || options.double_quantization ||
                                                                               options.method != nn::QuantizationMethod::absmax)))
                report.notices.push_back(std::string(recipe::name(level)) + " is not what the adapter was trained for: " + std::string(recipe::name(rounding->precision)) +
                                         ", absmax, " + (rounding->block == 0 ? "a scale a row" : "blocks of " + std::to_string(rounding->block)) + ", scales not quantized.");
    report.parameters = base.parameters();
    measure_level(base, text, report.base, control, progress);

    create_folders(options.out);
    for (const Precision precision : options.levels) {
        LevelReport level;
        level.level = precision;
        level.method = recipe::is_four_bit(precision) ? nn::name(options.method) : precision == Precision::int8 ? "absmax" : "rounded";
        level.folder = std::string(recipe::name(precision));
        nn::Model model = base;  // shares what stays as it is
        const Stopwatch watch;
        const nn::QuantizationRule rule{precision, options.method, options.block, options.double_quantization};
        level.matrices = nn::quantize_model(model, rule, text.calibration, control, progress);
        level.seconds = watch.seconds();
        if (progress) progress("Writing", 0, 0);
        write_folder_atomically(options.out / level.folder, [&](const fs::path& folder) { nn::save_model(files, model, *tokenizer, folder, control); });
        level.file_bytes = static_cast<std::int64_t>(fs::file_size(options.out / level.folder / "model.safetensors"));
        measure_level(model, text, level, control, progress);
        report.levels.push_back(std::move(level));
    }
    files.check();
    write_atomically(options.out / "report.json", to_json(report).dump(2) + "\n");
    return report;
}

}  // namespace qlora::evaluate
