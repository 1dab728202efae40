// Norms, rotations, gates, cross-entropy and AdamW against their formulas in fp64, on every instruction set.
#include "kernels/elementwise.h"
#include "kernels/half.h"

#include <cmath>

#include "golden.h"
#include "kernels/adamw.h"
#include "kernels/norm.h"
#include "kernels/quantize.h"

using namespace qlora::kernels;

namespace {

using Numbers = std::vector<double>;

double furthest(const std::vector<float>& got, const Numbers& wanted) {
    double most = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i)
        most = std::max(most, std::isnan(got[i]) ? INFINITY : std::abs(got[i] - wanted[i]) / (1 + std::abs(wanted[i])));
    return most;
}

std::vector<std::uint16_t> halves(const std::vector<float>& x) {
    std::vector<std::uint16_t> to(x.size());
    f32_to_bf16(x.data(), static_cast<std::int64_t>(x.size()), to.data());
    return to;
}
std::vector<float> widened(const std::vector<std::uint16_t>& x) {
    std::vector<float> to(x.size());
    bf16_to_f32(x.data(), static_cast<std::int64_t>(x.size()), to.data());
    return to;
}
// Rows of `width` numbers, `stride` apart, are those of `wanted`, rounded; between them lie sevens.
void compare_rounded(const std::vector<std::uint16_t>& got, std::int64_t stride, const std::vector<float>& wanted, std::int64_t width) {
    const auto numbers = widened(got);
    for (std::size_t i = 0; i < got.size(); ++i) {
        const auto row = static_cast<std::int64_t>(i) / stride, column = static_cast<std::int64_t>(i) % stride;
        if (column >= width) {
            QCOMPARE(got[i], std::uint16_t{7});
            continue;
        }
        const float value = wanted[row * width + column];
        QVERIFY(std::abs(numbers[i] - value) <= 0x1p-8f * std::abs(value) + 1e-6f);
    }
}

double act(Gate kind, double x) {
    return kind == Gate::silu ? x / (1 + std::exp(-x)) : x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

}  // namespace

class ElementwiseTest : public QObject {
    Q_OBJECT

  private slots:
    void norms_data() { add_targets(); }
    void norms() {
        QFETCH(qint64, target);
        use_target(target);
        for (bool centred : {false, true})
            for (std::int64_t width : {1, 5, 16, 33, 576}) {
                constexpr std::int64_t rows = 3;
                auto x = normal(1, rows * width);
                for (float& value : x) value += 0.5f;
                const auto w = normal(2, width), b = normal(3, width), dy = normal(4, rows * width);
                const double eps = 1e-3;
                Numbers y(rows * width), dx(rows * width);
                for (std::int64_t r = 0; r < rows; ++r) {
                    const auto at = [&](std::int64_t c) { return r * width + c; };
                    double mean = 0, square = 0, shift = 0, along = 0;
                    for (std::int64_t c = 0; centred && c < width; ++c) mean += x[at(c)] / static_cast<double>(width);
                    for (std::int64_t c = 0; c < width; ++c) square += (x[at(c)] - mean) * (x[at(c)] - mean) / static_cast<double>(width);
                    const double inverse = 1 / std::sqrt(square + static_cast<double>(static_cast<float>(eps)));
                    for (std::int64_t c = 0; c < width; ++c) {
                        const double n = (x[at(c)] - mean) * inverse, g = double{dy[at(c)]} * w[c];
                        y[at(c)] = n * w[c] + (centred ? b[c] : 0);
                        along += g * n / static_cast<double>(width);
                        shift += centred ? g / static_cast<double>(width) : 0;
                    }
                    for (std::int64_t c = 0; c < width; ++c)
                        dx[at(c)] = inverse * (double{dy[at(c)]} * w[c] - shift - (x[at(c)] - mean) * inverse * along);
                }
                const NormRule rule{centred, static_cast<float>(eps), w.data(), centred ? b.data() : nullptr};
                std::vector<float> out(rows * width + 1, 9.0f), gradient(rows * width + 1, 9.0f);
                norm(rule, x.data(), rows, width, out.data());
                norm_backward(rule, x.data(), dy.data(), rows, width, gradient.data());
                QVERIFY2(furthest(out, y) < 1e-5, qPrintable(QString::number(width)));
                QVERIFY2(furthest(gradient, dx) < 1e-4, qPrintable(QString::number(width)));
                QCOMPARE(out.back(), 9.0f);
                QCOMPARE(gradient.back(), 9.0f);
            }
    }

