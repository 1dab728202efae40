// The loss of rows of logits and their gradients (kernels/elementwise.h). A block of threads takes a row: once through
// it for the largest logit and the sum of exponentials (Milakov and Gimelshein, "Online normalizer calculation for
// softmax", 2018), and once more to write gradients.
#include "kernels/cuda/sources/common.cuh"

namespace qlora::kernels::cuda {

__device__ inline float infinity() {
    return __uint_as_float(0x7F800000u);
}

// The largest of some numbers, and the sum of exp(x - largest); of none: -infinity and 0.
struct Softmax {
    float largest, sum;
};
__device__ inline Softmax from_lane(Softmax x, int distance) {
    return {from_lane(x.largest, distance), from_lane(x.sum, distance)};
}

struct Join {
    __device__ Softmax operator()(Softmax a, Softmax b) const {
        const float largest = fmaxf(a.largest, b.largest);
        return {largest, part(a, largest) + part(b, largest)};
    }
    // A sum of nothing, or of numbers that are all -infinity, stays what it is.
    static __device__ float part(Softmax x, float largest) {
        return x.largest == largest ? x.sum : x.sum * expf(x.largest - largest);
    }
};

}  // namespace qlora::kernels::cuda

using namespace qlora::kernels::cuda;

extern "C" __global__ void __launch_bounds__(512)
    cross_entropy(float* __restrict__ logits, const Index rows, const Index classes, const Index* __restrict__ targets,
                  const int gradients, double* __restrict__ losses) {
    for (Index r = blockIdx.x; r < rows; r += gridDim.x) {
        float* row = logits + r * classes;
        const Index target = targets[r];
        const float wanted = row[target];
        Softmax found{-infinity(), 0};
        for (Index i = threadIdx.x; i < classes; i += blockDim.x) {
            const float x = row[i];
            if (x > found.largest)
                found = {x, found.sum * expf(found.largest - x) + 1};
            else if (x != -infinity())
                found.sum += expf(x - found.largest);  // NaN where a logit is
        }
        found = reduce_block(found, Softmax{-infinity(), 0}, Join());
        if (threadIdx.x == 0)
            losses[r] = log(static_cast<double>(found.sum)) +
                        (static_cast<double>(found.largest) - static_cast<double>(wanted));
        if (!gradients) continue;
        const float share = 1 / found.sum;
        for (Index i = threadIdx.x; i < classes; i += blockDim.x)
            row[i] = expf(row[i] - found.largest) * share - (i == target ? 1.0f : 0.0f);
    }
}
