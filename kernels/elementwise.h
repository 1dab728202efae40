#pragma once
// What blocks do element by element, each forward and backward in one pass. fp32; pure, single-threaded, no allocation,
// no exceptions.

#include <cstdint>

namespace qlora::kernels {

// Rotary positions (Su et al. 2021) as transformers lays them out: of each head's features [0, 2 half) the pair (i, i + half)
// turns by the row's angle i; features behind them stay.
struct Rotation {
    std::int64_t heads = 1, dim = 0, half = 0;
    const float* cosines = nullptr;  // [rows, half]
    const float* sines = nullptr;    // [rows, half]
    bool backward = false;           // turns back
};
// x: [rows, heads, dim], its rows `stride` floats apart; y the same without gaps; y may be x where x has none.
void rotate(const Rotation& rotation, const float* x, std::int64_t stride, std::int64_t rows, float* y);

// x sigmoid(z(x)): SiLU with z = x; GELU's approximation by tanh with z = 2 sqrt(2/pi) (x + 0.044715 x^3) (Hendrycks and
// Gimpel 2016).
enum class Gate : std::uint8_t { silu, gelu_tanh };

// out = act(gate) up, and the gradients of both from that of out; [rows, width], rows of gate and up, and of their gradients,
// `stride` floats apart, those of out and dout without gaps. A gradient may lie where its number lies.
void gate(Gate kind, const float* gate, const float* up, std::int64_t stride, std::int64_t rows, std::int64_t width, float* out);
void gate_backward(Gate kind, const float* gate, const float* up, std::int64_t stride, const float* dout, std::int64_t rows,
                   std::int64_t width, float* dgate, float* dup);
// The same for products in bf16, only where has_bf16_products() (gemm.h): `out` rounded, its rows `out_stride` numbers apart. Of numbers in fp32, which are also given
// rounded, [rows, width] without gaps, where these are not null, for backward; and again of those.
void gate(Gate kind, const float* gate, const float* up, std::int64_t stride, std::int64_t rows, std::int64_t width, std::uint16_t* out,
          std::int64_t out_stride, std::uint16_t* kept_gate, std::uint16_t* kept_up);
void gate(Gate kind, const std::uint16_t* gate, const std::uint16_t* up, std::int64_t rows, std::int64_t width, std::uint16_t* out,
          std::int64_t out_stride);
// Backward gives `out` once more, where it is not null.
void gate_backward(Gate kind, const std::uint16_t* gate, const std::uint16_t* up, const float* dout, std::int64_t rows, std::int64_t width,
                   float* dgate, float* dup, std::uint16_t* out, std::int64_t out_stride);

// -log softmax(logits)[target] of each row, in nats. With `gradients`, logits become softmax(logits) - onehot(target), their
// own gradients. logits: [rows, classes] without gaps, targets in [0, classes).
void cross_entropy(float* logits, std::int64_t rows, std::int64_t classes, const std::int64_t* targets, bool gradients, double* losses);

// The same from parts of each row, which need not be there together. Of a part its largest logit and the sum of exp(logit -
// largest); where `out` is not null it gets these exponentials in bf16. `logits`, `parts` and `out` lie so many places apart from
// row to row.
struct SoftmaxPart {
    float largest, sum;
};
void softmax_parts(const float* logits, std::int64_t stride, std::int64_t rows, std::int64_t classes, SoftmaxPart* parts, std::int64_t parts_stride,
                   std::uint16_t* out, std::int64_t out_stride);
// x *= factor, in bf16.
void scale(std::uint16_t* x, std::int64_t n, float factor);

}  // namespace qlora::kernels
