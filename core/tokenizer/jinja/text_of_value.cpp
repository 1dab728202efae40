#include <unicode/uchar.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <stdexcept>

#include "core/tokenizer/jinja/value.h"
#include "core/tokenizer/unicode.h"

namespace qlora::tokenizer::jinja {
namespace {

std::string hex(char32_t value, int digits) {
    static constexpr char symbols[] = "0123456789abcdef";
    std::string out;
    for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) out += symbols[value >> shift & 15];
    return out;
}

// Python's repr() of a float: the shortest text that reads back the same.
std::string float_text(double value) {
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
    char buffer[40];
    auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
    std::string scientific(buffer, end);
    auto mark = scientific.find('e');
    int exponent = std::stoi(scientific.substr(mark + 1));
    if (exponent < -4 || exponent >= 16) {
        std::string digits = scientific.substr(0, mark);
        return digits + (exponent < 0 ? "e-" : "e+") + (std::abs(exponent) < 10 ? "0" : "") +
               std::to_string(std::abs(exponent));
    }
    end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed).ptr;
    std::string fixed(buffer, end);
    return fixed.find('.') == std::string::npos ? fixed + ".0" : fixed;
}

bool printable(char32_t c) {
    if (c == ' ') return true;
    auto type = u_charType(static_cast<UChar32>(c));
    return !(U_MASK(type) & (U_GC_C_MASK | U_GC_Z_MASK));
}

std::string quoted_text(std::string_view text) {
    char quote = text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos ? '"' : '\'';
    std::string out(1, quote);
    for (std::size_t at = 0; at < text.size();) {
        char32_t c = next_character(text, at);
        if (c == static_cast<char32_t>(quote) || c == '\\')
            (out += '\\') += static_cast<char>(c);
        else if (c == '\n')
            out += "\\n";
        else if (c == '\r')
            out += "\\r";
        else if (c == '\t')
            out += "\\t";
        else if (printable(c))
            append_utf8(out, c);
        else if (c < 0x100)
            out += "\\x" + hex(c, 2);
        else if (c < 0x10000)
            out += "\\u" + hex(c, 4);
        else
            out += "\\U" + hex(c, 8);
    }
    return out + quote;
}

void represent(const Value& value, std::string& out, Meter& meter) {
    meter.work();
    meter.size(out.size());
    if (value.is_text()) {
        out += quoted_text(value.text());
    } else if (auto list = value.get_if<List>()) {
        bool tuple = (*list)->tuple;
        out += tuple ? '(' : '[';
        for (std::size_t i = 0; i < (*list)->items.size(); ++i) {
            if (i) out += ", ";
            represent((*list)->items[i], out, meter);
        }
        if (tuple && (*list)->items.size() == 1) out += ',';
        out += tuple ? ')' : ']';
    } else if (auto dict = value.get_if<Dict>()) {
        out += '{';
        bool first = true;
        for (const auto& [key, item] : (*dict)->items) {
            if (!std::exchange(first, false)) out += ", ";
            represent(key, out, meter);
            out += ": ";
            represent(item, out, meter);
        }
        out += '}';
    } else if (value.is<None>()) {
        out += "None";
    } else if (value.is_undefined()) {
        out += "Undefined";
    } else if (value.is<bool>()) {
        out += value.as<bool>() ? "True" : "False";
    } else if (value.is<std::int64_t>()) {
        out += std::to_string(value.as<std::int64_t>());
    } else if (value.is<double>()) {
        out += float_text(value.as<double>());
    } else if (auto function = value.get_if<FunctionPointer>()) {
        out += "<function " + (*function)->name + ">";
    } else {
        out += std::string("<") + value.type_name() + ">";
    }
}

class JsonWriter {
  public:
    JsonWriter(const JsonStyle& style, Meter& meter) : style_(style), meter_(meter) {}

    std::string write(const Value& value) {
        element(value, 0);
        return std::move(out_);
    }

