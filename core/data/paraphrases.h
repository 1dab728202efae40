#pragma once
// Texts in other words, written by a model (core/evaluate/paraphrase.h): which of them may stand for the text, and how they are
// kept. What is judged here is judged by words alone; English, as the thesaurus is.

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qlora::data {

struct Example;

struct Paraphrase {
    std::string text;
    double similarity = 0;  // to the text it stands for, -1 to 1; 0 where it was refused before it was measured
    std::string refused;    // why it is not used, for people; empty: it is
    bool operator==(const Paraphrase&) const = default;
};

// What a model wrote, without what it says about it: the first line that does not end in a colon, quotes around it and words before
// a colon ("Sure: ...") gone. And whether that line is written to its end.
std::string tidy_paraphrase(std::string_view written);
bool is_written(std::string_view written);

// Why `text` cannot stand for `source`, "" where it can: it is empty, much longer or shorter, hardly another wording of the source
// or of one of `others`, names other numbers, says "not" where the other does not, or asks where the other does not.
std::string refuse_by_words(std::string_view source, std::string_view text, std::span<const Paraphrase> others);

// What was written for each text, by that text. Reading and asking: any thread, while nobody adds.
class Paraphrases {
  public:
    bool knows(const std::string& source) const { return of_.contains(source); }
    std::span<const Paraphrase> of(const std::string& source) const;  // refused ones too
    void add(const std::string& source, std::vector<Paraphrase> written) { of_[source] = std::move(written); }
    std::size_t kept() const;

    // The number-th used paraphrase of each part that is read, where it has so many; and how many the richest part has.
    Example apply(const Example& example, std::size_t number) const;
    std::size_t count(const Example& example) const;

    // One text a line: {"source": ..., "paraphrases": [{"text", "similarity", "refused"}]}. Reading leaves out what was not
    // written to its end; a file that is not there holds nothing.
    static Paraphrases read(const std::filesystem::path& path);
    static Paraphrases parse(std::string_view lines);
    static std::string line(const std::string& source, std::span<const Paraphrase> written);
    std::string lines() const;

  private:
    std::map<std::string, std::vector<Paraphrase>> of_;
};

// The texts of a row that are read: a labelled text, what the user says.
std::vector<std::string> read_texts(const Example& example);

}  // namespace qlora::data