    // What products read and what is kept, from numbers in fp32; and both ways from what was kept.
    void norms_in_bf16_are_those_of_rounded_numbers_data() { add_targets(); }
    void norms_in_bf16_are_those_of_rounded_numbers() {
        QFETCH(qint64, target);
        use_target(target);
        if (!rounds_to_bf16(target)) QSKIP("this processor has no bf16");
        for (bool centred : {false, true})
            for (std::int64_t width : {1, 33, 576}) {
                const std::int64_t rows = 3, stride = width + 5;
                const auto x = normal(1, rows * width), w = normal(2, width), b = normal(3, width), dy = normal(4, rows * width);
                const NormRule rule{centred, 1e-3f, w.data(), centred ? b.data() : nullptr};
                std::vector<float> plain(rows * width), of_kept(rows * width), dx(rows * width), plain_dx(rows * width);
                std::vector<std::uint16_t> y(rows * stride, 7), kept(rows * width), again(rows * stride, 7), with_gradient(rows * stride, 7);
                norm(rule, x.data(), rows, width, plain.data());
                norm(rule, x.data(), rows, width, y.data(), stride, kept.data());
                compare_rounded(y, stride, plain, width);
                QCOMPARE(kept, halves(x));
                const auto restored = widened(kept);
                norm(rule, restored.data(), rows, width, of_kept.data());
                norm(rule, kept.data(), rows, width, again.data(), stride);
                compare_rounded(again, stride, of_kept, width);
                norm_backward(rule, restored.data(), dy.data(), rows, width, plain_dx.data());
                norm_backward(rule, kept.data(), dy.data(), rows, width, dx.data(), nullptr, 0);
                QCOMPARE(dx, plain_dx);
                norm_backward(rule, kept.data(), dy.data(), rows, width, dx.data(), with_gradient.data(), stride);
                QCOMPARE(dx, plain_dx);
                compare_rounded(with_gradient, stride, of_kept, width);
            }
    }

    void gates_in_bf16_are_those_of_rounded_numbers_data() { add_targets(); }
    void gates_in_bf16_are_those_of_rounded_numbers() {
        QFETCH(qint64, target);
        use_target(target);
        if (!rounds_to_bf16(target)) QSKIP("this processor has no bf16");
        constexpr std::int64_t rows = 3, width = 37, stride = 40, n = rows * width;
        for (Gate kind : {Gate::silu, Gate::gelu_tanh}) {
            const auto x = normal(1, n, 4), up = normal(2, n), dout = normal(3, n);
            std::vector<float> plain(n), of_kept(n), dgate(n), dup(n), plain_dgate(n), plain_dup(n);
            std::vector<std::uint16_t> out(rows * stride, 7), kept(n), kept_up(n), again(rows * stride, 7), with_gradient(rows * stride, 7);
            gate(kind, x.data(), up.data(), width, rows, width, plain.data());
            gate(kind, x.data(), up.data(), width, rows, width, out.data(), stride, kept.data(), kept_up.data());
            compare_rounded(out, stride, plain, width);
            QCOMPARE(kept, halves(x));
            QCOMPARE(kept_up, halves(up));
            const auto restored = widened(kept), restored_up = widened(kept_up);
            gate(kind, restored.data(), restored_up.data(), width, rows, width, of_kept.data());
            gate(kind, kept.data(), kept_up.data(), rows, width, again.data(), stride);
            compare_rounded(again, stride, of_kept, width);
            gate_backward(kind, restored.data(), restored_up.data(), width, dout.data(), rows, width, plain_dgate.data(), plain_dup.data());
            for (std::uint16_t* to : {static_cast<std::uint16_t*>(nullptr), with_gradient.data()}) {
                gate_backward(kind, kept.data(), kept_up.data(), dout.data(), rows, width, dgate.data(), dup.data(), to, stride);
                QCOMPARE(dgate, plain_dgate);
                QCOMPARE(dup, plain_dup);
            }
            compare_rounded(with_gradient, stride, of_kept, width);
        }
    }

