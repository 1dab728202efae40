#include "core/data/batches.h"

#include <QtTest>
#include <map>
#include <numeric>

#include "core/base/random.h"
#include "core/data/fingerprint.h"
#include "tests/core/data/fixtures.h"

using namespace qlora;
using namespace qlora::data;
using namespace fixtures;
using namespace std::string_literals;

namespace {

Sample sample(std::vector<std::int32_t> ids, std::vector<std::uint8_t> trained) {
    Sample made{std::move(ids), std::move(trained), 0, false};
    made.full_length = made.ids.size();
    return made;
}

// Samples of random lengths from 2 to `longest`, the second half of each trained on; ids never repeat.
TokenizedDataset random_dataset(std::size_t count, std::size_t longest, std::uint64_t seed = 1) {
    RandomStream random(seed, "lengths");
    std::vector<Sample> samples;
    std::vector<RowIndex> rows;
    std::int32_t id = 0;
    for (std::size_t i = 0; i < count; ++i) {
        std::size_t length = 2 + random.below(longest - 1);
        Sample made;
        for (std::size_t k = 0; k < length; ++k) {
            made.ids.push_back(id++);
            made.trained.push_back(k >= (length + 1) / 2);
        }
        made.full_length = length;
        samples.push_back(std::move(made));
        rows.push_back(static_cast<RowIndex>(1000 + i));
    }
    return TokenizedDataset::from_samples(samples, rows);
}

std::vector<RowIndex> rows_of_epoch(const TokenizedDataset& data, const BatchOptions& options,
                                    std::int64_t epoch) {
    EpochPlan plan(data, options, epoch);
    std::vector<RowIndex> rows;
    for (std::int64_t i = 0; i < plan.micro_batches(); ++i)
        for (auto index : plan.samples(i)) rows.push_back(data.row(index));
    return rows;
}

}  // namespace

class BatchesTest : public QObject {
    Q_OBJECT

  private slots:
    void a_batch_is_laid_end_to_end_with_shifted_targets() {
        auto data = TokenizedDataset::from_samples(
            std::vector{sample({10, 11, 12, 13}, {0, 0, 1, 1}), sample({20, 21}, {1, 1})},
            std::vector<RowIndex>{5, 7});
        Batch batch = make_batch(data, std::vector<std::uint32_t>{0, 1});
        QVERIFY((batch.ids == std::vector<std::int32_t>{10, 11, 12, 13, 20, 21}));
        QVERIFY((batch.targets == std::vector<std::int32_t>{-100, 12, 13, -100, 21, -100}));
        QVERIFY((batch.positions == std::vector<std::int32_t>{0, 1, 2, 3, 0, 1}));
        QVERIFY((batch.starts == std::vector<std::int32_t>{0, 4, 6}));
        QVERIFY((batch.rows == std::vector<RowIndex>{5, 7}));
        QCOMPARE(batch.trained_tokens(), 3);
        QCOMPARE(data.trained_tokens(), 3);
    }

    void samples_without_targets_are_dropped_and_counted() {
        auto data = TokenizedDataset::from_samples(
            std::vector{sample({1, 2}, {0, 0}), sample({3, 4}, {1, 0}), sample({5, 6}, {0, 1})},
            std::vector<RowIndex>{0, 1, 2});
        QCOMPARE(data.size(), 1u);
        QCOMPARE(data.dropped_rows(), 2u);
        QVERIFY((data.dropped()[0].first == std::vector<RowIndex>{0, 1}));
    }

    void every_sample_comes_once_an_epoch_data() {
        QTest::addColumn<int>("samples");
        QTest::addColumn<int>("batch_size");
        QTest::addColumn<int>("bin_tokens");
        QTest::addColumn<int>("accumulate");
        QTest::newRow("one sample") << 1 << 8 << 0 << 4;
        QTest::newRow("fewer than a batch") << 3 << 8 << 0 << 1;
        QTest::newRow("a partial last batch and group") << 21 << 4 << 0 << 4;
        QTest::newRow("exact") << 32 << 4 << 0 << 2;
        QTest::newRow("packed") << 300 << 1 << 64 << 2;
        QTest::newRow("packed, two bins a batch") << 2500 << 2 << 100 << 3;
        QTest::newRow("packed, bins smaller than samples") << 40 << 1 << 5 << 1;
    }
    void every_sample_comes_once_an_epoch() {
        QFETCH(int, samples);
        QFETCH(int, batch_size);
        QFETCH(int, bin_tokens);
        QFETCH(int, accumulate);
        auto data = random_dataset(static_cast<std::size_t>(samples), 40);
        BatchSampler sampler(data,
                             {.batch_size = batch_size, .bin_tokens = bin_tokens, .accumulate = accumulate});
        std::int64_t steps = sampler.steps_in_epoch(0), tokens = 0, trained = 0;
        std::map<RowIndex, int> seen;
        for (std::int64_t step = 0; step < steps; ++step) {
            QCOMPARE(sampler.position().epoch, 0);
            auto group = sampler.next_step();
            QVERIFY(!group.empty() && group.size() <= static_cast<std::size_t>(accumulate));
            if (step + 1 < steps) QCOMPARE(group.size(), static_cast<std::size_t>(accumulate));
            for (const Batch& batch : group) {
                tokens += batch.tokens();
                trained += batch.trained_tokens();
                for (auto row : batch.rows) ++seen[row];
                if (bin_tokens >= 40) QVERIFY(batch.tokens() <= std::int64_t{bin_tokens} * batch_size);
                if (bin_tokens == 0) QVERIFY(batch.rows.size() <= static_cast<std::size_t>(batch_size));
            }
        }
        QVERIFY((sampler.position() == Position{1, 0}));
        QCOMPARE(seen.size(), static_cast<std::size_t>(samples));
        for (const auto& [row, times] : seen) QCOMPARE(times, 1);
        QCOMPARE(tokens, data.tokens());
        QCOMPARE(trained, data.trained_tokens());
    }

