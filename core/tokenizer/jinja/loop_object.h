#pragma once
// The `loop` of a for loop (jinja2's LoopContext).

#include <functional>
#include <memory>
#include <vector>

#include "core/tokenizer/jinja/interpreter.h"

namespace qlora::tokenizer::jinja {

class LoopObject : public Object {
  public:
    LoopObject(std::vector<Value> all, int level) : items(std::move(all)), level(level) { depth = depth_around(items); }
    Value attribute(std::string_view name) const override;
    Value call(Call& call) const override;

    std::vector<Value> items;
    std::size_t index = 0;
    int level;                                        // 0 for the outermost of a recursive loop
    std::function<Value(const Value&)> recurse;  // runs the same loop over other items
    // What loop.changed() saw last: in the interpreter's keeping, lest an object hold itself.
    std::shared_ptr<Namespace*> seen = std::make_shared<Namespace*>(nullptr);
};

}  // namespace qlora::tokenizer::jinja
