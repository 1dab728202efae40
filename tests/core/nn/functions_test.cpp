// Every autograd function, checked twice: against LibTorch's own derivative of the plain formula, and against central
// differences along a random direction.
#include "tests/torch_tests.h"

#include "core/nn/functions/attention.h"
#include "core/nn/functions/checkpoint.h"
#include "core/nn/functions/dora.h"
#include "core/nn/functions/elementwise.h"
#include "core/nn/functions/head.h"
#include "core/nn/functions/linear.h"

using namespace qlora;
using namespace qlora::nn;
using torch::Tensor;
using Function = std::function<Tensor(const std::vector<Tensor>&)>;

namespace {

double relative_difference(const Tensor& a, const Tensor& b) {
    return ((a - b).norm() / (b.norm() + 1e-12)).item<double>();
}

std::vector<Tensor> leaves(const std::vector<Tensor>& values) {
    std::vector<Tensor> result;
    for (const auto& v : values) result.push_back(v.clone().requires_grad_(true));
    return result;
}

// The largest relative difference between the gradients of f and g at `values`, after the outputs were compared.
double compare(const Function& f, const Function& g, const std::vector<Tensor>& values) {
    auto a = leaves(values), b = leaves(values);
    Tensor y = f(a), z = g(b);
    double worst = relative_difference(y.detach(), z.detach());
    Tensor weight = torch::randn_like(z);
    (y * weight).sum().backward();
    (z * weight).sum().backward();
    for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, relative_difference(a[i].grad(), b[i].grad()));
    return worst;
}

// |directional derivative by central differences - by f's backward|, relative.
double central_difference(const Function& f, const std::vector<Tensor>& values, double h = 1e-2) {
    auto at = leaves(values);
    Tensor y = f(at);
    Tensor weight = torch::randn_like(y);
    (y * weight).sum().backward();
    std::vector<Tensor> direction, plus, minus;
    double analytic = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
        direction.push_back(torch::randn_like(values[i]) * 0.5);
        plus.push_back(values[i] + h * direction[i]);
        minus.push_back(values[i] - h * direction[i]);
        analytic += (at[i].grad() * direction[i]).sum().item<double>();
    }
    torch::NoGradGuard no_grad;
    const double numeric = ((f(plus) - f(minus)).to(torch::kFloat64) * weight.to(torch::kFloat64)).sum().item<double>() / (2 * h);
    return std::abs(numeric - analytic) / std::max(1.0, std::abs(analytic));
}

// Softmax attention segment by segment; `bias` gives what is added to the scores of a segment.
Tensor attention_by_definition(const std::vector<Tensor>& qkv, const std::vector<std::int32_t>& starts,
                               const std::vector<std::int32_t>& key_starts, double scale,
                               const std::function<Tensor(std::int64_t length)>& bias) {
    const std::int64_t group = qkv[0].size(1) / qkv[1].size(1);
    std::vector<Tensor> parts;
    for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
        auto cut = [&](const Tensor& x, const std::vector<std::int32_t>& at) {
            return x.slice(0, at[i], at[i + 1]).transpose(0, 1);
        };
        Tensor q = cut(qkv[0], starts), k = cut(qkv[1], key_starts).repeat_interleave(group, 0), v = cut(qkv[2], key_starts).repeat_interleave(group, 0);
        Tensor scores = q.matmul(k.transpose(1, 2)) * scale;
        if (bias) scores = scores + bias(q.size(1))[0];
        parts.push_back(scores.softmax(-1).matmul(v).transpose(0, 1));
    }
    return torch::cat(parts);
}

}  // namespace

class FunctionsTest : public QObject {
    Q_OBJECT

  private slots:
    void init() { torch::manual_seed(7); }

    void a_linear_layer_over_any_weight_differentiates_as_its_dequantized_self_data() {
        QTest::addColumn<int>("precision");
        for (auto p : {recipe::Precision::fp32, recipe::Precision::bf16, recipe::Precision::int8, recipe::Precision::nf4,
                       recipe::Precision::fp4, recipe::Precision::int4})
            QTest::newRow(std::string(recipe::name(p)).c_str()) << static_cast<int>(p);
    }
    void a_linear_layer_over_any_weight_differentiates_as_its_dequantized_self() {
        QFETCH(int, precision);
        auto weight = quant::Weight::quantized(torch::randn({96, 64}), static_cast<recipe::Precision>(precision));
        Tensor dense = weight.dequantized();
        Tensor x = torch::randn({11, 64});
        Function ours = [&](const auto& v) { return linear(v[0], {&weight}, {}); };
        QVERIFY(compare(ours, [&](const auto& v) { return v[0].mm(dense.t()); }, {x}) < 1e-5);
        QVERIFY(central_difference(ours, {x}) < 1e-2);
    }

