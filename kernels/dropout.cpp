#include "kernels/dropout.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/dropout.cpp"
#include <hwy/foreach_target.h>

#include "kernels/score_dropout-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qlora::kernels::HWY_NAMESPACE {

void drop_elements(const DropoutRate& rate, const DropoutStream& s, std::int64_t first_block, const float* x, std::int64_t n, float* out) {
    constexpr std::int64_t step = 4 * lanes;
    HWY_ALIGN std::uint32_t drawn[step];
    for (std::int64_t i = 0; i < n; i += step) {
        const auto block = static_cast<std::uint32_t>(first_block + i / 4);
        const FourWords four = philox4({hn::Iota(words, block), hn::Set(words, s.stream[0]), hn::Set(words, s.stream[1]), hn::Set(words, s.stream[2])},
                                       s.key[0], s.key[1]);
        hn::StoreInterleaved4(four.a, four.b, four.c, four.d, words, drawn);
        std::int64_t j = 0;
        const std::int64_t count = std::min(step, n - i);
        for (; j + lanes <= count; j += lanes)
            hn::StoreU(hn::Mul(hn::LoadU(floats, x + i + j), kept_or_zero(rate, hn::Load(words, drawn + j))), floats, out + i + j);
        for (; j < count; ++j) out[i + j] = x[i + j] * (drawn[j] < rate.threshold ? 0.0f : rate.keep);
    }
}

void score_factor_rows(const ScoreDropout& d, std::int64_t first_query, std::int64_t asked, std::int64_t keys, float* out) {
    for (std::int64_t i = 0; i < asked; ++i, out += keys)
        for (std::int64_t j = 0; j < keys; j += lanes)
            store_part(factors_along_keys(d, first_query + i, j), out + j, std::min(lanes, keys - j));
}

}  // namespace qlora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qlora::kernels {

HWY_EXPORT(drop_elements);
HWY_EXPORT(score_factor_rows);

void drop(const DropoutRate& rate, const DropoutStream& stream, std::int64_t first_block, const float* x, std::int64_t n, float* out) {
    HWY_DYNAMIC_DISPATCH(drop_elements)(rate, stream, first_block, x, n, out);
}
void score_factors(const ScoreDropout& dropout, std::int64_t first_query, std::int64_t asked, std::int64_t keys, float* out) {
    HWY_DYNAMIC_DISPATCH(score_factor_rows)(dropout, first_query, asked, keys, out);
}

}  // namespace qlora::kernels
#endif
