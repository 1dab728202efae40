#include "core/base/error.h"

#include <cctype>
#include <system_error>

namespace qlora {

namespace {
// Whether a text has this word by itself: a field or a file may be called "a".
bool names(const std::string& text, const std::string& word) {
    const auto parted = [&](std::size_t i) { return i >= text.size() || std::isalnum(static_cast<unsigned char>(text[i])) == 0; };
    for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1))
        if ((at == 0 || parted(at - 1)) && parted(at + word.size())) return true;
    return false;
}

std::string sentence(const std::string& where, std::string message) {
    if (where.empty() || names(message, where)) return message;
    return where + ": " + std::move(message);
}
}  // namespace

Error::Error(Kind kind, std::string code, std::string where, std::string message, std::string hint)
    : std::runtime_error(sentence(where, std::move(message))),
      kind_(kind),
      code_(std::move(code)),
      where_(std::move(where)),
      hint_(std::move(hint)) {}

int Error::exit_code() const noexcept {
    switch (kind_) {
        case Kind::input: return 2;
        case Kind::stopped: return 130;
        case Kind::failure: break;
    }
    return 1;
}

Error input_error(std::string code, std::string where, std::string message, std::string hint) {
    return {Error::Kind::input, std::move(code), std::move(where), std::move(message), std::move(hint)};
}

Error failure(std::string code, std::string where, std::string message, std::string hint) {
    return {Error::Kind::failure, std::move(code), std::move(where), std::move(message), std::move(hint)};
}

Error stopped() { return {Error::Kind::stopped, "stopped", {}, "stopped by the user"}; }

std::string errno_text(int error) { return std::system_category().message(error); }

}  // namespace qlora
