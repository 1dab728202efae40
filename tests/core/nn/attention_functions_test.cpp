// Attention over packs and over a cache, by its definition and by its derivatives.
#include "tests/torch_tests.h"

#include "core/nn/functions/attention.h"
#include "tests/core/nn/gradients.h"

using namespace qlora;
using namespace qlora::nn;

namespace {

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

class AttentionFunctionsTest : public QObject {
    Q_OBJECT

  private slots:
    void init() { torch::manual_seed(7); }

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

QTEST_GUILESS_MAIN(AttentionFunctionsTest)
#include "attention_functions_test.moc"
