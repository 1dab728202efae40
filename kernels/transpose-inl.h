// Matrices turned, in vectors. Included once per instruction set.

#if defined(QLORA_KERNELS_TRANSPOSE_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef QLORA_KERNELS_TRANSPOSE_INL_H
#undef QLORA_KERNELS_TRANSPOSE_INL_H
#else
#define QLORA_KERNELS_TRANSPOSE_INL_H
#endif

#include "kernels/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qlora::kernels::HWY_NAMESPACE {
#if HWY_TARGET == HWY_SCALAR

// As below.
inline void transpose_strip(const float* x, std::int64_t pitch, std::int64_t n, float* out,
                            std::int64_t out_pitch) {
    for (std::int64_t k = 0; k < n; ++k) out[k * out_pitch] = x[k];
    static_cast<void>(pitch);
}

#else

// Four floats of every fourth row from the given one, side by side.
template <std::int64_t kLanes>
HWY_INLINE auto load_quads(const float* x, std::int64_t pitch) {
    const hn::CappedTag<float, kLanes> d;
    if constexpr (kLanes == 4) {
        return hn::LoadU(d, x);
    } else {
        const auto lower = load_quads<kLanes / 2>(x, pitch);
        return hn::Combine(d, load_quads<kLanes / 2>(x + kLanes / 2 * pitch, pitch), lower);
    }
}

// `lanes` rows of x, `pitch` floats apart, n columns -> n rows of out, each one vector, `out_pitch` floats
// apart.
HWY_INLINE void transpose_strip(const float* x, std::int64_t pitch, std::int64_t n, float* out,
                                std::int64_t out_pitch) {
    const hn::Repartition<double, Floats> pairs;
    std::int64_t k = 0;
    for (; k + 4 <= n; k += 4) {
        const Vector r0 = load_quads<lanes>(x + k, pitch), r1 = load_quads<lanes>(x + pitch + k, pitch);
        const Vector r2 = load_quads<lanes>(x + 2 * pitch + k, pitch),
                     r3 = load_quads<lanes>(x + 3 * pitch + k, pitch);
        const auto low01 = hn::BitCast(pairs, hn::InterleaveLower(floats, r0, r1));
        const auto high01 = hn::BitCast(pairs, hn::InterleaveUpper(floats, r0, r1));
        const auto low23 = hn::BitCast(pairs, hn::InterleaveLower(floats, r2, r3));
        const auto high23 = hn::BitCast(pairs, hn::InterleaveUpper(floats, r2, r3));
        hn::StoreU(hn::BitCast(floats, hn::InterleaveLower(pairs, low01, low23)), floats,
                   out + k * out_pitch);
        hn::StoreU(hn::BitCast(floats, hn::InterleaveUpper(pairs, low01, low23)), floats,
                   out + (k + 1) * out_pitch);
        hn::StoreU(hn::BitCast(floats, hn::InterleaveLower(pairs, high01, high23)), floats,
                   out + (k + 2) * out_pitch);
        hn::StoreU(hn::BitCast(floats, hn::InterleaveUpper(pairs, high01, high23)), floats,
                   out + (k + 3) * out_pitch);
    }
    for (; k < n; ++k)
        for (std::int64_t r = 0; r < lanes; ++r) out[k * out_pitch + r] = x[r * pitch + k];
}

#endif

// x [rows, cols], rows `pitch` floats apart -> out [cols, rows], rows `out_pitch` apart.
HWY_INLINE void transpose_matrix(const float* x, std::int64_t pitch, std::int64_t rows, std::int64_t cols,
                                 float* out, std::int64_t out_pitch) {
    std::int64_t r = 0;
    for (; r + lanes <= rows; r += lanes) transpose_strip(x + r * pitch, pitch, cols, out + r, out_pitch);
    for (; r < rows; ++r)
        for (std::int64_t c = 0; c < cols; ++c) out[c * out_pitch + r] = x[r * pitch + c];
}

}  // namespace qlora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
