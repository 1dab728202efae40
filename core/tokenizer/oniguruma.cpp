#include <algorithm>
#include <cctype>
#include <charconv>
#include <vector>

#include "core/base/error.h"
#include "core/tokenizer/pattern.h"
#include "core/tokenizer/unicode_additions.h"

namespace qlora::tokenizer {
namespace {

std::string hex(char32_t value) {
    char digits[8];
    auto end = std::to_chars(digits, digits + sizeof digits, static_cast<std::uint32_t>(value), 16).ptr;
    return "\\x{" + std::string(digits, end) + "}";
}

// Class members for the ranges that newer Unicode versions added to a general category ("L", "Lu", ...), or to all but
// "C" for none.
std::string additions(std::string_view category) {
    std::string members;
    for (const auto& range : unicode_additions) {
        bool assigned = category.empty() && range.category[0] != 'C';
        if (!assigned && (category.empty() || !std::string_view(range.category).starts_with(category))) continue;
        members += hex(range.first);
        if (range.last != range.first) members += "-" + hex(range.last);
    }
    return members;
}

class Translator {
  public:
    Translator(std::string_view source, const std::string& where) : source_(source), where_(where) {}

    std::string run() {
        while (at_ < source_.size()) step();
        return std::move(out_);
    }

  private:
    [[noreturn]] void refuse(const std::string& what) const {
        throw input_error("tokenizer.unsupported", where_,
                          "the regular expression " + std::string(source_) + " uses " + what +
                              ", which this program does not support");
    }

