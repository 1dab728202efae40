#include <algorithm>

#include "core/tokenizer/jinja/interpreter.h"

namespace qlora::tokenizer::jinja {

void Call::fail(const std::string& message) const { interpreter.fail(line, name + ": " + message); }

void Call::parameters(std::initializer_list<std::string_view> names) const {
    if (positional.size() > names.size())
        fail("expected at most " + std::to_string(names.size()) + " arguments, got " + std::to_string(positional.size()));
    for (const auto& [key, value] : named) {
        auto found = std::find(names.begin(), names.end(), key);
        if (found == names.end()) fail("an unexpected argument \"" + key + "\"");
        if (static_cast<std::size_t>(found - names.begin()) < positional.size()) fail("the argument \"" + key + "\" twice");
    }
}

const Value* Call::find(std::size_t place, std::string_view key) const {
    if (place < positional.size()) return &positional[place];
    for (const auto& [known, value] : named)
        if (known == key) return &value;
    return nullptr;
}

Value Call::require(std::size_t place, std::string_view key) const {
    if (const Value* value = find(place, key)) return *value;
    fail("the argument \"" + std::string(key) + "\" is missing");
}

Value Call::get(std::size_t place, std::string_view key, Value fallback) const {
    const Value* value = find(place, key);
    return value ? *value : fallback;
}

std::string Call::text(std::size_t place, std::string_view key) const {
    Value value = require(place, key);
    if (!value.is_text()) fail("\"" + std::string(key) + "\" must be str, not " + value.type_name());
    return value.text();
}

std::string Call::text(std::size_t place, std::string_view key, const std::string& fallback) const {
    const Value* value = find(place, key);
    return value && !value->is<None>() ? text(place, key) : fallback;
}

std::int64_t Call::integer(std::size_t place, std::string_view key, std::int64_t fallback) const {
    const Value* value = find(place, key);
    if (!value || value->is<None>()) return fallback;
    if (!value->is_integer()) fail("\"" + std::string(key) + "\" must be int, not " + value->type_name());
    return value->integer();
}

bool Call::flag(std::size_t place, std::string_view key, bool fallback) const {
    const Value* value = find(place, key);
    return value ? value->truth() : fallback;
}

}  // namespace qlora::tokenizer::jinja
