#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <stdexcept>

#include "core/tokenizer/jinja/interpreter.h"
#include "core/tokenizer/jinja/python_text.h"
#include "core/tokenizer/unicode.h"

namespace qlora::tokenizer::jinja {
namespace {

std::string text_of(Call& call, const Value& value) { return call.interpreter.text(value); }

template <std::string (*change)(std::string_view)>
Value changed(Call& call, const Value& input) {
    call.parameters({});
    return change(text_of(call, input));
}

Value trim(Call& call, const Value& input) {
    call.parameters({"chars"});
    std::string text = text_of(call, input), characters = call.text(0, "chars", "");
    return right_stripped(left_stripped(text, characters), characters);
}

Value length(Call& call, const Value& input) {
    call.parameters({});
    if (input.is_undefined()) return std::int64_t{0};
    if (input.is_text()) return static_cast<std::int64_t>(character_count(input.text()));
    if (auto list = input.get_if<List>()) return static_cast<std::int64_t>((*list)->items.size());
    if (auto dict = input.get_if<Dict>()) return static_cast<std::int64_t>((*dict)->items.size());
    call.fail(std::string("object of type '") + input.type_name() + "' has no len()");
}

Value first(Call& call, const Value& input) {
    auto items = call.interpreter.elements(input, call.line);
    return items.empty() ? Value(Undefined{"no first item: the sequence was empty: it"}) : items.front();
}
Value last(Call& call, const Value& input) {
    auto items = call.interpreter.elements(input, call.line);
    return items.empty() ? Value(Undefined{"no last item: the sequence was empty: it"}) : items.back();
}

// "a.b.0" of each value, as jinja2's attribute arguments mean it.
class Path {
  public:
    Path(Call& call, const Value& path) : call_(call) {
        if (path.is_integer()) {
            parts_.push_back(path);
            return;
        }
        for (auto& part : split(text_of(call, path), ".", -1, false)) {
            std::int64_t index = 0;
            auto end = part.data() + part.size();
            bool number = !part.empty() && std::from_chars(part.data(), end, index).ptr == end && part[0] != '-';
            parts_.push_back(number ? Value(index) : Value(part));
        }
    }
    Value of(Value value) const {
        for (const Value& part : parts_) value = call_.interpreter.item(value, part, call_.line);
        return value;
    }

