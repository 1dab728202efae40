#include "core/tokenizer/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "core/base/error.h"

namespace qlora::tokenizer {
namespace {

template <auto release>
struct Release {
    template <class T>
    void operator()(T* object) const { release(object); }
};
using CompileContext = std::unique_ptr<pcre2_compile_context, Release<pcre2_compile_context_free>>;
using Code = std::unique_ptr<pcre2_code, Release<pcre2_code_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Release<pcre2_match_data_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Release<pcre2_match_context_free>>;
using JitStack = std::unique_ptr<pcre2_jit_stack, Release<pcre2_jit_stack_free>>;

// A crafted expression may backtrack without end: this many steps are some seconds.
constexpr std::uint32_t match_limit = 200'000'000;

std::string error_text(int code) {
    PCRE2_UCHAR text[256];
    pcre2_get_error_message(code, text, sizeof text);
    return reinterpret_cast<const char*>(text);
}

}  // namespace

struct Pattern::Compiled {
    Code code;
    bool jit = false;
    std::string expression;
};

struct Matcher::State {
    MatchData data;
    MatchContext context;
    JitStack stack;
};

Pattern::~Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;

Pattern Pattern::literal(std::string text) {
    Pattern pattern;
    pattern.text_ = std::move(text);
    return pattern;
}

Pattern Pattern::regex(std::string_view expression, const std::string& where) {
    std::string translated = to_pcre2(expression, where);
    CompileContext context(pcre2_compile_context_create(nullptr));
    if (!context) throw std::bad_alloc();
    pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
    pcre2_set_max_pattern_length(context.get(), 1 << 16);
    int error = 0;
    PCRE2_SIZE at = 0;
    Pattern pattern;
    pattern.compiled_ = std::make_unique<Compiled>();
    pattern.compiled_->expression = expression;
    pattern.compiled_->code.reset(
        pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &error, &at, context.get()));
    if (!pattern.compiled_->code)
        throw input_error("tokenizer.pattern", where,
                          "cannot compile the regular expression " + std::string(expression) + ": " + error_text(error));
    pattern.compiled_->jit = pcre2_jit_compile(pattern.compiled_->code.get(), PCRE2_JIT_COMPLETE) == 0;
    return pattern;
}

Matcher::Matcher(const Pattern& pattern, std::string_view text) : pattern_(pattern), text_(text) {
    if (!pattern.compiled_) return;
    state_ = std::make_unique<State>();
    state_->data.reset(pcre2_match_data_create(1, nullptr));
    state_->context.reset(pcre2_match_context_create(nullptr));
    if (!state_->data || !state_->context) throw std::bad_alloc();
    pcre2_set_match_limit(state_->context.get(), match_limit);
}

Matcher::~Matcher() = default;

bool Matcher::next(std::size_t from) {
    if (!state_) {
        auto found = pattern_.text_.empty() ? std::string_view::npos : text_.find(pattern_.text_, from);
        if (found == std::string_view::npos) return false;
        begin_ = found;
        end_ = found + pattern_.text_.size();
        return true;
    }
    auto subject = reinterpret_cast<PCRE2_SPTR>(text_.data());
    const auto& compiled = *pattern_.compiled_;
    auto match = [&] {
        return compiled.jit ? pcre2_jit_match(compiled.code.get(), subject, text_.size(), from, 0, state_->data.get(),
                                              state_->context.get())
                            : pcre2_match(compiled.code.get(), subject, text_.size(), from, PCRE2_NO_UTF_CHECK,
                                          state_->data.get(), state_->context.get());
    };
    int result = match();
    if (result == PCRE2_ERROR_JIT_STACKLIMIT && !state_->stack) {
        state_->stack.reset(pcre2_jit_stack_create(64 << 10, 64 << 20, nullptr));
        if (!state_->stack) throw std::bad_alloc();
        pcre2_jit_stack_assign(state_->context.get(), nullptr, state_->stack.get());
        result = match();
    }
    if (result == PCRE2_ERROR_NOMATCH) return false;
    if (result < 0)
        throw failure("tokenizer.pattern", "the expression " + compiled.expression,
                      "cannot be matched against the text at byte " + std::to_string(from) + ": " + error_text(result));
    auto bounds = pcre2_get_ovector_pointer(state_->data.get());
    begin_ = bounds[0];
    end_ = bounds[1];
    return true;
}

}  // namespace qlora::tokenizer
