// RMSNorm and LayerNorm of rows (kernels/norm.h), a block of threads a row. What the second and third loops read again
// lies in the caches.
#include "kernels/cuda/sources/common.cuh"

namespace qlora::kernels::cuda {

// Calls f(column, values) for each of the thread's parts of a row.
template <int kWidth, class F>
__device__ inline void for_parts(const float* row, Index width, F f) {
    for (Index c = threadIdx.x * kWidth; c < width; c += blockDim.x * kWidth) {
        float x[kWidth];
        load_some(row + c, x);
        f(c, x);
    }
}

// A row's mean, 0 without centring, and 1 / sqrt(variance + epsilon).
struct Moments {
    float mean, inverse;
};
template <int kWidth>
__device__ inline Moments moments(const Norm& rule, const float* row, Index width) {
    float mean = 0;
    if (rule.centred) {
        float sum = 0;
        for_parts<kWidth>(row, width, [&](Index, const float(&x)[kWidth]) {
            for (int k = 0; k < kWidth; ++k) sum += x[k];
        });
        mean = block_sum(sum) / static_cast<float>(width);
    }
    float squares = 0;
    for_parts<kWidth>(row, width, [&](Index, const float(&x)[kWidth]) {
        for (int k = 0; k < kWidth; ++k) squares = fmaf(x[k] - mean, x[k] - mean, squares);
    });
    return {mean, 1 / sqrtf(block_sum(squares) / static_cast<float>(width) + rule.epsilon)};
}

template <int kWidth>
__device__ inline void forward(const Norm& rule, const float* x, Index rows, Index width, float* y) {
    for (Index r = blockIdx.x; r < rows; r += gridDim.x) {
        const float* row = x + r * width;
        const Moments m = moments<kWidth>(rule, row, width);
        for_parts<kWidth>(row, width, [&](Index c, float(&v)[kWidth]) {
            float weight[kWidth], bias[kWidth] = {};
            load_some(rule.weight + c, weight);
            if (rule.bias) load_some(rule.bias + c, bias);
            for (int k = 0; k < kWidth; ++k) v[k] = (v[k] - m.mean) * m.inverse * weight[k] + bias[k];
            store_some(y + r * width + c, v);
        });
    }
}

// The same with the gradients of what becomes of the parts: f(column, gradients, weights, values).
template <int kWidth, class F>
__device__ inline void for_slopes(const Norm& rule, const float* row, const float* slopes, Index width, F f) {
    for_parts<kWidth>(row, width, [&](Index c, const float(&x)[kWidth]) {
        float weight[kWidth], g[kWidth];
        load_some(rule.weight + c, weight);
        load_some(slopes + c, g);
        f(c, g, weight, x);
    });
}

// With n = (x - mean) * inverse and g = dy * weight: dx = inverse * (g - mean(g) - n mean(g n)), mean(g) with centring
// only. dx may be dy: a thread reads what it writes, and no other's.
template <int kWidth>
__device__ inline void backward(const Norm& rule, const float* x, const float* dy, Index rows, Index width, float* dx) {
    for (Index r = blockIdx.x; r < rows; r += gridDim.x) {
        const float *row = x + r * width, *slopes = dy + r * width;
        const Moments m = moments<kWidth>(rule, row, width);
        float sum = 0, products = 0;
        for_slopes<kWidth>(rule, row, slopes, width,
                           [&](Index, const float(&g)[kWidth], const float(&weight)[kWidth], const float(&v)[kWidth]) {
                               for (int k = 0; k < kWidth; ++k) {
                                   sum += g[k] * weight[k];
                                   products = fmaf(g[k] * weight[k], (v[k] - m.mean) * m.inverse, products);
                               }
                           });
        const float shift = rule.centred ? block_sum(sum) / static_cast<float>(width) : 0,
                    along = block_sum(products) / static_cast<float>(width);
        for_slopes<kWidth>(rule, row, slopes, width,
                           [&](Index c, float(&g)[kWidth], const float(&weight)[kWidth], const float(&v)[kWidth]) {
                               for (int k = 0; k < kWidth; ++k)
                                   g[k] = m.inverse * (g[k] * weight[k] - shift - (v[k] - m.mean) * m.inverse * along);
                               store_some(dx + r * width + c, g);
                           });
    }
}

}  // namespace qlora::kernels::cuda

using namespace qlora::kernels::cuda;

// By fours where rows begin at multiples of 16 bytes.
extern "C" __global__ void __launch_bounds__(256)
    norm_by_4(const Norm rule, const float* x, const Index rows, const Index width, float* y) {
    forward<4>(rule, x, rows, width, y);
}
extern "C" __global__ void __launch_bounds__(256)
    norm_by_1(const Norm rule, const float* x, const Index rows, const Index width, float* y) {
    forward<1>(rule, x, rows, width, y);
}
extern "C" __global__ void __launch_bounds__(256) norm_backward_by_4(const Norm rule, const float* x, const float* dy,
                                                                     const Index rows, const Index width, float* dx) {
    backward<4>(rule, x, dy, rows, width, dx);
}
extern "C" __global__ void __launch_bounds__(256) norm_backward_by_1(const Norm rule, const float* x, const float* dy,
                                                                     const Index rows, const Index width, float* dx) {
    backward<1>(rule, x, dy, rows, width, dx);
}