    void a_low_rank_branch_has_the_gradients_of_its_formula() {
        auto weight = quant::Weight::quantized(torch::randn({48, 64}), recipe::Precision::nf4);
        Tensor dense = weight.dequantized();
        LowRank branch;
        branch.scale = 1.7;
        Function ours = [&](const auto& v) {
            branch.a = v[1];
            branch.b = v[2];
            return linear(v[0], {&weight, {}, &branch}, {});
        };
        Function plain = [&](const auto& v) { return v[0].mm(dense.t()) + 1.7 * v[0].mm(v[1].t()).mm(v[2].t()); };
        std::vector<Tensor> at = {torch::randn({9, 64}), torch::randn({4, 64}), torch::randn({48, 4})};
        QVERIFY(compare(ours, plain, at) < 1e-5);
        QVERIFY(central_difference(ours, at) < 1e-2);
        Function wrong = [&](const auto& v) { return v[0].mm(dense.t()) + 1.6 * v[0].mm(v[1].t()).mm(v[2].t()); };
        QVERIFY(compare(ours, wrong, at) > 1e-3);
    }

    void dropout_repeats_under_its_key_and_differs_under_another() {
        Tensor x = torch::ones({200, 50});
        DropoutKey key{true, 3, 5};
        Tensor first = apply_dropout(x, 0.25, key, 1);
        QVERIFY(torch::equal(first, apply_dropout(x, 0.25, key, 1)));
        QVERIFY(!torch::equal(first, apply_dropout(x, 0.25, key, 2)));
        QVERIFY(!torch::equal(first, apply_dropout(x, 0.25, {true, 3, 6}, 1)));
        QVERIFY(std::abs((first == 0).to(torch::kFloat32).mean().item<double>() - 0.25) < 0.02);
        QVERIFY(std::abs(first.mean().item<double>() - 1) < 0.03);

        auto weight = quant::Weight::dense(torch::randn({8, 50}));
        LowRank branch;
        branch.dropout = 0.25;
        branch.stream = 1;
        Tensor mask = apply_dropout(torch::ones({200, 50}), 0.25, key, 1);
        Function ours = [&](const auto& v) {
            branch.a = v[1];
            branch.b = v[2];
            return linear(v[0], {&weight, {}, &branch}, key);
        };
        Function plain = [&](const auto& v) {
            return v[0].mm(weight.dequantized().t()) + (v[0] * mask).mm(v[1].t()).mm(v[2].t());
        };
        QVERIFY(compare(ours, plain, {torch::randn({200, 50}), torch::randn({4, 50}), torch::randn({8, 4})}) < 1e-5);
    }

    void a_weight_decomposed_branch_has_the_gradients_of_its_formula_data() {
        QTest::addColumn<int>("precision");
        QTest::addColumn<double>("dropout");
        for (auto p : {recipe::Precision::fp32, recipe::Precision::nf4})
            for (double dropout : {0.0, 0.3})
                QTest::addRow("%s, dropout %g", std::string(recipe::name(p)).c_str(), dropout) << static_cast<int>(p) << dropout;
    }
    void a_weight_decomposed_branch_has_the_gradients_of_its_formula() {
        QFETCH(int, precision);
        QFETCH(double, dropout);
        auto weight = quant::Weight::quantized(torch::randn({48, 64}), static_cast<recipe::Precision>(precision));
        Tensor dense = weight.dequantized();
        LowRank branch;
        branch.scale = 1.7;
        branch.dropout = dropout;
        branch.stream = 2;
        branch.base_square_norms = squared_row_norms(weight);
        QVERIFY(relative_difference(branch.base_square_norms, dense.square().sum(1)) < 1e-6);
        DropoutKey key{true, 3, 5};
        Tensor mask = dropout > 0 ? apply_dropout(torch::ones({9, 64}), dropout, key, 2) : torch::ones({9, 64});
        Function ours = [&](const auto& v) {
            branch.a = v[1];
            branch.b = v[2];
            branch.magnitude = v[3];
            return linear(v[0], {&weight, {}, &branch}, key);
        };
        auto formula = [&](double scale) {
            return [&, scale](const auto& v) {
                Tensor norms = (dense + scale * v[2].mm(v[1])).norm(2, 1).detach();
                Tensor c = v[3] / norms, dropped = v[0] * mask;
                return v[0].mm(dense.t()) + (c - 1) * dropped.mm(dense.t()) + c * scale * dropped.mm(v[1].t()).mm(v[2].t());
            };
        };
        std::vector<Tensor> at = {torch::randn({9, 64}), torch::randn({4, 64}) / 8, torch::randn({48, 4}), torch::rand({48}) * 8 + 4};
        QVERIFY(compare(ours, formula(1.7), at) < 1e-5);
        QVERIFY(compare(ours, formula(1.6), at) > 1e-3);
        branch.a = at[1];
        branch.b = at[2];
        QVERIFY(relative_difference(adapted_row_norms(weight, branch), (dense + 1.7 * at[2].mm(at[1])).norm(2, 1)) < 1e-5);

        // What is read, and the lengths.
        Function by_input = [&](const auto& v) { return ours({v[0], at[1], at[2], v[1]}); };
        QVERIFY(central_difference(by_input, {at[0], at[3]}) < 1e-2);
        // A and B: nothing flows back through the rows' lengths, so the magnitude moves along with them.
        Tensor ratio = at[3] / adapted_row_norms(weight, branch);
        Function by_branch = [&](const auto& v) {
            branch.a = v[0];
            branch.b = v[1];
            return ours({at[0], v[0], v[1], ratio * adapted_row_norms(weight, branch)});
        };
        QVERIFY(central_difference(by_branch, {at[1], at[2]}) < 1e-2);
    }

