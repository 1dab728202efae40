#pragma once
// Synonyms from WordNet's database files (Princeton; wndb(5WN)): index.POS lists lemmas with the byte offsets of their senses in
// data.POS, the most frequent sense first.

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/file.h"

namespace qlora::data {

// Immutable; any thread may ask.
class Thesaurus {
  public:
    // A folder with index and data files for nouns, verbs, adjectives and adverbs. Throws input_error "data.thesaurus" naming
    // what is missing.
    explicit Thesaurus(const std::filesystem::path& folder);
    // Debian's package wordnet-base; throws where it is not installed.
    static std::filesystem::path usual_folder();

    // Single words that share the most frequent sense of `word`, lower case ASCII, as the part of speech that most of its senses
    // seen in tagged text belong to; without itself, in the order of the file. None for words that are not lemmas, such as
    // plurals.
    std::vector<std::string> synonyms(std::string_view word) const;

  private:
    struct PartOfSpeech {
        PartOfSpeech(const std::filesystem::path& i, const std::filesystem::path& d) : index(i), data(d) {}
        MappedFile index, data;
    };
    std::vector<std::unique_ptr<const PartOfSpeech>> parts_;
};

}  // namespace qlora::data
