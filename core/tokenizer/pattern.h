#pragma once
// Regular expressions as the tokenizers library means them (Oniguruma's Ruby syntax, Unicode 16), run by PCRE2's JIT.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace qlora::tokenizer {

// The expression in PCRE2's syntax with the same meaning. Throws input_error "tokenizer.unsupported" naming what has
// no equivalent.
std::string to_pcre2(std::string_view oniguruma, const std::string& where);

// Immutable; any thread may start matchers on it.
class Pattern {
  public:
    static Pattern regex(std::string_view expression, const std::string& where);
    static Pattern literal(std::string text);
    ~Pattern();
    Pattern(Pattern&&) noexcept;
    Pattern& operator=(Pattern&&) noexcept;

  private:
    friend class Matcher;
    struct Compiled;
    Pattern() = default;
    std::unique_ptr<Compiled> compiled_;  // null for a literal
    std::string text_;
};

// Finds matches from left to right in one text of valid UTF-8, which must outlive it.
class Matcher {
  public:
    Matcher(const Pattern& pattern, std::string_view text);
    ~Matcher();
    Matcher(const Matcher&) = delete;

    // The next match at or after `from`, into [begin, end); false when there is none. Throws failure
    // "tokenizer.pattern" when the expression needs too many steps on this text.
    bool next(std::size_t from);
    std::size_t begin() const { return begin_; }
    std::size_t end() const { return end_; }

  private:
    struct State;
    const Pattern& pattern_;
    std::string_view text_;
    std::unique_ptr<State> state_;
    std::size_t begin_ = 0, end_ = 0;
};

}  // namespace qlora::tokenizer
