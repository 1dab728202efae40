#pragma once
// A text as words, for changing them and for telling how far two texts lie apart. A word is letters, digits and all that is not
// ASCII, with apostrophes and hyphens inside.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace qlora {

struct Words {
    struct Word {
        std::string before, text;  // before: blanks and punctuation
    };
    std::vector<Word> words;
    std::string rest;  // behind the last

    explicit Words(std::string_view from);
    std::string joined() const;  // the text again
};

std::string lower(std::string text);  // ASCII letters

// The least number of words put in, left out or replaced that makes one text of the other, capitals aside (Levenshtein), and
// which words of `after` are then new: one entry a word.
struct WordChanges {
    std::size_t distance = 0;
    std::vector<bool> changed;
};
WordChanges compare_words(const Words& before, const Words& after);

}  // namespace qlora
