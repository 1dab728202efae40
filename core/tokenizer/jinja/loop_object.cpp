#include "core/tokenizer/jinja/loop_object.h"

namespace qlora::tokenizer::jinja {

Value LoopObject::attribute(std::string_view name) const {
    auto number = [](std::size_t value) { return Value(static_cast<std::int64_t>(value)); };
    if (name == "index") return number(index + 1);
    if (name == "index0") return number(index);
    if (name == "revindex") return number(items.size() - index);
    if (name == "revindex0") return number(items.size() - index - 1);
    if (name == "first") return index == 0;
    if (name == "last") return index + 1 == items.size();
    if (name == "length") return number(items.size());
    if (name == "depth") return number(level + 1);
    if (name == "depth0") return number(level);
    if (name == "previtem") return index > 0 ? items[index - 1] : Value(Undefined{"there is no previous item: loop.previtem"});
    if (name == "nextitem")
        return index + 1 < items.size() ? items[index + 1] : Value(Undefined{"there is no next item: loop.nextitem"});
    if (name == "cycle")
        return Value::function("loop.cycle", [place = index](Call& call) {
            if (call.positional.empty()) call.fail("no items to cycle given");
            return call.positional[place % call.positional.size()];
        });
    if (name == "changed")
        return Value::function("loop.changed", [seen = seen](Call& call) {
            Value now = call.interpreter.list(call.positional, true);
            if (!*seen) *seen = call.interpreter.make_namespace();
            auto& last = (*seen)->items;
            bool changed = last.empty() || !equal(last[0].second, now, call.interpreter.meter());
            last = {{"", now}};
            return Value(changed);
        });
    return Undefined{"'loop' attribute '" + std::string(name) + "'"};
}

Value LoopObject::call(Call& call) const {
    if (!recurse) call.fail("the loop must have the \"recursive\" marker to be called");
    call.parameters({"iterable"});
    return recurse(call.require(0, "iterable"));
}

}  // namespace qlora::tokenizer::jinja
