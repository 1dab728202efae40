#include "kernels/attention.h"

#include <cmath>
#include <memory>

#include "golden.h"
#include "kernels/half.h"

using namespace qlora::kernels;

namespace {

using Numbers = std::vector<double>;

// Attention by its definition, in fp64; rows lie side by side.
struct Exact {
    Numbers out, logs, dq, dk, dv;
};
Exact exact(const AttentionShape& s, const std::vector<float>& q, const std::vector<float>& k,
            const std::vector<float>& v, const std::vector<float>& dout) {
    Exact e{Numbers(s.asked * s.dim), Numbers(s.asked), Numbers(s.asked * s.dim), Numbers(s.keys * s.dim),
            Numbers(s.keys * s.dim)};
    const std::int64_t offset = s.keys - s.asked;
    std::vector<float> factors(s.asked * s.keys, 1.0f);
    if (s.dropout.active()) score_factors(s.dropout, s.first_query, s.asked, s.keys, factors.data());
    for (std::int64_t i = 0; i < s.asked; ++i) {
        const float* f = factors.data() + i * s.keys;
        Numbers p(s.keys, 0.0), dp(s.keys, 0.0);
        double sum = 0, delta = 0;
        const auto sees = [&](std::int64_t j) {
            return (!s.causal || j <= i + offset) && (s.window == 0 || j > i + offset - s.window);
        };
        double largest = -INFINITY;
        for (std::int64_t j = 0; j < s.keys; ++j) {
            if (!sees(j)) continue;
            for (std::int64_t d = 0; d < s.dim; ++d) p[j] += double{q[i * s.dim + d]} * k[j * s.dim + d];
            largest = std::max(largest, p[j] * s.scale);
        }
        for (std::int64_t j = 0; j < s.keys; ++j)
            if (sees(j)) sum += p[j] = std::exp(p[j] * s.scale - largest);
        e.logs[i] = largest + std::log(sum);
        for (std::int64_t j = 0; j < s.keys; ++j) {
            p[j] /= sum;
            for (std::int64_t d = 0; d < s.dim; ++d) {
                e.out[i * s.dim + d] += f[j] * p[j] * v[j * s.dim + d];
                e.dv[j * s.dim + d] += f[j] * p[j] * dout[i * s.dim + d];
                dp[j] += f[j] * double{dout[i * s.dim + d]} * v[j * s.dim + d];
            }
            delta += p[j] * dp[j];
        }
        for (std::int64_t j = 0; j < s.keys; ++j)
            for (std::int64_t d = 0; d < s.dim; ++d) {
                e.dq[i * s.dim + d] += p[j] * (dp[j] - delta) * s.scale * k[j * s.dim + d];
                e.dk[j * s.dim + d] += p[j] * (dp[j] - delta) * s.scale * q[i * s.dim + d];
            }
    }
    return e;
}

std::unique_ptr<float, void (*)(void*)> aligned(std::int64_t n) {
    auto* memory = static_cast<float*>(std::aligned_alloc(64, (n * 4 + 63) / 64 * 64));
    std::fill_n(memory, n, 0.0f);
    return {memory, std::free};
}

// Rows of one head among others, as they lie in a packed tensor; what is between them must stay.
struct Spread {
    Spread(std::int64_t rows, std::int64_t dim) : dim(dim), stride(dim + 5), values(rows * stride, 9.0f) {}
    Spread(std::int64_t rows, std::int64_t dim, const std::vector<float>& from) : Spread(rows, dim) {
        for (std::int64_t r = 0; r < rows; ++r)
            std::copy_n(from.data() + r * dim, dim, values.data() + r * stride);
    }
    // Gradients are added to what is there.
    Spread zeros() const {
        Spread to = *this;
        for (std::size_t i = 0; i < values.size(); ++i)
            if (static_cast<std::int64_t>(i) % stride < dim) to.values[i] = 0;
        return to;
    }
    std::vector<std::uint16_t> halves() const {
        std::vector<std::uint16_t> to(values.size());
        f32_to_bf16(values.data(), static_cast<std::int64_t>(values.size()), to.data());
        return to;
    }
    HeadRows view() const { return {values.data(), stride}; }
    MutableHeadRows view() { return {values.data(), stride}; }
    // The largest difference from what should be there, or infinity where something else was written.
    double off(const Numbers& wanted) const {
        double most = 0;
        for (std::size_t i = 0; i < values.size(); ++i) {
            const std::int64_t row = static_cast<std::int64_t>(i) / stride,
                               column = static_cast<std::int64_t>(i) % stride;
            const double should = column < dim ? wanted[row * dim + column] : 9.0;
            most = std::max(most, std::isnan(values[i] - should) ? INFINITY : std::abs(values[i] - should));
        }
        return most;
    }
    std::int64_t dim, stride;
    std::vector<float> values;
};

constexpr AttentionShape shapes[] = {
    {.asked = 1, .keys = 1, .dim = 4},
    {.asked = 5, .keys = 5, .dim = 8, .scale = 0.3f},
    {.asked = 130, .keys = 130, .dim = 64, .scale = 0.125f},
    {.asked = 300, .keys = 300, .dim = 16, .scale = 0.25f, .window = 50},
    {.asked = 300, .keys = 300, .dim = 16, .scale = 0.25f, .window = 1},
    {.asked = 24, .keys = 24, .dim = 32, .scale = 0.2f, .causal = false},
    {.asked = 7, .keys = 19, .dim = 12, .scale = 0.3f, .causal = false},
    {.asked = 150, .keys = 33, .dim = 33, .scale = 0.2f, .causal = false},
    {.asked = 10, .keys = 140, .dim = 20, .scale = 0.2f},
    {.asked = 200, .keys = 333, .dim = 128, .scale = 0.09f, .window = 100},
    {.asked = 300, .keys = 1300, .dim = 16, .scale = 0.25f},
    {.asked = 260, .keys = 1100, .dim = 8, .scale = 0.3f, .causal = false},
    {.asked = 150, .keys = 150, .dim = 16, .scale = 0.25f, .dropout = {dropout_rate(0.3), 5}},
    {.asked = 41, .keys = 57, .dim = 24, .scale = 0.2f, .causal = false, .dropout = {dropout_rate(0.1), 6}, .first_query = 13},
    {.asked = 190, .keys = 190, .dim = 32, .scale = 0.2f, .window = 70, .dropout = {dropout_rate(0.5), 7}},
};

}  // namespace

