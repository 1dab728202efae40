#include "kernels/half.h"

#include "golden.h"
#include "kernels/reference.h"

using namespace qlora::kernels;

class HalfTest : public QObject {
    Q_OBJECT

  private slots:
    void every_f16_widens_as_numpy_does_data() { add_targets(); }
    void every_f16_widens_as_numpy_does() {
        QFETCH(qint64, target);
        use_target(target);
        std::vector<std::uint16_t> all(65536), finite;
        for (std::size_t i = 0; i < all.size(); ++i) {
            all[i] = static_cast<std::uint16_t>(i);
            if ((i & 0x7C00) != 0x7C00) finite.push_back(all[i]);
        }
        std::vector<float> out(finite.size()), every(all.size()), expected(all.size());
        f16_to_f32(finite.data(), static_cast<std::int64_t>(finite.size()), out.data());
        QCOMPARE(sha256(out), read_golden("gguf_blocks.json")["f16_to_f32"].get<std::string>());
        f16_to_f32(all.data(), 65536, every.data());
        for (std::size_t i = 0; i < all.size(); ++i) expected[i] = reference::f16_to_f32(all[i]);
        QVERIFY(first_difference(every, expected) < 0);
        QVERIFY(std::isinf(every[0x7C00]) && std::isinf(every[0xFC00]) && std::isnan(every[0x7C01]));
    }

    void every_half_survives_the_way_there_and_back_data() { add_targets(); }
    void every_half_survives_the_way_there_and_back() {
        QFETCH(qint64, target);
        use_target(target);
        std::vector<std::uint16_t> all(65536), back(65536);
        std::vector<float> wide(65536);
        for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(i);
        f16_to_f32(all.data(), 65536, wide.data());
        f32_to_f16(wide.data(), 65536, back.data());
        for (std::size_t i = 0; i < all.size(); ++i)
            QVERIFY(back[i] == all[i] || (std::isnan(wide[i]) && back[i] == (all[i] | 0x200)));
        bf16_to_f32(all.data(), 65536, wide.data());
        f32_to_bf16(wide.data(), 65536, back.data());
        for (std::size_t i = 0; i < all.size(); ++i)
            QVERIFY(back[i] == all[i] || (std::isnan(wide[i]) && back[i] == (all[i] | 0x40)));
    }

    void narrowing_rounds_as_numpy_and_torch_do_data() { add_targets(); }
    void narrowing_rounds_as_numpy_and_torch_do() {
        QFETCH(qint64, target);
        use_target(target);
        const auto golden = read_golden("gguf_blocks.json");
        const std::int64_t n = golden["f32_count"];
        auto x = normal(golden["f32_seed"], n);
        for (std::int64_t i = 0; i < n; ++i)
            x[i] = std::ldexp(x[i], static_cast<int>(hash64(golden["exponent_seed"], i) % 50) - 28);
        std::vector<std::uint16_t> out(n);
        f32_to_f16(x.data(), n, out.data());
        QCOMPARE(sha256(out), golden["f32_to_f16"].get<std::string>());
        f32_to_bf16(x.data(), n, out.data());
        QCOMPARE(sha256(out), golden["f32_to_bf16"].get<std::string>());
    }

    void narrowing_equals_its_reference_at_the_edges_data() { add_targets(); }
    void narrowing_equals_its_reference_at_the_edges() {
        QFETCH(qint64, target);
        use_target(target);
        std::vector<float> x;
        for (const std::uint32_t edge : {0u, 0x33000000u, 0x33800000u, 0x387FC000u, 0x387FE000u, 0x38800000u,
                                         0x477FE000u, 0x477FF000u, 0x47800000u, 0x7F7FFFFFu, 0x7F800000u,
                                         0x7FC00000u, 0x3F801000u, 0x3F803000u, 0x3F808000u, 0x3F818000u})
            for (std::uint32_t near = edge < 3 ? 0 : edge - 3; near < edge + 4; ++near)
                for (const std::uint32_t sign : {0u, 0x80000000u})
                    x.push_back(std::bit_cast<float>(near | sign));
        const auto n = static_cast<std::int64_t>(x.size());
        std::vector<std::uint16_t> f16(n), bf16(n);
        f32_to_f16(x.data(), n, f16.data());
        f32_to_bf16(x.data(), n, bf16.data());
        for (std::int64_t i = 0; i < n; ++i) {
            QCOMPARE(f16[i], reference::f32_to_f16(x[i]));
            QCOMPARE(bf16[i], reference::f32_to_bf16(x[i]));
        }
    }
};

QTEST_GUILESS_MAIN(HalfTest)
#include "half_test.moc"