  private:
    void element(const Value& value, int level) {
        meter_.work();
        meter_.size(out_.size());
        if (value.is_text())
            string(value.text());
        else if (auto list = value.get_if<List>())
            array((*list)->items, level);
        else if (auto dict = value.get_if<Dict>())
            object(**dict, level);
        else if (value.is<None>())
            out_ += "null";
        else if (value.is<bool>())
            out_ += value.as<bool>() ? "true" : "false";
        else if (value.is<double>() && !std::isfinite(value.as<double>()))
            out_ += std::isnan(value.as<double>()) ? "NaN" : value.as<double>() < 0 ? "-Infinity" : "Infinity";
        else if (value.is_number())
            represent(value, out_, meter_);
        else
            throw std::invalid_argument(std::string("Object of type ") + value.type_name() +
                                        " is not JSON serializable");
    }

    void newline(int level) {
        if (!style_.indented) return;
        out_ += '\n';
        for (int i = 0; i < level; ++i) out_ += style_.indent;
    }

    void array(const std::vector<Value>& items, int level) {
        out_ += '[';
        for (std::size_t i = 0; i < items.size(); ++i) {
            if (i) out_ += style_.item_separator;
            newline(level + 1);
            element(items[i], level + 1);
        }
        if (!items.empty()) newline(level);
        out_ += ']';
    }

    void object(const DictData& dict, int level) {
        std::vector<const std::pair<Value, Value>*> items;
        for (const auto& item : dict.items) items.push_back(&item);
        if (style_.sort_keys)
            std::stable_sort(items.begin(), items.end(),
                             [&](auto a, auto b) { return compare(a->first, b->first, meter_) < 0; });
        out_ += '{';
        bool first = true;
        for (const auto* item : items) {
            if (!std::exchange(first, false)) out_ += style_.item_separator;
            newline(level + 1);
            key(item->first);
            out_ += style_.key_separator;
            element(item->second, level + 1);
        }
        if (!items.empty()) newline(level);
        out_ += '}';
    }

    void key(const Value& key) {
        if (key.is_text()) return string(key.text());
        if (key.is<List>() || key.is<Dict>()) throw std::invalid_argument("keys must be str, int, float, bool or None");
        out_ += '"';
        element(key, 0);
        out_ += '"';
    }

    void string(std::string_view text) {
        out_ += '"';
        for (std::size_t at = 0; at < text.size();) {
            char32_t c = next_character(text, at);
            static constexpr std::string_view short_forms = "\"\"\\\\\nn\rr\tt\bb\ff";
            auto found = c < 0x80 ? short_forms.find(static_cast<char>(c)) : std::string_view::npos;
            if (found != std::string_view::npos && found % 2 == 0)
                (out_ += '\\') += short_forms[found + 1];
            else if (c < 0x20 || (style_.ascii && c >= 0x7F))
                escape(c);
            else
                append_utf8(out_, c);
        }
        out_ += '"';
    }

    void escape(char32_t c) {
        if (c == 0x7F) return append_utf8(out_, c);
        if (c >= 0x10000) {
            c -= 0x10000;
            out_ += "\\u" + hex(0xD800 + (c >> 10), 4);
            c = 0xDC00 + (c & 0x3FF);
        }
        out_ += "\\u" + hex(c, 4);
    }

    const JsonStyle& style_;
    Meter& meter_;
    std::string out_;
};

}  // namespace

std::string to_text(const Value& value, Meter& meter) {
    if (value.is_text()) return value.text();
    if (value.is_undefined()) return "";
    return representation(value, meter);
}

std::string representation(const Value& value, Meter& meter) {
    std::string out;
    represent(value, out, meter);
    return out;
}

std::string to_json(const Value& value, const JsonStyle& style, Meter& meter) {
    return JsonWriter(style, meter).write(value);
}

}  // namespace qlora::tokenizer::jinja
