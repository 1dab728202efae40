#pragma once
// Reads JSON front to back without building a tree: for headers of up to 100 MB whose memory must stay
// bounded. As strict as core/base/json.h: UTF-8 only, full grammar, bounded depth; duplicate keys are for the
// caller to refuse.

#include <cstdint>
#include <string>
#include <string_view>

namespace qlora::formats {

// Borrows `text`. Every function skips white space first, throws input_error(`code`, `where`) with line and
// column when something else stands there, and looks at each byte once, in order. One thread.
class JsonCursor {
  public:
    JsonCursor(std::string_view text, std::string code, std::string where);

    // The character that the next value begins with; '\0' at the end of the text.
    char peek();

    // An object: begin_object(), then next_key() and its value until next_key() gives false.
    void begin_object();
    bool next_key(std::string& key, std::size_t limit);
    void begin_array();
    bool next_element();  // true when a value follows, false at the array's end

    void string(std::string& text, std::size_t limit);  // longer than `limit` bytes of UTF-8: an error
    std::string_view number();                          // its text, any number of JSON's grammar
    void skip_value();                                  // any value, at most 32 levels deep
    void end_of_text();                                 // only white space is left

    [[noreturn]] void fail(const std::string& message) const;  // at the present position

  private:
    bool take(char expected);
    void expect(char expected, const char* what);
    void skip_space();
    // Null: the text is checked and dropped.
    bool next_member(std::string* key, std::size_t limit);
    void scan_string(std::string* text, std::size_t limit);
    std::uint32_t escaped_character();
    std::uint32_t hexadecimal();
    void skip_scalar();

    std::string_view text_;
    std::size_t position_ = 0;
    bool first_ = false;  // just behind '{' or '['
    std::string code_, where_;
};

}  // namespace qlora::formats
