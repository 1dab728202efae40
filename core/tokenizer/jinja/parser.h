#pragma once

#include <string>
#include <string_view>

#include "core/tokenizer/jinja/ast.h"

namespace qlora::tokenizer::jinja {

// jinja2 3.1's grammar, less templates that load other templates. Throws input_error "chat.syntax" with the line.
Body parse_template(std::string_view source, const std::string& where);

}  // namespace qlora::tokenizer::jinja
