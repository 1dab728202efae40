#include <algorithm>

#include "core/tokenizer/jinja/interpreter.h"
#include "core/tokenizer/jinja/python_text.h"
#include "core/tokenizer/unicode.h"

namespace qlora::tokenizer::jinja {
namespace {

using Method = Value (*)(Call& call, const Value& self);
struct Named {
    std::string_view name;
    Method method;
};

// Called before a text is cut into so many more parts.
void expect_parts(Call& call, std::size_t parts) {
    call.interpreter.meter().size(parts * sizeof(std::string));
    call.interpreter.meter().work(parts);
}

Value texts(Call& call, std::vector<std::string> parts, bool tuple = false) {
    std::vector<Value> items;
    for (auto& part : parts) items.emplace_back(std::move(part));
    return call.interpreter.list(std::move(items), tuple);
}

template <bool left, bool right>
Value strip(Call& call, const Value& self) {
    call.parameters({"chars"});
    std::string characters = call.text(0, "chars", "");
    if (call.find(0, "chars") && !call.find(0, "chars")->is<None>() && characters.empty()) return self;
    std::string_view text = self.text();
    if (left) text = left_stripped(text, characters);
    if (right) text = right_stripped(text, characters);
    return text;
}

template <bool from_right>
Value split_text(Call& call, const Value& self) {
    call.parameters({"sep", "maxsplit"});
    std::int64_t most = call.integer(1, "maxsplit", -1);
    const Value* separator = call.find(0, "sep");
    if (!separator || separator->is<None>()) {
        expect_parts(call, most_cuts(self.text()));
        return texts(call, split_space(self.text(), most, from_right));
    }
    std::string by = call.text(0, "sep");
    if (by.empty()) call.fail("empty separator");
    expect_parts(call, occurrences(self.text(), by));
    return texts(call, split(self.text(), by, most, from_right));
}

Value lines(Call& call, const Value& self) {
    call.parameters({});
    expect_parts(call, most_cuts(self.text()));
    return texts(call, split_lines(self.text()));
}

template <bool from_right>
Value partition(Call& call, const Value& self) {
    call.parameters({"sep"});
    std::string by = call.text(0, "sep");
    if (by.empty()) call.fail("empty separator");
    auto parts = split(self.text(), by, 1, from_right);
    if (parts.size() == 2) return texts(call, {parts[0], by, parts[1]}, true);
    return from_right ? texts(call, {"", "", parts[0]}, true) : texts(call, {parts[0], "", ""}, true);
}

// startswith and endswith take one text or a tuple of them.
template <bool at_end>
Value affix(Call& call, const Value& self) {
    call.parameters({"affix"});
    Value wanted = call.require(0, "affix");
    std::vector<Value> all = wanted.is_text() ? std::vector<Value>{wanted} : std::vector<Value>{};
    if (wanted.is<List>() && wanted.as<List>()->tuple) all = wanted.as<List>()->items;
    if (!wanted.is_text() && all.empty()) call.fail(std::string("expected str or a tuple of str, got ") + wanted.type_name());
    return std::any_of(all.begin(), all.end(), [&](const Value& one) {
        if (!one.is_text()) call.fail("expected str or a tuple of str");
        return at_end ? self.text().ends_with(one.text()) : self.text().starts_with(one.text());
    });
}

template <bool from_right, bool must>
Value find(Call& call, const Value& self) {
    call.parameters({"sub"});
    auto place = from_right ? self.text().rfind(call.text(0, "sub")) : self.text().find(call.text(0, "sub"));
    if (place == std::string::npos && must) call.fail("substring not found");
    if (place == std::string::npos) return std::int64_t{-1};
    return static_cast<std::int64_t>(character_count(std::string_view(self.text()).substr(0, place)));
}

Value count(Call& call, const Value& self) {
    call.parameters({"sub"});
    std::string wanted = call.text(0, "sub");
    if (wanted.empty()) return static_cast<std::int64_t>(character_count(self.text()) + 1);
    return static_cast<std::int64_t>(occurrences(self.text(), wanted));
}

Value replace(Call& call, const Value& self) {
    call.parameters({"old", "new", "count"});
    std::string from = call.text(0, "old"), to = call.text(1, "new");
    std::size_t places = from.empty() ? self.text().size() + 1 : occurrences(self.text(), from);
    call.interpreter.meter().size(self.text().size() + places * to.size());
    return replaced(self.text(), from, to, call.integer(2, "count", -1));
}

Value join(Call& call, const Value& self) {
    call.parameters({"iterable"});
    std::string out;
    bool first = true;
    for (const Value& item : call.interpreter.elements(call.require(0, "iterable"), call.line)) {
        if (!item.is_text()) call.fail(std::string("expected str instances, found ") + item.type_name());
        if (!std::exchange(first, false)) out += self.text();
        out += item.text();
        call.interpreter.meter().size(out.size());
    }
    return out;
}

template <int side>  // -1 left, 0 centre, 1 right: where the text goes
Value justify(Call& call, const Value& self) {
    call.parameters({"width", "fillchar"});
    std::string fill = call.text(1, "fillchar", " ");
    if (character_count(fill) != 1) call.fail("the fill character must be exactly one character long");
    auto length = static_cast<std::int64_t>(character_count(self.text()));
    std::int64_t missing = std::max<std::int64_t>(call.integer(0, "width", 0) - length, 0);
    call.interpreter.meter().size(self.text().size() + static_cast<std::size_t>(std::min<std::int64_t>(missing, 1 << 30)) * fill.size());
    std::int64_t before = side < 0 ? 0 : side > 0 ? missing : missing / 2 + (missing & (length + missing) & 1);
    std::string out;
    for (std::int64_t i = 0; i < before; ++i) out += fill;
    out += self.text();
    for (std::int64_t i = before; i < missing; ++i) out += fill;
    return out;
}

Value zero_fill(Call& call, const Value& self) {
    call.parameters({"width"});
    std::string text = self.text(), sign;
    if (text.starts_with('+') || text.starts_with('-')) {
        sign = text[0];
        text.erase(0, 1);
    }
    auto length = static_cast<std::int64_t>(character_count(self.text()));
    std::int64_t missing = std::max<std::int64_t>(call.integer(0, "width", 0) - length, 0);
    call.interpreter.meter().size(text.size() + static_cast<std::size_t>(missing));
    return sign + std::string(static_cast<std::size_t>(missing), '0') + text;
}

// Fields {} {0} {name}, without format specifications.
Value format(Call& call, const Value& self) {
    const std::string& text = self.text();
    std::string out;
    std::size_t place = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c != '{' && c != '}') {
            out += c;
            continue;
        }
        if (i + 1 < text.size() && text[i + 1] == c) {
            out += c;
            ++i;
            continue;
        }
        auto close = text.find('}', i);
        if (c == '}' || close == std::string::npos) call.fail("single '" + std::string(1, c) + "' in the format");
        std::string field = text.substr(i + 1, close - i - 1);
        bool number = !field.empty() && field.size() < 6 && field.find_first_not_of("0123456789") == std::string::npos;
        std::size_t index = number ? std::stoul(field) : place;
        if (field.empty()) ++place;
        if (!number && !field.empty()) index = SIZE_MAX;
        const Value* value = call.find(index, field);
        if (!value) call.fail("no argument for the field {" + field + "}; formats other than {}, {0} and {name} are not supported");
        out += call.interpreter.text(*value);
        call.interpreter.meter().size(out.size());
        i = close;
    }
    return out;
}

