#pragma once
// What a run would learn from beside a row, before it learns.

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/data/augment.h"
#include "core/evaluate/run_data.h"

namespace qlora::evaluate {

struct RowVariants {
    data::RowIndex row = 0;
    bool learned = true;  // false: held out, and so never changed (for those who show such rows too)
    std::vector<std::string> texts;           // of the row, that are read
    std::vector<data::VariantView> variants;
    std::vector<data::Paraphrase> refused;
    bool unwritten = false;                   // paraphrases are wanted and not all written yet
};

// Of training rows, in their order, those with something to learn. `paraphrases`: those of the rows that are known; null: none.
// Throws as data::Augmenter.
std::vector<RowVariants> row_variants(const recipe::Recipe& recipe, const RunData& data, std::span<const data::RowIndex> rows,
                                      const std::shared_ptr<const data::Paraphrases>& paraphrases, const Control& control);

}  // namespace qlora::evaluate
