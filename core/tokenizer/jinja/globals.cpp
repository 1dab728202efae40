#include <ctime>

#include "core/base/error.h"
#include "core/tokenizer/jinja/interpreter.h"
#include "core/tokenizer/unicode.h"

namespace qlora::tokenizer::jinja {
namespace {

Value range(Call& call) {
    call.parameters({"start", "stop", "step"});
    if (call.positional.empty()) call.fail("expected 1 to 3 arguments");
    std::int64_t start = 0, stop = call.integer(0, "start", 0), step = call.integer(2, "step", 1);
    if (call.positional.size() > 1) {
        start = stop;
        stop = call.integer(1, "stop", 0);
    }
    if (step == 0) call.fail("the step must not be zero");
    // The largest difference of two 64-bit numbers takes 128 bits.
    __int128 distance = static_cast<__int128>(stop) - start;
    __int128 count = step > 0 ? (distance + step - 1) / step : (distance + step + 1) / step;
    std::int64_t limit = call.interpreter.limits().range;
    if (count > limit) call.fail("expected at most " + std::to_string(limit) + " numbers");
    std::vector<Value> items;
    for (; count > 0; --count, start += step) items.emplace_back(start);
    return call.interpreter.list(std::move(items));
}

// The pairs of dict(...) and namespace(...): another dict's, then those given by name.
DictData pairs(Call& call) {
    DictData data;
    if (call.positional.size() > 1) call.fail("expected at most 1 positional argument");
    if (!call.positional.empty()) {
        auto source = call.positional[0].get_if<Dict>();
        if (source) {
            for (const auto& [key, value] : (*source)->items) data.set(key, value);
        } else {
            for (const Value& item : call.interpreter.elements(call.positional[0], call.line)) {
                auto pair = call.interpreter.elements(item, call.line);
                if (pair.size() != 2) call.fail("expected pairs");
                data.set(pair[0], pair[1]);
            }
        }
    }
    for (const auto& [name, value] : call.named) data.set(Value(name), value);
    return data;
}

Value make_namespace(Call& call) {
    Namespace* space = call.interpreter.make_namespace();
    for (auto& [key, value] : pairs(call).items) {
        if (!key.is_text()) call.fail("expected names as keys");
        if (key.text().starts_with('_')) call.fail("a namespace cannot store the attribute \"" + key.text() + "\"");
        space->items.emplace_back(key.text(), value);
    }
    return space;
}

Value raise_exception(Call& call) {
    call.parameters({"message"});
    throw input_error("chat.refused", call.interpreter.where(),
                      "the chat template refuses the conversation: " + call.interpreter.text(call.require(0, "message")));
}

Value strftime_now(Call& call) {
    call.parameters({"format"});
    std::string format = call.text(0, "format");
    if (format.size() > 1000) call.fail("expected a format of at most 1000 bytes");
    std::time_t now = std::time(nullptr);
    std::tm local{};
    localtime_r(&now, &local);
    std::string out(8192, '\0');
    out.resize(std::strftime(out.data(), out.size(), format.c_str(), &local));
    return is_utf8(out) ? out : replace_invalid_utf8(out);
}

Value joiner(Call& call) {
    call.parameters({"sep"});
    Namespace* used = call.interpreter.make_namespace();
    return Value::function("joiner", [used, separator = call.text(0, "sep", ", ")](Call&) {
        if (!used->items.empty()) return Value(separator);
        used->items.emplace_back("", true);
        return Value("");
    });
}

}  // namespace

Value find_global(std::string_view name) {
    static const std::pair<std::string_view, Value (*)(Call&)> globals[] = {
        {"range", range},
        {"dict", [](Call& call) { return Value::dict(pairs(call)); }},
        {"namespace", make_namespace},
        {"raise_exception", raise_exception},
        {"strftime_now", strftime_now},
        {"joiner", joiner}};
    for (const auto& [known, function] : globals)
        if (known == name) return Value::function(std::string(name), function);
    return Undefined{"'" + std::string(name) + "'"};
}

}  // namespace qlora::tokenizer::jinja
