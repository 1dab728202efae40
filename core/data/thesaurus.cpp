#include "core/data/thesaurus.h"

#include <algorithm>
#include <charconv>

#include "core/base/error.h"

namespace qlora::data {

namespace fs = std::filesystem;

namespace {

std::string_view text_of(const MappedFile& file) {
    return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

// The line that `at` lies in, without its end.
std::string_view line_at(std::string_view text, std::size_t at) {
    const std::size_t begin = text.rfind('\n', at == 0 ? 0 : at - 1), end = text.find('\n', at);
    const std::size_t first = begin == std::string_view::npos || at == 0 ? 0 : begin + 1;
    return text.substr(first, (end == std::string_view::npos ? text.size() : end) - first);
}

// Takes the next field of a line.
std::string_view next(std::string_view& line) {
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    const std::size_t end = std::min(line.find(' '), line.size());
    const std::string_view field = line.substr(0, end);
    line.remove_prefix(end);
    return field;
}

std::size_t number(std::string_view field, int base = 10) {
    std::size_t value = 0;
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value, base);
    return error == std::errc() && end == field.data() + field.size() ? value : std::string_view::npos;
}

// The files are sorted by bytes; their licence stands first, in lines that begin with a blank.
std::string_view find_lemma(std::string_view index, std::string_view word) {
    std::size_t low = 0, high = index.size();
    while (low < high) {
        const std::size_t middle = low + (high - low) / 2;
        const std::string_view line = line_at(index, middle);
        const std::string_view lemma = line.substr(0, std::min(line.find(' '), line.size()));
        if (lemma == word) return line;
        const std::size_t begin = static_cast<std::size_t>(line.data() - index.data());
        if (lemma < word) low = begin + line.size() + 1;
        else high = begin;
    }
    return {};
}

}  // namespace

Thesaurus::Thesaurus(const fs::path& folder) {
    for (const char* part : {"noun", "verb", "adj", "adv"}) {
        const fs::path index = folder / (std::string("index.") + part), data = folder / (std::string("data.") + part);
        for (const fs::path& file : {index, data})
            if (!fs::exists(file))
                throw input_error("data.thesaurus", file.string(), "expected a file of WordNet's database, got nothing",
                                  "Install WordNet (on Debian: apt-get install wordnet-base), or set data.augment.synonyms to 0.");
        parts_.push_back(std::make_unique<const PartOfSpeech>(index, data));
    }
}

fs::path Thesaurus::usual_folder() { return "/usr/share/wordnet"; }

std::vector<std::string> Thesaurus::synonyms(std::string_view word) const {
    std::vector<std::string> found;
    std::size_t most_seen = 0;
    for (const auto& part : parts_) {
        std::string_view line = find_lemma(text_of(part->index), word);
        if (line.empty()) continue;
        // lemma, part of speech, senses, pointers and their symbols, senses again, senses seen in tagged text, offsets
        next(line), next(line), next(line);
        const std::size_t pointers = number(next(line));
        for (std::size_t i = 0; i < pointers && !line.empty(); ++i) next(line);
        next(line);
        const std::size_t seen = number(next(line)) + 1;
        if (seen <= most_seen) continue;
        most_seen = seen;
        found.clear();
        const std::string_view data = text_of(part->data);
        const std::size_t offset = number(next(line));
        if (offset >= data.size()) continue;
        std::string_view sense = data.substr(offset, data.find('\n', offset) - offset);
        // offset, file number, kind, number of words (hexadecimal), then each word and its lexical id
        next(sense), next(sense), next(sense);
        const std::size_t words = number(next(sense), 16);
        for (std::size_t i = 0; i < words && !sense.empty(); ++i) {
            std::string synonym(next(sense));
            next(sense);
            if (const auto marker = synonym.find('('); marker != std::string::npos) synonym.resize(marker);  // where an adjective may stand
            if (synonym != word && synonym.find('_') == std::string::npos && std::ranges::find(found, synonym) == found.end())
                found.push_back(std::move(synonym));
        }
    }
    return found;
}

}  // namespace qlora::data
