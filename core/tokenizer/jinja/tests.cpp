#include <algorithm>

#include "core/tokenizer/jinja/interpreter.h"
#include "core/tokenizer/jinja/python_text.h"

namespace qlora::tokenizer::jinja {
namespace {

template <int low, int high>
bool ordered(Call& call, const Value& input) {
    int order = compare(input, call.require(0, "b"), call.interpreter.meter());
    return order >= low && order <= high;
}

bool equals(Call& call, const Value& input) { return equal(input, call.require(0, "b"), call.interpreter.meter()); }
bool differs(Call& call, const Value& input) { return !equals(call, input); }

bool divisible(Call& call, const Value& input, std::int64_t by) {
    if (!input.is_integer()) call.fail("expected an integer");
    if (by == 0) call.fail("division by zero");
    return by == -1 || input.integer() % by == 0;
}

bool is_in(Call& call, const Value& input) {
    Value container = call.require(0, "seq");
    if (container.is_text())
        return input.is_text() && container.text().find(input.text()) != std::string::npos;
    auto items = call.interpreter.elements(container, call.line);
    return std::any_of(items.begin(), items.end(),
                       [&](const Value& item) { return equal(item, input, call.interpreter.meter()); });
}

bool same(Call& call, const Value& input) {
    Value other = call.require(0, "other");
    if (input.is<List>() && other.is<List>()) return input.as<List>() == other.as<List>();
    if (input.is<Dict>() && other.is<Dict>()) return input.as<Dict>() == other.as<Dict>();
    return std::string_view(input.type_name()) == other.type_name() && equal(input, other, call.interpreter.meter());
}

struct Named {
    std::string_view name;
    Test test;
};

const Named tests[] = {
    {"defined", [](Call&, const Value& v) { return !v.is_undefined(); }},
    {"undefined", [](Call&, const Value& v) { return v.is_undefined(); }},
    {"none", [](Call&, const Value& v) { return v.is<None>(); }},
    {"string", [](Call&, const Value& v) { return v.is_text(); }},
    {"mapping", [](Call&, const Value& v) { return v.is<Dict>(); }},
    {"iterable", [](Call&, const Value& v) { return v.is_text() || v.is<List>() || v.is<Dict>() || v.is_undefined(); }},
    {"sequence", [](Call&, const Value& v) { return v.is_text() || v.is<List>() || v.is<Dict>() || v.is_undefined(); }},
    {"number", [](Call&, const Value& v) { return v.is_number(); }},
    {"integer", [](Call&, const Value& v) { return v.is<std::int64_t>(); }},
    {"float", [](Call&, const Value& v) { return v.is<double>(); }},
    {"boolean", [](Call&, const Value& v) { return v.is<bool>(); }},
    {"true", [](Call&, const Value& v) { return v.is<bool>() && v.as<bool>(); }},
    {"false", [](Call&, const Value& v) { return v.is<bool>() && !v.as<bool>(); }},
    {"callable", [](Call&, const Value& v) { return v.is<FunctionPointer>() || v.is<ObjectPointer>(); }},
    {"escaped", [](Call&, const Value&) { return false; }},
    {"odd", [](Call& call, const Value& v) { return !divisible(call, v, 2); }},
    {"even", [](Call& call, const Value& v) { return divisible(call, v, 2); }},
    {"divisibleby", [](Call& call, const Value& v) { return divisible(call, v, call.integer(0, "num", 0)); }},
    {"lower", [](Call& call, const Value& v) { return is_lower(call.interpreter.text(v)); }},
    {"upper", [](Call& call, const Value& v) { return is_upper(call.interpreter.text(v)); }},
    {"filter", [](Call& call, const Value& v) { return find_filter(call.interpreter.text(v)) != nullptr; }},
    {"test", [](Call& call, const Value& v) { return find_test(call.interpreter.text(v)) != nullptr; }},
    {"in", is_in},
    {"sameas", same},
    {"eq", equals},
    {"equalto", equals},
    {"==", equals},
    {"ne", differs},
    {"!=", differs},
    {"lt", ordered<-1, -1>},
    {"lessthan", ordered<-1, -1>},
    {"<", ordered<-1, -1>},
    {"le", ordered<-1, 0>},
    {"<=", ordered<-1, 0>},
    {"gt", ordered<1, 1>},
    {"greaterthan", ordered<1, 1>},
    {">", ordered<1, 1>},
    {"ge", ordered<0, 1>},
    {">=", ordered<0, 1>},
};

}  // namespace

Test find_test(std::string_view name) {
    for (const Named& known : tests)
        if (known.name == name) return known.test;
    return nullptr;
}

}  // namespace qlora::tokenizer::jinja
