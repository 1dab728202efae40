#pragma once
// Chat templates: the Jinja subset that Hugging Face models use, with the meaning of transformers' environment
// (jinja2 3.1 ImmutableSandboxedEnvironment, trim_blocks, lstrip_blocks, loopcontrols, the "generation" tag).

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.h"

namespace qlora::tokenizer {

namespace jinja {
struct Statement;
}

// Immutable; any thread may render.
class ChatTemplate {
  public:
    // Throws input_error "chat.syntax" naming `where` and the line.
    ChatTemplate(std::string_view source, std::string where);
    ~ChatTemplate();

    // `variables`: an object with bos_token and the like; "tools" and "documents" are none unless given. Throws
    // input_error "chat.messages", "chat.refused" (the template's own raise_exception), "chat.template" (it asks for
    // what the interpreter does not have, with the line), "chat.limit" (steps, output or depth).
    std::string render(const OrderedJson& messages, bool add_generation_prompt, const OrderedJson& variables) const;

  private:
    std::unique_ptr<const std::vector<std::unique_ptr<jinja::Statement>>> body_;
    std::string where_;
};

}  // namespace qlora::tokenizer
