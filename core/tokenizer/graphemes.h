#pragma once
// Extended grapheme clusters (Unicode Standard Annex #29), as far as a reader of short clusters needs them.

#include <cstddef>
#include <string_view>

namespace qlora::tokenizer {

// Where the cluster that begins at text[at] ends; valid UTF-8. Clusters of conjoined Indic consonants (rule GB9c) are
// cut at the consonants.
std::size_t cluster_end(std::string_view text, std::size_t at);

}  // namespace qlora::tokenizer
