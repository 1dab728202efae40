#pragma once
// Variants of training rows: easy data augmentation (Wei and Zou, "EDA", 2019: synonyms, words swapped, words left out), tokens
// masked, and rare classes brought up to the others. Only what is read is changed, never what is to be answered, and only rows
// to learn from. A variant is a function of the seed, the row and its number.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/random.h"
#include "core/data/renderer.h"
#include "core/data/thesaurus.h"
#include "core/recipe/recipe.h"

namespace qlora::data {

// A row as it is (copy 0), or its copy-th variant.
struct Variant {
    RowIndex row = 0;
    std::uint32_t copy = 0;
    bool operator==(const Variant&) const = default;
};

std::vector<Variant> as_they_are(std::span<const RowIndex> rows);

// Any thread may ask; keeps no reference to the table.
class Augmenter {
  public:
    // Throws input_error "data.thesaurus" where synonyms are wanted and there is no thesaurus, "data.augment" for plain text,
    // all of which is learned.
    Augmenter(const recipe::Augment& options, std::uint64_t seed, const ColumnRoles& roles);

    // `rows`, then their variants: `copies` of each and, where classes are balanced, as many more of rare ones as the
    // commonest has rows (at most 20 a row), taken in turn. `classes`: of each row, -1: none; empty where they are not balanced.
    std::vector<Variant> plan(std::span<const RowIndex> rows, std::span<const std::int64_t> classes) const;

    // What is read, changed: the text, or what the user says. The same text where nothing in it can be changed.
    Example vary(const Example& example, Variant variant) const;
    std::string vary(std::string_view text, Variant variant, std::size_t part = 0) const;
    // Tokens that are read, masked: the tokenizer's mask in their place, or left out where it has none. Special ones stay.
    void mask(Sample& sample, Variant variant, const tokenizer::Tokenizer& tokenizer) const;
    bool masks() const { return options_.mask > 0; }
    // A variant for variety's sake, as against one for balance.
    bool spare(Variant variant) const { return variant.copy <= static_cast<std::uint32_t>(options_.copies); }

  private:
    enum class Change : std::uint8_t { synonyms, swap, deletion };
    RandomStream stream(Variant variant, std::string_view purpose) const;

    recipe::Augment options_;
    std::uint64_t seed_;
    std::vector<Change> changes_;
    std::shared_ptr<const Thesaurus> thesaurus_;
};

}  // namespace qlora::data