    void a_fresh_weight_decomposed_branch_leaves_its_layer_as_it_is() {
        auto weight = quant::Weight::quantized(torch::randn({48, 64}), recipe::Precision::nf4);
        Tensor x = torch::randn({9, 64});
        LowRank branch;
        branch.a = torch::randn({4, 64});
        branch.b = torch::zeros({48, 4});
        branch.base_square_norms = squared_row_norms(weight);
        branch.magnitude = branch.base_square_norms.sqrt();
        const Tensor base = linear(x, {&weight}, {});
        QVERIFY(relative_difference(linear(x, {&weight, {}, &branch}, {}), base) < 1e-6);
        branch.enabled = false;
        QVERIFY(torch::equal(linear(x, {&weight, {}, &branch}, {}), base));
    }

    void norms_data() {
        QTest::addColumn<bool>("centred");
        QTest::addColumn<bool>("biased");
        QTest::newRow("RMS") << false << false;
        QTest::newRow("layer") << true << true;
        QTest::newRow("layer without bias") << true << false;
    }
    void norms() {
        QFETCH(bool, centred);
        QFETCH(bool, biased);
        Tensor w = torch::rand({37}) + 0.5, bias = biased ? torch::randn({37}) : Tensor();
        Function ours = [&](const auto& v) { return differentiable({.kind = Source::Kind::norm, .x = v[0], .norm = {w, bias, 1e-5, centred}}); };
        Function plain = [&](const auto& v) {
            if (centred) return at::layer_norm(v[0], {37}, w, bias, 1e-5);
            return v[0] * (v[0].square().mean(-1, true) + 1e-5).rsqrt() * w;
        };
        Tensor x = torch::randn({7, 37}) + 0.7;
        QVERIFY(compare(ours, plain, {x}) < 1e-5);
        QVERIFY(central_difference(ours, {x}) < 1e-2);
    }

    // Layers that read one norm, with branches and without, are those layers behind that norm.
    void layers_that_read_the_same_numbers_are_one_function_data() {
        QTest::addColumn<double>("dropout");
        QTest::newRow("") << 0.0;
        QTest::newRow("with dropout") << 0.25;
    }
    void layers_that_read_the_same_numbers_are_one_function() {
        QFETCH(double, dropout);
        const NormRule norm{torch::rand({64}) + 0.5, {}, 1e-5, false};
        const auto first = quant::Weight::quantized(torch::randn({48, 64}), recipe::Precision::nf4),
                   second = quant::Weight::quantized(torch::randn({32, 64}), recipe::Precision::int8);
        Tensor bias = torch::randn({32});
        LowRank branch{.scale = 1.5, .dropout = dropout, .stream = 4};
        const DropoutKey key{true, 3, 5};
        Function group = [&](const auto& v) {
            branch.a = v[1];
            branch.b = v[2];
            const std::array layers{LinearParts{&first, {}, &branch}, LinearParts{&second, bias, nullptr}};
            return torch::cat(linears({.kind = Source::Kind::norm, .x = v[0], .norm = norm}, layers, key), 1);
        };
        Function plain = [&](const auto& v) {
            const Tensor x = v[0] * (v[0].square().mean(-1, true) + 1e-5).rsqrt() * norm.weight;
            const Tensor given = dropout > 0 ? x * apply_dropout(torch::ones_like(v[0]), dropout, key, 4) : x;
            return torch::cat({x.mm(first.dequantized().t()) + 1.5 * given.mm(v[1].t()).mm(v[2].t()), x.mm(second.dequantized().t()) + bias}, 1);
        };
        const std::vector<Tensor> at{torch::randn({9, 64}), torch::randn({4, 64}), torch::randn({48, 4})};
        QVERIFY(compare(group, plain, at) < 1e-5);

        // Where branches have a place for their gradients, these are added there.
        const auto leaf = leaves(at);
        branch.a_gradient = torch::ones({4, 64});
        branch.b_gradient = torch::ones({48, 4});
        group(leaf).sum().backward();
        const auto reference = leaves(at);
        plain(reference).sum().backward();
        QVERIFY(!leaf[1].grad().defined());
        QVERIFY(relative_difference(branch.a_gradient - 1, reference[1].grad()) < 1e-5);
        QVERIFY(relative_difference(branch.b_gradient - 1, reference[2].grad()) < 1e-5);
    }

