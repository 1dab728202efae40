// Dropout by counted random numbers, Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC
// 2011): four elements a counter, so that a mask is a function of its key alone, and the same on every device.
#include "kernels/cuda/sources/common.cuh"

namespace qlora::kernels::cuda {

__device__ inline void philox(unsigned (&counter)[4], const unsigned (&key)[2]) {
    unsigned k0 = key[0], k1 = key[1];
#pragma unroll
    for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
        const unsigned high0 = __umulhi(0xD2511F53u, counter[0]), low0 = 0xD2511F53u * counter[0];
        const unsigned high1 = __umulhi(0xCD9E8D57u, counter[2]), low1 = 0xCD9E8D57u * counter[2];
        counter[0] = high1 ^ counter[1] ^ k0;
        counter[1] = low1;
        counter[2] = high0 ^ counter[3] ^ k1;
        counter[3] = low0;
    }
}

}  // namespace qlora::kernels::cuda

using namespace qlora::kernels::cuda;

// y = x * (0 or keep); y may be x.
extern "C" __global__ void __launch_bounds__(256) dropout(const Dropout rule, const float* x, const Index n, float* y) {
    const Index blocks = (n + 3) / 4;
    for (Index block = grid_thread(); block < blocks; block += grid_threads()) {
        unsigned numbers[4] = {static_cast<unsigned>(block), rule.counter[0], rule.counter[1], rule.counter[2]};
        philox(numbers, rule.key);
        const Index i = 4 * block;
        if (i + 4 <= n) {
            float v[4];
            load_some(x + i, v);
#pragma unroll
            for (int k = 0; k < 4; ++k) v[k] = (numbers[k] < rule.threshold ? 0.0f : rule.keep) * v[k];
            store_some(y + i, v);
        } else {
#pragma unroll
            for (int k = 0; k < 3; ++k)
                if (i + k < n) y[i + k] = (numbers[k] < rule.threshold ? 0.0f : rule.keep) * x[i + k];
        }
    }
}

// Whether query i may use key j of a head: the first word of Philox 2x32-10 at counter (j, i), under the head's own
// key.
extern "C" __global__ void __launch_bounds__(256)
    score_factors(const unsigned threshold, const float keep, const unsigned* __restrict__ head_keys,
                  const unsigned heads, const unsigned asked, const unsigned keys, float* __restrict__ out) {
    const unsigned all = heads * asked * keys;
    for (unsigned at = grid_thread(); at < all; at += grid_threads()) {
        const unsigned row = at / keys, head = row / asked;
        unsigned a = at - row * keys, b = row - head * asked, key = head_keys[head];
#pragma unroll
        for (int round = 0; round < 10; ++round, key += 0x9E3779B9u) {
            const unsigned high = __umulhi(0xD256D193u, a), low = 0xD256D193u * a;
            a = high ^ b ^ key;
            b = low;
        }
        out[at] = a < threshold ? 0.0f : keep;
    }
}
