#include "core/tokenizer/jinja/parser.h"

#include <algorithm>
#include <initializer_list>

#include "core/tokenizer/jinja/lexer.h"

namespace qlora::tokenizer::jinja {
namespace {

constexpr int deepest_expression = 200;
constexpr int deepest_block = 60;
using Kind = Token::Kind;
using Of = Expression::Kind;

class Parser {
  public:
    Parser(std::vector<Token> tokens, const std::string& where) : tokens_(std::move(tokens)), where_(where) {}

    Body run() {
        Body body = statements({});
        if (peek().kind != Kind::end) fail("an unexpected \"" + peek().text + "\"");
        return body;
    }

  private:
    [[noreturn]] void fail(const std::string& message) const { syntax_error(where_, peek().line, message); }

    const Token& peek(std::size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
    const Token& next() {
        const Token& token = peek();
        if (at_ + 1 < tokens_.size()) ++at_;
        return token;
    }
    bool is_symbol(std::string_view text) const { return peek().kind == Kind::symbol && peek().text == text; }
    bool is_name(std::string_view text) const { return peek().kind == Kind::name && peek().text == text; }
    bool skip_symbol(std::string_view text) { return is_symbol(text) && (next(), true); }
    bool skip_name(std::string_view text) { return is_name(text) && (next(), true); }
    void expect_symbol(std::string_view text) {
        if (!skip_symbol(text)) fail("expected \"" + std::string(text) + "\", got \"" + peek().text + "\"");
    }
    std::string expect_name() {
        if (peek().kind != Kind::name) fail("expected a name, got \"" + peek().text + "\"");
        return next().text;
    }
    void expect_block_end() {
        if (peek().kind != Kind::block_end) fail("expected the end of the tag, got \"" + peek().text + "\"");
        next();
    }

    // Sets the depth from the children and keeps it bounded, since evaluation recurses along it.
    ExpressionPointer close(ExpressionPointer expression) {
        int depth = 0;
        auto deepen = [&](const ExpressionPointer& child) {
            if (child) depth = std::max(depth, child->depth);
        };
        for (const auto& child : expression->children) deepen(child);
        for (const auto& child : expression->arguments.positional) deepen(child);
        for (const auto& [name, child] : expression->arguments.named) deepen(child);
        expression->depth = depth + 1;
        if (expression->depth > deepest_expression) fail("an expression nested too deep");
        return expression;
    }

    template <class... Children>
    ExpressionPointer make(Of kind, int line, std::string text, Children... children) {
        auto expression = std::make_unique<Expression>();
        expression->kind = kind;
        expression->line = line;
        expression->text = std::move(text);
        (expression->children.push_back(std::move(children)), ...);
        return close(std::move(expression));
    }
    ExpressionPointer constant(int line, Value value) {
        auto expression = make(Of::constant, line, "");
        expression->value = std::move(value);
        return expression;
    }

    struct Nesting {
        Nesting(Parser& parser, int& depth, int limit) : depth_(depth) {
            if (++depth_ > limit) parser.fail("nested too deep");
        }
        ~Nesting() { --depth_; }
        int& depth_;
    };

    // Statements up to a tag of one of these names, whose name is then the next token.
    Body statements(std::initializer_list<std::string_view> ends) {
        Nesting nesting(*this, block_depth_, deepest_block);
        Body body;
        for (;;) {
            const Token& token = peek();
            if (token.kind == Kind::text) {
                auto text = statement(Statement::Kind::text);
                text->text = next().text;
                body.push_back(std::move(text));
            } else if (token.kind == Kind::variable_begin) {
                next();
                auto output = statement(Statement::Kind::output);
                output->expression = tuple(true);
                if (peek().kind != Kind::variable_end) fail("expected \"}}\", got \"" + peek().text + "\"");
                next();
                body.push_back(std::move(output));
            } else if (token.kind == Kind::block_begin) {
                next();
                if (peek().kind == Kind::name && std::find(ends.begin(), ends.end(), peek().text) != ends.end())
                    return body;
                body.push_back(block());
            } else {
                if (ends.size()) fail("expected \"" + std::string(*(ends.end() - 1)) + "\" before the end of the template");
                return body;
            }
        }
    }

    std::unique_ptr<Statement> statement(Statement::Kind kind) const {
        auto statement = std::make_unique<Statement>();
        statement->kind = kind;
        statement->line = peek().line;
        return statement;
    }

    Body body_until(std::string_view end) {
        Body body = statements({end});
        next();
        expect_block_end();
        return body;
    }

    std::unique_ptr<Statement> block() {
        if (peek().kind != Kind::name) fail("expected the name of a tag, got \"" + peek().text + "\"");
        std::string name = peek().text;
        using S = Statement::Kind;
        if (name == "if") return condition();
        if (name == "for") return loop();
        if (name == "set") return set();
        if (name == "macro") return macro();
        if (name == "call") return call_block();
        if (name == "with") return scope();
        if (name == "filter") {
            auto out = statement(S::filter);
            next();
            out->expression = filter_chain(nullptr, true);
            expect_block_end();
            out->body = body_until("endfilter");
            return out;
        }
        if (name == "generation") {
            auto out = statement(S::generation);
            next();
            expect_block_end();
            out->body = body_until("endgeneration");
            return out;
        }
        if (name == "break" || name == "continue") {
            if (loop_depth_ == 0) fail("\"" + name + "\" outside of a loop");
            auto out = statement(name == "break" ? S::break_loop : S::continue_loop);
            next();
            expect_block_end();
            return out;
        }
        if (name == "include" || name == "import" || name == "from" || name == "extends" || name == "block")
            fail("the tag \"" + name + "\" loads other templates, which chat templates cannot");
        fail("an unknown tag \"" + name + "\"");
    }

    std::unique_ptr<Statement> condition() {
        auto out = statement(Statement::Kind::condition);
        next();
        for (bool has_test = true;;) {
            ExpressionPointer test = has_test ? tuple(false) : nullptr;
            expect_block_end();
            Body body = has_test ? statements({"elif", "else", "endif"}) : statements({"endif"});
            out->branches.emplace_back(std::move(test), std::move(body));
            std::string name = next().text;
            if (name == "endif") break;
            has_test = name == "elif";
        }
        expect_block_end();
        return out;
    }

    std::unique_ptr<Statement> loop() {
        auto out = statement(Statement::Kind::loop);
        next();
        out->target = target(false);
        if (!skip_name("in")) fail("expected \"in\", got \"" + peek().text + "\"");
        out->expression = tuple(false);
        if (skip_name("if")) out->filter = expression();
        out->recursive = skip_name("recursive");
        expect_block_end();
        ++loop_depth_;
        out->body = statements({"else", "endfor"});
        --loop_depth_;
        bool otherwise = next().text == "else";
        expect_block_end();
        if (otherwise) out->otherwise = body_until("endfor");
        return out;
    }

    std::unique_ptr<Statement> set() {
        auto out = statement(Statement::Kind::set);
        next();
        out->target = target(true);
        if (skip_symbol("=")) {
            out->expression = tuple(true);
            expect_block_end();
            return out;
        }
        out->kind = Statement::Kind::set_block;
        if (is_symbol("|")) out->filter = filter_chain(nullptr, false);
        expect_block_end();
        out->body = body_until("endset");
        return out;
    }

    // A name, a namespace's attribute, or a tuple of targets, with parentheses or bare.
    ExpressionPointer target(bool with_namespace) {
        int line = peek().line;
        auto first = single_target(with_namespace);
        if (!is_symbol(",")) return first;
        auto out = make(Of::tuple, line, "");
        out->children.push_back(std::move(first));
        while (skip_symbol(",")) {
            if (is_name("in") || is_symbol("=") || is_symbol(")")) break;
            out->children.push_back(single_target(with_namespace));
        }
        return close(std::move(out));
    }

    ExpressionPointer single_target(bool with_namespace) {
        Nesting nesting(*this, expression_depth_, deepest_expression);
        if (skip_symbol("(")) {
            auto inner = target(with_namespace);
            expect_symbol(")");
            return inner;
        }
        int line = peek().line;
        std::string name = expect_name();
        if (name == "true" || name == "false" || name == "none" || name == "loop")
            fail("cannot assign to \"" + name + "\"");
        auto variable = make(Of::name, line, name);
        if (with_namespace && skip_symbol(".")) return make(Of::attribute, line, expect_name(), std::move(variable));
        return variable;
    }

    std::vector<Parameter> parameters() {
        std::vector<Parameter> out;
        expect_symbol("(");
        while (!is_symbol(")")) {
            if (!out.empty()) expect_symbol(",");
            if (is_symbol(")")) break;
            Parameter parameter{expect_name(), nullptr};
            if (skip_symbol("="))
                parameter.fallback = expression();
            else if (!out.empty() && out.back().fallback)
                fail("the parameter \"" + parameter.name + "\" without a default behind one that has it");
            out.push_back(std::move(parameter));
        }
        next();
        return out;
    }

    std::unique_ptr<Statement> macro() {
        auto out = statement(Statement::Kind::macro);
        next();
        out->text = expect_name();
        out->parameters = parameters();
        expect_block_end();
        int loops = std::exchange(loop_depth_, 0);
        out->body = body_until("endmacro");
        loop_depth_ = loops;
        return out;
    }

    std::unique_ptr<Statement> call_block() {
        auto out = statement(Statement::Kind::call);
        next();
        if (is_symbol("(")) out->parameters = parameters();
        out->expression = expression();
        if (out->expression->kind != Of::call) fail("expected a call");
        expect_block_end();
        int loops = std::exchange(loop_depth_, 0);
        out->body = body_until("endcall");
        loop_depth_ = loops;
        return out;
    }

    std::unique_ptr<Statement> scope() {
        auto out = statement(Statement::Kind::scope);
        next();
        while (peek().kind != Kind::block_end) {
            if (!out->assignments.empty()) expect_symbol(",");
            auto name = target(false);
            expect_symbol("=");
            out->assignments.emplace_back(std::move(name), expression());
        }
        next();
        out->body = body_until("endwith");
        return out;
    }

    // An expression, or several with commas between. In tags a bare `if` behind belongs to the tag.
    ExpressionPointer tuple(bool with_condition) {
        auto first = expression(with_condition);
        if (!is_symbol(",")) return first;
        auto out = make(Of::tuple, first->line, "");
        out->children.push_back(std::move(first));
        while (skip_symbol(",")) {
            if (peek().kind == Kind::variable_end || peek().kind == Kind::block_end || is_symbol(")")) break;
            out->children.push_back(expression(with_condition));
        }
        return close(std::move(out));
    }

    ExpressionPointer expression(bool with_condition = true) {
        Nesting nesting(*this, expression_depth_, deepest_expression);
        auto value = disjunction();
        while (with_condition && is_name("if")) {
            int line = next().line;
            auto test = disjunction();
            ExpressionPointer otherwise = skip_name("else") ? expression() : nullptr;
            value = make(Of::condition, line, "", std::move(value), std::move(test), std::move(otherwise));
        }
        return value;
    }

    ExpressionPointer disjunction() {
        auto left = conjunction();
        while (is_name("or")) {
            int line = next().line;
            left = make(Of::logic, line, "or", std::move(left), conjunction());
        }
        return left;
    }

    ExpressionPointer conjunction() {
        auto left = negation();
        while (is_name("and")) {
            int line = next().line;
            left = make(Of::logic, line, "and", std::move(left), negation());
        }
        return left;
    }

    ExpressionPointer negation() {
        if (!is_name("not")) return comparison();
        Nesting nesting(*this, expression_depth_, deepest_expression);
        int line = next().line;
        return make(Of::unary, line, "not", negation());
    }

    ExpressionPointer comparison() {
        auto left = sum();
        ExpressionPointer out;
        for (;;) {
            std::string name;
            for (std::string_view symbol : {"==", "!=", "<=", ">=", "<", ">"})
                if (name.empty() && is_symbol(symbol)) name = symbol;
            if (is_name("in")) name = "in";
            if (is_name("not") && peek(1).kind == Kind::name && peek(1).text == "in") {
                next();
                name = "not in";
            }
            if (name.empty()) break;
            int line = next().line;
            if (!out) out = make(Of::compare, line, "", std::move(left));
            out->operators.push_back(name);
            out->children.push_back(sum());
        }
        return out ? close(std::move(out)) : std::move(left);
    }

    template <class Operand>
    ExpressionPointer left_associative(std::initializer_list<std::string_view> symbols, Operand operand) {
        auto left = operand();
        for (;;) {
            auto found = std::find_if(symbols.begin(), symbols.end(), [&](auto symbol) { return is_symbol(symbol); });
            if (found == symbols.end()) return left;
            int line = next().line;
            left = make(Of::binary, line, std::string(*found), std::move(left), operand());
        }
    }

    ExpressionPointer sum() {
        return left_associative({"+", "-"}, [this] { return concatenation(); });
    }
    ExpressionPointer concatenation() {
        return left_associative({"~"}, [this] { return product(); });
    }
    ExpressionPointer product() {
        return left_associative({"*", "/", "//", "%"}, [this] { return power(); });
    }
    ExpressionPointer power() {
        return left_associative({"**"}, [this] { return unary(true); });
    }

    ExpressionPointer unary(bool with_filters) {
        Nesting nesting(*this, expression_depth_, deepest_expression);
        ExpressionPointer value;
        if (is_symbol("-") || is_symbol("+")) {
            const Token& sign = next();
            value = make(Of::unary, sign.line, sign.text, unary(false));
        } else {
            value = primary();
        }
        value = postfix(std::move(value));
        return with_filters ? filters_and_tests(std::move(value)) : std::move(value);
    }

    ExpressionPointer primary() {
        const Token& token = peek();
        int line = token.line;
        switch (token.kind) {
            case Kind::name: {
                std::string name = next().text;
                if (name == "true" || name == "True") return constant(line, true);
                if (name == "false" || name == "False") return constant(line, false);
                if (name == "none" || name == "None") return constant(line, Value());
                return make(Of::name, line, name);
            }
            case Kind::string: {
                std::string text;
                while (peek().kind == Kind::string) text += next().text;
                return constant(line, text);
            }
            case Kind::integer: return constant(line, next().integer);
            case Kind::real: return constant(line, next().real);
            default: break;
        }
        if (skip_symbol("(")) {
            if (skip_symbol(")")) return make(Of::tuple, line, "");
            auto inner = tuple(true);
            expect_symbol(")");
            return inner;
        }
        if (skip_symbol("[")) {
            auto list = make(Of::list, line, "");
            while (!is_symbol("]")) {
                if (!list->children.empty()) expect_symbol(",");
                if (is_symbol("]")) break;
                list->children.push_back(expression());
            }
            next();
            return close(std::move(list));
        }
        if (skip_symbol("{")) {
            auto dict = make(Of::dict, line, "");
            while (!is_symbol("}")) {
                if (!dict->children.empty()) expect_symbol(",");
                if (is_symbol("}")) break;
                dict->children.push_back(expression());
                expect_symbol(":");
                dict->children.push_back(expression());
            }
            next();
            return close(std::move(dict));
        }
        if (token.kind == Kind::variable_end || token.kind == Kind::block_end) fail("expected an expression");
        fail("an unexpected \"" + token.text + "\"");
    }

    ExpressionPointer postfix(ExpressionPointer value) {
        for (;;) {
            int line = peek().line;
            if (skip_symbol(".")) {
                if (peek().kind == Kind::integer)
                    value = make(Of::item, line, "", std::move(value), constant(line, next().integer));
                else
                    value = make(Of::attribute, line, expect_name(), std::move(value));
            } else if (skip_symbol("[")) {
                value = subscript(line, std::move(value));
            } else if (is_symbol("(")) {
                auto call = make(Of::call, line, "", std::move(value));
                call->arguments = arguments();
                value = close(std::move(call));
            } else {
                return value;
            }
        }
    }

    ExpressionPointer subscript(int line, ExpressionPointer value) {
        ExpressionPointer bounds[3];
        int colons = 0;
        for (;;) {
            if (skip_symbol(":")) {
                if (++colons > 2) fail("a slice of more than three parts");
            } else if (is_symbol("]")) {
                break;
            } else if (bounds[colons]) {
                fail("expected \"]\", got \"" + peek().text + "\"");
            } else {
                bounds[colons] = tuple(true);
            }
        }
        next();
        if (colons > 0)
            return make(Of::slice, line, "", std::move(value), std::move(bounds[0]), std::move(bounds[1]),
                        std::move(bounds[2]));
        if (!bounds[0]) fail("expected an index");
        return make(Of::item, line, "", std::move(value), std::move(bounds[0]));
    }

    Arguments arguments() {
        Arguments out;
        expect_symbol("(");
        for (bool first = true; !is_symbol(")"); first = false) {
            if (!first) expect_symbol(",");
            if (is_symbol(")")) break;
            if (is_symbol("*") || is_symbol("**")) fail("unpacked arguments, which chat templates do not need");
            bool named = peek().kind == Kind::name && peek(1).kind == Kind::symbol && peek(1).text == "=";
            if (named) {
                std::string name = next().text;
                next();
                out.named.emplace_back(name, expression());
            } else {
                if (!out.named.empty()) fail("an argument without a name behind one with");
                out.positional.push_back(expression());
            }
        }
        next();
        return out;
    }

    ExpressionPointer filters_and_tests(ExpressionPointer value) {
        for (;;) {
            if (is_symbol("|"))
                value = filter_chain(std::move(value), false);
            else if (is_name("is"))
                value = test(std::move(value));
            else if (is_symbol("("))  // a filter's result may be called
                value = postfix(std::move(value));
            else
                return value;
        }
    }

    // `| name(arguments)` and so on; `bare`: the first without its bar.
    ExpressionPointer filter_chain(ExpressionPointer value, bool bare) {
        while (bare || is_symbol("|")) {
            int line = peek().line;
            if (!bare) next();
            bare = false;
            std::string name = expect_name();
            auto filter = make(Of::filter, line, name, std::move(value));
            if (is_symbol("(")) filter->arguments = arguments();
            value = close(std::move(filter));
        }
        return value;
    }

    ExpressionPointer test(ExpressionPointer value) {
        int line = next().line;
        bool negated = skip_name("not");
        auto out = make(Of::test, line, expect_name(), std::move(value));
        const Token& token = peek();
        bool operand = token.kind == Kind::string || token.kind == Kind::integer || token.kind == Kind::real ||
                       is_symbol("[") || is_symbol("{") ||
                       (token.kind == Kind::name && token.text != "else" && token.text != "or" && token.text != "and");
        if (is_symbol("(")) {
            out->arguments = arguments();
        } else if (operand) {
            if (is_name("is")) fail("tests cannot be chained with \"is\"");
            out->arguments.positional.push_back(postfix(primary()));
        }
        out = close(std::move(out));
        return negated ? make(Of::unary, line, "not", std::move(out)) : std::move(out);
    }

    std::vector<Token> tokens_;
    const std::string& where_;
    std::size_t at_ = 0;
    int expression_depth_ = 0, block_depth_ = 0, loop_depth_ = 0;
};

}  // namespace

Body parse_template(std::string_view source, const std::string& where) {
    if (source.size() > (1 << 20)) syntax_error(where, 1, "expected at most 1 MiB of template");
    return Parser(tokenize(source, where), where).run();
}

}  // namespace qlora::tokenizer::jinja
