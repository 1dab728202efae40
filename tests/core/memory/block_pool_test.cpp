#include "core/memory/block_pool.h"

#include <QtTest>

#include <cstring>
#include <random>
#include <vector>

using qlora::memory::BlockPool;

class BlockPoolTest : public QObject {
    Q_OBJECT

  private slots:
    void what_was_released_is_taken_again() {
        BlockPool pool(1 << 20);
        void* first = pool.allocate(300'000);
        QCOMPARE(reinterpret_cast<std::uintptr_t>(first) % BlockPool::alignment, std::uintptr_t{0});
        pool.release(first, 300'000);
        QCOMPARE(pool.allocate(300'000), first);
        QVERIFY(pool.allocate(200'000) != first);
    }

    void neighbours_are_joined() {
        BlockPool pool(4 << 20);
        std::vector<void*> blocks;
        for (int i = 0; i < 4; ++i) blocks.push_back(pool.allocate(1 << 20));
        const auto before = pool.sizes();
        for (int i : {1, 3, 2, 0}) pool.release(blocks[static_cast<std::size_t>(i)], 1 << 20);
        // The whole segment again, so that no second one is needed.
        QVERIFY(pool.allocate(4 << 20) != nullptr);
        QCOMPARE(pool.sizes().used + pool.sizes().free, before.used + before.free);
    }

    void a_block_larger_than_a_segment_gets_its_own() {
        BlockPool pool(1 << 20);
        auto* block = static_cast<char*>(pool.allocate(9'000'001));
        QVERIFY(block != nullptr);
        block[9'000'000] = 1;
        pool.release(block, 9'000'001);
        pool.trim();
        QCOMPARE(pool.sizes().free, std::size_t{0});
    }

    void nothing_that_is_in_use_is_given_back() {
        BlockPool pool(4 << 20);
        auto* kept = static_cast<unsigned char*>(pool.allocate(100'000));
        void* other = pool.allocate(3'000'000);
        std::memset(kept, 7, 100'000);
        pool.release(other, 3'000'000);
        pool.trim();
        for (int i = 0; i < 100'000; ++i) QCOMPARE(kept[i], 7);
        auto* again = static_cast<unsigned char*>(pool.allocate(3'000'000));
        QCOMPARE(again[2'000'000], 0);  // the system's fresh page
    }

    void more_than_there_is_is_refused() {
        BlockPool pool;
        QCOMPARE(pool.allocate(std::size_t{1} << 60), nullptr);
        QVERIFY(pool.allocate(1) != nullptr);
    }

    // Blocks never overlap, whatever comes and goes.
    void blocks_never_overlap() {
        BlockPool pool(2 << 20);
        std::mt19937 random(1);
        struct Block {
            unsigned char* at;
            std::size_t bytes;
            unsigned char mark;
        };
        std::vector<Block> blocks;
        std::size_t used = 0;
        for (int turn = 0; turn < 20'000; ++turn) {
            if (blocks.size() < 40 && (blocks.empty() || random() % 2 == 0)) {
                const std::size_t bytes = 1 + random() % (random() % 8 == 0 ? 3'000'000 : 30'000);
                Block block{static_cast<unsigned char*>(pool.allocate(bytes)), bytes, static_cast<unsigned char>(turn)};
                block.at[0] = block.at[bytes / 2] = block.at[bytes - 1] = block.mark;
                blocks.push_back(block);
                used += (bytes + 63) / 64 * 64;
            } else {
                std::swap(blocks[random() % blocks.size()], blocks.back());
                const auto [at, bytes, mark] = blocks.back();
                QVERIFY(at[0] == mark && at[bytes / 2] == mark && at[bytes - 1] == mark);
                pool.release(at, bytes);
                blocks.pop_back();
                used -= (bytes + 63) / 64 * 64;
            }
            QCOMPARE(pool.sizes().used, used);
            if (turn % 1000 == 0) pool.trim();
        }
        for (const auto& [at, bytes, mark] : blocks) pool.release(at, bytes);
        pool.trim();
        QCOMPARE(pool.sizes().free, std::size_t{0});
    }
};

QTEST_GUILESS_MAIN(BlockPoolTest)
#include "block_pool_test.moc"
