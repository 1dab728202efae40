#include "core/data/augment.h"

#include <algorithm>
#include <map>
#include <set>

#include "core/base/error.h"
#include "core/base/words.h"
#include "core/tokenizer/tokenizer.h"

namespace qlora::data {

namespace {

constexpr std::uint32_t most_balancing_copies = 20;  // of a row

// Words that carry a sentence's structure: their synonyms, where there are any, are of something else.
bool is_function_word(std::string_view word) {
    static const std::set<std::string_view> words = {
        "a", "about", "above", "after", "again", "all", "am", "an", "and", "any", "are", "as", "at", "be", "because", "been", "before", "being",
        "below", "between", "both", "but", "by", "can", "could", "did", "do", "does", "doing", "down", "during", "each", "few", "for", "from",
        "further", "had", "has", "have", "having", "he", "her", "here", "hers", "him", "his", "how", "i", "if", "in", "into", "is", "it", "its",
        "just", "may", "me", "might", "more", "most", "must", "my", "no", "nor", "not", "now", "of", "off", "on", "once", "one", "only", "or",
        "other", "our", "out", "over", "own", "same", "shall", "she", "should", "so", "some", "such", "than", "that", "the", "their", "them",
        "then", "there", "these", "they", "this", "those", "through", "to", "too", "under", "until", "up", "us", "very", "was", "we", "were",
        "what", "when", "where", "which", "while", "who", "whom", "why", "will", "with", "would", "you", "your"};
    return words.contains(word);
}

bool upper(char c) { return c >= 'A' && c <= 'Z'; }

// How many of `n` a fraction means: the whole part, and one more as often as the rest says.
std::size_t how_many(double fraction, std::size_t n, RandomStream& random) {
    const double wanted = fraction * static_cast<double>(n);
    const auto whole = static_cast<std::size_t>(wanted);
    return std::max<std::size_t>(1, whole + (random.uniform() < wanted - static_cast<double>(whole) ? 1 : 0));
}

void swap_words(Words& text, double fraction, RandomStream& random) {
    const std::size_t n = text.words.size();
    if (n < 2) return;
    for (std::size_t left = how_many(fraction / 2, n, random); left > 0; --left) {
        const std::size_t a = random.below(n), b = (a + 1 + random.below(n - 1)) % n;
        std::swap(text.words[a].text, text.words[b].text);
    }
}

void leave_out(Words& text, double fraction, RandomStream& random) {
    const std::size_t n = text.words.size(), leaving = std::min(how_many(fraction, n, random), n - 1);
    const auto order = random.permutation(static_cast<std::uint32_t>(n));
    std::vector<bool> gone(n);
    for (std::size_t i = 0; i < leaving; ++i) gone[order[i]] = true;
    std::vector<Words::Word> left;
    for (std::size_t i = 0; i < n; ++i)
        if (!gone[i]) left.push_back(std::move(text.words[i]));
    if (gone[0]) left.front().before = text.words[0].before;  // what stands before the text stays
    text.words = std::move(left);
}

void replace_by_synonyms(Words& text, double fraction, const Thesaurus& thesaurus, RandomStream& random) {
    const std::size_t wanted = how_many(fraction, text.words.size(), random);
    std::size_t done = 0;
    for (const std::uint32_t i : random.permutation(static_cast<std::uint32_t>(text.words.size()))) {
        if (done == wanted) break;
        std::string& word = text.words[i].text;
        const std::string plain = lower(word);
        if (is_function_word(plain)) continue;
        const auto synonyms = thesaurus.synonyms(plain);
        if (synonyms.empty()) continue;
        std::string synonym = synonyms[random.below(synonyms.size())];
        if (upper(word[0]) && synonym[0] >= 'a' && synonym[0] <= 'z') synonym[0] = static_cast<char>(synonym[0] - 32);
        word = synonym;
        ++done;
    }
}

}  // namespace

std::vector<Variant> as_they_are(std::span<const RowIndex> rows) {
    std::vector<Variant> all;
    for (const RowIndex row : rows) all.push_back({row, 0});
    return all;
}

Augmenter::Augmenter(const recipe::Augment& options, std::uint64_t seed, const ColumnRoles& roles, std::shared_ptr<const Paraphrases> paraphrases)
    : options_(options), seed_(seed), paraphrases_(std::move(paraphrases)) {
    if (roles.layout == ColumnRoles::Layout::text)
        throw input_error("data.augment", "data.augment", "expected rows of which a part is read and a part is learned, got plain text, all of which is learned",
                          "Set data.augment.copies to 0, or name the columns of questions and answers, or of texts and labels.");
    if (options.synonyms > 0) {
        changes_.push_back(Change::synonyms);
        thesaurus_ = std::make_shared<const Thesaurus>(Thesaurus::usual_folder());
    }
    if (options.swap > 0) changes_.push_back(Change::swap);
    if (options.deletion > 0) changes_.push_back(Change::deletion);
}

std::vector<Variant> Augmenter::plan(std::span<const RowIndex> rows, std::span<const std::int64_t> classes, std::span<const std::size_t> rewritten) const {
    std::vector<Variant> all = as_they_are(rows);
    const auto copies = static_cast<std::uint32_t>(options_.copies);
    for (std::uint32_t copy = 1; copy <= copies; ++copy)
        for (const RowIndex row : rows) all.push_back({row, copy});
    for (std::size_t i = 0; i < rewritten.size(); ++i)
        for (std::size_t number = 0; number < rewritten[i]; ++number) all.push_back({rows[i], first_paraphrase + static_cast<std::uint32_t>(number)});
    if (!options_.balance || classes.size() != rows.size()) return all;
    struct Members {
        std::vector<RowIndex> rows;
        std::size_t all = 0;  // with their variants
    };
    std::map<std::int64_t, Members> members;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (classes[i] < 0) continue;
        members[classes[i]].rows.push_back(rows[i]);
        members[classes[i]].all += 1 + copies + (rewritten.empty() ? 0 : rewritten[i]);
    }
    std::size_t most = 0;
    for (const auto& [label, of] : members) most = std::max(most, of.all);
    for (const auto& [label, of] : members) {
        const auto& list = of.rows;
        const std::size_t missing = std::min(most - of.all, list.size() * most_balancing_copies);
        for (std::size_t i = 0; i < missing; ++i)
            all.push_back({list[i % list.size()], copies + 1 + static_cast<std::uint32_t>(i / list.size())});
    }
    return all;
}

