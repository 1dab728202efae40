// Gated activations (kernels/elementwise.h): act(gate) up, and the gradients of both.
#include "kernels/cuda/sources/common.cuh"

namespace qlora::kernels::cuda {

// sigmoid(z(x)), and z'(x).
struct Gating {
    float open, slope;
};
__device__ inline Gating gating(bool gelu, float x) {
    float z = x, slope = 1;
    if (gelu) {
        const float twice = 1.5957691216057308f, square = x * x;  // 2 sqrt(2/pi)
        z = twice * fmaf(square * x, 0.044715f, x);
        slope = twice * fmaf(square * 3, 0.044715f, 1.0f);
    }
    return {1 / (1 + expf(-z)), slope};
}

template <int kWidth>
__device__ inline void forward(const Gated& rule, const float* gate, const float* up, float* out) {
    const unsigned parts = rule.width / kWidth, all = rule.rows * parts;
    for (unsigned i = grid_thread(); i < all; i += grid_threads()) {
        const Index row = i / parts, column = static_cast<Index>(i % parts) * kWidth, at = row * rule.stride + column;
        float x[kWidth], u[kWidth];
        load_some(gate + at, x);
        load_some(up + at, u);
#pragma unroll
        for (int k = 0; k < kWidth; ++k) x[k] = x[k] * gating(rule.gelu, x[k]).open * u[k];
        store_some(out + row * rule.width + column, x);
    }
}

// A gradient may lie where its number lies.
template <int kWidth>
__device__ inline void backward(const Gated& rule, const float* gate, const float* up, const float* dout, float* dgate,
                                float* dup) {
    const unsigned parts = rule.width / kWidth, all = rule.rows * parts;
    for (unsigned i = grid_thread(); i < all; i += grid_threads()) {
        const Index row = i / parts, column = static_cast<Index>(i % parts) * kWidth, at = row * rule.stride + column;
        float x[kWidth], u[kWidth], d[kWidth];
        load_some(gate + at, x);
        load_some(up + at, u);
        load_some(dout + row * rule.width + column, d);
#pragma unroll
        for (int k = 0; k < kWidth; ++k) {
            const Gating g = gating(rule.gelu, x[k]);
            const float act = x[k] * g.open;
            // act' = open + x open (1 - open) z'
            x[k] = d[k] * u[k] * fmaf(act * (1 - g.open), g.slope, g.open);
            u[k] = d[k] * act;
        }
        store_some(dgate + at, x);
        store_some(dup + at, u);
    }
}

}  // namespace qlora::kernels::cuda

using namespace qlora::kernels::cuda;

extern "C" __global__ void __launch_bounds__(256)
    gate_by_4(const Gated rule, const float* gate, const float* up, float* out) {
    forward<4>(rule, gate, up, out);
}
extern "C" __global__ void __launch_bounds__(256)
    gate_by_1(const Gated rule, const float* gate, const float* up, float* out) {
    forward<1>(rule, gate, up, out);
}
extern "C" __global__ void __launch_bounds__(256)
    gate_backward_by_4(const Gated rule, const float* gate, const float* up, const float* dout, float* dgate,
                       float* dup) {
    backward<4>(rule, gate, up, dout, dgate, dup);
}
extern "C" __global__ void __launch_bounds__(256)
    gate_backward_by_1(const Gated rule, const float* gate, const float* up, const float* dout, float* dgate,
                       float* dup) {
    backward<1>(rule, gate, up, dout, dgate, dup);
}
