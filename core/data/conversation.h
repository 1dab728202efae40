#pragma once
// A conversation as the text that a model sees, with the places of its answers.

#include <string>
#include <vector>

#include "core/data/roles.h"
#include "core/data/special_text.h"

namespace qlora::data::detail {

struct Rendered {
    std::string text;
    std::vector<Span> answers;  // ascending; each answer with what closes it
};

// Renders through the tokenizer's chat template. An answer is what generation would have to write: it starts
// where the generation prompt ends, and ends with its turn, blanks after a closing special token excluded.
// Where a template renders a conversation's beginning differently from the whole (system text moved into the
// last question, thoughts removed from earlier answers), answers are found by a mark put into their content
// instead. Immutable; any thread may read. The tokenizer must outlive it.
class ChatTemplate {
  public:
    ChatTemplate(const tokenizer::Tokenizer& tokenizer, const SpecialText& special);

    // Throws input_error "data.template" naming `where`.
    Rendered render(const std::vector<Message>& messages, const std::string& where) const;
    // Up to the last answer, with the generation prompt.
    std::string render_prompt(const std::vector<Message>& messages, const std::string& where) const;

  private:
    std::vector<Message> adapt(const std::vector<Message>& messages) const;
    std::string apply(const std::vector<Message>& messages, std::size_t count, bool generation_prompt) const;
    std::string apply_or_throw(const std::vector<Message>& messages, std::size_t count,
                               bool generation_prompt, const std::string& where) const;
    Span find_answer(const std::vector<Message>& messages, std::size_t index, const std::string& full,
                     const std::string& where) const;

    const tokenizer::Tokenizer& tokenizer_;
    const SpecialText& special_;
    bool system_role_ = true;  // false: system text goes in front of the first question
};

// Without a template: contents joined by line breaks. A break belongs to the question, blanks before an
// answer to the answer (most tokenizers join a blank to the word that follows). Each stretch is encoded on
// its own and closed by the end-of-sequence token when it ends with an answer.
struct PlainStretch {
    std::string text;
    std::vector<Span> answers;
    bool closed = false;
};
std::vector<PlainStretch> join_plainly(const std::vector<Message>& messages);
// The messages before the last answer.
std::vector<Message> before_last_answer(const std::vector<Message>& messages);

}  // namespace qlora::data::detail
