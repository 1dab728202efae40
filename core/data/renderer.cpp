#include "core/data/renderer.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/data/conversation.h"

namespace qlora::data {

using detail::Span;
using Layout = ColumnRoles::Layout;

std::size_t Sample::targets() const {
    if (!labels.empty()) return 1;
    if (!answer.empty()) return answer.size();
    // The first token is predicted from nothing: never a target.
    return trained.empty()
               ? 0
               : static_cast<std::size_t>(std::count(trained.begin() + 1, trained.end(), std::uint8_t{1}));
}

namespace {

// All tokens of a row, with the text they stand for.
struct Tokens {
    std::string text;
    std::vector<std::int32_t> ids;
    std::vector<std::size_t> begin;  // in text
    std::vector<std::uint8_t> answer;
};

void append(Tokens& tokens, const std::string& text, const tokenizer::Encoding& encoding,
            const std::vector<Span>& answers) {
    std::size_t shift = tokens.text.size();
    auto span = answers.begin();
    for (std::size_t i = 0; i < encoding.ids.size(); ++i) {
        std::size_t begin = encoding.begin[i];
        std::size_t end = i + 1 < encoding.ids.size() ? encoding.begin[i + 1] : text.size();
        end = std::max(end, begin + 1);
        while (span != answers.end() && span->end <= begin) ++span;
        // A token that joins the prompt's last blank to the answer's first word belongs to the answer.
        tokens.answer.push_back(span != answers.end() && end > span->begin);
        tokens.ids.push_back(encoding.ids[i]);
        tokens.begin.push_back(shift + begin);
    }
    tokens.text += text;
}

}  // namespace

struct Renderer::State {
    const tokenizer::Tokenizer& tokenizer;
    ColumnRoles roles;
    RenderOptions options;
    detail::SpecialText special;
    std::optional<detail::ChatTemplate> chat;

    State(const tokenizer::Tokenizer& tokenizer, ColumnRoles roles, RenderOptions options)
        : tokenizer(tokenizer), roles(std::move(roles)), options(std::move(options)), special(tokenizer) {
        if (this->options.max_length < 2)
            throw input_error("data.max_length", "data.max_length",
                              "expected at least 2 tokens, got " + std::to_string(this->options.max_length));
        const bool talks = this->roles.layout == Layout::prompt_completion || this->roles.layout == Layout::messages;
        if (this->roles.layout == Layout::labelled && !this->options.labels)
            throw failure("data.labels", "data.columns.label", "labelled rows need to know which labels there are");
        if (talks && !this->options.answers_apart && tokenizer.has_chat_template())
            chat.emplace(tokenizer, special);
    }

    std::vector<Message> with_system(const std::vector<Message>& messages) const {
        std::vector<Message> all = messages;
        if (!options.system_prompt.empty() && (all.empty() || all[0].role != "system"))
            all.insert(all.begin(), {"system", options.system_prompt});
        return all;
    }

    // Breaks up the special tokens spelled in the contents by a character that occurs in none of them.
    std::string guard_specials(std::vector<Message>& messages) const {
        bool needed = std::any_of(messages.begin(), messages.end(),
                                  [&](const Message& m) { return special.occurs_in(m.content); });
        if (!needed) return {};
        for (unsigned code = 0x80; code < 0xC0; ++code) {
            std::string guard = {'\xEE', '\x80', static_cast<char>(code)};  // U+E000 and on
            if (std::any_of(messages.begin(), messages.end(),
                            [&](const Message& m) { return m.content.find(guard) != std::string::npos; }))
                continue;
            for (Message& message : messages) message.content = special.protect(message.content, guard);
            return guard;
        }
        throw input_error("data.row", {},
                          "uses every private-use character from U+E000 to U+E03F beside special tokens");
    }

    tokenizer::Encoding encode_chat(std::string& text, const std::string& guard,
                                    std::vector<Span>& answers) const {
        if (guard.empty()) return tokenizer.encode(text, {.add_special = false, .parse_special = true});
        return special.encode_protected(text, guard, answers);
    }

    void close(Tokens& tokens) const {
        auto eos = tokenizer.eos();
        if (!eos || (!tokens.ids.empty() && tokens.ids.back() == *eos)) return;
        tokens.ids.push_back(*eos);
        tokens.begin.push_back(tokens.text.size());
        tokens.answer.push_back(1);
    }

    Tokens plain_text(const std::string& text) const {
        Tokens tokens;
        auto encoding = tokenizer.encode(text, {.add_special = true, .parse_special = options.parse_special});
        append(tokens, text, encoding, {{0, text.size() + 1}});
        close(tokens);
        return tokens;
    }