class AttentionTest : public QObject {
    Q_OBJECT

  private slots:
    void it_is_its_definition_data() { add_targets(); }
    void it_is_its_definition() {
        QFETCH(qint64, target);
        use_target(target);
        for (const AttentionShape& s : shapes) {
            const auto q = normal(1, s.asked * s.dim), k = normal(2, s.keys * s.dim),
                       v = normal(3, s.keys * s.dim), dout = normal(4, s.asked * s.dim);
            const Exact wanted = exact(s, q, k, v, dout);
            const Spread qs(s.asked, s.dim, q), ks(s.keys, s.dim, k), vs(s.keys, s.dim, v),
                douts(s.asked, s.dim, dout);
            Spread out(s.asked, s.dim), dq(s.asked, s.dim), dk = ks.zeros(), dv = vs.zeros();
            std::vector<float> logs(s.asked * 2, 7.0f);
            const auto workspace = aligned(std::max(attention_workspace(s), attention_backward_workspace(s)));
            attend(s, qs.view(), ks.view(), vs.view(), out.view(), logs.data(), 2,
                   aligned(attention_workspace(s)).get());
            attend_backward(s, qs.view(), ks.view(), vs.view(), std::as_const(out).view(), logs.data(), 2,
                            douts.view(), dq.view(), dk.view(), dv.view(), workspace.get());
            const QString at = QString("%1 of %2, window %3").arg(s.asked).arg(s.keys).arg(s.window);
            QVERIFY2(out.off(wanted.out) < 1e-5, qPrintable(at));
            for (std::int64_t i = 0; i < s.asked; ++i) {
                QVERIFY2(std::abs(logs[2 * i] - wanted.logs[i]) < 1e-5, qPrintable(at));
                QCOMPARE(logs[2 * i + 1], 7.0f);
            }
            QVERIFY2(dq.off(wanted.dq) < 3e-5, qPrintable(at));
            QVERIFY2(dk.off(wanted.dk) < 1e-4, qPrintable(at));
            QVERIFY2(dv.off(wanted.dv) < 1e-4, qPrintable(at));
        }
    }

