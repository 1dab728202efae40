#include "core/tokenizer/jinja/interpreter.h"

#include <algorithm>
#include <stdexcept>

#include "core/base/error.h"
#include "core/tokenizer/jinja/loop_object.h"
#include "core/tokenizer/jinja/python_text.h"
#include "core/tokenizer/unicode.h"

namespace qlora::tokenizer::jinja {

Value* Scope::find_here(std::string_view name) {
    for (auto& [known, value] : variables)
        if (known == name) return &value;
    return nullptr;
}

void Scope::set(std::string_view name, Value value) {
    if (Value* known = find_here(name))
        *known = std::move(value);
    else
        variables.emplace_back(name, std::move(value));
}

// A scope for the time of a loop's round, a macro's call or the like.
struct Interpreter::InnerScope {
    InnerScope(Interpreter& interpreter, std::shared_ptr<Scope> parent)
        : interpreter_(interpreter), outer_(interpreter.scope_) {
        interpreter.scope_ = std::make_shared<Scope>();
        interpreter.scope_->parent = std::move(parent);
    }
    explicit InnerScope(Interpreter& interpreter) : InnerScope(interpreter, interpreter.scope_) {}
    ~InnerScope() { interpreter_.scope_ = outer_; }
    InnerScope(const InnerScope&) = delete;