  private:
    Call& call_;
    std::vector<Value> parts_;
};

std::optional<Path> path(Call& call, std::size_t place) {
    const Value* attribute = call.find(place, "attribute");
    return attribute && !attribute->is<None>() ? std::optional<Path>(std::in_place, call, *attribute) : std::nullopt;
}

Value join(Call& call, const Value& input) {
    call.parameters({"d", "attribute"});
    std::string separator = text_of(call, call.get(0, "d", "")), out;
    auto attribute = path(call, 1);
    bool is_first = true;
    for (const Value& item : call.interpreter.elements(input, call.line)) {
        if (!std::exchange(is_first, false)) out += separator;
        out += text_of(call, attribute ? attribute->of(item) : item);
        call.interpreter.meter().size(out.size());
    }
    return out;
}

Value replace(Call& call, const Value& input) {
    call.parameters({"old", "new", "count"});
    std::string text = text_of(call, input), from = text_of(call, call.require(0, "old"));
    std::string to = text_of(call, call.require(1, "new"));
    std::size_t places = from.empty() ? text.size() + 1 : occurrences(text, from);
    call.interpreter.meter().size(text.size() + places * to.size());
    return replaced(text, from, to, call.integer(2, "count", -1));
}

Value or_default(Call& call, const Value& input) {
    call.parameters({"default_value", "boolean"});
    bool missing = input.is_undefined() || (call.flag(1, "boolean", false) && !input.truth());
    return missing ? call.get(0, "default_value", "") : input;
}

bool passes(Call& call, const Value& item, std::size_t test_place) {
    if (call.positional.size() <= test_place) return item.truth();
    std::string name = text_of(call, call.positional[test_place]);
    Test test = find_test(name);
    if (!test) call.fail("there is no test \"" + name + "\"");
    Call inner(call.interpreter, "test " + name, call.line);
    inner.positional.assign(call.positional.begin() + test_place + 1, call.positional.end());
    inner.named = call.named;
    return test(inner, item);
}

template <bool wanted, bool by_attribute>
Value select(Call& call, const Value& input) {
    std::vector<Value> kept;
    std::optional<Path> attribute;
    if (by_attribute) attribute.emplace(call, call.require(0, "attribute"));
    for (const Value& item : call.interpreter.elements(input, call.line))
        if (passes(call, by_attribute ? attribute->of(item) : item, by_attribute ? 1 : 0) == wanted) kept.push_back(item);
    return call.interpreter.list(std::move(kept));
}

Value map(Call& call, const Value& input) {
    std::vector<Value> out;
    if (call.positional.empty()) {
        call.parameters({"attribute", "default"});
        Path attribute(call, call.require(0, "attribute"));
        const Value* fallback = call.find(1, "default");
        for (const Value& item : call.interpreter.elements(input, call.line)) {
            Value value = attribute.of(item);
            out.push_back(value.is_undefined() && fallback ? *fallback : value);
        }
        return call.interpreter.list(std::move(out));
    }
    std::string name = text_of(call, call.positional[0]);
    Filter filter = find_filter(name);
    if (!filter) call.fail("there is no filter \"" + name + "\"");
    for (const Value& item : call.interpreter.elements(input, call.line)) {
        Call inner(call.interpreter, "filter " + name, call.line);
        inner.positional.assign(call.positional.begin() + 1, call.positional.end());
        inner.named = call.named;
        out.push_back(filter(inner, item));
    }
    return call.interpreter.list(std::move(out));
}

Value items(Call& call, const Value& input) {
    call.parameters({});
    if (input.is_undefined()) return call.interpreter.list({});
    if (!input.is<Dict>()) call.fail("can only get the items of a mapping");
    std::vector<Value> out;
    for (const auto& [key, value] : input.as<Dict>()->items) out.push_back(call.interpreter.list({key, value}, true));
    return call.interpreter.list(std::move(out));
}

std::optional<double> parse_real(std::string_view text) {
    text = right_stripped(left_stripped(text));
    double value = 0;
    if (text.starts_with('+')) text.remove_prefix(1);
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

Value to_int(Call& call, const Value& input) {
    call.parameters({"default", "base"});
    Value fallback = call.get(0, "default", std::int64_t{0});
    auto whole = [&](double value) {
        return std::isfinite(value) && std::fabs(value) < 9.2e18 ? Value(static_cast<std::int64_t>(value)) : fallback;
    };
    if (input.is_integer()) return input.integer();
    if (input.is<double>()) return whole(input.as<double>());
    if (!input.is_text()) return fallback;
    std::string_view text = right_stripped(left_stripped(input.text()));
    std::int64_t value = 0;
    auto base = std::clamp<std::int64_t>(call.integer(1, "base", 10), 2, 36);
    std::string_view digits = text.starts_with('+') ? text.substr(1) : text;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, static_cast<int>(base));
    if (!digits.empty() && error == std::errc() && end == digits.data() + digits.size()) return value;
    auto real = parse_real(text);
    return real ? whole(*real) : fallback;
}

Value to_float(Call& call, const Value& input) {
    call.parameters({"default"});
    if (input.is_number()) return input.number();
    if (input.is_text())
        if (auto value = parse_real(input.text())) return *value;
    return call.get(0, "default", 0.0);
}

Value indent(Call& call, const Value& input) {
    call.parameters({"width", "first", "blank"});
    Value width = call.get(0, "width", std::int64_t{4});
    if (!width.is_text() && !width.is_integer()) call.fail("\"width\" must be int or str");
    std::string margin = width.is_text()
                             ? width.text()
                             : std::string(static_cast<std::size_t>(std::clamp<std::int64_t>(width.integer(), 0, 1 << 20)), ' ');
    std::string text = text_of(call, input) + "\n";
    std::size_t most = most_cuts(text);
    call.interpreter.meter().size(most * sizeof(std::string));
    call.interpreter.meter().work(most);
    auto lines = split_lines(text);
    call.interpreter.meter().size(text.size() + lines.size() * margin.size());
    std::string out = call.flag(1, "first", false) ? margin : "";
    bool blank = call.flag(2, "blank", false);
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (i) out += '\n';
        if (i && (blank || !lines[i].empty())) out += margin;
        out += lines[i];
    }
    return out;
}

Value to_json_text(Call& call, const Value& input) {
    call.parameters({"ensure_ascii", "indent", "separators", "sort_keys"});
    JsonStyle style;
    style.ascii = call.flag(0, "ensure_ascii", false);
    style.sort_keys = call.flag(3, "sort_keys", false);
    Value margin = call.get(1, "indent", Value());
    if (!margin.is<None>()) {
        style.indented = true;
        style.item_separator = ",";
        style.indent = margin.is_text() ? margin.text()
                       : margin.is_integer()
                           ? std::string(static_cast<std::size_t>(std::clamp<std::int64_t>(margin.integer(), 0, 1000)), ' ')
                           : (call.fail("\"indent\" must be int or str"), "");
    }
    Value separators = call.get(2, "separators", Value());
    if (!separators.is<None>()) {
        auto pair = call.interpreter.elements(separators, call.line);
        if (pair.size() != 2) call.fail("\"separators\" must be two texts");
        style.item_separator = text_of(call, pair[0]);
        style.key_separator = text_of(call, pair[1]);
    }
    return to_json(input, style, call.interpreter.meter());
}

// Text compares without its case, unless asked to.
Value sort_key(const Value& value, bool case_sensitive) {
    return !case_sensitive && value.is_text() ? Value(lower(value.text())) : value;
}

std::vector<Value> sorted(Call& call, std::vector<Value> items, bool reverse, const std::function<Value(const Value&)>& key) {
    std::vector<std::pair<Value, Value>> keyed;
    for (Value& item : items) keyed.emplace_back(key(item), item);
    auto& meter = call.interpreter.meter();
    std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
        return reverse ? compare(b.first, a.first, meter) < 0 : compare(a.first, b.first, meter) < 0;
    });
    items.clear();
    for (auto& [first_key, item] : keyed) items.push_back(item);
    return items;
}

