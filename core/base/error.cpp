#include "core/base/error.h"

#include <system_error>

namespace qlora {

namespace {
std::string sentence(const std::string& where, std::string message) {
    if (where.empty() || message.find(where) != std::string::npos) return message;
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
