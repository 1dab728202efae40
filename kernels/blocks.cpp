#include "kernels/blocks.h"

#include "kernels/reference.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/blocks.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>

#include "kernels/expand_blocks-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qlora::kernels::HWY_NAMESPACE {
#if HWY_TARGET == HWY_SCALAR

void dequantize_blocks(BlockFormat format, const std::uint8_t* data, std::int64_t n, float* out) {
    reference::dequantize(format, reinterpret_cast<const std::byte*>(data), n, out);
}

void narrow_blocks(BlockFormat, const std::uint8_t*, std::int64_t, std::uint16_t*) {}

void multiply_blocks(BlockFormat format, const std::uint8_t* data, std::int64_t rows, std::int64_t cols,
                     const float* x, std::int64_t vectors, std::int64_t row_begin, std::int64_t row_end,
                     float* y) {
    const auto* bytes = reinterpret_cast<const std::byte*>(data);
    for (std::int64_t v = 0; v < vectors; ++v)
        reference::multiply(format, bytes, cols, x + v * cols, row_begin, row_end, y + v * rows);
}

#else

// The plain types have rows of any length; what does not fill a chunk is expanded by the reference.
template <class Format>
void dequantize_as(BlockFormat format, const std::uint8_t* data, std::int64_t n, float* out) {
    const Store store{out};
    std::int64_t i = 0;
    for (; i + Format::elements <= n; i += Format::elements, data += Format::bytes)
        Format::expand(data, i, store);
    if (i < n) reference::dequantize(format, reinterpret_cast<const std::byte*>(data), n - i, out + i);
}

#if QLORA_AVX512
struct StoreHalves {
    std::uint16_t* out;
    HWY_INLINE void operator()(std::int64_t c0, Vector w0, std::int64_t c1, Vector w1) const {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + c0), narrow_bf16_by_processor(w0.raw));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + c1), narrow_bf16_by_processor(w1.raw));
    }
};

template <class Format>
void narrow_as(BlockFormat format, const std::uint8_t* data, std::int64_t n, std::uint16_t* out) {
    const StoreHalves store{out};
    std::int64_t i = 0;
    for (; i + Format::elements <= n; i += Format::elements, data += Format::bytes) Format::expand(data, i, store);
    for (; i < n; ++i, data += block_bytes(format)) {
        float value;
        reference::dequantize(format, reinterpret_cast<const std::byte*>(data), 1, &value);
        out[i] = reference::f32_to_bf16(value);
    }
}
#endif

// Adds to y the kVectors products of each row's columns [column_begin, column_end), of which `x` holds the
// first at 0.
template <class Format, int kVectors>
void multiply_panel(BlockFormat format, const std::uint8_t* data, std::int64_t rows, std::int64_t cols,
                    const float* x, std::int64_t stride, std::int64_t column_begin, std::int64_t column_end,
                    std::int64_t row_begin, std::int64_t row_end, float* y) {
    const std::int64_t width = column_end - column_begin, whole = width - width % Format::elements;
    const auto bytes_of = [&](std::int64_t elements) {
        return elements / block_elements(format) * block_bytes(format);
    };
    const std::int64_t row_bytes = bytes_of(cols);
    for (std::int64_t row = row_begin; row < row_end; ++row) {
        const std::uint8_t* at = data + row * row_bytes + bytes_of(column_begin);
        Accumulate<kVectors> accumulate(x, stride);
        for (std::int64_t i = 0; i < whole; i += Format::elements, at += Format::bytes) {
            // A panel's part of a row is too short for the CPU to see what comes next.
            if (kVectors > 1)
                for (std::int64_t line = 0; line < Format::bytes; line += 64)
                    hwy::Prefetch(at + row_bytes + line);
            Format::expand(at, i, accumulate);
        }
        for (int v = 0; v < kVectors; ++v)
            y[v * rows + row] += hn::GetLane(hn::SumOfLanes(floats, accumulate.sum(v)));
        if (whole == width) continue;
        float rest[Format::elements];
        reference::dequantize(format, reinterpret_cast<const std::byte*>(at), width - whole, rest);
        for (int v = 0; v < kVectors; ++v)
            for (std::int64_t i = whole; i < width; ++i)
                y[v * rows + row] += rest[i - whole] * x[v * stride + i];
    }
}

template <class Format>
void multiply_as(BlockFormat format, const std::uint8_t* data, std::int64_t rows, std::int64_t cols,
                 const float* x, std::int64_t vectors, std::int64_t row_begin, std::int64_t row_end,
                 float* y) {
    for (std::int64_t v = 0; v < vectors; ++v)
        std::fill(y + v * rows + row_begin, y + v * rows + row_end, 0.0f);
    for_vectors(vectors, [&](auto count, std::int64_t v) HWY_ATTR {
        for_panels<count>(x + v * cols, cols,
                          [&](const float* part, std::int64_t stride, std::int64_t begin, std::int64_t end)
                              HWY_ATTR {
                                  multiply_panel<Format, count>(format, data, rows, cols, part, stride, begin,
                                                                end, row_begin, row_end, y + v * rows);
                              });
    });
}

