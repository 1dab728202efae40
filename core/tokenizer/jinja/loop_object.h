#pragma once
// The `loop` of a for loop (jinja2's LoopContext).

#include <functional>
#include <memory>
#include <vector>

#include "core/tokenizer/jinja/interpreter.h"

namespace qlora::tokenizer::jinja {

class LoopObject : public Object {
  public:
    // `seen` is where loop.changed() keeps what it saw last; the interpreter's, lest an object hold itself.
    LoopObject(std::vector<Value> all, int level, Namespace* seen) : items(std::move(all)), level(level), seen(seen) {
        depth = depth_around(items);
    }
    Value attribute(std::string_view name) const override;
    Value call(Call& call) const override;

    std::vector<Value> items;
    std::size_t index = 0;
    int level;                                        // 0 for the outermost of a recursive loop
    std::function<Value(const Value& items)> recurse;  // runs the same loop over other items
    Namespace* seen;
};

}  // namespace qlora::tokenizer::jinja