    // Operands rounded to bf16, eight bits: results and gradients are those of fp32 to about a hundredth of their size.
    void in_bf16_layers_and_attention_are_near_themselves() {
        if (!kernels::has_bf16_products()) QSKIP("this processor multiplies no bf16");
        const auto weight = quant::Weight::quantized(torch::randn({96, 128}), recipe::Precision::nf4);
        const NormRule norm{torch::rand({128}) + 0.5, {}, 1e-5, false};
        LowRank branch;
        const auto layers_in = [&](Arithmetic arithmetic) -> Function {
            return [&, arithmetic](const auto& v) {
                branch.a = v[1];
                branch.b = v[2];
                const std::array layers{LinearParts{&weight, {}, &branch}};
                return linears({.kind = Source::Kind::norm, .x = v[0], .norm = norm, .arithmetic = arithmetic}, layers, {})[0];
            };
        };
        const std::vector<Tensor> at{torch::randn({40, 128}), torch::randn({8, 128}), torch::randn({96, 8})};
        QVERIFY(compare(layers_in(Arithmetic::bf16), layers_in(Arithmetic::fp32), at) < 1e-2);
        QVERIFY(compare(layers_in(Arithmetic::bf16), layers_in(Arithmetic::fp32), at) > 1e-5);

        constexpr Arithmetic narrow{kernels::Arithmetic::fp32, true};  // forward in fp32, backward from bf16
        QVERIFY(compare(layers_in(narrow), layers_in(Arithmetic::fp32), at) < 1e-2);
        QVERIFY(compare(layers_in(narrow), layers_in(Arithmetic::fp32), at) > 1e-5);
        QVERIFY(torch::equal(layers_in(narrow)(at), layers_in(Arithmetic::fp32)(at)));

        const auto gate_in = [](Arithmetic arithmetic) -> Function {
            return [arithmetic](const auto& v) {
                return differentiable({.kind = Source::Kind::gate, .x = v[0], .up = v[1], .activation = Activation::silu, .arithmetic = arithmetic});
            };
        };
        QVERIFY(compare(gate_in(Arithmetic::bf16), gate_in(Arithmetic::fp32), {torch::randn({9, 50}), torch::randn({9, 50})}) < 1e-2);

        const auto attention_in = [](Arithmetic arithmetic) -> Function {
            return [arithmetic](const auto& v) { return packed_attention(v[0], v[1], v[2], {0, 20, 70}, {0.25, 0, 0, true, arithmetic}).first; };
        };
        const std::vector<Tensor> qkv{torch::randn({70, 4, 16}), torch::randn({70, 2, 16}), torch::randn({70, 2, 16})};
        QVERIFY(compare(attention_in(Arithmetic::bf16), attention_in(Arithmetic::fp32), qkv) < 2e-2);

        const Tensor x = torch::randn({30, 128}), targets = torch::randint(96, {30}, torch::kInt64);
        const auto head_in = [&](Arithmetic arithmetic) -> Function {
            return [&, arithmetic](const auto& v) { return head_loss(v[0], weight, {}, targets, nullptr, {}, arithmetic); };
        };
        QVERIFY(compare(head_in(Arithmetic::bf16), head_in(Arithmetic::fp32), {x}) < 1e-2);
    }

    void rotary_positions() {
        Tensor positions = torch::arange(0, 6);
        Tensor angles = torch::outer(positions.to(torch::kFloat32), torch::rand({8}));
        Tensor c = angles.cos(), s = angles.sin();
        Function ours = [&](const auto& v) { return rotate(v[0], c, s); };
        Function plain = [&](const auto& v) {
            Tensor a = v[0].narrow(-1, 0, 8), b = v[0].narrow(-1, 8, 8), rest = v[0].narrow(-1, 16, 4);
            Tensor cc = c.unsqueeze(1), ss = s.unsqueeze(1);
            return torch::cat({a * cc - b * ss, b * cc + a * ss, rest}, -1);
        };
        QVERIFY(compare(ours, plain, {torch::randn({6, 3, 20})}) < 1e-5);
        QVERIFY(central_difference(ours, {torch::randn({6, 3, 20})}) < 1e-2);
    }

    void gated_activations_data() {
        QTest::addColumn<int>("activation");
        QTest::newRow("silu") << 0;
        QTest::newRow("gelu") << 1;
        QTest::newRow("gelu_tanh") << 2;
        QTest::newRow("relu") << 3;
    }
    void gated_activations() {
        QFETCH(int, activation);
        const auto kind = static_cast<Activation>(activation);
        Function ours = [&](const auto& v) { return differentiable({.kind = Source::Kind::gate, .x = v[0], .up = v[1], .activation = kind}); };
        Function plain = [&](const auto& v) {
            return (activation == 0   ? at::silu(v[0])
                    : activation == 1 ? at::gelu(v[0])
                    : activation == 2 ? at::gelu(v[0], "tanh")
                                      : at::relu(v[0])) *
                   v[1];
        };
        std::vector<Tensor> at = {torch::randn({5, 43}) * 3, torch::randn({5, 43})};
        QVERIFY(compare(ours, plain, at) < 1e-5);
        if (activation != 3) QVERIFY(central_difference(ours, at) < 1e-2);
        // One projection that holds both.
        Function fused = [&](const auto& v) { return differentiable({.kind = Source::Kind::gate, .x = v[0], .activation = kind}); };
        Function halves = [&](const auto& v) { return plain({v[0].narrow(1, 0, 43), v[0].narrow(1, 43, 43)}); };
        QVERIFY(compare(fused, halves, {torch::cat(at, 1)}) < 1e-5);
    }

