#include "kernels/quantize.h"

#include <algorithm>
#include <bit>

#include "kernels/code_tables.h"
#include "kernels/reference.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/quantize.cpp"
#include <hwy/foreach_target.h>

#include "kernels/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qlora::kernels::HWY_NAMESPACE {
#if HWY_TARGET == HWY_SCALAR

void quantize_array(Code code, const float* x, std::int64_t n, std::int64_t block, std::uint8_t* packed,
                    float* absmax) {
    reference::quantize(code, x, n, block, packed, absmax);
}
void encode_array(Code code, const float* x, std::int64_t n, std::int64_t block, const float* scales, std::uint8_t* packed) {
    reference::encode(code, x, n, block, scales, packed);
}

#else

using Integers = hn::RebindToSigned<Floats>;
inline constexpr Integers integers;
using Bytes = hn::Rebind<std::uint8_t, Floats>;
inline constexpr std::int64_t piece = 4096;  // elements ranked before they are packed; even

// Magnitudes compare like their bits as whole numbers, and a NaN's are the largest.
float largest_magnitude(const float* x, std::int64_t n) {
    const auto magnitude = hn::Set(integers, 0x7FFFFFFF);
    auto first = hn::Zero(integers), second = hn::Zero(integers);
    std::int64_t i = 0;
    for (; i + 2 * lanes <= n; i += 2 * lanes) {
        first = hn::Max(first, hn::And(magnitude, hn::BitCast(integers, hn::LoadU(floats, x + i))));
        second = hn::Max(second, hn::And(magnitude, hn::BitCast(integers, hn::LoadU(floats, x + i + lanes))));
    }
    std::int32_t largest = hn::GetLane(hn::MaxOfLanes(integers, hn::Max(first, second)));
    for (; i < n; ++i) largest = std::max(largest, std::bit_cast<std::int32_t>(x[i]) & 0x7FFFFFFF);
    return std::bit_cast<float>(largest);
}

class FourBitQuantizer {
  public:
    explicit FourBitQuantizer(const Thresholds& thresholds)
        : thresholds_(thresholds), code_of_rank_(hn::LoadU(d8, thresholds.code_of_rank.data())) {
        for (int k = 0; k < 15; ++k) bounds_[k] = hn::Set(floats, thresholds.bounds[k]);
    }

    // A block of n elements. Its first code lies in the first byte's high nibble, or, where `inside` a byte, in the low one.
    void quantize(const float* x, std::int64_t n, bool partial, bool inside, std::uint8_t* packed, float& absmax) const {
        absmax = largest_magnitude(x, n);
        const float divisor = absmax < smallest_divisor ? smallest_divisor : absmax;
        if (partial) absmax = divisor;
        encode(x, n, partial ? divisor : 1 / divisor, partial, inside, packed);
    }

    // The codes of n elements that are each divided by the scale, or multiplied by it.
    void encode(const float* x, std::int64_t n, float scale, bool divide, bool inside, std::uint8_t* packed) const {
        if (inside && n > 0) {
            *packed = static_cast<std::uint8_t>((*packed & 0xF0) | code_of(thresholds_, divide ? *x / scale : *x * scale));
            ++packed, ++x, --n;
        }
        const Vector scales = hn::Set(floats, scale);
        std::uint8_t ranks[piece + 1];
        for (; n > 0; x += piece, packed += piece / 2, n -= piece) {
            const std::int64_t count = std::min(n, piece);
            std::int64_t i = 0;
            if (divide) {
                for (; i + lanes <= count; i += lanes) store_ranks(hn::Div(hn::LoadU(floats, x + i), scales), ranks + i);
                for (; i < count; ++i) ranks[i] = rank_of(thresholds_, x[i] / scale);
            } else {
                for (; i + lanes <= count; i += lanes) store_ranks(hn::Mul(hn::LoadU(floats, x + i), scales), ranks + i);
                for (; i < count; ++i) ranks[i] = rank_of(thresholds_, x[i] * scale);
            }
            if (count % 2 == 1) ranks[count] = rank_of(thresholds_, 0);
            pack(ranks, count + count % 2, packed);
        }
    }

