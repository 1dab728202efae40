#include "core/data/paraphrases.h"

#include <algorithm>
#include <set>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/words.h"
#include "core/data/roles.h"

namespace qlora::data {

namespace {

constexpr double least_difference = 0.2;  // of the words
constexpr double shortest = 0.5, longest = 2.0;
constexpr std::size_t free_words = 3;  // short texts may grow by these

std::string_view trimmed(std::string_view text) {
    const auto begin = text.find_first_not_of(" \t\r\n"), end = text.find_last_not_of(" \t\r\n");
    return begin == std::string_view::npos ? std::string_view() : text.substr(begin, end - begin + 1);
}

bool negates(const Words& text) {
    // Contractions are often written without their apostrophe.
    static const std::set<std::string_view> words = {"no", "not", "never", "none", "nothing", "nobody", "neither", "nor", "cannot", "without", "hardly", "dont",
                                                     "doesnt", "didnt", "isnt", "arent", "wasnt", "werent", "hasnt", "havent", "hadnt", "wont", "cant", "couldnt",
                                                     "shouldnt", "wouldnt"};
    return std::ranges::any_of(text.words, [&](const auto& word) {
        const std::string plain = lower(word.text);
        return words.contains(plain) || plain.ends_with("n't") || plain.ends_with("n\u2019t");
    });
}

std::multiset<std::string> numbers(const Words& text) {
    std::multiset<std::string> found;
    for (const auto& word : text.words)
        if (std::ranges::any_of(word.text, [](char c) { return c >= '0' && c <= '9'; })) found.insert(word.text);
    return found;
}

bool asks(std::string_view text) { return text.find('?') != std::string_view::npos; }
// Questions are often written without their mark.
bool may_ask(const Words& text) {
    static const std::set<std::string_view> words = {"how", "what", "when", "where", "why", "who", "which", "whose", "can", "could", "may", "should", "would", "will"};
    static const std::set<std::string_view> first = {"do", "does", "did", "is", "are", "am", "was", "were", "have", "has"};
    return first.contains(lower(text.words.front().text)) || std::ranges::any_of(text.words, [&](const auto& word) { return words.contains(lower(word.text)); });
}

// Part of the words that are not the same.
double difference(const Words& a, const Words& b) {
    const std::size_t most = std::max(a.words.size(), b.words.size());
    return most == 0 ? 0 : static_cast<double>(compare_words(a, b).distance) / static_cast<double>(most);
}

}  // namespace

std::string tidy_paraphrase(std::string_view written) {
    std::string_view text = trimmed(written);
    for (bool again = true; again;) {
        again = false;
        const auto end = text.find('\n');
        const std::string_view line = trimmed(text.substr(0, end));
        if (line.ends_with(':') && end != std::string_view::npos) {
            text = trimmed(text.substr(end));
            again = true;
            continue;
        }
        text = line;
        // "Sure, here it is in other words: ..."
        const std::string begin = lower(std::string(text.substr(0, 24)));
        const auto colon = text.find(':');
        for (const char* word : {"sure", "here is", "here's", "certainly", "of course", "rewritten", "paraphrase", "in other words", "answer", "sentence"})
            if (begin.starts_with(word) && colon != std::string_view::npos && colon + 1 < text.size() && colon < 80) {
                text = text.substr(colon + 1);
                again = true;
                break;
            }
        for (const auto& [open, close] : {std::pair{"\"", "\""}, {"\u201c", "\u201d"}, {"'", "'"}})
            if (text.size() > 2 && text.starts_with(open) && text.ends_with(close)) {
                text = text.substr(std::string_view(open).size());
                text = text.substr(0, text.size() - std::string_view(close).size());
                again = true;
            }
    }
    return std::string(text);
}

bool is_written(std::string_view written) {
    written = written.substr(std::min(written.find_first_not_of(" \t\r\n"), written.size()));
    for (std::size_t end = written.find('\n'); end != std::string_view::npos; end = written.find('\n')) {
        const std::string_view line = trimmed(written.substr(0, end));
        if (!line.empty() && !line.ends_with(':')) return true;
        written = written.substr(end + 1);
    }
    return false;
}

std::string refuse_by_words(std::string_view source, std::string_view text, std::span<const Paraphrase> others) {
    const Words before(source), after(text);
    if (after.words.empty()) return "nothing was written";
    const auto words = static_cast<double>(before.words.size()), now = static_cast<double>(after.words.size());
    if (now < shortest * words) return "much shorter";
    if (now > longest * words + static_cast<double>(free_words)) return "much longer";
    if (difference(before, after) < least_difference) return "hardly other words";
    for (const Paraphrase& other : others)
        if (other.refused.empty() && difference(Words(other.text), after) < least_difference) return "written before";
    if (numbers(before) != numbers(after)) return "other numbers";
    if (negates(before) != negates(after)) return negates(before) ? "a \"not\" is gone" : "a \"not\" came in";
    if (asks(source) && !asks(text) && !may_ask(after)) return "no longer a question";
    if (asks(text) && !asks(source) && !before.words.empty() && !may_ask(before)) return "became a question";
    return {};
}

std::span<const Paraphrase> Paraphrases::of(const std::string& source) const {
    const auto found = of_.find(source);
    return found == of_.end() ? std::span<const Paraphrase>() : found->second;
}

std::size_t Paraphrases::kept() const {
    std::size_t all = 0;
    for (const auto& [source, written] : of_) all += static_cast<std::size_t>(std::ranges::count(written, std::string(), &Paraphrase::refused));
    return all;
}

std::size_t Paraphrases::count(const Example& example) const {
    std::size_t most = 0;
    for (const std::string& text : read_texts(example))
        most = std::max(most, static_cast<std::size_t>(std::ranges::count(of(text), std::string(), &Paraphrase::refused)));
    return most;
}

Example Paraphrases::apply(const Example& example, std::size_t number) const {
    const auto reword = [&](std::string& text) {
        std::size_t left = number;
        for (const Paraphrase& one : of(text))
            if (one.refused.empty() && left-- == 0) {
                text = one.text;
                return;
            }
    };
    Example varied = example;
    if (!varied.text.empty()) reword(varied.text);
    for (auto& message : varied.messages)
        if (message.role == "user") reword(message.content);
    return varied;
}

std::string Paraphrases::line(const std::string& source, std::span<const Paraphrase> written) {
    OrderedJson list = OrderedJson::array();
    for (const Paraphrase& one : written) list.push_back({{"text", one.text}, {"similarity", one.similarity}, {"refused", one.refused}});
    return OrderedJson{{"source", source}, {"paraphrases", list}}.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

std::string Paraphrases::lines() const {
    std::string all;
    for (const auto& [source, written] : of_) all += line(source, written);
    return all;
}

Paraphrases Paraphrases::parse(std::string_view lines) {
    Paraphrases all;
    for (std::size_t at = 0; at < lines.size();) {
        const std::size_t end = lines.find('\n', at);
        if (end == std::string_view::npos) break;  // not written to its end
        try {
            const Json json = parse_json(lines.substr(at, end - at), "paraphrases");
            std::vector<Paraphrase> written;
            for (const Json& one : json.at("paraphrases"))
                written.push_back({one.at("text").get<std::string>(), one.at("similarity").get<double>(), one.at("refused").get<std::string>()});
            all.add(json.at("source").get<std::string>(), std::move(written));
        } catch (const Error&) {             // written by two at once, or damaged:
        } catch (const Json::exception&) {   // it is written again
        }
        at = end + 1;
    }
    return all;
}

Paraphrases Paraphrases::read(const std::filesystem::path& path) {
    return std::filesystem::exists(path) ? parse(read_file(path)) : Paraphrases();
}

std::vector<std::string> read_texts(const Example& example) {
    std::vector<std::string> texts;
    if (!example.text.empty()) texts.push_back(example.text);
    for (const auto& message : example.messages)
        if (message.role == "user") texts.push_back(message.content);
    return texts;
}

}  // namespace qlora::data
