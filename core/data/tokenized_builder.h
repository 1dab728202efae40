#pragma once
// Grows a TokenizedDataset sample by sample.

#include <string>

#include "core/data/tokenized.h"

namespace qlora::data {

// For one thread. The data set is whole after finish(); the builder is then spent.
class TokenizedBuilder {
  public:
    void add(const Sample& sample, RowIndex row);
    void drop(const std::string& reason, RowIndex row);
    bool empty() const { return dataset_.size() == 0; }
    std::string reasons() const;  // why rows were dropped, for people
    TokenizedDataset finish();

  private:
    TokenizedDataset dataset_;
};

}  // namespace qlora::data