    // Products round their operands, what is between them as well; sums do not.
    void in_bf16_it_is_near_its_definition() {
        if (!has_bf16_products()) QSKIP("this processor multiplies no bf16");
        use_target(0);
        for (const AttentionShape& s : shapes) {
            const auto rounded = [](std::vector<float> x) {
                std::vector<std::uint16_t> halves(x.size());
                f32_to_bf16(x.data(), static_cast<std::int64_t>(x.size()), halves.data());
                bf16_to_f32(halves.data(), static_cast<std::int64_t>(x.size()), x.data());
                return x;
            };
            const auto q = rounded(normal(1, s.asked * s.dim)), k = rounded(normal(2, s.keys * s.dim)), v = rounded(normal(3, s.keys * s.dim)),
                       dout = rounded(normal(4, s.asked * s.dim));
            const Exact wanted = exact(s, q, k, v, dout);
            const Spread queries(s.asked, s.dim, q), keys(s.keys, s.dim, k);
            const std::int64_t stride = queries.stride;
            const auto qs = queries.halves(), ks = keys.halves(), vs = Spread(s.keys, s.dim, v).halves(), douts = Spread(s.asked, s.dim, dout).halves();
            Spread out(s.asked, s.dim), dq(s.asked, s.dim), dk = keys.zeros(), dv = keys.zeros();
            std::vector<std::uint16_t> out_halves = out.halves();
            std::vector<float> logs(s.asked * 2, 7.0f);
            attend(s, {qs.data(), stride}, {ks.data(), stride}, {vs.data(), stride}, out.view(), {out_halves.data(), stride}, logs.data(), 2,
                   aligned(attention_workspace(s)).get());
            attend_backward(s, {qs.data(), stride}, {ks.data(), stride}, {vs.data(), stride}, {out_halves.data(), stride}, logs.data(), 2,
                            {douts.data(), stride}, dq.view(), dk.view(), dv.view(), aligned(attention_backward_workspace(s)).get());
            QCOMPARE(out_halves, out.halves());
            const auto near = [&](const Spread& got, const Numbers& numbers) {
                double largest = 0;
                for (const double x : numbers) largest = std::max(largest, std::abs(x));
                const double off = got.off(numbers);
                QVERIFY2(off <= 0.02 * largest + 1e-6, qPrintable(QString("%1 of %2: off by %3 of %4").arg(s.asked).arg(s.keys).arg(off).arg(largest)));
            };
            near(out, wanted.out);
            near(dq, wanted.dq);
            near(dk, wanted.dk);
            near(dv, wanted.dv);
            for (std::int64_t i = 0; i < s.asked; ++i) QVERIFY(std::abs(logs[2 * i] - wanted.logs[i]) < 1e-5);
        }
    }

    void scores_of_any_size_have_probabilities() {
        const AttentionShape s{.asked = 3, .keys = 3, .dim = 2, .scale = 1, .causal = false};
        const auto q = std::vector<float>{100, 0, -100, 0, 0, 0},
                   k = std::vector<float>{100, 0, 99, 0, -100, 0}, v = std::vector<float>{1, 0, 0, 1, 5, 5};
        const Spread qs(3, 2, q), ks(3, 2, k), vs(3, 2, v);
        Spread out(3, 2);
        std::vector<float> logs(3);
        const auto workspace = aligned(attention_workspace(s));
        attend(s, qs.view(), ks.view(), vs.view(), out.view(), logs.data(), 1, workspace.get());
        QVERIFY(out.off(exact(s, q, k, v, std::vector<float>(6)).out) < 1e-6);
    }

    // Whatever lay where their results go.
    void queries_without_keys_get_zeros() {
        const AttentionShape s{.asked = 3, .keys = 0, .dim = 8, .causal = false};
        const Spread qs(3, 8, normal(1, 24));
        Spread out(3, 8, std::vector<float>(24, NAN));
        std::vector<float> logs(3, NAN);
        attend(s, qs.view(), {}, {}, out.view(), logs.data(), 1, aligned(attention_workspace(s)).get());
        QCOMPARE(out.off(Numbers(24)), 0.0);
        QCOMPARE(logs, std::vector<float>(3));
        if (!has_bf16_products()) return;
        use_target(0);
        const auto halves = qs.halves();
        Spread again(3, 8, std::vector<float>(24, NAN));
        auto rounded = again.halves();
        attend(s, {halves.data(), qs.stride}, {}, {}, again.view(), {rounded.data(), qs.stride}, logs.data(), 1, aligned(attention_workspace(s)).get());
        QCOMPARE(again.off(Numbers(24)), 0.0);
        QCOMPARE(rounded, again.halves());
    }

    void a_score_that_is_nan_is_not_lost() {
        const AttentionShape s{.asked = 40, .keys = 40, .dim = 8, .causal = true};
        const auto x = normal(1, 320);
        auto k = x;
        k[2 * 8 + 3] = NAN;
        const Spread xs(40, 8, x), ks(40, 8, k);
        Spread out(40, 8);
        std::vector<float> logs(40);
        attend(s, xs.view(), ks.view(), xs.view(), out.view(), logs.data(), 1,
               aligned(attention_workspace(s)).get());
        for (std::int64_t i = 0; i < 40; ++i) QCOMPARE(std::isnan(out.values[i * out.stride]), i >= 2);
    }

    void a_nan_is_not_lost() {
        const AttentionShape s{.asked = 4, .keys = 4, .dim = 8, .causal = true};
        auto x = normal(1, 32);
        x[2 * 8 + 3] = NAN;
        const Spread xs(4, 8, x);
        Spread out(4, 8);
        std::vector<float> logs(4);
        const auto workspace = aligned(attention_workspace(s));
        attend(s, xs.view(), xs.view(), xs.view(), out.view(), logs.data(), 1, workspace.get());
        QVERIFY(std::isfinite(out.values[0]) && std::isfinite(out.values[out.stride]));
        QVERIFY(std::isnan(out.values[2 * out.stride + 3]) && std::isnan(out.values[3 * out.stride + 3]));
    }
};

QTEST_GUILESS_MAIN(AttentionTest)
#include "attention_test.moc"