    Tokens plain_conversation(const std::vector<Message>& messages) const {
        Tokens tokens;
        bool first = true;
        for (const auto& stretch : detail::join_plainly(messages)) {
            append(tokens, stretch.text,
                   tokenizer.encode(stretch.text, {.add_special = first, .parse_special = false}),
                   stretch.answers);
            if (stretch.closed) close(tokens);
            first = false;
        }
        return tokens;
    }

    Tokens conversation(std::vector<Message> messages, const std::string& where) const {
        if (!chat) return plain_conversation(messages);
        std::string guard = guard_specials(messages);
        detail::Rendered rendered = chat->render(messages, where);
        Tokens tokens;
        auto encoding = encode_chat(rendered.text, guard, rendered.answers);
        append(tokens, rendered.text, encoding, rendered.answers);
        return tokens;
    }

    Tokens tokenize(const Example& example, const std::string& where) const {
        if (example.messages.empty()) return plain_text(example.text);
        return conversation(with_system(example.messages), where);
    }

    // A text between the tokenizer's special tokens, with how many of them stand behind it.
    struct Enclosed {
        Tokens tokens;
        std::size_t closing = 0;
    };
    Enclosed enclosed(const std::string& text, bool closed) const {
        Enclosed row;
        auto encoding = tokenizer.encode(text, {.add_special = true, .parse_special = false});
        if (encoding.ids.size() > options.max_length) {
            const auto bare = tokenizer.encode(text, {.add_special = false, .parse_special = false}).ids;
            const auto found = std::search(encoding.ids.begin(), encoding.ids.end(), bare.begin(), bare.end());
            row.closing = static_cast<std::size_t>(encoding.ids.end() - found) - (found == encoding.ids.end() ? 0 : bare.size());
        }
        append(row.tokens, text, encoding, {});
        const std::size_t before = row.tokens.ids.size();
        if (closed) close(row.tokens);
        row.closing += row.tokens.ids.size() - before;
        return row;
    }

    // At most max_length tokens: what is too much goes from the end of the text, before the tokens that close it.
    std::vector<std::int32_t> cut(const Enclosed& row) const {
        std::vector<std::int32_t> ids = row.tokens.ids;
        if (ids.size() <= options.max_length) return ids;
        const std::size_t kept = options.max_length - std::min(options.max_length, row.closing);
        ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(kept), ids.end() - static_cast<std::ptrdiff_t>(row.closing));
        return ids;
    }

    Sample labelled(const Example& example) const {
        const Enclosed text = enclosed(example.text, false);
        Sample sample{.ids = cut(text), .trained = {}, .full_length = text.tokens.ids.size()};
        sample.truncated = sample.ids.size() < sample.full_length;
        sample.trained.resize(sample.ids.size());
        return sample;
    }

    Sample read_and_answered(const Example& example) const {
        const auto [asked, answered] = apart(example);
        Sample sample{.ids = cut(asked), .trained = {}, .full_length = std::max(asked.tokens.ids.size(), answered.tokens.ids.size())};
        sample.answer = cut(answered);
        sample.truncated = sample.ids.size() < asked.tokens.ids.size() || sample.answer.size() < answered.tokens.ids.size();
        sample.trained.resize(sample.ids.size());
        return sample;
    }

    // Sequence to sequence: what is read, and what is answered.
    std::pair<Enclosed, Enclosed> apart(const Example& example) const {
        const auto messages = with_system(example.messages);
        const auto before = detail::before_last_answer(messages);
        std::string asked;
        for (const Message& message : before) asked += (asked.empty() ? "" : "\n") + message.content;
        return {enclosed(asked, false), enclosed(messages[before.size()].content, true)};
    }

    bool is_target(const Tokens& tokens, std::size_t i) const {
        return i > 0 && (!options.answer_only || tokens.answer[i]);
    }
};

Renderer::Renderer(const tokenizer::Tokenizer& tokenizer, ColumnRoles roles, RenderOptions options)
    : state_(std::make_unique<State>(tokenizer, std::move(roles), std::move(options))) {}
Renderer::~Renderer() = default;

const tokenizer::Tokenizer& Renderer::tokenizer() const { return state_->tokenizer; }
const ColumnRoles& Renderer::roles() const {
    return state_->roles;
}
const RenderOptions& Renderer::options() const {
    return state_->options;
}
bool Renderer::uses_chat_template() const {
    return state_->chat.has_value();
}

Sample Renderer::render(const Table& table, std::size_t row, EmptyReason* empty, const std::function<Example(const Example&)>& change) const {
    auto example = read_example(table, row, state_->roles, empty);
    if (!example) return {};
    if (change) example = change(*example);
    if (state_->roles.layout != Layout::labelled) return render(*example, table.where(row));
    Sample sample = state_->labelled(*example);
    sample.labels = read_label(table, row, state_->roles, *state_->options.labels);
    if (!sample.labels.empty()) return sample;
    if (empty != nullptr) *empty = EmptyReason::no_label;
    return {};
}