template <class Action>
void with_format(BlockFormat format, Action&& action) {
    switch (format) {
        case BlockFormat::f32:
            return action(F32());
        case BlockFormat::f16:
            return action(F16());
        case BlockFormat::bf16:
            return action(Bf16());
        case BlockFormat::q8_0:
            return action(Q8_0());
        case BlockFormat::q4_0:
            return action(Q4_0());
        case BlockFormat::q4_1:
            return action(Q4_1());
        case BlockFormat::q5_0:
            return action(Q5_0());
        case BlockFormat::q5_1:
            return action(Q5_1());
        case BlockFormat::q4_k:
            return action(Q4_K());
        case BlockFormat::q5_k:
            return action(Q5_K());
        case BlockFormat::q6_k:
            return action(Q6_K());
    }
}

void dequantize_blocks(BlockFormat format, const std::uint8_t* data, std::int64_t n, float* out) {
    with_format(format, [&](auto type) HWY_ATTR { dequantize_as<decltype(type)>(format, data, n, out); });
}

void narrow_blocks([[maybe_unused]] BlockFormat format, [[maybe_unused]] const std::uint8_t* data, [[maybe_unused]] std::int64_t n,
                   [[maybe_unused]] std::uint16_t* out) {
#if QLORA_AVX512
    with_format(format, [&](auto type) HWY_ATTR { narrow_as<decltype(type)>(format, data, n, out); });
#endif
}

void multiply_blocks(BlockFormat format, const std::uint8_t* data, std::int64_t rows, std::int64_t cols,
                     const float* x, std::int64_t vectors, std::int64_t row_begin, std::int64_t row_end,
                     float* y) {
    with_format(format, [&](auto type) HWY_ATTR {
        multiply_as<decltype(type)>(format, data, rows, cols, x, vectors, row_begin, row_end, y);
    });
}

#endif
}  // namespace qlora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qlora::kernels {
namespace {

struct Layout {
    std::string_view name;
    std::int64_t elements, bytes;
};

constexpr Layout layout(BlockFormat format) {
    switch (format) {
        case BlockFormat::f32:
            return {"F32", 1, 4};
        case BlockFormat::f16:
            return {"F16", 1, 2};
        case BlockFormat::bf16:
            return {"BF16", 1, 2};
        case BlockFormat::q8_0:
            return {"Q8_0", 32, 34};
        case BlockFormat::q4_0:
            return {"Q4_0", 32, 18};
        case BlockFormat::q4_1:
            return {"Q4_1", 32, 20};
        case BlockFormat::q5_0:
            return {"Q5_0", 32, 22};
        case BlockFormat::q5_1:
            return {"Q5_1", 32, 24};
        case BlockFormat::q4_k:
            return {"Q4_K", 256, 144};
        case BlockFormat::q5_k:
            return {"Q5_K", 256, 176};
        case BlockFormat::q6_k:
            return {"Q6_K", 256, 210};
    }
    return {};
}

const std::uint8_t* raw(const std::byte* data) {
    return reinterpret_cast<const std::uint8_t*>(data);
}

}  // namespace

std::int64_t block_elements(BlockFormat format) {
    return layout(format).elements;
}
std::int64_t block_bytes(BlockFormat format) {
    return layout(format).bytes;
}
std::string_view block_format_name(BlockFormat format) {
    return layout(format).name;
}

HWY_EXPORT(dequantize_blocks);
HWY_EXPORT(narrow_blocks);
HWY_EXPORT(multiply_blocks);

void dequantize(BlockFormat format, const std::byte* data, std::int64_t n, float* out) {
    HWY_DYNAMIC_DISPATCH(dequantize_blocks)(format, raw(data), n, out);
}

void dequantize(BlockFormat format, const std::byte* data, std::int64_t n, std::uint16_t* out) {
    HWY_DYNAMIC_DISPATCH(narrow_blocks)(format, raw(data), n, out);
}

void multiply(BlockFormat format, const std::byte* data, std::int64_t cols, const float* x,
              std::int64_t row_begin, std::int64_t row_end, float* y) {
    HWY_DYNAMIC_DISPATCH(multiply_blocks)(format, raw(data), row_end, cols, x, 1, row_begin, row_end, y);
}

void multiply_several(BlockFormat format, const std::byte* data, std::int64_t rows, std::int64_t cols,
                      const float* x, std::int64_t vectors, std::int64_t row_begin, std::int64_t row_end,
                      float* y) {
    HWY_DYNAMIC_DISPATCH(multiply_blocks)(format, raw(data), rows, cols, x, vectors, row_begin, row_end, y);
}

}  // namespace qlora::kernels
#endif
