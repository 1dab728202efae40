#include "core/tokenizer/merges.h"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "core/tokenizer/unicode.h"

namespace qlora::tokenizer {

std::vector<Merge> derive_merges(const std::vector<std::string>& tokens, const std::vector<double>* scores) {
    std::unordered_map<std::string_view, std::int32_t> ids, first;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        ids[tokens[i]] = static_cast<std::int32_t>(i);
        first.try_emplace(tokens[i], static_cast<std::int32_t>(i));
    }
    struct Candidate {
        double score;
        std::uint32_t left_length, right_length, token, cut;
    };
    std::vector<Candidate> all;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        std::string_view token = tokens[i];
        if (first[token] != static_cast<std::int32_t>(i)) continue;
        std::size_t start = all.size(), characters = character_count(token), left = 0;
        for (std::size_t at = 0; at < token.size();) {
            next_character(token, at);
            ++left;
            if (at < token.size() && ids.contains(token.substr(0, at)) && ids.contains(token.substr(at)))
                all.push_back({scores ? (*scores)[ids[token]] : static_cast<double>(ids[token]), static_cast<std::uint32_t>(left),
                               static_cast<std::uint32_t>(characters - left), static_cast<std::uint32_t>(i),
                               static_cast<std::uint32_t>(at)});
        }
        std::stable_sort(all.begin() + start, all.end(), [&](const Candidate& a, const Candidate& b) {
            return std::pair(ids[token.substr(0, a.cut)], ids[token.substr(a.cut)]) <
                   std::pair(ids[token.substr(0, b.cut)], ids[token.substr(b.cut)]);
        });
    }
    std::stable_sort(all.begin(), all.end(), [&](const Candidate& a, const Candidate& b) {
        auto left = std::tuple(a.score, a.left_length, a.right_length), right = std::tuple(b.score, b.left_length, b.right_length);
        return scores ? left > right : left < right;
    });
    std::vector<Merge> merges;
    merges.reserve(all.size());
    for (const Candidate& merge : all)
        merges.emplace_back(tokens[merge.token].substr(0, merge.cut), tokens[merge.token].substr(merge.cut));
    return merges;
}

}  // namespace qlora::tokenizer
