#pragma once
// Variants of training rows: easy data augmentation (Wei and Zou, "EDA", 2019: synonyms, words swapped, words left out), tokens
// masked, rare classes brought up to the others, and paraphrases that a model wrote before. Only what is read is changed, never what
// is to be answered, and only rows to learn from. A variant is a function of the seed, the row and its number.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/random.h"
#include "core/data/paraphrases.h"
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

// How a variant differs from its row, for people.
struct VariantView {
    Variant variant;
    std::string change;               // "synonyms", "words swapped", "words left out", "paraphrase"
    std::vector<std::string> texts;   // that are read
    std::vector<std::string> masked;  // the tokens of them that are masked, as text
};

std::vector<Variant> as_they_are(std::span<const RowIndex> rows);

// Any thread may ask; keeps no reference to the table.
class Augmenter {
  public:
    // Throws input_error "data.thesaurus" where synonyms are wanted and there is no thesaurus, "data.augment" for plain text,
    // all of which is learned.
    Augmenter(const recipe::Augment& options, std::uint64_t seed, const ColumnRoles& roles, std::shared_ptr<const Paraphrases> paraphrases = {});

    // `rows`, then their variants: `copies` of each, `rewritten` paraphrases of each (empty: none) and, where classes are balanced,
    // as many more of rare ones as the commonest has rows (at most 20 a row), taken in turn. `classes`: of each row, -1: none;
    // empty where they are not balanced.
    std::vector<Variant> plan(std::span<const RowIndex> rows, std::span<const std::int64_t> classes, std::span<const std::size_t> rewritten = {}) const;
    // The same of the table's rows.
    std::vector<Variant> plan(const Table& table, std::span<const RowIndex> rows, const Renderer& renderer) const;

    // What is read, changed: the text, or what the user says. The same text where nothing in it can be changed.
    Example vary(const Example& example, Variant variant) const;
    std::string vary(std::string_view text, Variant variant, std::size_t part = 0) const;
    // Tokens that are read, masked: the tokenizer's mask in their place, or left out where it has none. Special ones stay.
    void mask(Sample& sample, Variant variant, const tokenizer::Tokenizer& tokenizer) const;
    bool masks() const { return options_.mask > 0; }
    // A variant for variety's sake, as against one for balance.
    bool spare(Variant variant) const { return variant.copy <= static_cast<std::uint32_t>(options_.copies) || variant.copy >= first_paraphrase; }
    VariantView describe(const Table& table, Variant variant, const Renderer& renderer) const;

  private:
    enum class Change : std::uint8_t { synonyms, swap, deletion };
    static constexpr std::uint32_t first_paraphrase = 1 << 20;  // copies from here on
    Change change_of(Variant variant) const { return changes_[(variant.copy - 1) % changes_.size()]; }
    RandomStream stream(Variant variant, std::string_view purpose) const;
    std::vector<std::size_t> masked(const Sample& sample, Variant variant, const tokenizer::Tokenizer& tokenizer) const;

    recipe::Augment options_;
    std::uint64_t seed_;
    std::vector<Change> changes_;
    std::shared_ptr<const Thesaurus> thesaurus_;
    std::shared_ptr<const Paraphrases> paraphrases_;  // null: none
};

}  // namespace qlora::data
