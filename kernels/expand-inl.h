// Packed codes to levels, in vectors. Included once per instruction set.

#if defined(QLORA_KERNELS_EXPAND_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef QLORA_KERNELS_EXPAND_INL_H
#undef QLORA_KERNELS_EXPAND_INL_H
#else
#define QLORA_KERNELS_EXPAND_INL_H
#endif

#include "kernels/code_tables.h"
#include "kernels/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qlora::kernels::HWY_NAMESPACE {
#if HWY_TARGET != HWY_SCALAR

// Codes are expanded 32 at a time; a four-bit chunk begins at a whole byte.
inline constexpr std::int64_t chunk = 32;

#if QLORA_AVX512
// Sixteen levels fill one vector: one permutation looks up sixteen codes. Of the sixteen bytes of a chunk the first codes are
// looked up in one vector and the second ones in another; the bytes are dealt out beforehand so that what two vectors' lanes give in
// turn is in the order of the elements.
class FourBitLevels {
  public:
    explicit FourBitLevels(Code code) : levels_(hn::LoadU(floats, levels(code).data())) {}

    template <class Receiver>
    HWY_INLINE void expand(const std::uint8_t* packed, std::int64_t column, Receiver& receive) const {
        alignas(16) static constexpr std::uint8_t order[16] = {0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15};
        const hn::Full128<std::uint8_t> d8;
        const hn::RebindToSigned<Floats> d32;
        const auto codes = hn::PromoteTo(d32, hn::TableLookupBytes(hn::LoadU(d8, packed), hn::Load(d8, order)));
        const Vector first = lookup(hn::ShiftRight<4>(codes)), second = lookup(hn::And(codes, hn::Set(d32, 15)));
        receive(column, hn::InterleaveLower(floats, first, second), column + lanes, hn::InterleaveUpper(floats, first, second));
    }

  private:
    HWY_INLINE Vector lookup(hn::Vec<hn::RebindToSigned<Floats>> codes) const {
        return hn::TableLookupLanes(levels_, hn::IndicesFromVec(floats, codes));
    }

    Vector levels_;
};
#else
// The four bytes of each level lie in four tables of sixteen bytes: four byte lookups and eight interleavings
// give four vectors of floats, all targets having a byte lookup.
class FourBitLevels {
  public:
    explicit FourBitLevels(Code code) {
        const LevelPlanes& planes = level_planes(code);
        for (int plane = 0; plane < 4; ++plane) planes_[plane] = hn::LoadDup128(d8, planes[plane].data());
        // Each packed byte twice, dealt out so that every vector of floats ends up in the order of the
        // elements: a 128-bit lane of it takes the two bytes of its four elements.
        std::uint8_t deal[lanes * 4];
        for (int i = 0; i < lanes * 4; ++i) {
            const int lane = i / 16, pair = i % 16 / 4;
            deal[i] = static_cast<std::uint8_t>(pair * (lanes / 2) + lane * 2 + i % 4 / 2);
        }
        deal_ = hn::LoadU(d8, deal);
    }

    template <class Receiver>
    HWY_INLINE void expand(const std::uint8_t* packed, std::int64_t column, Receiver& receive) const {
        for (std::int64_t done = 0; done < chunk; done += 4 * lanes) {
            const auto pairs = hn::BitCast(d16, hn::TableLookupBytes(load(packed + done / 2), deal_));
            const auto high = hn::And(hn::ShiftRight<4>(pairs), hn::Set(d16, 0x000F));
            const auto low = hn::And(pairs, hn::Set(d16, 0x0F00));
            const auto codes = hn::BitCast(d8, hn::Or(high, low));
            const auto byte0 = hn::TableLookupBytes(planes_[0], codes);
            const auto byte1 = hn::TableLookupBytes(planes_[1], codes);
            const auto byte2 = hn::TableLookupBytes(planes_[2], codes);
            const auto byte3 = hn::TableLookupBytes(planes_[3], codes);
            const auto lower01 = hn::BitCast(d16, hn::InterleaveLower(d8, byte0, byte1));
            const auto upper01 = hn::BitCast(d16, hn::InterleaveUpper(d8, byte0, byte1));
            const auto lower23 = hn::BitCast(d16, hn::InterleaveLower(d8, byte2, byte3));
            const auto upper23 = hn::BitCast(d16, hn::InterleaveUpper(d8, byte2, byte3));
            const std::int64_t c = column + done;
            receive(c, hn::BitCast(floats, hn::InterleaveLower(d16, lower01, lower23)),  //
                    c + lanes, hn::BitCast(floats, hn::InterleaveUpper(d16, lower01, lower23)));
            receive(c + 2 * lanes, hn::BitCast(floats, hn::InterleaveLower(d16, upper01, upper23)),
                    c + 3 * lanes, hn::BitCast(floats, hn::InterleaveUpper(d16, upper01, upper23)));
        }
    }

  private:
    static constexpr hn::Repartition<std::uint8_t, Floats> d8{};
    static constexpr hn::Repartition<std::uint16_t, Floats> d16{};

    // The 2 * lanes bytes of the next 4 * lanes codes, in every 128-bit lane.
    static HWY_INLINE hn::Vec<decltype(d8)> load(const std::uint8_t* packed) {
#if HWY_TARGET == HWY_AVX2
        return hn::LoadDup128(d8, packed);
#else
        return hn::ZeroExtendVector(d8, hn::LoadU(hn::Full64<std::uint8_t>(), packed));
#endif
    }

    hn::Vec<decltype(d8)> planes_[4], deal_;
};
#endif

// int8 codes as whole numbers -127..127 (times absmax / 127 gives the weight).
class Int8Levels {
  public:
    explicit Int8Levels(Code) {}

    template <class Receiver>
    HWY_INLINE void expand(const std::uint8_t* packed, std::int64_t column, Receiver& receive) const {
        for (std::int64_t done = 0; done < chunk; done += 2 * lanes)
            receive(column + done, load(packed + done), column + done + lanes, load(packed + done + lanes));
    }

  private:
    static HWY_INLINE Vector load(const std::uint8_t* packed) {
        const hn::Rebind<std::int8_t, Floats> d8;
        const hn::RebindToSigned<Floats> d32;
        const auto codes = hn::LoadU(d8, reinterpret_cast<const std::int8_t*>(packed));
        return hn::ConvertTo(floats, hn::PromoteTo(d32, codes));
    }
};

#endif  // HWY_TARGET != HWY_SCALAR
}  // namespace qlora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
