#include <cstring>
#include <vector>

#include "core/base/error.h"
#include "core/tokenizer/character_map.h"

namespace qlora::tokenizer {
namespace {

class TrieCheck {
  public:
    TrieCheck(std::vector<DartsUnit> units, const std::string& where, std::size_t most_results)
        : units_(std::move(units)), where_(where), most_results_(most_results), results_(units_.size(), unseen) {}

    // Depth first from the root; results_[n] becomes the most keys that a search passing through n still finds.
    void run() {
        std::vector<Visit> path{{0, 0, 0}};
        results_[0] = open;
        while (!path.empty()) {
            Visit& visit = path.back();
            std::uint32_t children = children_of(visit.node);
            if (visit.next_byte == 256) {
                auto total = visit.most + (visit.node != 0 && units_[visit.node].has_leaf() ? 1 : 0);
                if (total > most_results_) refuse("more than " + std::to_string(most_results_) + " keys begin with one another");
                results_[visit.node] = static_cast<std::int32_t>(total);
                path.pop_back();
                if (!path.empty()) path.back().most = std::max(path.back().most, total);
                continue;
            }
            std::uint32_t byte = visit.next_byte++;
            std::uint32_t child = children ^ byte;
            if (units_[child].label() != byte) continue;
            if (results_[child] == open) refuse("it runs in a circle");
            if (results_[child] >= 0) {
                visit.most = std::max<std::size_t>(visit.most, results_[child]);
                continue;
            }
            results_[child] = open;
            path.push_back({child, 0, 0});
        }
    }

  private:
    static constexpr std::int32_t unseen = -1, open = -2;
    struct Visit {
        std::uint32_t node, next_byte;
        std::size_t most;
    };

    [[noreturn]] void refuse(const std::string& what) const {
        throw input_error("sentencepiece.charsmap", where_, "the character map's trie is broken: " + what);
    }

    // Where the children of a node lie, each at this index with the byte xored in: all within the array.
    std::uint32_t children_of(std::uint32_t node) const {
        std::uint32_t base = node ^ units_[node].offset();
        if ((base | 0xFF) >= units_.size())
            refuse("unit " + std::to_string(node) + " points to " + std::to_string(base) + " of " +
                   std::to_string(units_.size()));
        return base;
    }

    std::vector<DartsUnit> units_;
    const std::string& where_;
    std::size_t most_results_;
    std::vector<std::int32_t> results_;
};

}  // namespace

void check_charsmap(std::string_view charsmap, const std::string& where, std::size_t most_results) {
    auto refuse = [&](const std::string& what) {
        throw input_error("sentencepiece.charsmap", where, "the character map is broken: " + what);
    };
    std::uint32_t size = 0;
    if (charsmap.size() <= sizeof size) refuse("expected more than 4 bytes, got " + std::to_string(charsmap.size()));
    std::memcpy(&size, charsmap.data(), sizeof size);
    if (size < 1024 || size % 1024 != 0) refuse("expected a trie of whole kibibytes, got " + std::to_string(size) + " bytes");
    if (size >= charsmap.size() - sizeof size)
        refuse("the trie of " + std::to_string(size) + " bytes leaves no room for the strings");
    if (charsmap.back() != '\0') refuse("the strings do not end in a NUL byte");
    std::vector<DartsUnit> units(size / sizeof(DartsUnit));
    std::memcpy(units.data(), charsmap.data() + sizeof size, size);
    TrieCheck(std::move(units), where, most_results).run();
}

}  // namespace qlora::tokenizer
