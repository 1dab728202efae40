#pragma once
// The merges that a sentencepiece vocabulary implies, for files that list none.

#include <string>
#include <utility>
#include <vector>

namespace qlora::tokenizer {

using Merge = std::pair<std::string, std::string>;

// Every way to put a token together from two others, as transformers' generate_merges orders them: with scores, best
// score first, then the longer left part, then the longer right one; without, in the order of the ids of the results,
// then the shorter parts first. `tokens` and `scores` by id; a token that is there twice has its last id. Time is
// quadratic in the length of a token.
std::vector<Merge> derive_merges(const std::vector<std::string>& tokens, const std::vector<double>* scores);

}  // namespace qlora::tokenizer
