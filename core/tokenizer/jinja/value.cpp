#include "core/tokenizer/jinja/value.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "core/base/error.h"
#include "core/tokenizer/unicode.h"

namespace qlora::tokenizer::jinja {
namespace {

int depth_around(const Value& value) {
    int depth = value.depth() + 1;
    if (depth > deepest_value)
        throw input_error("chat.limit", "the chat template",
                          "values nested deeper than " + std::to_string(deepest_value) + " levels");
    return depth;
}

}  // namespace

void Meter::exceed(const char* what) const {
    throw input_error("chat.limit", where_, std::string("the chat template takes too many ") + what,
                      "The template may loop without end; try another one.");
}

const Value* DictData::find(std::string_view key) const {
    auto found = index.find(std::string(key));
    return found == index.end() ? nullptr : &items[found->second].second;
}

const Value* DictData::find(const Value& key) const {
    if (key.is_text()) return find(std::string_view(key.text()));
    Meter meter("a dict", 1 << 20, 1 << 20);
    for (const auto& [known, value] : items)
        if (!known.is_text() && equal(known, key, meter)) return &value;
    return nullptr;
}

void DictData::set(const Value& key, Value value) {
    depth = std::max(depth, depth_around(value));
    if (auto* known = const_cast<Value*>(find(key))) {
        *known = std::move(value);
        return;
    }
    if (key.is_text()) index[key.text()] = items.size();
    items.emplace_back(key, std::move(value));
}

int depth_around(const std::vector<Value>& values) {
    int depth = 1;
    for (const Value& value : values) depth = std::max(depth, depth_around(value));
    return depth;
}

Value Value::list(std::vector<Value> items, bool tuple) {
    auto data = std::make_shared<ListData>();
    data->depth = depth_around(items);
    data->items = std::move(items);
    data->tuple = tuple;
    return Value(List(std::move(data)));
}

Value Value::dict(DictData dict) { return Value(Dict(std::make_shared<const DictData>(std::move(dict)))); }

Value Value::function(std::string name, std::function<Value(Call&)> call, int depth) {
    return Value(FunctionPointer(std::make_shared<const Function>(Function{std::move(name), std::move(call), depth})));
}

Value Value::from_json(const OrderedJson& json) {
    switch (json.type()) {
        case OrderedJson::value_t::boolean: return json.get<bool>();
        case OrderedJson::value_t::number_integer: return json.get<std::int64_t>();
        case OrderedJson::value_t::number_unsigned:
            if (auto value = json.get<std::uint64_t>(); value <= INT64_MAX) return static_cast<std::int64_t>(value);
            return json.get<double>();
        case OrderedJson::value_t::number_float: return json.get<double>();
        case OrderedJson::value_t::string: {
            const auto& text = json.get_ref<const std::string&>();
            return is_utf8(text) ? text : replace_invalid_utf8(text);
        }
        case OrderedJson::value_t::array: {
            std::vector<Value> items;
            for (const auto& item : json) items.push_back(from_json(item));
            return list(std::move(items));
        }
        case OrderedJson::value_t::object: {
            DictData data;
            for (const auto& [key, item] : json.items())
                data.set(Value(is_utf8(key) ? key : replace_invalid_utf8(key)), from_json(item));
            return dict(std::move(data));
        }
        default: return Value();
    }
}

int Value::depth() const {
    if (auto list = get_if<List>()) return (*list)->depth;
    if (auto dict = get_if<Dict>()) return (*dict)->depth;
    if (auto function = get_if<FunctionPointer>()) return (*function)->depth;
    if (auto object = get_if<ObjectPointer>()) return (*object)->depth;
    return 0;
}

bool Value::truth() const {
    if (is<None>() || is_undefined()) return false;
    if (is<bool>()) return as<bool>();
    if (is<std::int64_t>()) return as<std::int64_t>() != 0;
    if (is<double>()) return as<double>() != 0;
    if (is_text()) return !text().empty();
    if (auto list = get_if<List>()) return !(*list)->items.empty();
    if (auto dict = get_if<Dict>()) return !(*dict)->items.empty();
    return true;
}

const char* Value::type_name() const {
    if (is_undefined()) return "Undefined";
    if (is<None>()) return "NoneType";
    if (is<bool>()) return "bool";
    if (is<std::int64_t>()) return "int";
    if (is<double>()) return "float";
    if (is_text()) return "str";
    if (auto list = get_if<List>()) return (*list)->tuple ? "tuple" : "list";
    if (is<Dict>()) return "dict";
    if (is<ObjectPointer>()) return "LoopContext";
    return is<Namespace*>() ? "Namespace" : "function";
}

bool equal(const Value& a, const Value& b, Meter& meter) {
    meter.work();
    if (a.is_number() && b.is_number()) {
        if (a.is_integer() && b.is_integer()) return a.integer() == b.integer();
        return a.number() == b.number();
    }
    if (a.is_text() && b.is_text()) return a.text() == b.text();
    if (a.is_undefined() || b.is_undefined()) return a.is_undefined() && b.is_undefined();
    if (a.is<None>() || b.is<None>()) return a.is<None>() && b.is<None>();
    if (a.is<List>() && b.is<List>()) {
        const auto &left = *a.as<List>(), &right = *b.as<List>();
        if (left.tuple != right.tuple || left.items.size() != right.items.size()) return false;
        return std::equal(left.items.begin(), left.items.end(), right.items.begin(),
                          [&](const Value& x, const Value& y) { return equal(x, y, meter); });
    }
    if (a.is<Dict>() && b.is<Dict>()) {
        const auto &left = *a.as<Dict>(), &right = *b.as<Dict>();
        if (left.items.size() != right.items.size()) return false;
        return std::all_of(left.items.begin(), left.items.end(), [&](const auto& item) {
            const Value* other = right.find(item.first);
            return other && equal(item.second, *other, meter);
        });
    }
    if (a.is<Namespace*>() && b.is<Namespace*>()) return a.as<Namespace*>() == b.as<Namespace*>();
    if (a.is<FunctionPointer>() && b.is<FunctionPointer>()) return a.as<FunctionPointer>() == b.as<FunctionPointer>();
    if (a.is<ObjectPointer>() && b.is<ObjectPointer>()) return a.as<ObjectPointer>() == b.as<ObjectPointer>();
    return false;
}

int compare(const Value& a, const Value& b, Meter& meter) {
    meter.work();
    if (a.is_number() && b.is_number()) {
        if (a.is_integer() && b.is_integer()) return a.integer() < b.integer() ? -1 : a.integer() > b.integer();
        return a.number() < b.number() ? -1 : a.number() > b.number();
    }
    if (a.is_text() && b.is_text()) {
        // Bytes of UTF-8 are in the order of their characters.
        int order = a.text().compare(b.text());
        return order < 0 ? -1 : order > 0;
    }
    if (a.is<List>() && b.is<List>() && a.as<List>()->tuple == b.as<List>()->tuple) {
        const auto &left = a.as<List>()->items, &right = b.as<List>()->items;
        for (std::size_t i = 0; i < std::min(left.size(), right.size()); ++i)
            if (!equal(left[i], right[i], meter)) return compare(left[i], right[i], meter);
        return left.size() < right.size() ? -1 : left.size() > right.size();
    }
    throw std::invalid_argument(std::string("'<' not supported between instances of '") + a.type_name() + "' and '" +
                                b.type_name() + "'");
}

}  // namespace qlora::tokenizer::jinja
