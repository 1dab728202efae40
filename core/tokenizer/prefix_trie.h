#pragma once
// A static trie over byte strings, for models that look for every key at a position: nodes in breadth-first order, the
// children of a node side by side, so that one array of labels and one of first children say it all.

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

namespace qlora::tokenizer {

// Immutable; any thread.
class PrefixTrie {
  public:
    using Node = std::uint32_t;
    static constexpr Node root = 0, none = 0;  // no node leads back to the root

    PrefixTrie() : PrefixTrie(std::vector<std::pair<std::string_view, std::int32_t>>{}) {}
    // Values are not negative; of a key that is there twice, the later value holds. Empty keys are left out.
    explicit PrefixTrie(std::vector<std::pair<std::string_view, std::int32_t>> keys);

    // The child of a node for a byte, or none.
    Node step(Node node, unsigned char byte) const {
        if (node == root) return from_root_[byte];
        std::uint32_t begin = first_child_[node], count = first_child_[node + 1] - begin;
        const unsigned char* labels = labels_.data() + begin;
        if (count > 8) {
            auto found = static_cast<const unsigned char*>(std::memchr(labels, byte, count));
            return found ? begin + static_cast<std::uint32_t>(found - labels) : none;
        }
        for (std::uint32_t i = 0; i < count; ++i)
            if (labels[i] == byte) return begin + i;
        return none;
    }
    std::int32_t value(Node node) const { return values_[node]; }  // -1: no key ends here

  private:
    std::vector<unsigned char> labels_;
    std::vector<std::uint32_t> first_child_;  // one more than there are nodes
    std::vector<std::int32_t> values_;
    std::array<Node, 256> from_root_{};
};

}  // namespace qlora::tokenizer
