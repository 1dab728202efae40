#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/tokenizer/jinja/interpreter.h"
#include "core/tokenizer/jinja/python_text.h"
#include "core/tokenizer/unicode.h"

namespace qlora::tokenizer::jinja {

Value Interpreter::evaluate(const Expression& expression) {
    meter_.work();
    if (++depth_ > limits_.depth) {
        --depth_;
        throw input_error("chat.limit", where_, "the chat template nests too deep");
    }
    struct Leave {
        int& depth;
        ~Leave() { --depth; }
    } leave{depth_};
    const auto& children = expression.children;
    using Kind = Expression::Kind;
    switch (expression.kind) {
        case Kind::constant: return expression.value;
        case Kind::name: return lookup(expression);
        case Kind::list:
        case Kind::tuple: {
            std::vector<Value> items;
            for (const auto& child : children) items.push_back(evaluate(*child));
            return list(std::move(items), expression.kind == Kind::tuple);
        }
        case Kind::dict: return dict(expression);
        case Kind::attribute: return attribute(evaluate(*children[0]), expression.text, expression.line);
        case Kind::item: {
            Value of = evaluate(*children[0]);
            return item(of, evaluate(*children[1]), expression.line);
        }
        case Kind::slice: return slice(expression);
        case Kind::call: return call_expression(expression, nullptr);
        case Kind::filter: return filter(expression, nullptr);
        case Kind::test: {
            Test test = find_test(expression.text);
            if (!test) fail(expression.line, "there is no test \"" + expression.text + "\"");
            Value input = evaluate(*children[0]);
            Call call(*this, "is " + expression.text, expression.line);
            fill(call, expression.arguments);
            return test(call, input);
        }
        case Kind::unary: return unary(expression);
        case Kind::binary: return binary(expression);
        case Kind::logic: {
            Value left = evaluate(*children[0]);
            return left.truth() == (expression.text == "or") ? left : evaluate(*children[1]);
        }
        case Kind::compare: {
            Value left = evaluate(*children[0]);
            for (std::size_t i = 0; i < expression.operators.size(); ++i) {
                Value right = evaluate(*children[i + 1]);
                if (!compare_once(expression.operators[i], left, right, expression.line)) return false;
                left = std::move(right);
            }
            return true;
        }
        case Kind::condition:
            if (evaluate(*children[1]).truth()) return evaluate(*children[0]);
            if (children[2]) return evaluate(*children[2]);
            return Undefined{"the inline if-expression evaluated to false and no else section was defined: it"};
    }
    return {};
}

Value Interpreter::lookup(const Expression& name) {
    for (Scope* scope = scope_.get(); scope; scope = scope->parent.get())
        if (Value* value = scope->find_here(name.text)) return *value;
    if (Value global = find_global(name.text); !global.is_undefined()) return global;
    return Undefined{"'" + name.text + "'"};
}

Value Interpreter::dict(const Expression& expression) {
    DictData data;
    for (std::size_t i = 0; i + 1 < expression.children.size(); i += 2) {
        Value key = evaluate(*expression.children[i]);
        if (key.is<List>() || key.is<Dict>() || key.is_undefined())
            fail(expression.line, std::string("unhashable type: '") + key.type_name() + "'");
        data.set(key, evaluate(*expression.children[i + 1]));
    }
    return Value::dict(std::move(data));
}

void Interpreter::fill(Call& call, const Arguments& arguments) {
    for (const auto& argument : arguments.positional) call.positional.push_back(evaluate(*argument));
    for (const auto& [name, argument] : arguments.named) call.named.emplace_back(name, evaluate(*argument));
}

Value Interpreter::call_expression(const Expression& expression, const Value* caller) {
    const Expression& callee = *expression.children[0];
    Value function = evaluate(callee);
    Call arguments(*this, callee.text.empty() ? "the call" : callee.text, expression.line);
    fill(arguments, expression.arguments);
    if (caller) arguments.named.emplace_back("caller", *caller);
    return call(function, arguments);
}

// `input` stands for the missing start of a filter block's chain.
Value Interpreter::filter(const Expression& expression, const Value* input) {
    Filter filter = find_filter(expression.text);
    if (!filter) fail(expression.line, "there is no filter \"" + expression.text + "\"");
    const auto& source = expression.children[0];
    Value value = !source                                            ? *input
                  : input && source->kind == Expression::Kind::filter ? this->filter(*source, input)
                                                                      : evaluate(*source);
    Call call(*this, "filter " + expression.text, expression.line);
    fill(call, expression.arguments);
    return filter(call, value);
}

Value Interpreter::slice(const Expression& expression) {
    Value of = evaluate(*expression.children[0]);
    std::vector<Value> items;
    if (of.is_text() || of.is<List>())
        items = elements(of, expression.line);
    else
        fail(expression.line, std::string("'") + of.type_name() + "' object cannot be sliced");
    auto bound = [&](int place, std::int64_t fallback) {
        const auto& child = expression.children[place];
        Value value = child ? evaluate(*child) : Value();
        if (value.is<None>()) return fallback;
        if (!value.is_integer()) fail(expression.line, "slice indices must be integers or None");
        return value.integer();
    };
    auto count = static_cast<std::int64_t>(items.size());
    std::int64_t step = bound(3, 1);
    if (step == 0) fail(expression.line, "slice step cannot be zero");
    step = std::clamp<std::int64_t>(step, -count - 1, count + 1);
    std::int64_t low = step > 0 ? 0 : -1, high = step > 0 ? count : count - 1;
    auto clip = [&](std::int64_t value) {
        if (value < 0) value = value < -count ? -count - 1 : value;
        return std::clamp(value < 0 ? value + count : value, low, high);
    };
    const auto& first = expression.children[1];
    const auto& last = expression.children[2];
    std::int64_t none = INT64_MIN;
    std::int64_t begin = first ? bound(1, none) : none, end = last ? bound(2, none) : none;
    begin = begin == none ? (step > 0 ? low : high) : clip(begin);
    end = end == none ? (step > 0 ? high : low) : clip(end);
    std::vector<Value> out;
    for (std::int64_t i = begin; step > 0 ? i < end : i > end; i += step) out.push_back(items[i]);
    if (!of.is_text()) return list(std::move(out), of.as<List>()->tuple);
    std::string text;
    for (const Value& character : out) text += character.text();
    return text;
}

Value Interpreter::unary(const Expression& expression) {
    Value value = evaluate(*expression.children[0]);
    if (expression.text == "not") return !value.truth();
    if (!value.is_number())
        fail(expression.line, "bad operand type for unary " + expression.text + ": '" + value.type_name() + "'");
    if (value.is<double>()) return expression.text == "-" ? -value.as<double>() : value.as<double>();
    if (expression.text == "+") return value.integer();
    return arithmetic("-", Value(std::int64_t{0}), value, expression.line);
}

Value Interpreter::binary(const Expression& expression) {
    Value left = evaluate(*expression.children[0]), right = evaluate(*expression.children[1]);
    if (expression.text != "~") return arithmetic(expression.text, left, right, expression.line);
    std::string joined = text(left);
    std::string tail = text(right);
    meter_.size(joined.size() + tail.size());
    return joined + tail;
}

Value Interpreter::arithmetic(const std::string& operation, const Value& left, const Value& right, int line) {
    auto unsupported = [&]() -> Value {
        for (const Value* side : {&left, &right})
            if (auto missing = side->get_if<Undefined>()) fail(line, missing->name + " is undefined");
        fail(line, "unsupported operand type(s) for " + operation + ": '" + left.type_name() + "' and '" +
                       right.type_name() + "'");
    };
    if (operation == "+" && left.is_text() && right.is_text()) {
        meter_.size(left.text().size() + right.text().size());
        return left.text() + right.text();
    }
    if (operation == "+" && left.is<List>() && right.is<List>() && left.as<List>()->tuple == right.as<List>()->tuple) {
        const auto &a = left.as<List>()->items, &b = right.as<List>()->items;
        meter_.size((a.size() + b.size()) * sizeof(Value));
        meter_.work(a.size() + b.size());
        std::vector<Value> both(a);
        both.insert(both.end(), b.begin(), b.end());
        return list(std::move(both), left.as<List>()->tuple);
    }
    if (operation == "*" && (left.is_text() || left.is<List>() || right.is_text() || right.is<List>())) {
        const Value& what = left.is_text() || left.is<List>() ? left : right;
        const Value& times = &what == &left ? right : left;
        if (!times.is_integer()) return unsupported();
        auto count = static_cast<std::size_t>(std::clamp<std::int64_t>(times.integer(), 0, INT32_MAX));
        std::size_t size = what.is_text() ? what.text().size() : what.as<List>()->items.size();
        meter_.size(size * count * (what.is_text() ? 1 : sizeof(Value)));
        if (what.is_text()) {
            std::string out;
            for (std::size_t i = 0; i < count && size; ++i) out += what.text();
            return out;
        }
        meter_.work(size * count);
        std::vector<Value> out;
        for (std::size_t i = 0; i < count && size; ++i)
            out.insert(out.end(), what.as<List>()->items.begin(), what.as<List>()->items.end());
        return list(std::move(out), what.as<List>()->tuple);
    }
    if (!left.is_number() || !right.is_number()) return unsupported();
    bool whole = left.is_integer() && right.is_integer() && operation != "/";
    bool divides = operation == "/" || operation == "//" || operation == "%";
    if (divides && right.number() == 0) fail(line, "division by zero");
    if (whole) {
        std::int64_t a = left.integer(), b = right.integer(), out = 0;
        bool overflow = false;
        if (operation == "+") overflow = __builtin_add_overflow(a, b, &out);
        if (operation == "-") overflow = __builtin_sub_overflow(a, b, &out);
        if (operation == "*") overflow = __builtin_mul_overflow(a, b, &out);
        if (divides && a == INT64_MIN && b == -1) overflow = operation == "//";
        else if (divides) {
            std::int64_t rest = a % b;
            bool adjust = rest != 0 && (rest < 0) != (b < 0);  // Python rounds down
            out = operation == "%" ? (adjust ? rest + b : rest) : a / b - (adjust ? 1 : 0);
        }
        if (operation == "**") {
            if (b < 0) return std::pow(static_cast<double>(a), static_cast<double>(b));
            out = 1;
            for (; b > 0; b >>= 1) {
                if (b & 1) overflow |= __builtin_mul_overflow(out, a, &out);
                if (b > 1) overflow |= __builtin_mul_overflow(a, a, &a);
            }
        }
        if (overflow) fail(line, "an integer beyond 64 bits");
        return out;
    }
    double a = left.number(), b = right.number();
    if (operation == "+") return a + b;
    if (operation == "-") return a - b;
    if (operation == "*") return a * b;
    if (operation == "/") return a / b;
    if (operation == "//") return std::floor(a / b);
    if (operation == "**") return std::pow(a, b);
    double rest = std::fmod(a, b);
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

bool Interpreter::compare_once(const std::string& operation, const Value& left, const Value& right, int line) {
    if (operation == "==") return equal(left, right, meter_);
    if (operation == "!=") return !equal(left, right, meter_);
    if (operation == "in") return contains(right, left, line);
    if (operation == "not in") return !contains(right, left, line);
    for (const Value* side : {&left, &right})
        if (auto missing = side->get_if<Undefined>()) fail(line, missing->name + " is undefined");
    int order = compare(left, right, meter_);
    if (operation == "<") return order < 0;
    if (operation == "<=") return order <= 0;
    return operation == ">" ? order > 0 : order >= 0;
}

bool Interpreter::contains(const Value& container, const Value& value, int line) {
    if (container.is_text()) {
        if (!value.is_text())
            fail(line, std::string("'in <string>' requires string as left operand, not ") + value.type_name());
        meter_.work(container.text().size() / 64);
        return container.text().find(value.text()) != std::string::npos;
    }
    if (auto dict = container.get_if<Dict>()) return (*dict)->find(value) != nullptr;
    auto items = elements(container, line);
    return std::any_of(items.begin(), items.end(), [&](const Value& item) { return equal(item, value, meter_); });
}

}  // namespace qlora::tokenizer::jinja