    void activations_data() { gated_activations_data(); }
    void activations() {
        QFETCH(int, activation);
        Function ours = [&](const auto& v) { return differentiable({.kind = Source::Kind::activation, .x = v[0], .activation = static_cast<Activation>(activation)}); };
        Function plain = [&](const auto& v) {
            return activation == 0 ? at::silu(v[0]) : activation == 1 ? at::gelu(v[0]) : activation == 2 ? at::gelu(v[0], "tanh") : at::relu(v[0]);
        };
        QVERIFY(compare(ours, plain, {torch::randn({5, 40})}) < 1e-5);
    }

    void packed_segments_attend_to_themselves_alone_data() {
        QTest::addColumn<double>("softcap");
        QTest::addColumn<int>("window");
        QTest::newRow("all that precedes") << 0.0 << 0;
        QTest::newRow("a window") << 0.0 << 4;
        QTest::newRow("capped scores") << 0.7 << 0;
        QTest::newRow("capped scores in a window") << 0.7 << 4;
    }
    void packed_segments_attend_to_themselves_alone() {
        QFETCH(double, softcap);
        QFETCH(int, window);
        const AttentionRule rule{0.25, softcap, window};
        const std::vector<std::int32_t> starts = {0, 5, 6, 18};
        Function ours = [&](const auto& v) { return packed_attention(v[0], v[1], v[2], starts, rule).first; };
        Function plain = [&](const auto& v) {
            std::vector<Tensor> parts;
            for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
                auto part = [&](const Tensor& t) { return t.narrow(0, starts[i], starts[i + 1] - starts[i]).transpose(0, 1); };
                Tensor q = part(v[0]), k = part(v[1]).repeat_interleave(3, 0), w = part(v[2]).repeat_interleave(3, 0);
                Tensor scores = q.matmul(k.transpose(1, 2)) * 0.25;
                if (softcap > 0) scores = (scores / softcap).tanh() * softcap;
                Tensor seen = torch::ones({q.size(1), q.size(1)}, torch::kBool).tril();
                if (window > 0) seen = seen.triu(1 - window);
                Tensor mask = seen.logical_not();
                parts.push_back(scores.masked_fill(mask, -INFINITY).softmax(-1).matmul(w).transpose(0, 1));
            }
            return torch::cat(parts);
        };
        std::vector<Tensor> at = {torch::randn({18, 6, 16}), torch::randn({18, 2, 16}), torch::randn({18, 2, 16})};
        QVERIFY(compare(ours, plain, at) < 1e-5);
        QVERIFY(central_difference(ours, at) < 1e-2);
    }

    void a_cache_gives_what_the_whole_sequence_gives_data() { packed_segments_attend_to_themselves_alone_data(); }
    void a_cache_gives_what_the_whole_sequence_gives() {
        QFETCH(double, softcap);
        QFETCH(int, window);
        const AttentionRule rule{0.25, softcap, window};
        Tensor q = torch::randn({9, 6, 16}), k = torch::randn({9, 2, 16}), v = torch::randn({9, 2, 16});
        Tensor whole = packed_attention(q, k, v, {0, 9}, rule).first;
        QVERIFY(relative_difference(cached_attention(q.narrow(0, 5, 4), k, v, rule), whole.narrow(0, 5, 4)) < 1e-5);
        QVERIFY(relative_difference(cached_attention(q.narrow(0, 8, 1), k, v, rule), whole.narrow(0, 8, 1)) < 1e-5);
        QVERIFY(relative_difference(cached_attention(q, k, v, rule), whole) < 1e-5);
    }

    void the_head_in_chunks_is_cross_entropy_data() {
        QTest::addColumn<double>("softcap");
        QTest::addColumn<double>("smoothing");
        QTest::newRow("plain") << 0.0 << 0.0;
        QTest::newRow("smoothed") << 0.0 << 0.1;
        QTest::newRow("capped and smoothed") << 2.0 << 0.2;
    }
    void the_head_in_chunks_is_cross_entropy() {
        QFETCH(double, softcap);
        QFETCH(double, smoothing);
        const LossRule rule{softcap, smoothing};
        auto weight = quant::Weight::quantized(torch::randn({300, 32}), recipe::Precision::int8);
        Tensor dense = weight.dequantized(), targets = torch::randint(0, 300, {600});
        LowRank branch;
        branch.scale = 0.5;
        Function ours = [&](const auto& v) {
            branch.a = v[1];
            branch.b = v[2];
            return head_loss(v[0], weight, {}, targets, &branch, rule);
        };
        Function plain = [&](const auto& v) {
            Tensor logits = v[0].mm(dense.t()) + 0.5 * v[0].mm(v[1].t()).mm(v[2].t());
            if (softcap > 0) logits = (logits / softcap).tanh() * softcap;
            const Tensor logs = logits.log_softmax(-1);
            return -(1 - smoothing) * logs.gather(1, targets.unsqueeze(1)).sum() - smoothing * logs.mean(-1).sum();
        };
        std::vector<Tensor> at = {torch::randn({600, 32}) * 0.3, torch::randn({4, 32}) * 0.3, torch::randn({300, 4}) * 0.3};
        QVERIFY(compare(ours, plain, at) < 2e-5);
        QVERIFY(central_difference(ours, at, 1e-3) < 1e-2);
    }

    // Where logits are in bf16 for a stripe of classes at a time; of many classes in two chunks of rows.
    void the_head_by_stripes_is_cross_entropy_data() {
        QTest::addColumn<int>("classes");
        QTest::newRow("a stripe and a part of one") << 300;
        QTest::newRow("two chunks") << 70000;
    }
    void the_head_by_stripes_is_cross_entropy() {
        QFETCH(int, classes);
        const Tensor targets = torch::randint(0, classes, {300}), x = torch::randn({300, 32}), w = torch::randn({classes, 32}) * 0.3;
        const auto weight = quant::Weight::dense(w);
        const auto loss_and_gradient = [&](auto loss) {
            const Tensor at = x.clone().requires_grad_(true);
            const Tensor total = loss(at);
            total.backward();
            return std::pair(total.template item<float>(), at.grad());
        };
        const auto [loss, gradient] = loss_and_gradient([&](const Tensor& at) { return head_loss(at, weight, {}, targets, nullptr, {}, Arithmetic::bf16); });
        const auto [wanted, wanted_gradient] = loss_and_gradient([&](const Tensor& at) { return at::cross_entropy_loss(at.mm(w.t()), targets, {}, at::Reduction::Sum); });
        QVERIFY2(std::abs(loss - wanted) < 1e-3f * wanted, qPrintable(QString("%1 for %2").arg(loss).arg(wanted)));
        QVERIFY(relative_difference(gradient, wanted_gradient) < 0.02);
        torch::NoGradGuard no_grad;
        QCOMPARE(head_loss(x, weight, {}, targets, nullptr, {}, Arithmetic::bf16).item<float>(), loss);
    }

    // Long enough for a head's backward pass to be cut into ranges of queries, by any number of threads alike.
    void attention_over_long_segments_is_its_definition_data() {
        QTest::addColumn<qint64>("window");
        QTest::addColumn<bool>("causal");
        QTest::addColumn<bool>("bf16");
        for (const bool bf16 : {false, true}) {
            QTest::addRow("causal, %s", bf16 ? "bf16" : "fp32") << qint64{0} << true << bf16;
            QTest::addRow("a window, %s", bf16 ? "bf16" : "fp32") << qint64{150} << true << bf16;
            QTest::addRow("both ways, %s", bf16 ? "bf16" : "fp32") << qint64{0} << false << bf16;
        }
    }
    void attention_over_long_segments_is_its_definition() {
        QFETCH(qint64, window);
        QFETCH(bool, causal);
        QFETCH(bool, bf16);
        const std::vector<std::int32_t> starts = {0, 700, 710, 1000};
        const AttentionRule rule{0.25, 0, window, causal, bf16 ? Arithmetic::bf16 : Arithmetic::fp32};
        Function ours = [&](const auto& v) { return packed_attention(v[0], v[1], v[2], starts, rule).first; };
        Function plain = [&](const auto& v) {
            return attention_by_definition(v, starts, starts, 0.25, [&](std::int64_t length) {
                Tensor hidden = torch::ones({1, length, length}, torch::kBool).triu(1);
                if (window > 0) hidden.logical_or_(torch::ones({1, length, length}, torch::kBool).tril(-window));
                return torch::zeros({1, length, length}, v[0].scalar_type()).masked_fill_(causal ? hidden : torch::zeros_like(hidden), -INFINITY);
            });
        };
        std::vector<Tensor> at = {torch::randn({1000, 6, 16}), torch::randn({1000, 2, 16}), torch::randn({1000, 2, 16})};
        const double off = compare(ours, plain, at);
        QVERIFY2(off < (bf16 ? 0.02 : 2e-5), qPrintable(QString::number(off)));
        const auto gradients = [&] {
            std::vector<Tensor> leaves;
            for (const Tensor& x : at) leaves.push_back(x.clone().requires_grad_(true));
            ours(leaves).square().sum().backward();
            return std::vector{leaves[0].grad(), leaves[1].grad(), leaves[2].grad()};
        };
        const int threads = at::get_num_threads();
        const auto together = gradients();
        at::set_num_threads(1);
        const auto alone = gradients();
        at::set_num_threads(threads);
        for (std::size_t i = 0; i < alone.size(); ++i) QVERIFY(torch::equal(alone[i], together[i]));
    }

    void a_checkpointed_block_gives_the_same_gradients() {
        Tensor w = torch::randn({16, 16}).requires_grad_(true), other = w.detach().clone().requires_grad_(true);
        Function plain = [&](const auto& v) { return v[0].mm(w).tanh().mm(w); };
        Function ours = [&](const auto& v) {
            return checkpoint(v[0], {}, [&](const Tensor& x, const Tensor& memory) {
                Q_ASSERT(!memory.defined());
                return x.mm(other).tanh().mm(other);
            });
        };
        QCOMPARE(compare(ours, plain, {torch::randn({4, 16})}), 0.0);
        QVERIFY(torch::equal(w.grad(), other.grad()));
    }

    // Two blocks read the same memory: each adds its part of the gradient once.
    void checkpointed_blocks_pass_gradients_on_to_a_shared_memory() {
        auto block = [](const Tensor& x, const Tensor& memory) { return x.mm(memory).tanh(); };
        Function plain = [&](const auto& v) { return block(block(v[0], v[1].square()), v[1].square()); };
        Function ours = [&](const auto& v) {
            Tensor memory = v[1].square();
            return checkpoint(checkpoint(v[0], memory, block), memory, block);
        };
        QVERIFY(compare(ours, plain, {torch::randn({4, 16}), torch::randn({16, 16}) * 0.4}) < 1e-6);
    }

    void tokens_of_an_encoder_see_their_whole_segment() {
        const std::vector<std::int32_t> starts = {0, 5, 6, 18};
        const AttentionRule rule{0.25, 0, 0, false};
        Function ours = [&](const auto& v) { return packed_attention(v[0], v[1], v[2], starts, rule).first; };
        Function plain = [&](const auto& v) { return attention_by_definition(v, starts, starts, 0.25, {}); };
        std::vector<Tensor> at = {torch::randn({18, 6, 16}), torch::randn({18, 2, 16}), torch::randn({18, 2, 16})};
        QVERIFY(compare(ours, plain, at) < 1e-5);
        QVERIFY(central_difference(ours, at) < 1e-2);
        Tensor causal = packed_attention(at[0], at[1], at[2], starts, {0.25, 0, 0, true}).first;
        QVERIFY(relative_difference(causal, ours(at)) > 1e-2);
    }

    void a_decoder_reads_the_counterpart_of_each_segment() {
        const std::vector<std::int32_t> starts = {0, 4, 5, 9}, key_starts = {0, 2, 9, 14};
        Function ours = [&](const auto& v) { return packed_attention(v[0], v[1], v[2], starts, key_starts, {0.5, 0, 0, false}).first; };
        Function plain = [&](const auto& v) { return attention_by_definition(v, starts, key_starts, 0.5, {}); };
        std::vector<Tensor> at = {torch::randn({9, 4, 8}), torch::randn({14, 4, 8}), torch::randn({14, 4, 8})};
        QVERIFY(compare(ours, plain, at) < 1e-5);
        QVERIFY(central_difference(ours, at) < 1e-2);
    }

    // Our own kernels in fp32 and the definition in fp64 draw the same masks.
    void attention_drops_the_same_probabilities_everywhere_data() {
        QTest::addColumn<double>("softcap");
        QTest::addColumn<bool>("biased");
        QTest::newRow("own kernels") << 0.0 << false;
        QTest::newRow("capped scores") << 0.7 << false;
        QTest::newRow("relative positions") << 0.0 << true;
    }
    void attention_drops_the_same_probabilities_everywhere() {
        QFETCH(double, softcap);
        QFETCH(bool, biased);
        const std::vector<std::int32_t> starts = {0, 5, 6, 40};
        const AttentionDropout dropout{0.3, {true, 3, 4}, 9};
        const auto bias = biased ? std::make_shared<RelativeBias>(torch::randn({8, 6}), true, 20) : nullptr;
        const AttentionRule rule{.scale = 0.25, .softcap = softcap, .dropout = dropout};
        Function ours = [&](const auto& v) { return packed_attention(v[0], v[1], v[2], starts, rule, bias).first; };
        Function plain = [&](const auto& v) {
            std::vector<Tensor> parts;
            for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
                const std::int64_t length = starts[i + 1] - starts[i];
                auto part = [&](const Tensor& t) { return t.narrow(0, starts[i], length).transpose(0, 1); };
                Tensor scores = part(v[0]).matmul(part(v[1]).repeat_interleave(3, 0).transpose(1, 2)) * 0.25;
                if (softcap > 0) scores = (scores / softcap).tanh() * softcap;
                if (bias) scores = scores + bias->at(length, length, torch::kFloat32)[0];
                else scores = scores.masked_fill(torch::ones({length, length}, torch::kBool).triu(1), -INFINITY);
                Tensor factors = torch::empty({6, length, length});
                for (std::int64_t head = 0; head < 6; ++head)
                    kernels::score_factors(dropout.of_head(static_cast<std::int64_t>(i), head), 0, length, length, factors[head].template data_ptr<float>());
                parts.push_back((scores.softmax(-1) * factors).matmul(part(v[2]).repeat_interleave(3, 0)).transpose(0, 1));
            }
            return torch::cat(parts);
        };
        const std::vector<Tensor> at = {torch::randn({40, 6, 16}), torch::randn({40, 2, 16}), torch::randn({40, 2, 16})};
        QVERIFY(compare(ours, plain, at) < 1e-5);
        AttentionRule still = rule;
        still.dropout.key.training = false;
        QVERIFY(relative_difference(packed_attention(at[0], at[1], at[2], starts, still, bias).first, ours(at)) > 0.1);
    }

    void dropped_numbers_have_the_gradient_of_their_mask() {
        const DropoutKey key{true, 5, 6};
        const Tensor mask = apply_dropout(torch::ones({7, 9}), 0.4, key, 3);
        Function ours = [&](const auto& v) { return dropped(v[0], 0.4, key, 3); };
        Function plain = [&](const auto& v) { return v[0] * mask; };
        QCOMPARE(compare(ours, plain, {torch::randn({7, 9})}), 0.0);
        const Tensor x = torch::randn({7, 9});
        QVERIFY(dropped(x, 0, key, 3).is_same(x) && dropped(x, 0.4, {}, 3).is_same(x));
    }

    void relative_positions_bend_the_scores_data() {
        QTest::addColumn<bool>("causal");
        QTest::newRow("encoder") << false;
        QTest::newRow("decoder") << true;
    }
    void relative_positions_bend_the_scores() {
        QFETCH(bool, causal);
        const std::vector<std::int32_t> starts = {0, 30, 33};
        Tensor table = torch::randn({8, 2});
        auto bias = std::make_shared<RelativeBias>(table, causal, 20);
        const AttentionRule rule{1, 0, 0, causal};
        Function ours = [&](const auto& v) { return packed_attention(v[0], v[1], v[2], starts, rule, bias).first; };
        Function plain = [&](const auto& v) {
            return attention_by_definition(v, starts, starts, 1, [&](std::int64_t length) { return bias->at(length, length, torch::kFloat32); });
        };
        std::vector<Tensor> at = {torch::randn({33, 2, 8}), torch::randn({33, 2, 8}), torch::randn({33, 2, 8})};
        QVERIFY(compare(ours, plain, at) < 1e-5);
        QVERIFY(central_difference(ours, at) < 1e-2);
        if (!causal) return;
        Tensor q = at[0].narrow(0, 0, 30), k = at[1].narrow(0, 0, 30), v = at[2].narrow(0, 0, 30);
        Tensor whole = packed_attention(q, k, v, {0, 30}, rule, bias).first;
        QVERIFY(relative_difference(cached_attention(q.narrow(0, 27, 3), k, v, rule, bias.get()), whole.narrow(0, 27, 3)) < 1e-5);
        QVERIFY(relative_difference(cached_attention(q.narrow(0, 29, 1), k, v, rule, bias.get()), whole.narrow(0, 29, 1)) < 1e-5);
    }

    // Buckets by hand: 8 of them, distances up to 20. An encoder has 4 a side: 0, 1, then [2, 7) and the rest; a decoder
    // keeps 0 to 3 apart, and widens behind.
    void distances_fall_into_their_buckets() {
        Tensor table = torch::arange(8, torch::kFloat32).unsqueeze(1);
        RelativeBias both(table, false, 20), past(table, true, 20);
        const Tensor row = both.at(41, 41, torch::kFloat32)[0][0][20];
        const std::vector<std::pair<int, float>> expected = {{0, 0}, {-1, 1}, {-2, 2}, {-6, 2}, {-7, 3}, {-20, 3}, {1, 5}, {2, 6}, {6, 6}, {7, 7}, {20, 7}};
        for (const auto& [distance, bucket] : expected) QCOMPARE(row[20 + distance].item<float>(), bucket);
        const Tensor last = past.at(1, 41, torch::kFloat32)[0][0][0];
        for (const auto& [distance, bucket] : std::vector<std::pair<int, float>>{{0, 0}, {3, 3}, {4, 4}, {5, 4}, {6, 5}, {19, 7}, {20, 7}, {40, 7}})
            QCOMPARE(last[40 - distance].item<float>(), bucket);
        QVERIFY(std::isinf(past.at(2, 2, torch::kFloat32)[0][0][0][1].item<float>()));
    }
};

QTEST_GUILESS_MAIN(FunctionsTest)
#include "functions_test.moc"
