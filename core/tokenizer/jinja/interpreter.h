#pragma once
// Runs a parsed template. Everything is bounded: steps, sizes of texts and lists, depth; a template can read the
// values it is given, and nothing else.

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/tokenizer/jinja/ast.h"

namespace qlora::tokenizer::jinja {

struct RenderLimits {
    std::size_t steps = 20'000'000;
    std::size_t bytes = std::size_t{64} << 20;  // of the output, and of any text or list on the way
    int depth = 1000;                           // of calls and expressions together
    std::int64_t range = 100'000;               // as jinja2's sandbox has it
};

struct Scope {
    std::shared_ptr<Scope> parent;
    std::vector<std::pair<std::string, Value>> variables;

    Value* find_here(std::string_view name);
    void set(std::string_view name, Value value);
};

class Interpreter {
  public:
    Interpreter(std::string where, RenderLimits limits = {});
    Interpreter(const Interpreter&) = delete;

    std::string run(const Body& body, std::vector<std::pair<std::string, Value>> variables);

    // For functions, filters and tests.
    Meter& meter() { return meter_; }
    [[noreturn]] void fail(int line, const std::string& message) const;
    Value item(const Value& of, const Value& key, int line);
    Value attribute(const Value& of, const std::string& name, int line);
    std::vector<Value> elements(const Value& value, int line);
    std::string text(const Value& value) { return to_text(value, meter_); }
    Value list(std::vector<Value> items, bool tuple = false);
    Value call(const Value& callee, Call& arguments);
    Namespace* make_namespace();
    const RenderLimits& limits() const { return limits_; }
    const std::string& where() const { return where_; }

  private:
    friend class LoopObject;
    enum class Flow { normal, leave_loop, next_round };

    Flow execute(const Body& body, std::string& out);
    Flow execute(const Statement& statement, std::string& out);
    void write(std::string_view text, std::string& out);
    Flow loop(const Statement& statement, const Value& iterable, int level, std::string& out);
    void assign(const Expression& target, Value value);
    void assign_block(const Statement& statement);
    Value make_macro(std::string name, const std::vector<Parameter>& parameters, const Body& body);
    void call_block(const Statement& statement, std::string& out);

    Value evaluate(const Expression& expression);
    Value call_expression(const Expression& expression, const Value* caller);
    Value filter(const Expression& expression, const Value* input);
    Value lookup(const Expression& name);
    Value slice(const Expression& expression);
    Value dict(const Expression& expression);
    Value unary(const Expression& expression);
    Value binary(const Expression& expression);
    Value arithmetic(const std::string& operation, const Value& left, const Value& right, int line);
    bool compare_once(const std::string& operation, const Value& left, const Value& right, int line);
    bool contains(const Value& container, const Value& value, int line);
    void fill(Call& call, const Arguments& arguments);

    struct InnerScope;
    struct Deeper;

    std::string where_;
    RenderLimits limits_;
    Meter meter_;
    int depth_ = 0;
    std::shared_ptr<Scope> scope_;
    std::vector<std::shared_ptr<Scope>> captured_;  // the scopes that macros look into
    std::deque<Namespace> namespaces_;
};

// The arguments of one call of a function, filter or test.
class Call {
  public:
    Call(Interpreter& interpreter, std::string name, int line)
        : interpreter(interpreter), name(std::move(name)), line(line) {}

    Interpreter& interpreter;
    std::string name;
    int line;
    std::vector<Value> positional;
    std::vector<std::pair<std::string, Value>> named;

    // Throws unless every argument is one of these parameters.
    void parameters(std::initializer_list<std::string_view> names) const;
    const Value* find(std::size_t place, std::string_view name) const;
    Value require(std::size_t place, std::string_view name) const;
    Value get(std::size_t place, std::string_view name, Value fallback) const;
    std::string text(std::size_t place, std::string_view name) const;
    std::string text(std::size_t place, std::string_view name, const std::string& fallback) const;
    std::int64_t integer(std::size_t place, std::string_view name, std::int64_t fallback) const;
    bool flag(std::size_t place, std::string_view name, bool fallback) const;
    [[noreturn]] void fail(const std::string& message) const;
};

using Filter = Value (*)(Call& call, const Value& input);
using Test = bool (*)(Call& call, const Value& input);
Filter find_filter(std::string_view name);  // null when there is none
Test find_test(std::string_view name);
// A method of a str, dict or list, bound to it; Undefined when it has none of that name.
Value find_method(const Value& self, std::string_view name);
// range, namespace, dict, raise_exception, strftime_now, ...; Undefined when there is none.
Value find_global(std::string_view name);

}  // namespace qlora::tokenizer::jinja
