#pragma once
// Rows to token ids and a loss mask.
//
// With a chat template, prompt and completion become a user and an assistant turn, and ids equal those of
// transformers' apply_chat_template(tokenize=True), with one deliberate exception: text in a data cell that
// spells a special token ("<|im_end|>") stays ordinary text, so that data cannot close a turn or speak as
// another role. Without a template, the parts are joined by a line break and each answer is closed by the
// end-of-sequence token. Plain text is encoded with the tokenizer's own special tokens and closed by
// end-of-sequence.
//
// A labelled text, and in sequence to sequence what is read and what is answered, are encoded as transformers'
// tokenizers do with truncation: their special tokens stay, the text between them is cut. No chat template is
// used.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/data/labels.h"
#include "core/data/roles.h"

namespace qlora::tokenizer {
class Tokenizer;
}

namespace qlora::data {

struct RenderOptions {
    std::size_t max_length = 512;  // tokens a row; longer ones are cut at the right
    bool answer_only = true;       // targets are the answers; false: every token but the first
    std::string system_prompt{};   // for rows without one of their own
    bool parse_special = false;    // Layout::text only: special tokens spelled in the text count as such
    bool answers_apart = false;    // sequence to sequence: what is read and what is answered are two texts
    std::shared_ptr<const Labels> labels{};  // Layout::labelled
};

struct Sample {
    std::vector<std::int32_t> ids;
    // trained[i] = 1: token i is a target, predicted from the tokens before it. Same size as ids; trained[0]
    // = 0. An answer's end-of-turn token is a target too, so that the model learns to stop; blanks after it
    // are not.
    std::vector<std::uint8_t> trained;
    std::size_t full_length = 0;  // tokens before the cut
    bool truncated = false;
    // Sequence to sequence: the tokens that the decoder is to give, closed by end-of-sequence. `trained` is then all 0.
    std::vector<std::int32_t> answer{};
    // Classification: the class's index, or a number a label (0 or 1 each), or a value a label (regression).
    std::vector<float> labels{};
    // What there is to learn from: tokens of the text or of the answer; 1 for a labelled row.
    std::size_t targets() const;
};

struct TokenView {
    std::string text;  // the bytes of the row's text that the token stands for; may be a part of a character
    std::int32_t id = 0;
    bool trained = false;
    bool cut = false;  // beyond max_length
};

// Thread-safe after construction. Keeps a reference to the tokenizer.
class Renderer {
  public:
    // Throws input_error "data.template" when the chat template cannot render a plain question and answer.
    Renderer(const tokenizer::Tokenizer& tokenizer, ColumnRoles roles, RenderOptions options);
    ~Renderer();
    Renderer(const Renderer&) = delete;
    Renderer& operator=(const Renderer&) = delete;

    // Throws input_error "data.row" (see read_example) or "data.template" naming the row. A row without text
    // or answer gives an empty sample, and says why in `empty`.
    // `change`, where given, is what is done to the row before.
    Sample render(const Table& table, std::size_t row, EmptyReason* empty = nullptr, const std::function<Example(const Example&)>& change = {}) const;
    Sample render(const Example& example, const std::string& where) const;

    // What generation starts from: the row up to its last answer, with the template's generation prompt.
    std::vector<std::int32_t> render_prompt(const Table& table, std::size_t row) const;
    std::vector<std::int32_t> render_prompt(const Example& example, const std::string& where) const;
    // For display and evaluation: the question (last user turn; a labelled text) and the answer as written in
    // the data, or the label.
    // Plain text has no question: its prompt is empty.
    std::string prompt_text(const Table& table, std::size_t row) const;
    std::string answer_text(const Table& table, std::size_t row) const;

    // Every token of a row, those cut away included.
    std::vector<TokenView> describe(const Table& table, std::size_t row) const;

    const tokenizer::Tokenizer& tokenizer() const;
    const ColumnRoles& roles() const;
    const RenderOptions& options() const;
    // True when conversations go through the tokenizer's chat template.
    bool uses_chat_template() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace qlora::data