    Interpreter& interpreter_;
    std::shared_ptr<Scope> outer_;
};

struct Interpreter::Deeper {
    explicit Deeper(Interpreter& interpreter) : interpreter_(interpreter) {
        interpreter.meter_.work();
        if (++interpreter.depth_ <= interpreter.limits_.depth) return;
        --interpreter.depth_;  // no destructor runs after a throw from here
        throw input_error("chat.limit", interpreter.where_, "the chat template calls itself too deep",
                          "The template may recurse without end; try another one.");
    }
    ~Deeper() { --interpreter_.depth_; }
    Interpreter& interpreter_;
};

Interpreter::Interpreter(std::string where, RenderLimits limits)
    : where_(std::move(where)), limits_(limits), meter_(where_, limits.steps, limits.bytes) {}

Namespace* Interpreter::make_namespace() {
    meter_.work(100);  // it lives until the rendering ends
    return &namespaces_.emplace_back();
}

void Interpreter::fail(int line, const std::string& message) const {
    throw input_error("chat.template", where_, "the chat template, line " + std::to_string(line) + ": " + message);
}

std::string Interpreter::run(const Body& body, std::vector<std::pair<std::string, Value>> variables) {
    scope_ = std::make_shared<Scope>();
    scope_->variables = std::move(variables);
    std::string out;
    execute(body, out);
    scope_.reset();
    captured_.clear();
    return out;
}

Interpreter::Flow Interpreter::execute(const Body& body, std::string& out) {
    for (const auto& statement : body) {
        Flow flow;
        try {
            flow = execute(*statement, out);
        } catch (const std::invalid_argument& error) {
            fail(statement->line, error.what());
        }
        if (flow != Flow::normal) return flow;
    }
    return Flow::normal;
}

void Interpreter::write(std::string_view text, std::string& out) {
    meter_.size(out.size() + text.size());
    out += text;
}

Interpreter::Flow Interpreter::execute(const Statement& statement, std::string& out) {
    Deeper deeper(*this);
    using Kind = Statement::Kind;
    switch (statement.kind) {
        case Kind::text: write(statement.text, out); break;
        case Kind::output: write(text(evaluate(*statement.expression)), out); break;
        case Kind::condition:
            for (const auto& [test, body] : statement.branches)
                if (!test || evaluate(*test).truth()) return execute(body, out);
            break;
        case Kind::loop: return loop(statement, evaluate(*statement.expression), 0, out);
        case Kind::set: assign(*statement.target, evaluate(*statement.expression)); break;
        case Kind::set_block: assign_block(statement); break;
        case Kind::macro: scope_->set(statement.text, make_macro(statement.text, statement.parameters, statement.body)); break;
        case Kind::call: call_block(statement, out); break;
        case Kind::filter: {
            std::string text;
            {
                InnerScope inner(*this);
                execute(statement.body, text);
            }
            Value input(std::move(text));
            write(this->text(filter(*statement.expression, &input)), out);
            break;
        }
        case Kind::scope: {
            // The values see the outer scope, not each other.
            std::vector<Value> values;
            for (const auto& [target, value] : statement.assignments) values.push_back(evaluate(*value));
            InnerScope inner(*this);
            for (std::size_t i = 0; i < values.size(); ++i) assign(*statement.assignments[i].first, values[i]);
            return execute(statement.body, out);
        }
        case Kind::generation: {
            InnerScope inner(*this);
            return execute(statement.body, out);
        }
        case Kind::break_loop: return Flow::leave_loop;
        case Kind::continue_loop: return Flow::next_round;
    }
    return Flow::normal;
}

Interpreter::Flow Interpreter::loop(const Statement& statement, const Value& iterable, int level, std::string& out) {
    std::vector<Value> items = elements(iterable, statement.line);
    if (statement.filter) {
        std::vector<Value> kept;
        for (Value& item : items) {
            InnerScope inner(*this);
            assign(*statement.target, item);
            if (evaluate(*statement.filter).truth()) kept.push_back(std::move(item));
        }
        items = std::move(kept);
    }
    auto again = [this, &statement, level](const Value& children) {
        std::string text;
        loop(statement, children, level + 1, text);
        return Value(std::move(text));
    };
    auto state = std::make_shared<LoopObject>(std::move(items), level);
    if (statement.recursive) state->recurse = again;
    for (state->index = 0; state->index < state->items.size(); ++state->index) {
        InnerScope inner(*this);
        scope_->set("loop", Value(ObjectPointer(state)));
        assign(*statement.target, state->items[state->index]);
        if (execute(statement.body, out) == Flow::leave_loop) break;
    }
    if (!state->items.empty()) return Flow::normal;
    InnerScope inner(*this);
    return execute(statement.otherwise, out);
}

void Interpreter::assign(const Expression& target, Value value) {
    meter_.work();
    if (target.kind == Expression::Kind::name) return scope_->set(target.text, std::move(value));
    if (target.kind == Expression::Kind::attribute) {
        Value owner = evaluate(*target.children[0]);
        if (!owner.is<Namespace*>()) fail(target.line, "cannot assign attribute on non-namespace object");
        if (target.text.starts_with('_')) fail(target.line, "a namespace cannot store the attribute \"" + target.text + "\"");
        auto& items = owner.as<Namespace*>()->items;
        auto known = std::find_if(items.begin(), items.end(), [&](const auto& item) { return item.first == target.text; });
        if (known != items.end())
            known->second = std::move(value);
        else
            items.emplace_back(target.text, std::move(value));
        return;
    }
    auto parts = elements(value, target.line);
    if (parts.size() != target.children.size())
        fail(target.line, "expected " + std::to_string(target.children.size()) + " values to unpack, got " +
                              std::to_string(parts.size()));
    for (std::size_t i = 0; i < parts.size(); ++i) assign(*target.children[i], std::move(parts[i]));
}

void Interpreter::assign_block(const Statement& statement) {
    std::string text;
    {
        InnerScope inner(*this);
        execute(statement.body, text);
    }
    Value value(std::move(text));
    if (statement.filter) value = filter(*statement.filter, &value);
    assign(*statement.target, std::move(value));
}

Value Interpreter::make_macro(std::string name, const std::vector<Parameter>& parameters, const Body& body) {
    // A raw pointer, since a macro lies in the very scope it looks into; captured_ keeps the scope.
    meter_.work(1000);  // it lives until the rendering ends
    if (captured_.empty() || captured_.back() != scope_) captured_.push_back(scope_);
    Scope* home = scope_.get();
    return Value::function(name, [this, home, name, &parameters, &body](Call& call) {
        Deeper deeper(*this);
        InnerScope inner(*this, std::shared_ptr<Scope>(std::shared_ptr<Scope>(), home));
        if (call.positional.size() > parameters.size())
            call.fail("expected at most " + std::to_string(parameters.size()) + " arguments, got " +
                      std::to_string(call.positional.size()));
        for (const auto& [key, value] : call.named) {
            bool known = key == "caller" || std::any_of(parameters.begin(), parameters.end(),
                                                        [&, key = key](const Parameter& p) { return p.name == key; });
            if (!known) call.fail("an unexpected argument \"" + key + "\"");
            if (key == "caller") scope_->set(key, value);
        }
        for (std::size_t i = 0; i < parameters.size(); ++i) {
            const Parameter& parameter = parameters[i];
            if (const Value* given = call.find(i, parameter.name))
                scope_->set(parameter.name, *given);
            else if (parameter.fallback)
                scope_->set(parameter.name, evaluate(*parameter.fallback));
            else
                scope_->set(parameter.name, Undefined{parameter.name});
        }
        std::string out;
        execute(body, out);
        return Value(std::move(out));
    });
}

void Interpreter::call_block(const Statement& statement, std::string& out) {
    Value caller = make_macro("caller", statement.parameters, statement.body);
    write(text(call_expression(*statement.expression, &caller)), out);
}

Value Interpreter::list(std::vector<Value> items, bool tuple) {
    meter_.size(items.size() * sizeof(Value));
    return Value::list(std::move(items), tuple);
}

std::vector<Value> Interpreter::elements(const Value& value, int line) {
    std::vector<Value> out;
    if (value.is_undefined()) return out;
    if (auto list = value.get_if<List>()) {
        out = (*list)->items;
    } else if (auto dict = value.get_if<Dict>()) {
        for (const auto& [key, item] : (*dict)->items) out.push_back(key);
    } else if (value.is_text()) {
        const std::string& text = value.text();
        meter_.size(text.size() * sizeof(Value));
        for (std::size_t at = 0; at < text.size();) {
            std::size_t start = at;
            next_character(text, at);
            out.emplace_back(std::string_view(text).substr(start, at - start));
        }
    } else {
        fail(line, std::string("'") + value.type_name() + "' object is not iterable");
    }
    meter_.work(out.size());
    return out;
}

Value Interpreter::attribute(const Value& of, const std::string& name, int line) {
    meter_.work();
    if (name.starts_with("__"))
        fail(line, "access to attribute '" + name + "' of '" + of.type_name() + "' object is unsafe");
    if (auto missing = of.get_if<Undefined>()) fail(line, missing->name + " is undefined");
    if (auto object = of.get_if<ObjectPointer>()) return (*object)->attribute(name);
    if (auto space = of.get_if<Namespace*>()) {
        for (const auto& [known, value] : (*space)->items)
            if (known == name) return value;
        return Undefined{"the namespace's attribute '" + name + "'"};
    }
    if (Value method = find_method(of, name); !method.is_undefined()) return method;
    if (auto dict = of.get_if<Dict>())
        if (const Value* value = (*dict)->find(std::string_view(name))) return *value;
    return Undefined{std::string("'") + of.type_name() + " object' attribute '" + name + "'"};
}

Value Interpreter::item(const Value& of, const Value& key, int line) {
    meter_.work();
    if (auto missing = of.get_if<Undefined>()) fail(line, missing->name + " is undefined");
    if (auto dict = of.get_if<Dict>()) {
        if (const Value* value = (*dict)->find(key)) return *value;
    } else if (key.is_integer() && (of.is<List>() || of.is_text())) {
        std::int64_t index = key.integer();
        if (auto list = of.get_if<List>()) {
            auto count = static_cast<std::int64_t>((*list)->items.size());
            if (index < 0) index += count;
            if (index >= 0 && index < count) return (*list)->items[index];
        } else {
            const std::string& text = of.text();
            meter_.work(text.size() / 16);
            auto count = static_cast<std::int64_t>(character_count(text));
            if (index < 0) index += count;
            if (index >= 0 && index < count) {
                std::size_t start = byte_of(text, index), end = start;
                next_character(text, end);
                return std::string_view(text).substr(start, end - start);
            }
        }
    }
    if (key.is_text()) return attribute(of, key.text(), line);
    return Undefined{std::string("'") + of.type_name() + " object' element " + representation(key, meter_)};
}

Value Interpreter::call(const Value& callee, Call& arguments) {
    Deeper deeper(*this);
    if (auto function = callee.get_if<FunctionPointer>()) {
        FunctionPointer kept = *function;
        return kept->call(arguments);
    }
    if (auto object = callee.get_if<ObjectPointer>()) return (*object)->call(arguments);
    if (auto missing = callee.get_if<Undefined>()) fail(arguments.line, missing->name + " is undefined");
    fail(arguments.line, std::string("'") + callee.type_name() + "' object is not callable");
}

}  // namespace qlora::tokenizer::jinja