Value sort(Call& call, const Value& input) {
    call.parameters({"reverse", "case_sensitive", "attribute"});
    bool sensitive = call.flag(1, "case_sensitive", false);
    std::vector<Path> paths;
    if (const Value* attribute = call.find(2, "attribute"); attribute && !attribute->is<None>()) {
        if (attribute->is_integer())
            paths.emplace_back(call, *attribute);
        else
            for (const auto& part : split(text_of(call, *attribute), ",", -1, false)) paths.emplace_back(call, Value(part));
    }
    auto key = [&](const Value& item) {
        if (paths.empty()) return sort_key(item, sensitive);
        std::vector<Value> keys;
        for (const Path& one : paths) keys.push_back(sort_key(one.of(item), sensitive));
        return call.interpreter.list(std::move(keys));
    };
    return call.interpreter.list(
        sorted(call, call.interpreter.elements(input, call.line), call.flag(0, "reverse", false), key));
}

Value dict_sort(Call& call, const Value& input) {
    call.parameters({"case_sensitive", "by", "reverse"});
    std::string by = call.text(1, "by", "key");
    if (by != "key" && by != "value") call.fail("can only sort by \"key\" or \"value\"");
    bool sensitive = call.flag(0, "case_sensitive", false);
    Call none(call.interpreter, call.name, call.line);
    Value pairs = items(none, input);
    auto key = [&](const Value& pair) { return sort_key(pair.as<List>()->items[by == "value"], sensitive); };
    return call.interpreter.list(sorted(call, pairs.as<List>()->items, call.flag(2, "reverse", false), key));
}

Value unique(Call& call, const Value& input) {
    call.parameters({"case_sensitive", "attribute"});
    bool sensitive = call.flag(0, "case_sensitive", false);
    auto attribute = path(call, 1);
    std::vector<Value> seen, kept;
    for (const Value& item : call.interpreter.elements(input, call.line)) {
        Value key = sort_key(attribute ? attribute->of(item) : item, sensitive);
        bool known = std::any_of(seen.begin(), seen.end(),
                                 [&](const Value& other) { return equal(other, key, call.interpreter.meter()); });
        if (known) continue;
        seen.push_back(key);
        kept.push_back(item);
    }
    return call.interpreter.list(std::move(kept));
}

Value reverse(Call& call, const Value& input) {
    call.parameters({});
    auto all = call.interpreter.elements(input, call.line);
    std::reverse(all.begin(), all.end());
    if (!input.is_text()) return call.interpreter.list(std::move(all));
    std::string text;
    for (const Value& character : all) text += character.text();
    return text;
}

template <int sign>
Value extreme(Call& call, const Value& input) {
    call.parameters({"case_sensitive", "attribute"});
    bool sensitive = call.flag(0, "case_sensitive", false);
    auto attribute = path(call, 1);
    std::optional<Value> best, best_key;
    for (const Value& item : call.interpreter.elements(input, call.line)) {
        Value key = sort_key(attribute ? attribute->of(item) : item, sensitive);
        if (best && compare(key, *best_key, call.interpreter.meter()) * sign <= 0) continue;
        best = item;
        best_key = key;
    }
    return best ? *best : Value(Undefined{"no aggregated item: the sequence was empty: it"});
}

Value sum(Call& call, const Value& input) {
    call.parameters({"attribute", "start"});
    auto attribute = path(call, 0);
    Value total = call.get(1, "start", std::int64_t{0});
    for (const Value& item : call.interpreter.elements(input, call.line)) {
        Value value = attribute ? attribute->of(item) : item;
        std::int64_t both = 0;
        if (!value.is_number() || !total.is_number()) call.fail("expected numbers");
        if (total.is_integer() && value.is_integer()) {
            if (__builtin_add_overflow(total.integer(), value.integer(), &both)) call.fail("an integer beyond 64 bits");
            total = both;
        } else {
            total = total.number() + value.number();
        }
    }
    return total;
}

