#pragma once
// The values of a chat template: Python's, as far as templates use them.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "core/base/json.h"

namespace qlora::tokenizer::jinja {

class Value;
class Call;  // the arguments of a call; see interpreter.h

struct Undefined {
    std::string name;  // what was looked for
};
struct None {};
// Immutable and shared: copying a value costs a pointer.
using Text = std::shared_ptr<const std::string>;

struct ListData {
    std::vector<Value> items;
    bool tuple = false;
    int depth = 1;  // bounded, so that nothing recurses without end
};
struct DictData {
    std::vector<std::pair<Value, Value>> items;
    std::unordered_map<std::string, std::size_t> index;  // of the items with text keys
    int depth = 1;

    const Value* find(const Value& key) const;
    const Value* find(std::string_view key) const;
    void set(const Value& key, Value value);
};
// The one thing that templates may change; owned by the interpreter for the time of a rendering.
struct Namespace {
    std::vector<std::pair<std::string, Value>> items;
};
// A function, macro or bound method. `name` is for messages, `depth` that of the value a method is bound to.
struct Function {
    std::string name;
    std::function<Value(Call&)> call;
    int depth = 0;
};

// A value with attributes of its own: a for loop's `loop`.
class Object {
  public:
    virtual ~Object() = default;
    virtual Value attribute(std::string_view name) const = 0;  // Undefined where it has none of that name
    virtual Value call(Call& call) const = 0;
    int depth = 1;
};

using List = std::shared_ptr<const ListData>;
using Dict = std::shared_ptr<const DictData>;
using FunctionPointer = std::shared_ptr<const Function>;
using ObjectPointer = std::shared_ptr<const Object>;

class Value {
  public:
    Value() : data_(None{}) {}
    Value(Undefined undefined) : data_(std::move(undefined)) {}
    Value(bool value) : data_(value) {}
    Value(std::int64_t value) : data_(value) {}
    Value(double value) : data_(value) {}
    Value(std::string text) : data_(std::make_shared<const std::string>(std::move(text))) {}
    Value(std::string_view text) : Value(std::string(text)) {}
    Value(const char* text) : Value(std::string(text)) {}
    Value(List list) : data_(std::move(list)) {}
    Value(Dict dict) : data_(std::move(dict)) {}
    Value(Namespace* space) : data_(space) {}
    Value(FunctionPointer function) : data_(std::move(function)) {}
    Value(ObjectPointer object) : data_(std::move(object)) {}

    static Value list(std::vector<Value> items, bool tuple = false);
    static Value dict(DictData dict);
    static Value function(std::string name, std::function<Value(Call&)> call, int depth = 0);
    // Invalid UTF-8 in texts becomes U+FFFD.
    static Value from_json(const OrderedJson& json);

    template <class T>
    bool is() const { return std::holds_alternative<T>(data_); }
    template <class T>
    const T& as() const { return std::get<T>(data_); }
    template <class T>
    const T* get_if() const { return std::get_if<T>(&data_); }

    bool is_undefined() const { return is<Undefined>(); }
    bool is_text() const { return is<Text>(); }
    const std::string& text() const { return *as<Text>(); }
    // bool counts as a number, as in Python
    bool is_number() const { return is<bool>() || is<std::int64_t>() || is<double>(); }
    bool is_integer() const { return is<bool>() || is<std::int64_t>(); }
    std::int64_t integer() const { return is<bool>() ? as<bool>() : as<std::int64_t>(); }
    double number() const { return is<double>() ? as<double>() : static_cast<double>(integer()); }
    int depth() const;

    bool truth() const;
    const char* type_name() const;  // as Python names it: "str", "int", ...

  private:
    std::variant<None, Undefined, bool, std::int64_t, double, Text, List, Dict, Namespace*, FunctionPointer, ObjectPointer>
        data_;
};

inline constexpr int deepest_value = 100;
// The depth of what holds these values; throws "chat.limit" beyond the deepest.
int depth_around(const std::vector<Value>& values);

// Counts work and output against the limits of a rendering; throws "chat.limit".
class Meter {
  public:
    Meter(std::string where, std::size_t steps, std::size_t bytes)
        : where_(std::move(where)), steps_(steps), bytes_(bytes) {}
    void work(std::size_t steps = 1) {
        if (steps > steps_) exceed("steps");
        steps_ -= steps;
    }
    // A text or list of this size is about to exist.
    void size(std::size_t bytes) {
        if (bytes > bytes_) exceed("bytes of text");
        work(bytes / 64);
    }

  private:
    [[noreturn]] void exceed(const char* what) const;
    std::string where_;
    std::size_t steps_, bytes_;
};

bool equal(const Value& a, const Value& b, Meter& meter);
// Negative, zero or positive; throws std::invalid_argument for values that have no order.
int compare(const Value& a, const Value& b, Meter& meter);

std::string to_text(const Value& value, Meter& meter);         // Python's str()
std::string representation(const Value& value, Meter& meter);  // Python's repr()

struct JsonStyle {
    bool ascii = false, sort_keys = false;
    bool indented = false;
    std::string indent;
    std::string item_separator = ", ", key_separator = ": ";
};
// Python's json.dumps; throws std::invalid_argument for what has no JSON.
std::string to_json(const Value& value, const JsonStyle& style, Meter& meter);

}  // namespace qlora::tokenizer::jinja
