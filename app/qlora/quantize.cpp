#include "core/evaluate/quantize.h"

#include <algorithm>

#include "app/qlora/command.h"
#include "app/qlora/format.h"
#include "app/qlora/live_line.h"
#include "app/qlora/options.h"
#include "core/recipe/fields.h"

namespace qlora::cli {

namespace {

recipe::Precision level_named(const CLI::App& command, const std::string& text) {
    const auto precision = recipe::precision_named(text);
    if (!precision) throw usage_error(command, "--levels: expected " + recipe::find_field("precision")->expected() + ", got \"" + text + "\"");
    return *precision;
}

// The mean over the matrices, weighted by their elements; nothing where one was not measured.
template <typename Get>
std::string mean_of(const evaluate::LevelReport& level, Get get) {
    double sum = 0, elements = 0;
    for (const auto& matrix : level.matrices) {
        const std::optional<double> value = get(matrix);
        if (!value) return "-";
        const auto size = static_cast<double>(matrix.rows * matrix.cols);
        sum += size * *value;
        elements += size;
    }
    return short_number(elements > 0 ? sum / elements : 0);
}

std::vector<std::string> row(const std::string& name, const std::string& method, const evaluate::LevelReport& level) {
    const bool base = level.matrices.empty();
    return {name, method, base ? "-" : mean_of(level, [](const auto& m) { return std::optional(m.relative_squared_error); }),
            base ? "-" : mean_of(level, [](const auto& m) { return m.output_error; }),
            level.perplexity ? fixed(*level.perplexity, 3) : "-", bytes_text(level.bytes),
            level.reading_tokens_per_second > 0 ? fixed(level.reading_tokens_per_second, 0) : "-",
            level.writing_tokens_per_second > 0 ? fixed(level.writing_tokens_per_second, 1) : "-"};
}

std::string text(const evaluate::QuantizeReport& report, const std::string& out) {
    std::vector<std::vector<std::string>> rows{{"LEVEL", "METHOD", "ERROR", "OUTPUT ERROR", "PERPLEXITY", "MEMORY", "READS/S", "WRITES/S"}};
    rows.push_back(row("as stored", report.form, report.base));
    for (const auto& level : report.levels) rows.push_back(row(std::string(recipe::name(level.level)), level.method, level));
    std::string said = table(rows);
    if (!report.text.empty())
        said += "\nPerplexity on " + count_text(report.measured_tokens) + " tokens of " + report.text + ", calibration on " +
                count_text(report.calibration_tokens) + " others.";
    for (const std::string& notice : report.notices) said += "\n" + notice;
    return said + "\nWrote " + out + "/report.json and a folder for each level.";
}

}  // namespace

Run define_quantize(CLI::App& command) {
    struct Options {
        evaluate::QuantizeOptions quantize;
        std::string adapter, text, out, method = "absmax", block = "64";
        std::vector<std::string> levels;
    };
    auto options = std::make_shared<Options>();
    command.add_option("MODEL", options->quantize.model, "The model: a folder, a .gguf file or a catalogue name")->required();
    command.add_option("--levels", options->levels, "Precisions, separated by commas: bf16, fp16, fp32, int8, nf4, fp4, int4, int3")->delimiter(',')->required();
    command.add_option("--out", options->out, "The folder to write: a model for each level, and report.json")->required();
    command.add_option("--method", options->method, "How 4-bit codes are found: absmax, search, awq or gptq")
        ->check(CLI::IsMember({"absmax", "search", "awq", "gptq"}));
    command.add_option("--block", options->block, "Weights that share a scale in 4 bit: a power of two from 32 to 4096, or row")
        ->check(CLI::IsMember({"32", "64", "128", "256", "512", "1024", "2048", "4096", "row"}));
    command.add_flag("--double-quantization", options->quantize.double_quantization, "Keep the scales of 4-bit blocks in 8 bit too");
    command.add_option("--text", options->text, "A text file to calibrate on and, in another part of it, to measure perplexity");
    command.add_option("--adapter", options->adapter, "A folder with an adapter in PEFT's format, worked into the model first");
    command.add_option("--calibration-tokens", options->quantize.calibration_tokens, "Tokens to calibrate on, at most")
        ->check(CLI::Range(std::int64_t{16}, std::int64_t{1} << 22));
    command.add_option("--measured-tokens", options->quantize.measured_tokens, "Tokens to measure perplexity on, at most")
        ->check(CLI::Range(std::int64_t{16}, std::int64_t{1} << 30));
    return [options, &command](Context& context) {
        evaluate::QuantizeOptions& quantize = options->quantize;
        quantize.levels.clear();
        for (const std::string& level : options->levels) quantize.levels.push_back(level_named(command, level));
        quantize.method = *nn::quantization_method(options->method);
        quantize.block = options->block == "row" ? 0 : std::stoll(options->block);
        quantize.adapter = options->adapter;
        quantize.text = options->text;
        quantize.out = options->out;
        quantize.threads = context.threads;
        LiveLine live;
        const evaluate::QuantizeReport report = evaluate::quantize(quantize, context.control, live.progress());
        live.clear();
        context.output.answer(evaluate::to_json(report), text(report, options->out));
        return 0;
    };
}

}  // namespace qlora::cli