  private:
    static constexpr hn::Full128<std::uint8_t> d8{};
    static constexpr hn::Full128<std::uint16_t> d16{};

    HWY_INLINE void store_ranks(Vector scaled, std::uint8_t* ranks) const {
        auto rank = hn::Set(integers, 15);
        for (int k = 0; k < 15; ++k)
            rank = hn::Add(rank,
                           hn::VecFromMask(integers, hn::RebindMask(integers, hn::Le(scaled, bounds_[k]))));
        hn::StoreU(hn::DemoteTo(Bytes(), rank), Bytes(), ranks);
    }

    // n is even.
    void pack(const std::uint8_t* ranks, std::int64_t n, std::uint8_t* packed) const {
        const hn::Full64<std::uint8_t> half;
        std::int64_t i = 0;
        for (; i + 16 <= n; i += 16) {
            const auto codes =
                hn::BitCast(d16, hn::TableLookupBytes(code_of_rank_, hn::LoadU(d8, ranks + i)));
            const auto pairs = hn::Or(hn::ShiftLeft<4>(codes), hn::ShiftRight<8>(codes));
            hn::StoreU(hn::TruncateTo(half, pairs), half, packed + i / 2);
        }
        for (; i < n; i += 2)
            packed[i / 2] = static_cast<std::uint8_t>(thresholds_.code_of_rank[ranks[i]] << 4 |
                                                      thresholds_.code_of_rank[ranks[i + 1]]);
    }

    const Thresholds& thresholds_;
    hn::Vec<hn::Full128<std::uint8_t> > code_of_rank_;
    Vector bounds_[15];
};

void quantize_int8(const float* x, std::int64_t n, std::uint8_t* packed, float& absmax) {
    const hn::Rebind<std::int8_t, Floats> d8;
    absmax = largest_magnitude(x, n);
    const float factor = 1 / absmax * 127;  // in torch's order of rounding
    const Vector low = hn::Set(floats, -127), high = hn::Set(floats, 127);
    std::int64_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        const Vector scaled = hn::Mul(hn::LoadU(floats, x + i), hn::Set(floats, factor));
        const Vector number = hn::IfThenElseZero(hn::Eq(scaled, scaled), scaled);
        const auto code = hn::NearestInt(hn::Min(hn::Max(number, low), high));
        hn::StoreU(hn::DemoteTo(d8, code), d8, reinterpret_cast<std::int8_t*>(packed) + i);
    }
    for (; i < n; ++i) packed[i] = int8_code_of(x[i] * factor);
}

void quantize_array(Code code, const float* x, std::int64_t n, std::int64_t block, std::uint8_t* packed,
                    float* absmax) {
    if (code == Code::int8) {
        for (std::int64_t begin = 0; begin < n; begin += block)
            quantize_int8(x + begin, std::min(block, n - begin), packed + begin, absmax[begin / block]);
    } else {
        const FourBitQuantizer quantizer(thresholds(code));
        for (std::int64_t begin = 0; begin < n; begin += block)
            quantizer.quantize(x + begin, std::min(block, n - begin), n - begin < block, begin % 2 == 1, packed + begin / 2,
                               absmax[begin / block]);
    }
}

void encode_array(Code code, const float* x, std::int64_t n, std::int64_t block, const float* scales, std::uint8_t* packed) {
    const FourBitQuantizer quantizer(thresholds(code));
    for (std::int64_t begin = 0; begin < n; begin += block)
        quantizer.encode(x + begin, std::min(block, n - begin), 1 / divisor_of(scales[begin / block]), false, begin % 2 == 1,
                         packed + begin / 2);
}

#endif
}  // namespace qlora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qlora::kernels {

HWY_EXPORT(quantize_array);
HWY_EXPORT(encode_array);

void quantize(Code code, const float* x, std::int64_t n, std::int64_t block, std::uint8_t* packed,
              float* absmax) {
    HWY_DYNAMIC_DISPATCH(quantize_array)(code, x, n, block, packed, absmax);
}

void encode(Code code, const float* x, std::int64_t n, std::int64_t block, const float* scales, std::uint8_t* packed) {
    HWY_DYNAMIC_DISPATCH(encode_array)(code, x, n, block, scales, packed);
}

}  // namespace qlora::kernels
#endif