    void rotations_data() { add_targets(); }
    void rotations() {
        QFETCH(qint64, target);
        use_target(target);
        constexpr std::int64_t rows = 4, heads = 3, stride = 100;
        for (auto [dim, half] : {std::pair<std::int64_t, std::int64_t>{20, 8}, {32, 16}, {10, 5}}) {
            const auto x = normal(1, rows * stride), angles = normal(2, rows * half);
            std::vector<float> c, s, y(rows * heads * dim), back(rows * heads * dim);
            for (float angle : angles) c.push_back(std::cos(angle)), s.push_back(std::sin(angle));
            Numbers wanted, given;
            for (std::int64_t r = 0; r < rows; ++r)
                for (std::int64_t h = 0; h < heads; ++h)
                    for (std::int64_t d = 0; d < dim; ++d) {
                        const double mine = x[r * stride + h * dim + d];
                        given.push_back(mine);
                        if (d >= 2 * half) wanted.push_back(mine);
                        else {
                            const double pair = x[r * stride + h * dim + (d < half ? d + half : d - half)];
                            wanted.push_back(mine * c[r * half + d % half] + (d < half ? -1 : 1) * pair * s[r * half + d % half]);
                        }
                    }
            Rotation rotation{heads, dim, half, c.data(), s.data(), false};
            rotate(rotation, x.data(), stride, rows, y.data());
            QVERIFY(furthest(y, wanted) < 1e-6);
            rotation.backward = true;
            rotate(rotation, y.data(), heads * dim, rows, back.data());
            QVERIFY(furthest(back, given) < 1e-6);
        }
    }

    void gates_data() { add_targets(); }
    void gates() {
        QFETCH(qint64, target);
        use_target(target);
        constexpr std::int64_t rows = 3, width = 37, stride = 80;
        for (Gate kind : {Gate::silu, Gate::gelu_tanh}) {
            const auto numbers = normal(1, rows * stride, 4), dout = normal(2, rows * width);
            std::vector<float> out(rows * width), gradients(rows * stride, 9.0f);
            gate(kind, numbers.data(), numbers.data() + width, stride, rows, width, out.data());
            gate_backward(kind, numbers.data(), numbers.data() + width, stride, dout.data(), rows, width, gradients.data(), gradients.data() + width);
            for (std::int64_t r = 0; r < rows; ++r)
                for (std::int64_t c = 0; c < width; ++c) {
                    const double x = numbers[r * stride + c], up = numbers[r * stride + width + c], d = dout[r * width + c];
                    const double slope = (act(kind, x + 1e-5) - act(kind, x - 1e-5)) / 2e-5;
                    QVERIFY(std::abs(out[r * width + c] - act(kind, x) * up) < 1e-5 * (1 + std::abs(x * up)));
                    QVERIFY(std::abs(gradients[r * stride + c] - d * up * slope) < 1e-5 * (1 + std::abs(d * up)));
                    QVERIFY(std::abs(gradients[r * stride + width + c] - d * act(kind, x)) < 1e-5 * (1 + std::abs(d * x)));
                }
            QCOMPARE(gradients[2 * width], 9.0f);
        }
    }

    void gates_of_large_numbers_are_finite() {
        const std::vector<float> x{-1e4f, -100, -30, 30, 100, 1e4f}, one(6, 1.0f);
        for (Gate kind : {Gate::silu, Gate::gelu_tanh}) {
            std::vector<float> out(6), dgate(6), dup(6);
            gate(kind, x.data(), one.data(), 6, 1, 6, out.data());
            gate_backward(kind, x.data(), one.data(), 6, one.data(), 1, 6, dgate.data(), dup.data());
            for (int i = 0; i < 6; ++i) {
                QVERIFY(std::abs(out[i] - (x[i] > 0 ? x[i] : 0)) < 1e-6f);
                QVERIFY(std::abs(dgate[i] - (x[i] > 0 ? 1 : 0)) < 1e-6f);
            }
        }
    }

