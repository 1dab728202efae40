#include "core/data/share.h"

#include <QtTest>
#include <map>

#include "core/base/random.h"

using namespace qlora;
using namespace qlora::data;

namespace {

enum class Kind { text, answers, labels };

// `count` samples of 2 to 40 tokens; sample i is row i.
TokenizedDataset dataset(std::size_t count, Kind kind) {
    RandomStream random(3, "lengths");
    std::vector<Sample> samples(count);
    std::vector<RowIndex> rows;
    std::int32_t id = 0;
    for (std::size_t i = 0; i < count; ++i) {
        Sample& sample = samples[i];
        for (std::size_t k = 0, length = 2 + random.below(39); k < length; ++k) {
            sample.ids.push_back(id++);
            sample.trained.push_back(kind == Kind::text && k > 0);
        }
        sample.full_length = sample.ids.size();
        if (kind == Kind::answers) sample.answer.assign(1 + random.below(9), id++);
        if (kind == Kind::labels) sample.labels = {static_cast<float>(i), static_cast<float>(id++)};
        rows.push_back(static_cast<RowIndex>(i));
    }
    return TokenizedDataset::from_samples(samples, rows);
}

bool equal(const Batch& a, const Batch& b) {
    return a.ids == b.ids && a.types == b.types && a.positions == b.positions && a.starts == b.starts && a.targets == b.targets &&
           a.answer_starts == b.answer_starts && a.labels == b.labels && a.rows == b.rows;
}

}  // namespace

class ShareTest : public QObject {
    Q_OBJECT

  private slots:
    void shares_are_the_step_cut_into_batches_of_whole_rows_data() {
        QTest::addColumn<int>("kind");
        QTest::newRow("text") << static_cast<int>(Kind::text);
        QTest::newRow("answers") << static_cast<int>(Kind::answers);
        QTest::newRow("labels") << static_cast<int>(Kind::labels);
    }
    void shares_are_the_step_cut_into_batches_of_whole_rows() {
        QFETCH(int, kind);
        const auto data = dataset(30, static_cast<Kind>(kind));
        BatchOptions options;
        options.batch_size = 5;
        options.accumulate = 3;
        BatchSampler sampler(data, options);
        for (int step = 0; step < 2; ++step) {
            const auto whole = sampler.next_step();
            for (const int size : {1, 2, 3, 8}) {
                std::vector<std::map<RowIndex, int>> seen(whole.size());
                std::int64_t tokens = 0, trained = 0;
                for (int rank = 0; rank < size; ++rank) {
                    const auto parts = share(whole, rank, size);
                    QCOMPARE(parts.size(), whole.size());
                    for (std::size_t i = 0; i < parts.size(); ++i) {
                        std::vector<std::uint32_t> samples;
                        for (const auto row : parts[i].rows) {
                            ++seen[i][row];
                            samples.push_back(static_cast<std::uint32_t>(row));
                        }
                        if (!samples.empty()) QVERIFY(equal(parts[i], make_batch(data, samples)));
                        tokens += parts[i].tokens();
                        trained += parts[i].rows.empty() ? 0 : parts[i].trained_tokens();
                    }
                    if (size == 1)
                        for (std::size_t i = 0; i < parts.size(); ++i) QVERIFY(equal(parts[i], whole[i]));
                }
                for (std::size_t i = 0; i < whole.size(); ++i) {
                    QCOMPARE(seen[i].size(), whole[i].rows.size());
                    for (const auto row : whole[i].rows) QCOMPARE(seen[i][row], 1);
                    tokens -= whole[i].tokens();
                    trained -= whole[i].trained_tokens();
                }
                QCOMPARE(tokens, 0);
                QCOMPARE(trained, 0);
            }
        }
    }

    void shares_are_balanced_by_tokens_over_the_step() {
        const auto data = dataset(64, Kind::text);
        for (const std::int64_t batch_size : {1, 4, 16}) {
            BatchOptions options;
            options.batch_size = batch_size;
            options.accumulate = 16 / batch_size;
            const auto step = BatchSampler(data, options).next_step();
            std::int64_t least = INT64_MAX, most = 0;
            for (int rank = 0; rank < 4; ++rank) {
                std::int64_t tokens = 0;
                for (const auto& part : share(step, rank, 4)) tokens += part.tokens();
                least = std::min(least, tokens);
                most = std::max(most, tokens);
            }
            QVERIFY2(most - least <= 40, qPrintable(QString("%1 to %2").arg(least).arg(most)));
        }
    }

    void with_fewer_rows_than_processes_some_have_none() {
        const auto data = dataset(2, Kind::text);
        const auto step = BatchSampler(data, {}).next_step();
        int with_rows = 0;
        for (int rank = 0; rank < 5; ++rank) {
            const auto parts = share(step, rank, 5);
            QCOMPARE(parts.size(), 1u);
            with_rows += !parts[0].rows.empty();
            if (parts[0].rows.empty()) QCOMPARE(parts[0].tokens(), 0);
        }
        QCOMPARE(with_rows, 2);
    }
};

QTEST_GUILESS_MAIN(ShareTest)
#include "share_test.moc"
