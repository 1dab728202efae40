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
// The same for products in bf16: `out` rounded, its rows `out_stride` numbers apart. Of numbers in fp32, which are also given
// rounded, [rows, width] without gaps, for backward; and again of those.
void gate(Gate kind, const float* gate, const float* up, std::int64_t stride, std::int64_t rows, std::int64_t width, std::uint16_t* out,
          std::int64_t out_stride, std::uint16_t* kept_gate, std::uint16_t* kept_up);
void gate(Gate kind, const std::uint16_t* gate, const std::uint16_t* up, std::int64_t rows, std::int64_t width, std::uint16_t* out,
          std::int64_t out_stride);
void gate_backward(Gate kind, const std::uint16_t* gate, const std::uint16_t* up, const float* dout, std::int64_t rows, std::int64_t width,
                   float* dgate, float* dup);

// -log softmax(logits)[target] of each row, in nats. With `gradients`, logits become softmax(logits) - onehot(target), their
// own gradients: in fp32, or as bf16 [rows, 2 classes], of which the first half of a row holds them. logits: [rows, classes]
// without gaps, targets in [0, classes).
enum class LogitGradients : std::uint8_t { none, fp32, bf16 };
void cross_entropy(float* logits, std::int64_t rows, std::int64_t classes, const std::int64_t* targets, LogitGradients gradients,
                   double* losses);

}  // namespace qlora::kernels