template <std::string (*change)(std::string_view)>
Value changed(Call& call, const Value& self) {
    call.parameters({});
    return change(self.text());
}
template <bool (*holds)(char32_t)>
Value all(Call& call, const Value& self) {
    call.parameters({});
    return all_of(self.text(), holds);
}
template <bool at_end>
Value without(Call& call, const Value& self) {
    call.parameters({"affix"});
    std::string_view text = self.text();
    std::string affix = call.text(0, "affix");
    if (at_end && text.ends_with(affix)) text.remove_suffix(affix.size());
    if (!at_end && text.starts_with(affix)) text.remove_prefix(affix.size());
    return text;
}

const Named text_methods[] = {
    {"strip", strip<true, true>},
    {"lstrip", strip<true, false>},
    {"rstrip", strip<false, true>},
    {"split", split_text<false>},
    {"rsplit", split_text<true>},
    {"splitlines", lines},
    {"partition", partition<false>},
    {"rpartition", partition<true>},
    {"startswith", affix<false>},
    {"endswith", affix<true>},
    {"removeprefix", without<false>},
    {"removesuffix", without<true>},
    {"find", find<false, false>},
    {"rfind", find<true, false>},
    {"index", find<false, true>},
    {"rindex", find<true, true>},
    {"count", count},
    {"replace", replace},
    {"join", join},
    {"format", format},
    {"lower", changed<lower>},
    {"casefold", changed<lower>},
    {"upper", changed<upper>},
    {"title", changed<title>},
    {"capitalize", changed<capitalized>},
    {"ljust", justify<-1>},
    {"center", justify<0>},
    {"rjust", justify<1>},
    {"zfill", zero_fill},
    {"isspace", all<is_python_space>},
    {"isdigit", all<is_decimal>},
    {"isdecimal", all<is_decimal>},
    {"isnumeric", all<is_numeric>},
    {"isalpha", all<is_alpha>},
    {"isalnum", all<is_alnum>},
    {"islower", [](Call& call, const Value& self) { return call.parameters({}), Value(is_lower(self.text())); }},
    {"isupper", [](Call& call, const Value& self) { return call.parameters({}), Value(is_upper(self.text())); }},
};

