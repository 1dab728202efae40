// What the kernels' vector code shares, once per instruction set (Highway's foreach_target pattern).

#if defined(QLORA_KERNELS_VECTORS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef QLORA_KERNELS_VECTORS_INL_H
#undef QLORA_KERNELS_VECTORS_INL_H
#else
#define QLORA_KERNELS_VECTORS_INL_H
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

// Whether this is AVX-512 or a target above it, with which come processors that multiply in bf16.
#undef QLORA_AVX512
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
#define QLORA_AVX512 1
#else
#define QLORA_AVX512 0
#endif

HWY_BEFORE_NAMESPACE();
namespace qlora::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Vectors of 4, 8 or 16 floats; where there is no vector unit that Highway knows, the reference does the
// work.
using Floats = hn::CappedTag<float, 16>;
using Vector = hn::Vec<Floats>;
inline constexpr Floats floats;
using Words = hn::RebindToUnsigned<Floats>;
inline constexpr Words words;
inline constexpr std::int64_t lanes = HWY_MIN(16, HWY_LANES(float));

// Receivers of expanded weights. An expander hands over two vectors at a time, with the column each begins
// at, so that sums can run in two independent chains.

struct Store {
    float* out;
    HWY_INLINE void operator()(std::int64_t c0, Vector w0, std::int64_t c1, Vector w1) const {
        hn::StoreU(w0, floats, out + c0);
        hn::StoreU(w1, floats, out + c1);
    }
};

// Sums of one row with kVectors vectors that lie `stride` floats apart; column 0 is x's first.
template <int kVectors>
struct Accumulate {
    static constexpr int chains = kVectors < 4 ? 2 : 1;
    const float* x;
    std::int64_t stride;
    Vector sums[kVectors * chains];

    HWY_INLINE Accumulate(const float* x, std::int64_t stride) : x(x), stride(stride) {
        for (Vector& sum : sums) sum = hn::Zero(floats);
    }
    HWY_INLINE void operator()(std::int64_t c0, Vector w0, std::int64_t c1, Vector w1) {
        for (int v = 0; v < kVectors; ++v) {
            Vector& first = sums[v * chains];
            first = hn::MulAdd(w0, hn::LoadU(floats, x + v * stride + c0), first);
            Vector& second = sums[v * chains + chains - 1];
            second = hn::MulAdd(w1, hn::LoadU(floats, x + v * stride + c1), second);
        }
    }
    HWY_INLINE Vector sum(int v) const {
        return chains == 1 ? sums[v] : hn::Add(sums[v * chains], sums[v * chains + chains - 1]);
    }
};

// Products with several vectors go by panels of columns: the vectors' parts, copied side by side, stay in the
// first-level cache while all rows pass. (Where they lie, a stride of a power of two would make them evict
// each other.) Calls multiply(part, stride, column_begin, column_end), for a single vector once.
template <int kVectors, class Multiply>
HWY_INLINE void for_panels(const float* x, std::int64_t cols, Multiply multiply) {
    if (kVectors == 1) return multiply(x, cols, std::int64_t{0}, cols);
    constexpr std::int64_t width = 4096 / kVectors, stride = width + 16;
    alignas(64) float panel[kVectors * stride];
    for (std::int64_t begin = 0; begin < cols; begin += width) {
        const std::int64_t end = std::min(cols, begin + width);
        for (int v = 0; v < kVectors; ++v)
            std::memcpy(panel + v * stride, x + v * cols + begin, (end - begin) * sizeof(float));
        multiply(panel, stride, begin, end);
    }
}

// The first `count` lanes, the others 0; and their way back.
HWY_INLINE Vector load_part(const float* from, std::int64_t count) {
    if (count == lanes) return hn::LoadU(floats, from);
    HWY_ALIGN float part[lanes] = {};
    for (std::int64_t i = 0; i < count; ++i) part[i] = from[i];
    return hn::Load(floats, part);
}
HWY_INLINE void store_part(Vector v, float* to, std::int64_t count) {
    if (count == lanes) return hn::StoreU(v, floats, to);
    HWY_ALIGN float part[lanes];
    hn::Store(v, floats, part);
    for (std::int64_t i = 0; i < count; ++i) to[i] = part[i];
}
HWY_INLINE float sum_of(Vector v) {
    return hn::GetLane(hn::SumOfLanes(floats, v));
}

// Calls each(first, count) for the vectors of n numbers, `lanes` at a time, and for what is left.
template <class Each>
HWY_INLINE void for_parts(std::int64_t n, Each each) {
    std::int64_t i = 0;
    for (; i + lanes <= n; i += lanes) each(i, lanes);
    if (i < n) each(i, n - i);
}

// Takes the vectors by eights, fours, twos and ones: multiply(std::integral_constant<int, count>, first).
template <class Multiply>
HWY_INLINE void for_vectors(std::int64_t vectors, Multiply multiply) {
    std::int64_t v = 0;
    for (; v + 8 <= vectors; v += 8) multiply(std::integral_constant<int, 8>(), v);
    for (; v + 4 <= vectors; v += 4) multiply(std::integral_constant<int, 4>(), v);
    for (; v + 2 <= vectors; v += 2) multiply(std::integral_constant<int, 2>(), v);
    for (; v < vectors; ++v) multiply(std::integral_constant<int, 1>(), v);
}

}  // namespace qlora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
