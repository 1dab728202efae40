#include "core/adapters/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "core/base/error.h"

namespace qlora::adapters {

namespace {
constexpr std::uint32_t most_steps = 1'000'000;

const pcre2_code* code_of(const std::shared_ptr<const void>& code) { return static_cast<const pcre2_code*>(code.get()); }
PCRE2_SPTR bytes(const std::string& text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }
}  // namespace

Pattern::Pattern(const std::string& expression, const std::string& where) {
    int error = 0;
    PCRE2_SIZE at = 0;
    pcre2_code* code = pcre2_compile(bytes(expression), expression.size(), PCRE2_UTF | PCRE2_DOLLAR_ENDONLY, &error, &at, nullptr);
    if (code == nullptr) {
        PCRE2_UCHAR text[256] = {};
        pcre2_get_error_message(error, text, sizeof text);
        throw input_error("adapter.pattern", where,
                          "\"" + expression + "\" is no regular expression: " + reinterpret_cast<const char*>(text) +
                              " at character " + std::to_string(at + 1));
    }
    code_ = std::shared_ptr<const void>(code, [](const void* p) { pcre2_code_free(const_cast<pcre2_code*>(static_cast<const pcre2_code*>(p))); });
}

bool Pattern::match(const std::string& name, bool whole, std::string* group) const {
    const std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> data(pcre2_match_data_create_from_pattern(code_of(code_), nullptr),
                                                                              pcre2_match_data_free);
    const std::unique_ptr<pcre2_match_context, void (*)(pcre2_match_context*)> context(pcre2_match_context_create(nullptr),
                                                                                       pcre2_match_context_free);
    pcre2_set_match_limit(context.get(), most_steps);
    const std::uint32_t options = PCRE2_ANCHORED | (whole ? PCRE2_ENDANCHORED : 0u);
    const int found = pcre2_match(code_of(code_), bytes(name), name.size(), 0, options, data.get(), context.get());
    if (found < 1) return false;
    if (group != nullptr && found > 1) {
        const PCRE2_SIZE* places = pcre2_get_ovector_pointer(data.get());
        *group = places[2] == PCRE2_UNSET ? std::string() : name.substr(places[2], places[3] - places[2]);
    }
    return true;
}

bool Pattern::matches_whole(const std::string& name) const { return match(name, true, nullptr); }
bool Pattern::matches_start(const std::string& name, std::string* group) const { return match(name, false, group); }

}  // namespace qlora::adapters
