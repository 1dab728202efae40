#include <algorithm>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/evaluate/quantize.h"
#include "core/hub/catalogue.h"

namespace qlora::evaluate {

namespace {

constexpr std::size_t most_bytes = std::size_t{64} << 20;
constexpr std::int64_t longest_sequence = 512, shortest_sequence = 16, held_out_every = 5;
constexpr const char* bundled = "banking-support";

// The rows' texts, one behind the other.
std::string bundled_text(std::string& source) {
    const auto path = hub::resolve_data(bundled);
    source = hub::data_name(bundled);
    std::string text;
    const std::string lines = read_file(path, most_bytes);
    for (std::size_t begin = 0, number = 1; begin < lines.size(); ++number) {
        const std::size_t end = std::min(lines.find('\n', begin), lines.size());
        if (end > begin) {
            const std::string where = path.string() + ", line " + std::to_string(number);
            const Json row = parse_json(std::string_view(lines).substr(begin, end - begin), where);
            const JsonObject object(row, where);
            text += object.string("prompt") + "\n" + object.string("completion") + "\n\n";
        }
        begin = end + 1;
    }
    return text;
}

// At most so many tokens, whole sequences from all over the text.
std::vector<std::vector<std::int32_t>> spread(const std::vector<std::vector<std::int32_t>>& all, std::int64_t tokens) {
    const auto wanted = std::clamp<std::size_t>(static_cast<std::size_t>(tokens) / std::max<std::size_t>(1, all.front().size()), 1, all.size());
    std::vector<std::vector<std::int32_t>> chosen;
    for (std::size_t i = 0; i < wanted; ++i) chosen.push_back(all[i * all.size() / wanted]);
    return chosen;
}

}  // namespace

std::int64_t TextSequences::tokens(const std::vector<std::vector<std::int32_t>>& sequences) {
    std::int64_t total = 0;
    for (const auto& ids : sequences) total += static_cast<std::int64_t>(ids.size());
    return total;
}

TextSequences read_sequences(const QuantizeOptions& options, const tokenizer::Tokenizer& tokenizer, std::int64_t context) {
    TextSequences result;
    std::string text;
    if (options.text.empty()) {
        text = bundled_text(result.source);
    } else {
        result.source = options.text.string();
        text = read_file(options.text, most_bytes);
    }
    const auto ids = tokenizer.encode(text, {.add_special = false, .parse_special = false}).ids;
    const auto count = static_cast<std::int64_t>(ids.size());
    const std::int64_t length = std::min({longest_sequence, context, count / (2 * held_out_every)});
    if (length < shortest_sequence)
        throw input_error("quantize.text", result.source,
                          "expected a text of at least " + std::to_string(2 * held_out_every * shortest_sequence) + " tokens, got " + std::to_string(count),
                          "Give a longer one with --text.");
    // A sequence begins as the model's texts do.
    const auto one = tokenizer.encode("a").ids;
    const bool begins = tokenizer.bos() && !one.empty() && one.front() == *tokenizer.bos();
    std::vector<std::vector<std::int32_t>> calibration, held_out;
    const std::int64_t own = length - (begins ? 1 : 0);
    for (std::int64_t start = 0, number = 0; start + own <= count; start += own, ++number) {
        std::vector<std::int32_t> sequence;
        if (begins) sequence.push_back(*tokenizer.bos());
        sequence.insert(sequence.end(), ids.begin() + start, ids.begin() + start + own);
        (number % held_out_every == held_out_every - 1 ? held_out : calibration).push_back(std::move(sequence));
    }
    result.calibration = spread(calibration, options.calibration_tokens);
    result.held_out = spread(held_out, options.measured_tokens);
    return result;
}

}  // namespace qlora::evaluate
