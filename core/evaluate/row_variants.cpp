#include "core/evaluate/row_variants.h"

#include <map>

namespace qlora::evaluate {

std::vector<RowVariants> row_variants(const recipe::Recipe& recipe, const RunData& data, std::span<const data::RowIndex> rows,
                                      const std::shared_ptr<const data::Paraphrases>& paraphrases, const Control& control) {
    const data::Table& table = *data.train.table;
    const recipe::Augment& augment = recipe.data.augment;
    std::vector<RowVariants> all;
    for (const data::RowIndex row : rows) {
        const auto example = data::read_example(table, row, data.roles);
        if (!example) continue;
        RowVariants& one = all.emplace_back();
        one.row = row;
        one.texts = data::read_texts(*example);
    }
    if (!augment.active()) return all;
    const data::Augmenter augmenter(augment, recipe.train.seed, data.roles, paraphrases);
    // Only what balances follows from the other rows.
    std::map<data::RowIndex, std::vector<data::Variant>> planned;
    for (const data::Variant variant : augmenter.plan(table, augment.balance ? std::span<const data::RowIndex>(data.train.rows) : rows, *data.renderer))
        if (variant.copy > 0) planned[variant.row].push_back(variant);
    for (RowVariants& one : all) {
        control.check();
        for (const data::Variant variant : planned[one.row]) one.variants.push_back(augmenter.describe(table, variant, *data.renderer));
        if (!paraphrases) continue;
        for (const std::string& text : one.texts) {
            one.unwritten |= !paraphrases->knows(text);
            for (const auto& written : paraphrases->of(text))
                if (!written.refused.empty()) one.refused.push_back(written);
        }
    }
    return all;
}

}  // namespace qlora::evaluate