    void packing_fills_its_bins() {
        auto data = random_dataset(1000, 60);
        EpochPlan plan(data, {.batch_size = 1, .bin_tokens = 128}, 0);
        double filled =
            static_cast<double>(data.tokens()) / (128.0 * static_cast<double>(plan.micro_batches()));
        QVERIFY2(filled > 0.97, std::to_string(filled).c_str());
    }

    void order_depends_on_seed_and_epoch_alone() {
        auto data = random_dataset(50, 20);
        for (std::int64_t bin : {0, 32}) {
            BatchOptions options{.batch_size = 4, .bin_tokens = bin, .seed = 9}, other = options;
            other.seed = 10;
            QVERIFY(rows_of_epoch(data, options, 3) == rows_of_epoch(data, options, 3));
            QVERIFY(rows_of_epoch(data, options, 3) != rows_of_epoch(data, options, 4));
            QVERIFY(rows_of_epoch(data, options, 3) != rows_of_epoch(data, other, 3));
        }
        auto in_order = rows_of_epoch(data, {.shuffle = false}, 1);
        QVERIFY(std::is_sorted(in_order.begin(), in_order.end()));
    }

    void a_saved_position_goes_on_as_if_never_interrupted() {
        auto data = random_dataset(23, 30);
        for (std::int64_t bin : {0, 48}) {
            BatchOptions options{.batch_size = 2, .bin_tokens = bin, .accumulate = 3};
            BatchSampler whole(data, options);
            for (int before = 0; before < 40; ++before) {
                BatchSampler resumed(data, options);
                resumed.seek(position_from_json(Json::parse(to_json(whole.position()).dump()), "checkpoint"));
                BatchSampler going_on = whole;
                for (int i = 0; i < 30; ++i) QVERIFY(resumed.next().rows == going_on.next().rows);
                QCOMPARE(resumed.next_step().size(), going_on.next_step().size());
                QCOMPARE(resumed.epochs_done(), going_on.epochs_done());
                whole.next();
            }
        }
    }

    void steps_are_known_in_advance() {
        auto data = random_dataset(21, 30);
        BatchSampler sampler(data, {.batch_size = 4, .accumulate = 2});  // 6 micro-batches, 3 steps
        QCOMPARE(sampler.steps_in_epoch(0), 3);
        QCOMPARE(sampler.steps(2), 6);
        QCOMPARE(sampler.steps(0.5), 2);
        QCOMPARE(sampler.steps(1.0 / 3), 1);
        QCOMPARE(sampler.steps(0), 0);
        BatchSampler packed(data, {.batch_size = 1, .bin_tokens = 64});
        std::int64_t counted = 0;
        while (packed.position().epoch < 5) counted += !packed.next_step().empty();
        QCOMPARE(packed.steps(5), counted);
        QCOMPARE(code_of([&] { sampler.steps(std::nan("")); }), "data.batches"s);
    }

    void wrong_settings_and_places_are_refused() {
        auto data = random_dataset(4, 8);
        QCOMPARE(code_of([&] { BatchSampler(data, {.batch_size = 0}); }), "data.batches"s);
        QCOMPARE(code_of([&] { BatchSampler(data, {.bin_tokens = -1}); }), "data.batches"s);
        QCOMPARE(code_of([&] { BatchSampler(data, {.accumulate = 0}); }), "data.batches"s);
        QCOMPARE(code_of([&] { BatchSampler(TokenizedDataset::from_samples({}, {}), {}); }), "data.batches"s);
        BatchSampler sampler(data, {.batch_size = 2});
        QCOMPARE(code_of([&] { sampler.seek({0, 3}); }), "data.position"s);
        QCOMPARE(code_of([&] { sampler.seek({-1, 0}); }), "data.position"s);
        QCOMPARE(code_of([&] { position_from_json(Json{{"epoch", -1}, {"index", 0}}, "x"); }), "json.field"s);
        sampler.seek({0, 2});
        QVERIFY((sampler.position() == Position{1, 0}));
    }

    void the_fingerprint_tells_content_apart() {
        std::vector<RowIndex> rows{0, 1};
        auto print = [&](Sample a, Sample b) {
            return TokenizedDataset::from_samples(std::vector{a, b}, rows).fingerprint();
        };
        Sample a = sample({1, 2, 3}, {0, 1, 1}), b = sample({4, 5}, {0, 1});
        QCOMPARE(print(a, b), print(a, b));
        QVERIFY(print(a, b) != print(b, a));
        QVERIFY(print(a, b) != print(sample({1, 2, 3}, {0, 0, 1}), b));
        QVERIFY(print(a, b) != print(sample({1, 2}, {0, 1}), sample({3, 4, 5}, {1, 0, 1})));
        QCOMPARE(print(a, b).size(), 32u);
    }

    // Values of Appleby's reference implementation.
    void murmur3_is_murmur3() {
        auto hash = [](std::string_view text) {
            return detail::murmur3(std::as_bytes(std::span(text.data(), text.size())));
        };
        QVERIFY((hash("") == detail::Hash128{0, 0}));
        QCOMPARE(hash("hello").low, 0xcbd8a7b341bd9b02u);
        QCOMPARE(hash("hello").high, 0x5b1e906a48ae1d19u);
        QCOMPARE(hash("The quick brown fox jumps over the lazy dog.").low, 0xcd99481f9ee902c9u);
        QCOMPARE(hash("The quick brown fox jumps over the lazy dog.").high, 0x695da1a38987b6e7u);
    }
};

QTEST_APPLESS_MAIN(BatchesTest)
#include "batches_test.moc"