std::vector<Variant> Augmenter::plan(const Table& table, std::span<const RowIndex> rows, const Renderer& renderer) const {
    std::vector<std::int64_t> classes;
    const auto& labels = renderer.options().labels;
    if (options_.balance && renderer.roles().layout == ColumnRoles::Layout::labelled && labels && labels->type == recipe::ProblemType::single_label)
        for (const RowIndex row : rows) {
            const auto read = read_label(table, row, renderer.roles(), *labels);
            classes.push_back(read.empty() ? -1 : static_cast<std::int64_t>(read[0]));
        }
    std::vector<std::size_t> rewritten;
    if (paraphrases_)
        for (const RowIndex row : rows) {
            const auto example = read_example(table, row, renderer.roles());
            rewritten.push_back(example ? std::min(paraphrases_->count(*example), static_cast<std::size_t>(options_.paraphrases)) : 0);
        }
    return plan(rows, classes, rewritten);
}

RandomStream Augmenter::stream(Variant variant, std::string_view purpose) const {
    RandomStream named(seed_, purpose);
    RandomStream::State state = named.state();
    state.stream ^= (static_cast<std::uint64_t>(variant.row) << 24 | variant.copy) * 0x9E3779B97F4A7C15u;
    return RandomStream(state);
}

std::string Augmenter::vary(std::string_view text, Variant variant, std::size_t part) const {
    Words words(text);
    if (variant.copy == 0 || changes_.empty() || words.words.empty()) return std::string(text);
    RandomStream random = stream(variant, "augment/" + std::to_string(part));
    switch (change_of(variant)) {
        case Change::synonyms: replace_by_synonyms(words, options_.synonyms, *thesaurus_, random); break;
        case Change::swap: swap_words(words, options_.swap, random); break;
        case Change::deletion: leave_out(words, options_.deletion, random); break;
    }
    return words.joined();
}

Example Augmenter::vary(const Example& example, Variant variant) const {
    if (variant.copy >= first_paraphrase) return paraphrases_->apply(example, variant.copy - first_paraphrase);
    Example varied = example;
    if (!varied.text.empty()) varied.text = vary(varied.text, variant);
    for (std::size_t i = 0; i < varied.messages.size(); ++i)
        if (varied.messages[i].role == "user") varied.messages[i].content = vary(varied.messages[i].content, variant, i);
    return varied;
}

std::vector<std::size_t> Augmenter::masked(const Sample& sample, Variant variant, const tokenizer::Tokenizer& tokenizer) const {
    std::vector<std::size_t> positions;
    if (variant.copy == 0 || !masks()) return positions;
    RandomStream random = stream(variant, "augment/mask");
    for (std::size_t i = 0; i < sample.ids.size(); ++i)
        if (sample.trained[i] == 0 && !tokenizer.is_special(sample.ids[i]) && random.uniform() < options_.mask) positions.push_back(i);
    return positions;
}

void Augmenter::mask(Sample& sample, Variant variant, const tokenizer::Tokenizer& tokenizer) const {
    const std::int32_t mask = tokenizer.find("[MASK]").value_or(tokenizer.find("<mask>").value_or(-1));
    const auto positions = masked(sample, variant, tokenizer);
    if (mask >= 0) {
        for (const std::size_t i : positions) sample.ids[i] = mask;
        return;
    }
    for (auto i = positions.rbegin(); i != positions.rend(); ++i) {
        sample.ids.erase(sample.ids.begin() + static_cast<std::ptrdiff_t>(*i));
        sample.trained.erase(sample.trained.begin() + static_cast<std::ptrdiff_t>(*i));
    }
}

VariantView Augmenter::describe(const Table& table, Variant variant, const Renderer& renderer) const {
    VariantView view{variant, {}, {}, {}};
    if (variant.copy >= first_paraphrase) view.change = "paraphrase";
    else if (variant.copy > 0 && !changes_.empty()) {
        const Change change = change_of(variant);
        view.change = change == Change::synonyms ? "synonyms" : change == Change::swap ? "words swapped" : "words left out";
    }
    const Sample sample = renderer.render(table, variant.row, nullptr, [&](const Example& example) {
        Example varied = vary(example, variant);
        view.texts = read_texts(varied);
        return varied;
    });
    for (const std::size_t i : masked(sample, variant, renderer.tokenizer())) view.masked.push_back(renderer.tokenizer().decode(std::span(sample.ids).subspan(i, 1)));
    return view;
}

}  // namespace qlora::data
