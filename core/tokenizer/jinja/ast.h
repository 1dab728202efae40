#pragma once
// A parsed template.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/tokenizer/jinja/value.h"

namespace qlora::tokenizer::jinja {

struct Expression;
struct Statement;
using ExpressionPointer = std::unique_ptr<Expression>;
using Body = std::vector<std::unique_ptr<Statement>>;

struct Arguments {
    std::vector<ExpressionPointer> positional;
    std::vector<std::pair<std::string, ExpressionPointer>> named;
};

struct Expression {
    enum class Kind {
        constant,   // value
        name,       // text
        list,       // children
        tuple,      // children
        dict,       // children: key, value, key, value, ...
        attribute,  // children[0] . text
        item,       // children[0] [children[1]]
        slice,      // children[0] [children[1] : children[2] : children[3]]; absent bounds are null
        call,       // children[0] (arguments)
        filter,     // children[0] | text (arguments); children[0] is null inside a filter block
        test,       // children[0] is text (arguments)
        unary,      // text ("not", "-", "+") children[0]
        binary,     // children[0] text children[1]
        logic,      // text ("and", "or")
        compare,    // children[0] operators[0] children[1] operators[1] ...
        condition,  // children[0] if children[1] else children[2]; the last may be null
    };
    Kind kind;
    int line = 0;
    int depth = 1;
    std::string text;
    Value value;
    std::vector<ExpressionPointer> children;
    std::vector<std::string> operators;
    Arguments arguments;
};

struct Parameter {
    std::string name;
    ExpressionPointer fallback;  // may be null
};

struct Statement {
    enum class Kind {
        text,         // text
        output,       // expression
        condition,    // branches: (expression or null, body)
        loop,         // target, expression, filter (or null), body, otherwise; recursive
        set,          // target, expression
        set_block,    // target, filters on the body's text
        macro,        // text, parameters, body
        call,         // parameters, expression (the call), body
        filter,       // expression (the chain of filters), body
        scope,        // targets_ and values in `assignments`, body: {% with %}
        generation,   // body
        break_loop,
        continue_loop,
    };
    Kind kind;
    int line = 0;
    std::string text;
    ExpressionPointer target, expression, filter;
    std::vector<std::pair<ExpressionPointer, Body>> branches;
    std::vector<std::pair<ExpressionPointer, ExpressionPointer>> assignments;
    std::vector<Parameter> parameters;
    Body body, otherwise;
    bool recursive = false;
};

}  // namespace qlora::tokenizer::jinja
