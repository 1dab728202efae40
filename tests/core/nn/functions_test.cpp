// Every autograd function, checked twice: against LibTorch's own derivative of the plain formula, and against central
// differences along a random direction.
#include "tests/torch_tests.h"

#include "core/nn/functions/attention.h"
#include "core/nn/functions/checkpoint.h"
#include "core/nn/functions/dora.h"
#include "core/nn/functions/elementwise.h"
#include "core/nn/functions/head.h"
#include "core/nn/functions/linear.h"
#include "tests/core/nn/gradients.h"

using namespace qlora;
using namespace qlora::nn;

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

    void dropped_numbers_have_the_gradient_of_their_mask() {
        const DropoutKey key{true, 5, 6};
        const Tensor mask = apply_dropout(torch::ones({7, 9}), 0.4, key, 3);
        Function ours = [&](const auto& v) { return dropped(v[0], 0.4, key, 3); };
        Function plain = [&](const auto& v) { return v[0] * mask; };
        QCOMPARE(compare(ours, plain, {torch::randn({7, 9})}), 0.0);
        const Tensor x = torch::randn({7, 9});
        QVERIFY(dropped(x, 0, key, 3).is_same(x) && dropped(x, 0.4, {}, 3).is_same(x));
    }
};

QTEST_GUILESS_MAIN(FunctionsTest)
#include "functions_test.moc"
