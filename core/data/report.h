#pragma once
// What there is to know about a data set before training on it.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/data/tokenized.h"

namespace qlora::data {

struct LengthHistogram {
    std::size_t bin_width = 1;  // tokens; bin i counts lengths in [i * width, (i + 1) * width)
    std::vector<std::size_t> counts;
    std::size_t limit = 0;  // max_length
};

struct DatasetReport {
    std::size_t rows = 0;
    std::vector<RowIndex> empty_rows;               // nothing to read or nothing to answer
    std::vector<std::vector<RowIndex>> duplicates;  // groups of equal rows
    std::vector<Leak> leaks;                        // test rows that are training rows too
    LengthHistogram lengths;                        // before the cut, kept samples
    std::size_t samples = 0, truncated = 0;
    std::size_t longest = 0;  // tokens, before the cut
    std::int64_t tokens = 0, trained_tokens = 0;
    double mean_tokens = 0, mean_trained_tokens = 0;
    std::vector<Dropped> dropped;
    std::vector<std::pair<std::string, std::size_t>> classes;  // of labelled rows: rows of each
    std::vector<std::string> sentences;  // for people, the gravest first
};

// `test` may be null. Renders every row; runs off the UI thread.
DatasetReport make_report(const Table& table, const Table* test, const Renderer& renderer,
                          const Control* control = nullptr, const Progress& progress = {}, int threads = 0);

LengthHistogram length_histogram(const TokenizedDataset& dataset, std::size_t limit, std::size_t bins = 32);

}  // namespace qlora::data