    char peek(std::size_t ahead = 0) const { return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0'; }

    void atom(std::string_view text) {
        atom_ = out_.size();
        out_ += text;
    }

    void step() {
        char c = source_[at_];
        if (c == '\\') {
            atom_ = out_.size();
            escape(false);
        } else if (c == '[') {
            atom_ = out_.size();
            character_class();
        } else if (c == '(') {
            group();
        } else if (c == ')') {
            ++at_;
            if (!groups_.empty()) {
                atom_ = groups_.back();
                groups_.pop_back();
            }
            out_ += ')';
        } else if (c == '{' && interval()) {
        } else if (c == '*' || c == '+' || c == '?') {
            out_ += c;
            ++at_;
            if (peek() == '?' || peek() == '+') out_ += source_[at_++];
        } else {
            std::size_t length = 1;
            while (at_ + length < source_.size() && (source_[at_ + length] & 0xC0) == 0x80) ++length;
            atom(source_.substr(at_, length));
            at_ += length;
        }
    }

    // {n,m}: a "+" or (after {n}) a "?" behind it repeats the whole in Ruby's syntax, instead of changing its kind.
    bool interval() {
        auto close = source_.find('}', at_);
        if (close == std::string_view::npos) return false;
        auto inside = source_.substr(at_ + 1, close - at_ - 1);
        bool numbers = inside.find_first_not_of("0123456789,") == std::string_view::npos && !inside.empty() &&
                       inside != "," && std::count(inside.begin(), inside.end(), ',') <= 1;
        if (!numbers) {
            atom("\\{");
            ++at_;
            return true;
        }
        out_ += '{';
        if (inside.front() == ',') out_ += '0';
        out_ += inside;
        out_ += '}';
        at_ = close + 1;
        bool exact = inside.find(',') == std::string_view::npos;
        if (peek() == '+' || (peek() == '?' && exact)) {
            out_.insert(atom_, "(?:");
            out_ += ')';
            out_ += source_[at_++];
        } else if (peek() == '?') {
            out_ += source_[at_++];
        }
        return true;
    }

    void group() {
        groups_.push_back(out_.size());
        out_ += '(';
        ++at_;
        if (peek() != '?') return;
        static constexpr std::string_view known[] = {"?:", "?=", "?!", "?>", "?<=", "?<!", "?i:", "?-i:", "?i)", "?-i)"};
        for (auto opening : known) {
            if (!source_.substr(at_).starts_with(opening)) continue;
            // In Ruby a bare (?i) holds to the end of its group, over all alternatives: the same only at the start.
            if (opening.back() == ')' && at_ != 1) continue;
            if (opening.back() == ')') groups_.pop_back();
            out_ += opening;
            at_ += opening.size();
            return;
        }
        refuse("the group (" + std::string(source_.substr(at_, 3)));
    }

    // Set members that mean the same inside and outside of brackets; outside they get brackets.
    void members(const std::string& set, bool negated, bool inside) {
        if (!inside) {
            out_ += negated ? "[^" : "[";
            out_ += set + "]";
        } else if (negated) {
            refuse("a negated class inside brackets");
        } else {
            out_ += set;
        }
    }

    void property(bool inside) {
        bool negated = source_[at_ + 1] == 'P';
        auto close = source_.find('}', at_);
        if (peek(2) != '{' || close == std::string_view::npos) refuse("a property without braces");
        std::string name(source_.substr(at_ + 3, close - at_ - 3));
        if (name.starts_with('^')) {
            negated = !negated;
            name.erase(0, 1);
        }
        at_ = close + 1;
        static constexpr std::string_view long_names[][2] = {
            {"Letter", "L"}, {"Mark", "M"},   {"Number", "N"}, {"Punctuation", "P"}, {"Symbol", "S"},
            {"Separator", "Z"}, {"Other", "C"}, {"Han", "Han"},  {"Hiragana", "Hiragana"},
            {"Katakana", "Katakana"}, {"Hangul", "Hangul"}, {"Latin", "Latin"}, {"Cyrillic", "Cyrillic"},
            {"Greek", "Greek"}, {"Arabic", "Arabic"}, {"Hebrew", "Hebrew"}, {"Thai", "Thai"}};
        for (const auto& [full, brief] : long_names)
            if (name == full) name = brief;
        std::string added = name.size() <= 2 ? additions(name) : "";
        if (name.size() > 2) {
            // By script, not by script extensions, which is what PCRE2 takes a bare name for.
            static constexpr const char* added_han = "\\x{2b739}\\x{2ebf0}-\\x{2ee5d}\\x{31350}-\\x{323af}";
            if (name == "Han" && !(inside && negated))
                return members(std::string("\\p{sc:Han}") + added_han, negated, inside);
            bool script = std::isupper(static_cast<unsigned char>(name[0])) && name != "White_Space" && name != "Any";
            out_ += (negated ? "\\P{" : "\\p{") + (script ? "sc:" + name : name) + "}";
        } else if (name.starts_with("C") && !inside && (name == "C" || name == "Cn")) {
            std::string assigned = additions("");
            out_ += negated ? "[\\P{" + name + "}" + assigned + "]" : "(?:(?![" + assigned + "])\\p{" + name + "})";
        } else if (added.empty())
            out_ += (negated ? "\\P{" : "\\p{") + name + "}";
        else if (inside && negated)
            out_ += "\\P{" + name + "}";  // additions stay out: PCRE2 has no way to take them from a set
        else
            members("\\p{" + name + "}" + added, negated, inside);
    }

    void escape(bool inside) {
        char c = peek(1);
        switch (c) {
            case '\0': refuse("a lone backslash at its end");
            case 'p':
            case 'P': return property(inside);
            case 's': out_ += "\\p{White_Space}"; break;
            case 'S': out_ += "\\P{White_Space}"; break;
            case 'w':
            case 'W':
                members("\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\xB2\\xB3\\xB9\\xBC-\\xBE\\x{24b6}-\\x{24e9}\\x{1f130}-"
                        "\\x{1f149}\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}" +
                            additions("L") + additions("M") + additions("Nd"),
                        c == 'W', inside);
                break;
            case 'd':
            case 'D': members("\\p{Nd}" + additions("Nd"), c == 'D', inside); break;
            case 'h': members("0-9a-fA-F", false, inside); break;
            case 'H': members("0-9a-fA-F", true, inside); break;
            case 'v': out_ += "\\x0B"; break;
            case 'u': {
                if (source_.size() < at_ + 6) refuse("\\u without four digits");
                out_ += "\\x{" + std::string(source_.substr(at_ + 2, 4)) + "}";
                at_ += 4;
                break;
            }
            default:
                if (std::isalnum(static_cast<unsigned char>(c)) && std::string_view("nrtfaexAzZ0").find(c) == std::string_view::npos)
                    refuse(std::string("\\") + c);
                out_ += '\\';
                out_ += c;
        }
        at_ += 2;
    }

    void character_class() {
        out_ += '[';
        ++at_;
        if (peek() == '^') out_ += source_[at_++];
        bool first = true;
        for (; at_ < source_.size(); first = false) {
            char c = source_[at_];
            if (c == ']' && !first) {
                out_ += ']';
                ++at_;
                return;
            }
            if (c == '[') refuse("brackets inside brackets");
            if (c == '&' && peek(1) == '&') refuse("an intersection of classes");
            if (c == '\\') {
                escape(true);
            } else {
                if (c == ']') out_ += '\\';
                out_ += c;
                ++at_;
            }
        }
        refuse("a class without its closing bracket");
    }

    std::string_view source_;
    const std::string& where_;
    std::string out_;
    std::size_t at_ = 0, atom_ = 0;
    std::vector<std::size_t> groups_;
};

}  // namespace

std::string to_pcre2(std::string_view oniguruma, const std::string& where) {
    return Translator(oniguruma, where).run();
}

}  // namespace qlora::tokenizer
