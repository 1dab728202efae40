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
            cross_entropy(logits.data(), rows, classes, targets.data(), LogitGradients::none, found.data());
            QCOMPARE(logits, given);
            for (int r = 0; r < rows; ++r) QVERIFY(std::abs(found[r] - losses[r]) < 1e-5 * (1 + losses[r]));
            cross_entropy(logits.data(), rows, classes, targets.data(), LogitGradients::fp32, found.data());
            for (int r = 0; r < rows; ++r) QVERIFY(std::abs(found[r] - losses[r]) < 1e-5 * (1 + losses[r]));
            QVERIFY(furthest(logits, gradients) < 1e-6);

            auto narrow = given;  // rounded where they lie
            cross_entropy(narrow.data(), rows, classes, targets.data(), LogitGradients::bf16, found.data());
            for (std::int64_t r = 0; r < rows; ++r) {
                std::vector<float> rounded(classes);
                bf16_to_f32(reinterpret_cast<const std::uint16_t*>(narrow.data() + r * classes), classes, rounded.data());
                for (std::int64_t c = 0; c < classes; ++c) QVERIFY(std::abs(rounded[c] - logits[r * classes + c]) <= 0x1p-8 * std::abs(logits[r * classes + c]));
            }
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
        cross_entropy(logits.data(), 1, classes, &label, LogitGradients::fp32, &loss);
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
        cross_entropy(large.data(), 1, 3, target.data(), LogitGradients::fp32, &loss);
        QCOMPARE(loss, 0.0);
        QCOMPARE(large, (std::vector<float>{0, 0, 0}));
        cross_entropy(bad.data(), 1, 40, target.data(), LogitGradients::fp32, &loss);
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
