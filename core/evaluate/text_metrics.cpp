// Figures of metrics.h for answers in words.
#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "core/base/error.h"
#include "core/evaluate/metrics.h"
#include "core/tokenizer/unicode.h"

namespace qlora::evaluate {

namespace {

constexpr std::size_t longest_ngram = 6;
constexpr double beta = 2;

// Python's str.isspace: White_Space and the four separators of ASCII.
bool is_blank(char32_t character) {
    return tokenizer::is_whitespace(character) || (character >= 0x1C && character <= 0x1F);
}

std::u32string characters(const std::string& text) {
    const std::string valid = tokenizer::replace_invalid_utf8(text);
    std::u32string characters;
    for (std::size_t at = 0; at < valid.size();) characters += tokenizer::next_character(valid, at);
    return characters;
}

std::u32string without_blanks(const std::string& text) {
    std::u32string kept = characters(text);
    std::erase_if(kept, is_blank);
    return kept;
}

std::u32string trimmed(const std::string& text) {
    const std::u32string whole = characters(text);
    const auto first = std::find_if_not(whole.begin(), whole.end(), is_blank);
    const auto end = std::find_if_not(whole.rbegin(), std::u32string::const_reverse_iterator(first), is_blank).base();
    return {first, end};
}

using Counts = std::unordered_map<std::u32string_view, std::int64_t>;

Counts ngrams(std::u32string_view text, std::size_t length) {
    Counts counts;
    for (std::size_t at = 0; at + length <= text.size(); ++at) ++counts[text.substr(at, length)];
    return counts;
}

std::int64_t windows(std::u32string_view text, std::size_t length) {
    return text.size() < length ? 0 : static_cast<std::int64_t>(text.size() - length + 1);
}

void require_pairs(std::size_t expected, std::size_t given) {
    if (expected != given)
        throw failure("metrics.shape", "given answers",
                      "expected " + std::to_string(expected) + ", got " + std::to_string(given));
}

}  // namespace

double exact_match(std::span<const std::string> expected, std::span<const std::string> given) {
    require_pairs(expected.size(), given.size());
    if (expected.empty()) return 0;
    std::size_t equal = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) equal += trimmed(expected[i]) == trimmed(given[i]);
    return static_cast<double>(equal) / static_cast<double>(expected.size());
}

double chrf(std::span<const std::string> expected, std::span<const std::string> given) {
    require_pairs(expected.size(), given.size());
    struct Order {
        std::int64_t expected = 0, given = 0, matched = 0;
    } orders[longest_ngram];
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const std::u32string wanted = without_blanks(expected[i]), answer = without_blanks(given[i]);
        for (std::size_t length = 1; length <= longest_ngram; ++length) {
            Order& order = orders[length - 1];
            const std::int64_t possible = windows(wanted, length);
            if (possible == 0) continue;  // an answer's n-grams count only where there is something to match
            order.expected += possible;
            order.given += windows(answer, length);
            const Counts reference = ngrams(wanted, length);
            for (const auto& [ngram, count] : ngrams(answer, length))
                if (const auto found = reference.find(ngram); found != reference.end())
                    order.matched += std::min(count, found->second);
        }
    }
    // Effective order: only the lengths that both sides have.
    double precision = 0, recall = 0, effective = 0;
    for (const Order& order : orders) {
        if (order.expected == 0 || order.given == 0) continue;
        precision += static_cast<double>(order.matched) / static_cast<double>(order.given);
        recall += static_cast<double>(order.matched) / static_cast<double>(order.expected);
        ++effective;
    }
    if (precision + recall == 0) return 0;
    precision /= effective;
    recall /= effective;
    const double weight = beta * beta;
    return 100 * (1 + weight) * precision * recall / (weight * precision + recall);
}

}  // namespace qlora::evaluate
