// GGUF's blocks to weights, in vectors: one type a format, with the elements and bytes it expands at a time.
// A product of scale and code is exact in fp32 (an f16 has 11 bits; scales and codes add at most 11), so that
// taking the minimum in the same fused step or in a second one gives the same number. Q6_K has no minimum.
// Included once per instruction set.

#if defined(QLORA_KERNELS_EXPAND_BLOCKS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef QLORA_KERNELS_EXPAND_BLOCKS_INL_H
#undef QLORA_KERNELS_EXPAND_BLOCKS_INL_H
#else
#define QLORA_KERNELS_EXPAND_BLOCKS_INL_H
#endif

#include <cstring>

#include "kernels/half-inl.h"
#include "kernels/k_scales.h"

HWY_BEFORE_NAMESPACE();
namespace qlora::kernels::HWY_NAMESPACE {
#if HWY_TARGET != HWY_SCALAR

using Numbers = hn::RebindToSigned<Floats>;
using Number = hn::Vec<Numbers>;
inline constexpr Numbers numbers;

HWY_INLINE Number load_unsigned(const std::uint8_t* bytes) {
    return hn::PromoteTo(numbers, hn::LoadU(hn::Rebind<std::uint8_t, Floats>(), bytes));
}
HWY_INLINE Number load_signed(const std::uint8_t* bytes) {
    const auto* values = reinterpret_cast<const std::int8_t*>(bytes);
    return hn::PromoteTo(numbers, hn::LoadU(hn::Rebind<std::int8_t, Floats>(), values));
}
HWY_INLINE hn::Vec<Halves> load_halves(const std::uint8_t* bytes) {
    return hn::BitCast(halves, hn::LoadU(hn::Repartition<std::uint8_t, Halves>(), bytes));
}
// An f16 in every lane.
HWY_INLINE Vector broadcast_f16(const std::uint8_t* bytes) {
    std::uint16_t half;
    std::memcpy(&half, bytes, sizeof half);
    return widen_f16(hn::Set(halves, half));
}
HWY_INLINE float read_f16(const std::uint8_t* bytes) {
    return hn::GetLane(broadcast_f16(bytes));
}

HWY_INLINE Number low_nibbles(Number bytes) {
    return hn::And(bytes, hn::Set(numbers, 15));
}
HWY_INLINE Number high_nibbles(Number bytes) {
    return hn::ShiftRight<4>(bytes);
}
HWY_INLINE Vector to_float(Number value) {
    return hn::ConvertTo(floats, value);
}

// Plain types, 32 elements at a time.
struct F32 {
    static constexpr std::int64_t elements = 32, bytes = 128;
    static HWY_INLINE Vector load(const std::uint8_t* data) {
        return hn::BitCast(floats, hn::LoadU(hn::Repartition<std::uint8_t, Floats>(), data));
    }
    template <class Receiver>
    static HWY_INLINE void expand(const std::uint8_t* data, std::int64_t column, Receiver& receive) {
        for (std::int64_t i = 0; i < elements; i += 2 * lanes)
            receive(column + i, load(data + 4 * i), column + i + lanes, load(data + 4 * (i + lanes)));
    }
};

struct F16 {
    static constexpr std::int64_t elements = 32, bytes = 64;
    template <class Receiver>
    static HWY_INLINE void expand(const std::uint8_t* data, std::int64_t column, Receiver& receive) {
        for (std::int64_t i = 0; i < elements; i += 2 * lanes)
            receive(column + i, widen_f16(load_halves(data + 2 * i)), column + i + lanes,
                    widen_f16(load_halves(data + 2 * (i + lanes))));
    }
};

struct Bf16 {
    static constexpr std::int64_t elements = 32, bytes = 64;
    template <class Receiver>
    static HWY_INLINE void expand(const std::uint8_t* data, std::int64_t column, Receiver& receive) {
        for (std::int64_t i = 0; i < elements; i += 2 * lanes)
            receive(column + i, widen_bf16(load_halves(data + 2 * i)), column + i + lanes,
                    widen_bf16(load_halves(data + 2 * (i + lanes))));
    }
};

// f16 scale, 32 signed bytes.
struct Q8_0 {
    static constexpr std::int64_t elements = 32, bytes = 34;
    template <class Receiver>
    static HWY_INLINE void expand(const std::uint8_t* data, std::int64_t column, Receiver& receive) {
        const Vector scale = broadcast_f16(data);
        for (std::int64_t i = 0; i < elements; i += 2 * lanes)
            receive(column + i, hn::Mul(to_float(load_signed(data + 2 + i)), scale), column + i + lanes,
                    hn::Mul(to_float(load_signed(data + 2 + i + lanes)), scale));
    }
};

// f16 scale, 16 bytes: the low nibbles are elements 0-15, the high ones 16-31, all 8 too large.
struct Q4_0 {
    static constexpr std::int64_t elements = 32, bytes = 18;
    template <class Receiver>
    static HWY_INLINE void expand(const std::uint8_t* data, std::int64_t column, Receiver& receive) {
        const Vector scale = broadcast_f16(data);
        const Number middle = hn::Set(numbers, 8);
        for (std::int64_t i = 0; i < 16; i += lanes) {
            const Number codes = load_unsigned(data + 2 + i);
            receive(column + i, hn::Mul(to_float(hn::Sub(low_nibbles(codes), middle)), scale),
                    column + 16 + i, hn::Mul(to_float(hn::Sub(high_nibbles(codes), middle)), scale));
        }
    }
};

// f16 scale, f16 minimum, nibbles as in Q4_0.
struct Q4_1 {
    static constexpr std::int64_t elements = 32, bytes = 20;
    template <class Receiver>
    static HWY_INLINE void expand(const std::uint8_t* data, std::int64_t column, Receiver& receive) {
        const Vector scale = broadcast_f16(data), minimum = broadcast_f16(data + 2);
        for (std::int64_t i = 0; i < 16; i += lanes) {
            const Number codes = load_unsigned(data + 4 + i);
            receive(column + i, hn::MulAdd(to_float(low_nibbles(codes)), scale, minimum), column + 16 + i,
                    hn::MulAdd(to_float(high_nibbles(codes)), scale, minimum));
        }
    }
};

// 16 in the lanes whose bit, from bit `first` on, is set in the 32 bits.
HWY_INLINE Number fifth_bits(std::uint32_t bits, std::int64_t first) {
    alignas(64) static constexpr std::int32_t masks[16] = {
        1 << 0, 1 << 1, 1 << 2,  1 << 3,  1 << 4,  1 << 5,  1 << 6,  1 << 7,
        1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, 1 << 15};
    const Number all = hn::Set(numbers, static_cast<std::int32_t>(bits >> (first / 16 * 16) & 0xFFFF));
    const auto set = hn::TestBit(all, hn::LoadU(numbers, masks + first % 16));
    return hn::IfThenElseZero(set, hn::Set(numbers, 16));
}

HWY_INLINE std::uint32_t read_word(const std::uint8_t* bytes) {
    std::uint32_t word;
    std::memcpy(&word, bytes, sizeof word);
    return word;
}

// f16 scale, 32 fifth bits, nibbles as in Q4_0, all 16 too large.
struct Q5_0 {
    static constexpr std::int64_t elements = 32, bytes = 22;
    template <class Receiver>
    static HWY_INLINE void expand(const std::uint8_t* data, std::int64_t column, Receiver& receive) {
        const Vector scale = broadcast_f16(data);
        const std::uint32_t fifth = read_word(data + 2);
        const Number middle = hn::Set(numbers, 16);
        for (std::int64_t i = 0; i < 16; i += lanes) {
            const Number codes = load_unsigned(data + 6 + i);
            const Number low = hn::Or(low_nibbles(codes), fifth_bits(fifth, i));
            const Number high = hn::Or(high_nibbles(codes), fifth_bits(fifth, 16 + i));
            receive(column + i, hn::Mul(to_float(hn::Sub(low, middle)), scale), column + 16 + i,
                    hn::Mul(to_float(hn::Sub(high, middle)), scale));
        }
    }
};

// f16 scale, f16 minimum, 32 fifth bits, nibbles as in Q4_0.
struct Q5_1 {
    static constexpr std::int64_t elements = 32, bytes = 24;
    template <class Receiver>
    static HWY_INLINE void expand(const std::uint8_t* data, std::int64_t column, Receiver& receive) {
        const Vector scale = broadcast_f16(data), minimum = broadcast_f16(data + 2);
        const std::uint32_t fifth = read_word(data + 4);
        for (std::int64_t i = 0; i < 16; i += lanes) {
            const Number codes = load_unsigned(data + 8 + i);
            const Number low = hn::Or(low_nibbles(codes), fifth_bits(fifth, i));
            const Number high = hn::Or(high_nibbles(codes), fifth_bits(fifth, 16 + i));
            receive(column + i, hn::MulAdd(to_float(low), scale, minimum), column + 16 + i,
                    hn::MulAdd(to_float(high), scale, minimum));
        }
    }
};

// Scale and minimum of one of the eight runs of 32 in a 256-element block.
struct Run {
    HWY_INLINE Run(float scale, float minimum, const std::uint8_t* packed, int j)
        : scale(hn::Set(floats, scale * k_scale(packed, j).scale)),
          minimum(hn::Set(floats, minimum * k_scale(packed, j).minimum)) {}
    HWY_INLINE Vector weights(Number codes) const { return hn::MulSub(to_float(codes), scale, minimum); }
    Vector scale, minimum;
};

// f16 scale, f16 minimum, 12 bytes of scales and minima; each 32 bytes hold two runs, in the low and the high
// nibbles.
struct Q4_K {
    static constexpr std::int64_t elements = 256, bytes = 144;
    template <class Receiver>
    static HWY_INLINE void expand(const std::uint8_t* data, std::int64_t column, Receiver& receive) {
        const float scale = read_f16(data), minimum = read_f16(data + 2);
        for (int pair = 0; pair < 4; ++pair) {
            const Run low(scale, minimum, data + 4, 2 * pair), high(scale, minimum, data + 4, 2 * pair + 1);
            for (std::int64_t i = 0; i < 32; i += lanes) {
                const Number codes = load_unsigned(data + 16 + 32 * pair + i);
                receive(column + 64 * pair + i, low.weights(low_nibbles(codes)),  //
                        column + 64 * pair + 32 + i, high.weights(high_nibbles(codes)));
            }
        }
    }
};

// As Q4_K, with 32 bytes between scales and nibbles whose bit j is the fifth bit of the elements of run j.
struct Q5_K {
    static constexpr std::int64_t elements = 256, bytes = 176;
    template <class Receiver>
    static HWY_INLINE void expand(const std::uint8_t* data, std::int64_t column, Receiver& receive) {
        const float scale = read_f16(data), minimum = read_f16(data + 2);
        const Number sixteen = hn::Set(numbers, 16);
        for (int pair = 0; pair < 4; ++pair) {
            const Run low(scale, minimum, data + 4, 2 * pair), high(scale, minimum, data + 4, 2 * pair + 1);
            const Number low_bit = hn::Set(numbers, 1 << 2 * pair),
                         high_bit = hn::Set(numbers, 2 << 2 * pair);
            for (std::int64_t i = 0; i < 32; i += lanes) {
                const Number codes = load_unsigned(data + 48 + 32 * pair + i),
                             fifth = load_unsigned(data + 16 + i);
                const Number low_fifth = hn::IfThenElseZero(hn::TestBit(fifth, low_bit), sixteen);
                const Number high_fifth = hn::IfThenElseZero(hn::TestBit(fifth, high_bit), sixteen);
                receive(column + 64 * pair + i, low.weights(hn::Or(low_nibbles(codes), low_fifth)),
                        column + 64 * pair + 32 + i, high.weights(hn::Or(high_nibbles(codes), high_fifth)));
            }
        }
    }
};

// 128 bytes of low nibbles, 64 bytes of two high bits, 16 signed scales, f16 scale; codes are 32 too large.
// Each half of the block takes 64 and 32 of these bytes for its four runs of 32 elements; a scale serves 16
// elements.
struct Q6_K {
    static constexpr std::int64_t elements = 256, bytes = 210;
    template <class Receiver>
    static HWY_INLINE void expand(const std::uint8_t* data, std::int64_t column, Receiver& receive) {
        const Vector scale = broadcast_f16(data + 208);
        float scales[16];
        for (std::int64_t i = 0; i < 16; i += lanes)
            hn::StoreU(hn::Mul(scale, to_float(load_signed(data + 192 + i))), floats, scales + i);
        for (int half = 0; half < 2; ++half) {
            for (std::int64_t i = 0; i < 32; i += lanes) {
                const Number first = load_unsigned(data + 64 * half + i);
                const Number second = load_unsigned(data + 64 * half + 32 + i);
                const Number high = load_unsigned(data + 128 + 32 * half + i);
                const std::int64_t c = column + 128 * half + i;
                const float* s = scales + 8 * half + i / 16;
                receive(c, weights(low_nibbles(first), hn::ShiftLeft<4>(high), s[0]),  //
                        c + 32, weights(low_nibbles(second), hn::ShiftLeft<2>(high), s[2]));
                receive(c + 64, weights(high_nibbles(first), high, s[4]),  //
                        c + 96, weights(high_nibbles(second), hn::ShiftRight<2>(high), s[6]));
            }
        }
    }
    static HWY_INLINE Vector weights(Number nibbles, Number high_bits, float scale) {
        const Number codes = hn::Or(nibbles, hn::And(high_bits, hn::Set(numbers, 0x30)));
        return hn::Mul(to_float(hn::Sub(codes, hn::Set(numbers, 32))), hn::Set(floats, scale));
    }
};

#endif  // HWY_TARGET != HWY_SCALAR
}  // namespace qlora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
