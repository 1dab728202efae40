// That the host's emulation of CUDA runs threads, barriers and shuffles as a GPU does, and finds kernels that are
// wrong.
#include "cuda_emulator.h"

#include <QtTest>

using qlora::kernels::cuda::Argument;

namespace {

// Turns the numbers of a block round through shared memory; without a barrier a thread may read what is not there yet.
template <bool kBarrier>
void turn(float* x) {
    __shared__ float shared[64];
    shared[threadIdx.x] = x[threadIdx.x];
    if (kBarrier) __syncthreads();
    x[threadIdx.x] = shared[blockDim.x - 1 - threadIdx.x];
}

void sum_of_warp(float* x) {
    float sum = x[threadIdx.x];
    for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(0xFFFFFFFFu, sum, distance);
    x[threadIdx.x] = sum;
}

void half_waits(float*) {
    if (threadIdx.x < 32) __syncthreads();
}
void half_of_a_warp_shuffles(float* x) {
    if (threadIdx.x % 2 == 0) x[threadIdx.x] = __shfl_xor_sync(0xFFFFFFFFu, x[threadIdx.x], 2);
}
void one_leaves_early(float* x) {
    if (threadIdx.x == 5) return;
    __syncthreads();
    x[threadIdx.x] = 1;
}

void run(void (*function)(float*), std::vector<float>& x, FiberOrder order = FiberOrder::ascending) {
    float* data = x.data();
    const Argument argument{&data, sizeof(data)};
    cuda_emulator::run(cuda_emulator::kernel(function), {"test", "test", 1, 64}, {&argument, 1}, order);
}

std::vector<float> counted() {
    std::vector<float> x(64);
    std::iota(x.begin(), x.end(), 0.0f);
    return x;
}

}  // namespace

class CudaEmulatorTest : public QObject {
    Q_OBJECT

  private slots:
    void barriers_hold_all_threads() {
        for (const auto order : {FiberOrder::ascending, FiberOrder::descending}) {
            auto x = counted();
            run(turn<true>, x, order);
            for (std::size_t i = 0; i < 64; ++i) QCOMPARE(x[i], static_cast<float>(63 - i));
        }
    }
    void a_missing_barrier_shows_in_the_order_of_threads() {
        auto ascending = counted(), descending = counted();
        run(turn<false>, ascending);
        run(turn<false>, descending, FiberOrder::descending);
        QVERIFY(ascending != descending);
    }
    void shuffles_stay_in_their_warp() {
        auto x = counted();
        run(sum_of_warp, x);
        for (std::size_t i = 0; i < 64; ++i) QCOMPARE(x[i], i < 32 ? 496.0f : 1520.0f);
    }
    void threads_that_do_not_come_are_an_error() {
        for (const auto wrong : {half_waits, half_of_a_warp_shuffles, one_leaves_early}) {
            auto x = counted();
            QVERIFY_THROWS_EXCEPTION(std::logic_error, run(wrong, x));
        }
    }
    void blocks_are_of_whole_warps() {
        float* data = nullptr;
        const Argument argument{&data, sizeof(data)};
        QVERIFY_THROWS_EXCEPTION(std::logic_error,
                                 cuda_emulator::run(cuda_emulator::kernel(half_waits), {"test", "test", 1, 48},
                                                    {&argument, 1}, FiberOrder::ascending));
    }
};

QTEST_GUILESS_MAIN(CudaEmulatorTest)
#include "cuda_emulator_test.moc"
