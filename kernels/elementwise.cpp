#include "kernels/elementwise.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/elementwise.cpp"
#include <hwy/foreach_target.h>

#include "kernels/half-inl.h"
#include "kernels/softmax-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qlora::kernels::HWY_NAMESPACE {

void rotate_rows(const Rotation& rotation, const float* x, std::int64_t stride, std::int64_t rows, float* y) {
    const std::int64_t heads = rotation.heads, dim = rotation.dim, half = rotation.half;
    const float *cosines = rotation.cosines, *sines = rotation.sines;
    const bool backward = rotation.backward;
    for (std::int64_t r = 0; r < rows; ++r, x += stride)
        for (std::int64_t h = 0; h < heads; ++h, y += dim) {
            const float* from = x + h * dim;
            for_parts(half, [&, from, y, cosine = cosines + r * half, sine = sines + r * half](std::int64_t i, std::int64_t count) {
                const Vector a = load_part(from + i, count), b = load_part(from + half + i, count), c = load_part(cosine + i, count);
                const Vector s = backward ? hn::Neg(load_part(sine + i, count)) : load_part(sine + i, count);
                store_part(hn::Sub(hn::Mul(a, c), hn::Mul(b, s)), y + i, count);
                store_part(hn::Add(hn::Mul(b, c), hn::Mul(a, s)), y + half + i, count);
            });
            if (from != y) std::copy(from + 2 * half, from + dim, y + 2 * half);
        }
}

// sigmoid(z(x)), and z'(x).
struct Gating {
    Vector open, slope;
};
HWY_INLINE Gating gating(Gate kind, Vector x) {
    const Vector one = hn::Set(floats, 1.0f);
    Vector z = x, slope = one;
    if (kind == Gate::gelu_tanh) {
        const Vector twice = hn::Set(floats, 1.5957691216057308f);  // 2 sqrt(2/pi)
        const Vector square = hn::Mul(x, x), cubic = hn::Set(floats, 0.044715f);
        z = hn::Mul(twice, hn::MulAdd(hn::Mul(square, x), cubic, x));
        slope = hn::Mul(twice, hn::MulAdd(hn::Mul(square, hn::Set(floats, 3.0f)), cubic, one));
    }
    // Beyond 88 the exponential overflows, and the sigmoid is what it is there.
    const Vector bounded = hn::Min(hn::Neg(z), hn::Set(floats, 88.0f));
    return {hn::Div(one, hn::Add(one, hn::Exp(floats, bounded))), slope};
}

// `kept_gate` and `kept_up`, where they are not null, get the numbers rounded.
template <class From, class To>
HWY_INLINE void gate_each(Gate kind, const From* gate, const From* up, std::int64_t stride, std::int64_t rows, std::int64_t width, To* out,
                          std::int64_t out_stride, std::uint16_t* kept_gate, std::uint16_t* kept_up) {
    for (std::int64_t r = 0; r < rows; ++r, gate += stride, up += stride, out += out_stride)
        for_parts(width, [=](std::int64_t c, std::int64_t count) {
            const Vector x = load_part(gate + c, count), u = load_part(up + c, count);
            if (kept_gate != nullptr) {
                store_part(x, kept_gate + r * width + c, count);
                store_part(u, kept_up + r * width + c, count);
            }
            store_part(hn::Mul(hn::Mul(x, gating(kind, x).open), u), out + c, count);
        });
}

void gate_rows(Gate kind, const float* gate, const float* up, std::int64_t stride, std::int64_t rows, std::int64_t width, float* out) {
    gate_each(kind, gate, up, stride, rows, width, out, width, nullptr, nullptr);
}
void gate_rows_to_bf16(Gate kind, const float* gate, const float* up, std::int64_t stride, std::int64_t rows, std::int64_t width, std::uint16_t* out,
                       std::int64_t out_stride, std::uint16_t* kept_gate, std::uint16_t* kept_up) {
    gate_each(kind, gate, up, stride, rows, width, out, out_stride, kept_gate, kept_up);
}
void gate_rows_in_bf16(Gate kind, const std::uint16_t* gate, const std::uint16_t* up, std::int64_t rows, std::int64_t width, std::uint16_t* out,
                       std::int64_t out_stride) {
    gate_each(kind, gate, up, width, rows, width, out, out_stride, nullptr, nullptr);
}

// `out`, where it is not null, gets what the gate lets through, rounded.
template <class From>
HWY_INLINE void gate_each_backward(Gate kind, const From* gate, const From* up, std::int64_t stride, const float* dout, std::int64_t rows,
                                   std::int64_t width, float* dgate, float* dup, std::uint16_t* out, std::int64_t out_stride) {
    for (std::int64_t r = 0; r < rows; ++r, gate += stride, up += stride, dgate += stride, dup += stride, dout += width)
        for_parts(width, [=](std::int64_t c, std::int64_t count) {
            const Vector x = load_part(gate + c, count), u = load_part(up + c, count), d = load_part(dout + c, count);
            const auto [open, slope] = gating(kind, x);
            const Vector act = hn::Mul(x, open);
            // act' = open + x open (1 - open) z'
            const Vector derivative = hn::MulAdd(hn::Mul(act, hn::Sub(hn::Set(floats, 1.0f), open)), slope, open);
            store_part(hn::Mul(hn::Mul(d, u), derivative), dgate + c, count);
            store_part(hn::Mul(d, act), dup + c, count);
            if (out != nullptr) store_part(hn::Mul(act, u), out + r * out_stride + c, count);
        });
}

