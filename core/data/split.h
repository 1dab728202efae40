#pragma once
// Parting rows into training, validation and test rows, and what is the same on both sides.

#include <cstdint>
#include <string>
#include <vector>

#include "core/data/roles.h"

namespace qlora::data {

using RowIndex = std::uint32_t;  // a table holds fewer than 2^32 rows

struct SplitOptions {
    double validation = 0.1;  // below 1: fraction of the rows; from 1: rows
    double test = 0.0;
    std::uint64_t seed = 42;
};

struct Split {
    std::vector<RowIndex> train, validation, test;  // ascending, disjoint, together all rows
};

// Deterministic by seed. Rows with the same text stay on one side, so a part may miss its size by a group of
// duplicates. A wanted part gets at least one row. Rows without content count for nothing and go to train,
// where prepare() drops them with a word. Throws input_error "data.split" when no row would be left to train
// on.
Split split(const Table& table, const ColumnRoles& roles, const SplitOptions& options,
            const Control* control = nullptr, const Progress& progress = {});

// What makes two rows the same: the text of all roles after Unicode NFKC and case folding, runs of blanks as
// one. 128 bits of a hash; equal keys are taken as equal texts.
struct TextKey {
    std::uint64_t high = 0, low = 0;
    auto operator<=>(const TextKey&) const = default;
};
TextKey text_key(std::string_view text);
std::vector<TextKey> row_keys(const Table& table, const ColumnRoles& roles, const Control* control = nullptr,
                              const Progress& progress = {});

// Groups of at least two equal rows, each ascending, ordered by their first row.
std::vector<std::vector<RowIndex>> find_duplicates(const Table& table, const ColumnRoles& roles,
                                                   const Control* control = nullptr,
                                                   const Progress& progress = {});

struct Leak {
    RowIndex train = 0, test = 0;  // the same text; train is the first such row
    bool operator==(const Leak&) const = default;
};
// Rows of `test` whose text is in `train` too, ordered by test row.
std::vector<Leak> find_leaks(const Table& train, const Table& test, const ColumnRoles& roles,
                             const Control* control = nullptr, const Progress& progress = {});

}  // namespace qlora::data