Value pairs_of(Call& call, const Value& self) {
    call.parameters({});
    std::vector<Value> items;
    for (const auto& [key, value] : self.as<Dict>()->items) items.push_back(call.interpreter.list({key, value}, true));
    call.interpreter.meter().work(items.size());
    return call.interpreter.list(std::move(items));
}

template <bool keys>
Value halves_of(Call& call, const Value& self) {
    call.parameters({});
    std::vector<Value> items;
    for (const auto& [key, value] : self.as<Dict>()->items) items.push_back(keys ? key : value);
    call.interpreter.meter().work(items.size());
    return call.interpreter.list(std::move(items));
}

Value get(Call& call, const Value& self) {
    call.parameters({"key", "default"});
    const Value* value = self.as<Dict>()->find(call.require(0, "key"));
    return value ? *value : call.get(1, "default", Value());
}

// jinja2's immutable sandbox refuses what would change a value.
Value refuse(Call& call, const Value&) { call.fail("chat templates may not change values"); }

const Named dict_methods[] = {
    {"items", pairs_of},         {"keys", halves_of<true>}, {"values", halves_of<false>},
    {"get", get},                {"copy", [](Call& call, const Value& self) { return call.parameters({}), self; }},
    {"pop", refuse},             {"update", refuse},        {"clear", refuse},
    {"setdefault", refuse},      {"popitem", refuse},
};

Value index_in(Call& call, const Value& self) {
    call.parameters({"value"});
    Value wanted = call.require(0, "value");
    const auto& items = self.as<List>()->items;
    for (std::size_t i = 0; i < items.size(); ++i)
        if (equal(items[i], wanted, call.interpreter.meter())) return static_cast<std::int64_t>(i);
    call.fail("the value is not in the list");
}

Value count_in(Call& call, const Value& self) {
    call.parameters({"value"});
    Value wanted = call.require(0, "value");
    const auto& items = self.as<List>()->items;
    return static_cast<std::int64_t>(std::count_if(
        items.begin(), items.end(), [&](const Value& item) { return equal(item, wanted, call.interpreter.meter()); }));
}

const Named list_methods[] = {
    {"index", index_in}, {"count", count_in}, {"copy", [](Call& call, const Value& self) { return call.parameters({}), self; }},
    {"append", refuse},  {"extend", refuse},  {"insert", refuse}, {"pop", refuse},
    {"remove", refuse},  {"reverse", refuse}, {"sort", refuse},   {"clear", refuse},
};

template <std::size_t n>
Value bind(const Named (&methods)[n], const Value& self, std::string_view name) {
    for (const Named& known : methods)
        if (known.name == name)
            return Value::function(
                std::string(self.type_name()) + "." + std::string(name),
                [method = known.method, self](Call& call) { return method(call, self); }, self.depth() + 1);
    return Undefined{};
}

}  // namespace

Value find_method(const Value& self, std::string_view name) {
    if (self.is_text()) return bind(text_methods, self, name);
    if (self.is<Dict>()) return bind(dict_methods, self, name);
    if (self.is<List>()) return bind(list_methods, self, name);
    return Undefined{};
}

}  // namespace qlora::tokenizer::jinja