    void cross_entropies_data() { add_targets(); }
    void cross_entropies() {
        QFETCH(qint64, target);
        use_target(target);
        for (std::int64_t classes : {1, 3, 16, 50, 1000}) {
            constexpr std::int64_t rows = 3;
            const auto given = normal(5, rows * classes, 6);
            const std::vector<std::int64_t> targets{0, classes - 1, classes / 2};
            Numbers losses, gradients;
            for (std::int64_t r = 0; r < rows; ++r) {
                double sum = 0;
                for (std::int64_t c = 0; c < classes; ++c) sum += std::exp(double{given[r * classes + c]});
                losses.push_back(std::log(sum) - given[r * classes + targets[r]]);
                for (std::int64_t c = 0; c < classes; ++c) gradients.push_back(std::exp(double{given[r * classes + c]}) / sum - (c == targets[r]));
            }
            auto logits = given;
            Numbers found(rows);
            cross_entropy(logits.data(), rows, classes, targets.data(), false, found.data());
            QCOMPARE(logits, given);
            for (int r = 0; r < rows; ++r) QVERIFY(std::abs(found[r] - losses[r]) < 1e-5 * (1 + losses[r]));
            cross_entropy(logits.data(), rows, classes, targets.data(), true, found.data());
            for (int r = 0; r < rows; ++r) QVERIFY(std::abs(found[r] - losses[r]) < 1e-5 * (1 + losses[r]));
            QVERIFY(furthest(logits, gradients) < 1e-6);
        }
    }

    void softmaxes_of_parts_make_up_the_whole_data() { add_targets(); }
    void softmaxes_of_parts_make_up_the_whole() {
        QFETCH(qint64, target);
        use_target(target);
        if (!rounds_to_bf16(target)) QSKIP("this processor has no bf16");
        constexpr std::int64_t rows = 3, classes = 70, stride = 90, part = 40;
        const auto logits = normal(5, rows * stride, 6);
        std::vector<SoftmaxPart> parts(rows * 2);
        std::vector<std::uint16_t> out(rows * stride, 7);
        softmax_parts(logits.data(), stride, rows, part, parts.data(), 2, out.data(), stride);
        softmax_parts(logits.data() + part, stride, rows, classes - part, parts.data() + 1, 2, out.data() + part, stride);
        auto alone = parts;
        softmax_parts(logits.data(), stride, rows, part, alone.data(), 2, nullptr, 0);
        for (std::int64_t r = 0; r < rows; ++r) {
            double sum = 0;
            for (std::int64_t c = 0; c < classes; ++c) sum += std::exp(double{logits[r * stride + c]});
            const SoftmaxPart &first = parts[2 * r], &second = parts[2 * r + 1];
            QVERIFY(std::abs(first.sum * std::exp(double{first.largest}) + second.sum * std::exp(double{second.largest}) - sum) < 1e-6 * sum);
            QCOMPARE(alone[2 * r].largest, first.largest);
            QCOMPARE(alone[2 * r].sum, first.sum);
            scale(out.data() + r * stride, part, static_cast<float>(std::exp(double{first.largest}) / sum));
            scale(out.data() + r * stride + part, classes - part, static_cast<float>(std::exp(double{second.largest}) / sum));
            std::vector<float> shares(classes);
            bf16_to_f32(out.data() + r * stride, classes, shares.data());
            for (std::int64_t c = 0; c < classes; ++c) {
                const double wanted = std::exp(double{logits[r * stride + c]}) / sum;
                QVERIFY(std::abs(shares[c] - wanted) <= 0x1p-7 * wanted);
            }
            for (std::int64_t c = classes; c < stride; ++c) QCOMPARE(out[r * stride + c], std::uint16_t{7});
        }
    }

    void a_sum_over_a_large_vocabulary_stays_exact_data() { add_targets(); }
    void a_sum_over_a_large_vocabulary_stays_exact() {  // a running sum would lose of each number what it is too large for
        QFETCH(qint64, target);
        use_target(target);
        constexpr std::int64_t classes = 262144;
        auto logits = normal(7, classes, 0.5f);
        double sum = 0, loss = 0, found = 0;
        for (const float x : logits) sum += std::exp(double{x});
        const double wanted = std::log(sum) - double{logits[5]};
        const std::int64_t label = 5;
        cross_entropy(logits.data(), 1, classes, &label, true, &loss);
        for (const float x : logits) found += double{x};
        qInfo("loss off by %.1e, the gradients' sum by %.1e", std::abs(loss - wanted), std::abs(found));
        QVERIFY(std::abs(loss - wanted) < 2e-7);
        QVERIFY(std::abs(found) < 2e-7);
    }

