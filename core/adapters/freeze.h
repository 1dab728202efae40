#pragma once
// Where a tensor lies, and which ones full fine-tuning leaves as they are, by name. Strings alone: the planner asks too.

#include <string>
#include <vector>

namespace qlora::adapters {

// The block that a layer or tensor lies in: its name up to and with the first part that is a number; empty where there is none.
std::string block_name(const std::string& name);

// Whether entries of `freeze` cover a tensor, by transformers' name; `embedding`: the module of the token embedding. An entry is
// "embeddings" (learned positions and token types too), "norms", "head", a block's number or a range of them ("0-5"; of an encoder
// and a decoder both), or a module's name or a part of it between points ("q_proj", "layers.3.mlp"). The entries that cover it
// are marked in `used`, which is as long as `freeze`.
bool is_frozen(const std::string& tensor, const std::string& embedding, const std::vector<std::string>& freeze, std::vector<bool>* used = nullptr);

}  // namespace qlora::adapters