void gate_rows_backward(Gate kind, const float* gate, const float* up, std::int64_t stride, const float* dout, std::int64_t rows,
                        std::int64_t width, float* dgate, float* dup) {
    gate_each_backward(kind, gate, up, stride, dout, rows, width, dgate, dup, nullptr, 0);
}
void gate_rows_backward_in_bf16(Gate kind, const std::uint16_t* gate, const std::uint16_t* up, const float* dout, std::int64_t rows,
                                std::int64_t width, float* dgate, float* dup, std::uint16_t* out, std::int64_t out_stride) {
    gate_each_backward(kind, gate, up, width, dout, rows, width, dgate, dup, out, out_stride);
}

void cross_entropy_rows(float* logits, std::int64_t rows, std::int64_t classes, const std::int64_t* targets, bool gradients, double* losses) {
    for (std::int64_t r = 0; r < rows; ++r, logits += classes) {
        const float most = largest_of(logits, 0, classes), target = logits[targets[r]];
        const float sum = gradients ? exponentials(logits, 0, classes, classes, 1, most, logits)
                                    : exponentials(logits, 0, classes, classes, 1, most, nullptr);
        losses[r] = std::log(static_cast<double>(sum)) + (static_cast<double>(most) - static_cast<double>(target));
        if (!gradients) continue;
        const float of_target = logits[targets[r]] * (1 / sum) - 1;
        const Vector share = hn::Set(floats, 1 / sum);
        for_parts(classes, [&](std::int64_t i, std::int64_t count) {
            store_part(hn::Mul(load_part(logits + i, count), share), logits + i, count);
        });
        logits[targets[r]] = of_target;
    }
}

void softmax_parts_of_rows(const float* logits, std::int64_t stride, std::int64_t rows, std::int64_t classes, SoftmaxPart* parts,
                           std::int64_t parts_stride, std::uint16_t* out, std::int64_t out_stride) {
    for (std::int64_t r = 0; r < rows; ++r, logits += stride, parts += parts_stride) {
        const float most = largest_of(logits, 0, classes);
        *parts = {most, out != nullptr ? exponentials(logits, 0, classes, classes, 1, most, out + r * out_stride)
                                       : exponentials(logits, 0, classes, classes, 1, most, nullptr)};
    }
}

void scale_numbers(std::uint16_t* x, std::int64_t n, float factor) {
    for_parts(n, [&](std::int64_t i, std::int64_t count) { store_part(hn::Mul(load_part(x + i, count), hn::Set(floats, factor)), x + i, count); });
}

}  // namespace qlora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qlora::kernels {

HWY_EXPORT(rotate_rows);
HWY_EXPORT(gate_rows);
HWY_EXPORT(gate_rows_to_bf16);
HWY_EXPORT(gate_rows_in_bf16);
HWY_EXPORT(gate_rows_backward);
HWY_EXPORT(gate_rows_backward_in_bf16);
HWY_EXPORT(cross_entropy_rows);
HWY_EXPORT(softmax_parts_of_rows);
HWY_EXPORT(scale_numbers);

void rotate(const Rotation& rotation, const float* x, std::int64_t stride, std::int64_t rows, float* y) {
    HWY_DYNAMIC_DISPATCH(rotate_rows)(rotation, x, stride, rows, y);
}
void gate(Gate kind, const float* gate, const float* up, std::int64_t stride, std::int64_t rows, std::int64_t width, float* out) {
    HWY_DYNAMIC_DISPATCH(gate_rows)(kind, gate, up, stride, rows, width, out);
}
void gate_backward(Gate kind, const float* gate, const float* up, std::int64_t stride, const float* dout, std::int64_t rows,
                   std::int64_t width, float* dgate, float* dup) {
    HWY_DYNAMIC_DISPATCH(gate_rows_backward)(kind, gate, up, stride, dout, rows, width, dgate, dup);
}
void gate(Gate kind, const float* gate, const float* up, std::int64_t stride, std::int64_t rows, std::int64_t width, std::uint16_t* out,
          std::int64_t out_stride, std::uint16_t* kept_gate, std::uint16_t* kept_up) {
    HWY_DYNAMIC_DISPATCH(gate_rows_to_bf16)(kind, gate, up, stride, rows, width, out, out_stride, kept_gate, kept_up);
}
void gate(Gate kind, const std::uint16_t* gate, const std::uint16_t* up, std::int64_t rows, std::int64_t width, std::uint16_t* out,
          std::int64_t out_stride) {
    HWY_DYNAMIC_DISPATCH(gate_rows_in_bf16)(kind, gate, up, rows, width, out, out_stride);
}
void gate_backward(Gate kind, const std::uint16_t* gate, const std::uint16_t* up, const float* dout, std::int64_t rows, std::int64_t width,
                   float* dgate, float* dup, std::uint16_t* out, std::int64_t out_stride) {
    HWY_DYNAMIC_DISPATCH(gate_rows_backward_in_bf16)(kind, gate, up, dout, rows, width, dgate, dup, out, out_stride);
}
void cross_entropy(float* logits, std::int64_t rows, std::int64_t classes, const std::int64_t* targets, bool gradients, double* losses) {
    HWY_DYNAMIC_DISPATCH(cross_entropy_rows)(logits, rows, classes, targets, gradients, losses);
}
void softmax_parts(const float* logits, std::int64_t stride, std::int64_t rows, std::int64_t classes, SoftmaxPart* parts, std::int64_t parts_stride,
                   std::uint16_t* out, std::int64_t out_stride) {
    HWY_DYNAMIC_DISPATCH(softmax_parts_of_rows)(logits, stride, rows, classes, parts, parts_stride, out, out_stride);
}
void scale(std::uint16_t* x, std::int64_t n, float factor) {
    HWY_DYNAMIC_DISPATCH(scale_numbers)(x, n, factor);
}

}  // namespace qlora::kernels
#endif
