#include <cmath>

#include "core/evaluate/quantize.h"

namespace qlora::evaluate {

namespace {

OrderedJson finite(double value) { return std::isfinite(value) ? OrderedJson(value) : OrderedJson(nullptr); }

OrderedJson to_json(const nn::QuantizedMatrix& matrix) {
    OrderedJson json{{"name", matrix.name}, {"shape", {matrix.rows, matrix.cols}}, {"form", matrix.form}, {"block", matrix.block}, {"bytes", matrix.bytes},
                     {"relative_squared_error", finite(matrix.relative_squared_error)}, {"snr_db", finite(matrix.signal_to_noise)}};
    if (matrix.output_error) json["output_error"] = finite(*matrix.output_error);
    if (matrix.channel_exponent) json["channel_exponent"] = *matrix.channel_exponent;
    return json;
}

OrderedJson to_json(const LevelReport& level) {
    OrderedJson json;
    if (!level.method.empty()) json = {{"level", recipe::name(level.level)}, {"method", level.method}, {"folder", level.folder}};
    json["bytes"] = level.bytes;
    if (level.file_bytes > 0) json["file_bytes"] = level.file_bytes;
    if (level.perplexity) json["perplexity"] = finite(*level.perplexity);
    if (level.reading_tokens_per_second > 0) json["reading_tokens_per_second"] = level.reading_tokens_per_second;
    if (level.writing_tokens_per_second > 0) json["writing_tokens_per_second"] = level.writing_tokens_per_second;
    if (level.method.empty()) return json;
    json["seconds"] = level.seconds;
    json["matrices"] = OrderedJson::array();
    for (const auto& matrix : level.matrices) json["matrices"].push_back(to_json(matrix));
    return json;
}

}  // namespace

OrderedJson to_json(const QuantizeReport& report) {
    OrderedJson json{{"model", report.model}, {"form", report.form}, {"parameters", report.parameters}};
    if (!report.adapter.empty()) json["adapter"] = report.adapter;
    if (!report.text.empty())
        json["text"] = {{"source", report.text}, {"calibration_tokens", report.calibration_tokens}, {"measured_tokens", report.measured_tokens}};
    json["base"] = to_json(report.base);
    json["levels"] = OrderedJson::array();
    for (const LevelReport& level : report.levels) json["levels"].push_back(to_json(level));
    json["notices"] = report.notices;
    return json;
}

}  // namespace qlora::evaluate