    void logits_of_any_size_have_a_loss_and_nan_stays() {
        std::vector<float> large{1e4f, -1e4f, 0}, bad(40, 1.0f);
        bad[7] = NAN;
        const std::vector<std::int64_t> target{0};
        double loss = -1;
        cross_entropy(large.data(), 1, 3, target.data(), true, &loss);
        QCOMPARE(loss, 0.0);
        QCOMPARE(large, (std::vector<float>{0, 0, 0}));
        cross_entropy(bad.data(), 1, 40, target.data(), true, &loss);
        QVERIFY(std::isnan(loss));
    }

    // What bitsandbytes' blockwise optimizer does: expand, update, quantize again.
    void adamw_in_8_bit_is_adamw_between_quantizations() {
        constexpr std::int64_t n = 1000, blocks = 4;
        const auto g = normal(1, n);
        std::vector<float> m = normal(2, n), v = normal(3, n), value = normal(4, n), by_parts = value;
        for (float& x : v) x *= x;
        std::vector<std::uint8_t> m_codes(n), v_codes(n);
        std::vector<float> m_absmax(blocks), v_absmax(blocks);
        const auto quantized = [&](std::vector<std::uint8_t>& mc, std::vector<float>& ma, std::vector<std::uint8_t>& vc, std::vector<float>& va) {
            quantize_dynamic(DynamicMap::with_sign, m.data(), n, moment_block, mc.data(), ma.data());
            quantize_dynamic(DynamicMap::without_sign, v.data(), n, moment_block, vc.data(), va.data());
        };
        quantized(m_codes, m_absmax, v_codes, v_absmax);
        dequantize_dynamic(DynamicMap::with_sign, m_codes.data(), m_absmax.data(), moment_block, 0, n, m.data());
        dequantize_dynamic(DynamicMap::without_sign, v_codes.data(), v_absmax.data(), moment_block, 0, n, v.data());
        const AdamWRule rule{.rate = 0.01f, .root = 0.5f};
        adamw_8bit(rule, g.data(), n, value.data(), {m_codes.data(), m_absmax.data()}, {v_codes.data(), v_absmax.data()});
        adamw(rule, g.data(), n, by_parts.data(), m.data(), v.data());
        std::vector<std::uint8_t> m_wanted(n), v_wanted(n);
        std::vector<float> m_scale(blocks), v_scale(blocks);
        quantized(m_wanted, m_scale, v_wanted, v_scale);
        QCOMPARE(value, by_parts);
        QCOMPARE(m_codes, m_wanted);
        QCOMPARE(v_codes, v_wanted);
        QCOMPARE(m_absmax, m_scale);
        QCOMPARE(v_absmax, v_scale);
    }

    void adamw_is_its_formula_data() { add_targets(); }
    void adamw_is_its_formula() {
        QFETCH(qint64, target);
        use_target(target);
        for (std::int64_t n : odd_lengths) {
            const auto g = normal(1, n);
            auto value = normal(2, n), first = normal(3, n), second = normal(4, n);
            for (float& v : second) v *= v;
            Numbers v, m, s;
            for (std::int64_t i = 0; i < n; ++i) {
                const double gradient = 0.5 * g[i];
                m.push_back(first[i] + (gradient - first[i]) * 0.1);
                s.push_back(0.99 * second[i] + 0.01 * gradient * gradient);
                v.push_back(0.9 * value[i] - 0.05 * m.back() / (std::sqrt(s.back()) / 0.3 + 1e-6));
            }
            adamw({.beta1_rest = 0.1f, .beta2 = 0.99f, .beta2_rest = 0.01f, .epsilon = 1e-6f, .keep = 0.9f, .rate = 0.05f, .root = 0.3f, .gradient_scale = 0.5f},
                  g.data(), n, value.data(), first.data(), second.data());
            QVERIFY(furthest(value, v) < 1e-5);
            QVERIFY(furthest(first, m) < 1e-6);
            QVERIFY(furthest(second, s) < 1e-6);
            double squares = 0;
            for (float x : g) squares += double{x} * x;
            QVERIFY(std::abs(sum_of_squares(g.data(), n) / squares - 1) < 1e-5);
        }
    }
};

QTEST_GUILESS_MAIN(ElementwiseTest)
#include "elementwise_test.moc"
