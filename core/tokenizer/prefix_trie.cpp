#include "core/tokenizer/prefix_trie.h"

#include <algorithm>

namespace qlora::tokenizer {

PrefixTrie::PrefixTrie(std::vector<std::pair<std::string_view, std::int32_t>> keys) {
    std::erase_if(keys, [](const auto& key) { return key.first.empty(); });
    std::stable_sort(keys.begin(), keys.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    // Each node stands for the keys [begin, end) that start with its path, `depth` bytes long.
    struct Range {
        std::size_t begin, end, depth;
    };
    std::vector<Range> level{{0, keys.size(), 0}}, next;
    labels_.push_back(0);
    values_.push_back(-1);
    while (!level.empty()) {
        next.clear();
        for (const Range& range : level) {
            first_child_.push_back(static_cast<std::uint32_t>(labels_.size()));
            std::size_t begin = range.begin;
            while (begin < range.end && keys[begin].first.size() == range.depth) ++begin;
            while (begin < range.end) {
                auto label = static_cast<unsigned char>(keys[begin].first[range.depth]);
                std::size_t end = begin, value = keys.size();
                for (; end < range.end && static_cast<unsigned char>(keys[end].first[range.depth]) == label; ++end)
                    if (keys[end].first.size() == range.depth + 1) value = end;
                labels_.push_back(label);
                values_.push_back(value < keys.size() ? keys[value].second : -1);
                next.push_back({begin, end, range.depth + 1});
                begin = end;
            }
        }
        std::swap(level, next);
    }
    first_child_.push_back(static_cast<std::uint32_t>(labels_.size()));
    for (Node child = first_child_[root]; child < first_child_[root + 1]; ++child) from_root_[labels_[child]] = child;
}

}  // namespace qlora::tokenizer