Sample Renderer::render(const Example& example, const std::string& where) const {
    if (state_->roles.layout == Layout::labelled) return state_->labelled(example);
    if (state_->options.answers_apart) return state_->read_and_answered(example);
    Tokens tokens = state_->tokenize(example, where);
    Sample sample;
    sample.full_length = tokens.ids.size();
    std::size_t length = std::min(sample.full_length, state_->options.max_length);
    sample.truncated = length < sample.full_length;
    sample.ids.assign(tokens.ids.begin(), tokens.ids.begin() + static_cast<std::ptrdiff_t>(length));
    sample.trained.resize(length);
    for (std::size_t i = 0; i < length; ++i) sample.trained[i] = state_->is_target(tokens, i);
    return sample;
}

std::vector<std::int32_t> Renderer::render_prompt(const Table& table, std::size_t row) const {
    auto example = read_example(table, row, state_->roles);
    return example ? render_prompt(*example, table.where(row)) : std::vector<std::int32_t>{};
}

std::vector<std::int32_t> Renderer::render_prompt(const Example& example, const std::string& where) const {
    const State& state = *state_;
    if (state.roles.layout == Layout::labelled) return state.cut(state.enclosed(example.text, false));
    if (state.options.answers_apart) return state.cut(state.apart(example).first);
    if (example.messages.empty()) {
        auto bos = state.tokenizer.encode({}, {.add_special = true, .parse_special = false}).ids;
        std::erase(bos, state.tokenizer.eos().value_or(-1));
        return bos;
    }
    auto messages = state.with_system(example.messages);
    if (state.chat) {
        std::string guard = state.guard_specials(messages);
        std::string text = state.chat->render_prompt(messages, where);
        std::vector<Span> none;
        return state.encode_chat(text, guard, none).ids;
    }
    messages = detail::before_last_answer(messages);
    messages.push_back({"assistant", "x"});  // shows where the answer starts
    Tokens tokens = state.plain_conversation(messages);
    auto end = std::find(tokens.answer.rbegin(), tokens.answer.rend(), std::uint8_t{0});
    return {tokens.ids.begin(), tokens.ids.begin() + (tokens.answer.rend() - end)};
}

std::string Renderer::prompt_text(const Table& table, std::size_t row) const {
    auto example = read_example(table, row, state_->roles);
    if (!example) return {};
    if (state_->roles.layout == Layout::labelled) return example->text;
    auto before = detail::before_last_answer(example->messages);
    return before.empty() ? std::string() : before.back().content;
}

std::string Renderer::answer_text(const Table& table, std::size_t row) const {
    auto example = read_example(table, row, state_->roles);
    if (!example) return {};
    if (state_->roles.layout == Layout::labelled) return label_text(table, row, state_->roles, *state_->options.labels);
    auto before = detail::before_last_answer(example->messages).size();
    return before < example->messages.size() ? example->messages[before].content : example->text;
}

std::vector<TokenView> Renderer::describe(const Table& table, std::size_t row) const {
    auto example = read_example(table, row, state_->roles);
    if (!example) return {};
    std::vector<TokenView> views;
    auto add = [&](const Tokens& tokens, auto is_trained, auto is_cut) {
        for (std::size_t i = 0; i < tokens.ids.size(); ++i) {
            std::size_t end = i + 1 < tokens.ids.size() ? tokens.begin[i + 1] : tokens.text.size();
            std::string text = tokens.text.substr(tokens.begin[i], end - tokens.begin[i]);
            if (text.empty()) text = state_->tokenizer.token(tokens.ids[i]);
            views.push_back({std::move(text), tokens.ids[i], is_trained(i), is_cut(i)});
        }
    };
    auto add_enclosed = [&](const State::Enclosed& row, bool trained) {
        const std::size_t all = row.tokens.ids.size(), limit = state_->options.max_length;
        const std::size_t kept = all <= limit ? all : limit - std::min(limit, row.closing);
        add(row.tokens, [&](std::size_t) { return trained; }, [&](std::size_t i) { return i >= kept && i + row.closing < all; });
    };
    if (state_->roles.layout == Layout::labelled) {
        add_enclosed(state_->enclosed(example->text, false), false);
    } else if (state_->options.answers_apart) {
        const auto [asked, answered] = state_->apart(*example);
        add_enclosed(asked, false);
        add_enclosed(answered, true);
    } else {
        const Tokens tokens = state_->tokenize(*example, table.where(row));
        add(tokens, [&](std::size_t i) { return state_->is_target(tokens, i); },
            [&](std::size_t i) { return i >= state_->options.max_length; });
    }
    return views;
}

}  // namespace qlora::data
