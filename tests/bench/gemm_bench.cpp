// The matrix products in GFLOP/s, with W in fp32, NF4 and Q4_1, on one thread and on all, beside the peak of
// this processor's multiply-add units, which is measured with numbers that stay in registers.
//
//   bench_gemm [seconds per figure, 0.3 by default]

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "kernels/gemm.h"
#include "kernels/half.h"
#include "kernels/target.h"
#include "peak.h"

using namespace qlora::kernels;

namespace {

double seconds_a_figure = 0.3;

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The shortest repetition, of at least three.
double time_of(int threads, const std::function<void(int)>& work) {
    double best = INFINITY;
    const double begin = now();
    for (int repetition = 0; repetition < 3 || now() - begin < seconds_a_figure; ++repetition) {
        const double start = now();
        {
            std::vector<std::jthread> workers;
            for (int t = 1; t < threads; ++t) workers.emplace_back(work, t);
            work(0);
        }
        best = std::min(best, now() - start);
    }
    return best;
}

struct Aligned {
    explicit Aligned(std::int64_t n)
        : data(static_cast<float*>(std::aligned_alloc(64, (n * 4 + 63) / 64 * 64)), std::free) {
        for (std::int64_t i = 0; i < n; ++i)
            data.get()[i] = static_cast<float>((i * 2654435761u >> 7) % 1000) / 1000 - 0.5f;
    }
    float* get() const { return data.get(); }
    std::unique_ptr<float, void (*)(void*)> data;
};

void bench(std::int64_t m, std::int64_t rows, std::int64_t cols, int threads, Arithmetic arithmetic, double peak) {
    const std::int64_t n = rows * cols;
    const Aligned x(m * std::max(rows, cols)), w(n), c(m * std::max(rows, cols));
    std::vector<std::uint16_t> halves(static_cast<std::size_t>(m * std::max(rows, cols)));
    f32_to_bf16(x.get(), static_cast<std::int64_t>(halves.size()), halves.data());
    std::vector<Aligned> workspaces;
    for (int t = 0; t < threads; ++t) workspaces.emplace_back(gemm_workspace);
    std::vector<std::uint8_t> packed(packed_bytes(Code::nf4, n)), blocks(n / 32 * 20, 0x35);
    std::vector<float> absmax(block_count(n, 64));
    quantize(Code::nf4, w.get(), n, 64, packed.data(), absmax.data());
    const PackedRows nf4{.code = Code::nf4,
                         .rows = rows,
                         .cols = cols,
                         .block = 64,
                         .packed = packed.data(),
                         .absmax = absmax.data()};
    struct Form {
        const char* name;
        AnyMatrix matrix;
    };
    for (const auto& [name, matrix] :
         {Form{"fp32", any_matrix(w.get(), rows, cols, cols)}, Form{"nf4", any_matrix(nf4)},
          Form{"Q4_1", any_matrix(BlockFormat::q4_1, blocks.data(), rows, cols)}})
        for (const Side side : {Side::transposed, Side::plain}) {
            const std::int64_t in = side == Side::transposed ? cols : rows,
                               out = side == Side::transposed ? rows : cols;
            const std::int64_t panels = (out + gemm_columns - 1) / gemm_columns;
            const double time = time_of(threads, [&](int t) {
                const auto multiply = [&](const auto* a) {
                    multiply_matrix(a, in, m, matrix, side, panels * t / threads * gemm_columns,
                                    std::min(out, panels * (t + 1) / threads * gemm_columns), c.get(), out, false, workspaces[t].get());
                };
                if (arithmetic == Arithmetic::bf16) multiply(halves.data());
                else multiply(x.get());
            });
            const double rate = 2e-9 * static_cast<double>(m * n) / time;
            std::printf("%4lld rows by %4lld x %-4lld %-4s %-5s in %s %d thread%s %8.1f GFLOP/s %4.0f %%\n",
                        static_cast<long long>(m), static_cast<long long>(rows), static_cast<long long>(cols),
                        name, side == Side::plain ? "x W" : "x W^T", arithmetic == Arithmetic::bf16 ? "bf16" : "fp32",
                        threads, threads == 1 ? " " : "s", rate,
                        100 * rate / peak);
            std::fflush(stdout);
        }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc > 1) seconds_a_figure = std::atof(argv[1]);
    const double peak = peak_gflops(), bf16_peak = has_bf16_products() ? peak_bf16_gflops() : 0;
    std::printf("target %s, peak of one thread's multiply-adds %.0f GFLOP/s, of its bf16 products %.0f\n",
                std::string(target_name()).c_str(), peak, bf16_peak);
    for (const Arithmetic arithmetic : {Arithmetic::fp32, Arithmetic::bf16}) {
        if (arithmetic == Arithmetic::bf16 && !has_bf16_products()) break;
        for (const int threads : {1, static_cast<int>(std::thread::hardware_concurrency())})
            for (const std::int64_t m : {32, 200, 512})
                for (const auto& [rows, cols] :
                     {std::pair<std::int64_t, std::int64_t>{384, 384}, {1536, 576}, {2048, 2048}})
                    bench(m, rows, cols, threads, arithmetic,
                          threads * (arithmetic == Arithmetic::bf16 ? bf16_peak : peak));
    }
}