Value absolute(Call& call, const Value& input) {
    call.parameters({});
    if (input.is<double>()) return std::fabs(input.as<double>());
    if (!input.is_integer() || input.integer() == INT64_MIN) call.fail("expected a number");
    return std::abs(input.integer());
}

Value round(Call& call, const Value& input) {
    call.parameters({"precision", "method"});
    if (!input.is_number()) call.fail("expected a number");
    auto precision = std::clamp<std::int64_t>(call.integer(0, "precision", 0), -300, 300);
    std::string method = call.text(1, "method", "common");
    double scale = std::pow(10.0, static_cast<double>(precision)), value = input.number();
    if (method == "ceil") return std::ceil(value * scale) / scale;
    if (method == "floor") return std::floor(value * scale) / scale;
    if (method != "common") call.fail("the method must be common, ceil or floor");
    if (input.is_integer() && precision >= 0) return input.integer();
    if (precision <= 0) return std::nearbyint(value * scale) / scale;
    char digits[400];
    auto end = std::to_chars(digits, digits + sizeof digits, value, std::chars_format::fixed,
                             static_cast<int>(std::min<std::int64_t>(precision, 17)));
    double rounded = value;
    if (end.ec == std::errc()) std::from_chars(digits, end.ptr, rounded);
    return rounded;
}

Value escape(Call& call, const Value& input) {
    call.parameters({});
    std::string out;
    for (char c : text_of(call, input)) {
        switch (c) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '\'': out += "&#39;"; break;
            case '"': out += "&#34;"; break;
            default: out += c;
        }
    }
    call.interpreter.meter().size(out.size());
    return out;
}

Value word_count(Call& call, const Value& input) {
    call.parameters({});
    std::int64_t words = 0;
    bool inside = false;
    std::string text = text_of(call, input);
    for (std::size_t at = 0; at < text.size();) {
        char32_t c = next_character(text, at);
        bool word = is_alnum(c) || c == '_';
        if (word && !inside) ++words;
        inside = word;
    }
    return words;
}

Value attribute(Call& call, const Value& input) {
    call.parameters({"name"});
    return call.interpreter.attribute(input, call.text(0, "name"), call.line);
}

// Groups of n; the last filled up where a filler is given.
Value batch(Call& call, const Value& input) {
    call.parameters({"linecount", "fill_with"});
    auto size = static_cast<std::size_t>(std::clamp<std::int64_t>(call.integer(0, "linecount", 0), 1, 1 << 20));
    const Value* filler = call.find(1, "fill_with");
    std::vector<Value> out, group;
    for (const Value& item : call.interpreter.elements(input, call.line)) {
        if (group.size() == size) out.push_back(call.interpreter.list(std::exchange(group, {})));
        group.push_back(item);
    }
    while (!group.empty() && filler && !filler->is<None>() && group.size() < size) group.push_back(*filler);
    if (!group.empty()) out.push_back(call.interpreter.list(std::move(group)));
    return call.interpreter.list(std::move(out));
}

struct Named {
    std::string_view name;
    Filter filter;
};

const Named filters[] = {
    {"abs", absolute},
    {"attr", attribute},
    {"batch", batch},
    {"capitalize", changed<capitalized>},
    {"count", length},
    {"d", or_default},
    {"default", or_default},
    {"dictsort", dict_sort},
    {"e", escape},
    {"escape", escape},
    {"first", first},
    {"float", to_float},
    {"indent", indent},
    {"int", to_int},
    {"items", items},
    {"join", join},
    {"last", last},
    {"length", length},
    {"list", [](Call& call, const Value& v) { return call.interpreter.list(call.interpreter.elements(v, call.line)); }},
    {"lower", changed<lower>},
    {"map", map},
    {"max", extreme<1>},
    {"min", extreme<-1>},
    {"reject", select<false, false>},
    {"rejectattr", select<false, true>},
    {"replace", replace},
    {"reverse", reverse},
    {"round", round},
    {"safe", [](Call& call, const Value& v) { return Value(call.interpreter.text(v)); }},
    {"select", select<true, false>},
    {"selectattr", select<true, true>},
    {"sort", sort},
    {"string", [](Call& call, const Value& v) { return Value(call.interpreter.text(v)); }},
    {"sum", sum},
    {"title", changed<title_of_words>},
    {"tojson", to_json_text},
    {"trim", trim},
    {"unique", unique},
    {"upper", changed<upper>},
    {"wordcount", word_count},
};

}  // namespace

Filter find_filter(std::string_view name) {
    for (const Named& known : filters)
        if (known.name == name) return known.filter;
    return nullptr;
}

}  // namespace qlora::tokenizer::jinja
