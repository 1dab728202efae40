#include "core/base/words.h"

#include <algorithm>

namespace qlora {

namespace {

bool is_letter(char c) {
    const auto x = static_cast<unsigned char>(c);
    return x >= 0x80 || static_cast<unsigned>((x | 32) - 'a') < 26 || static_cast<unsigned>(x - '0') < 10;
}

std::vector<std::string> plain(const Words& text) {
    std::vector<std::string> words;
    for (const auto& word : text.words) words.push_back(lower(word.text));
    return words;
}

}  // namespace

Words::Words(std::string_view from) {
    const auto in_word = [&](std::size_t i) {
        return is_letter(from[i]) || ((from[i] == '\'' || from[i] == '-') && i > 0 && i + 1 < from.size() && is_letter(from[i - 1]) && is_letter(from[i + 1]));
    };
    std::size_t at = 0;
    while (at < from.size()) {
        std::size_t begin = at;
        while (begin < from.size() && !in_word(begin)) ++begin;
        std::size_t end = begin;
        while (end < from.size() && in_word(end)) ++end;
        if (begin == end) rest = from.substr(at);
        else words.push_back({std::string(from.substr(at, begin - at)), std::string(from.substr(begin, end - begin))});
        at = end;
    }
}

std::string Words::joined() const {
    std::string text;
    for (const Word& word : words) text += word.before + word.text;
    return text + rest;
}

std::string lower(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    return text;
}

WordChanges compare_words(const Words& before, const Words& after) {
    const auto a = plain(before), b = plain(after);
    const std::size_t width = b.size() + 1;
    std::vector<std::size_t> cost((a.size() + 1) * width);
    for (std::size_t i = 0; i <= a.size(); ++i)
        for (std::size_t j = 0; j <= b.size(); ++j) {
            std::size_t& here = cost[i * width + j];
            if (i == 0 || j == 0) {
                here = i + j;
                continue;
            }
            here = cost[(i - 1) * width + j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            here = std::min({here, cost[(i - 1) * width + j] + 1, cost[i * width + j - 1] + 1});
        }
    WordChanges changes{cost.back(), std::vector<bool>(b.size(), true)};
    for (std::size_t i = a.size(), j = b.size(); i > 0 && j > 0;) {
        const std::size_t here = cost[i * width + j];
        const bool same = a[i - 1] == b[j - 1];
        if (here == cost[(i - 1) * width + j - 1] + (same ? 0 : 1)) {
            changes.changed[--j] = !same;
            --i;
        } else if (here == cost[(i - 1) * width + j] + 1) {
            --i;
        } else {
            --j;
        }
    }
    return changes;
}

}  // namespace qlora
