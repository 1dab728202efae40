// Speed of the kernels beside the machine's memory bandwidth, on one thread and on two.
//
//   bench_kernels [seconds per figure, 0.5 by default]
//
// GB/s count every byte a kernel must read or write once. The share is of the bandwidth measured on the same
// number of threads: reading alone for products, reading and writing (a copy, which reads as much as it writes)
// for the others, whose written bytes are also compared with what can be written alone: memory takes fewer bytes than it gives.
// The arrays are far larger than the caches.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "kernels/blocks.h"
#include "kernels/packed_rows.h"
#include "kernels/target.h"

using namespace qlora::kernels;

namespace {

constexpr std::int64_t rows = 24576, cols = 2048, elements = rows * cols, block = 64;

double seconds_a_figure = 0.5;

double clock_seconds(clockid_t clock) {
    timespec now;
    clock_gettime(clock, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

using Work = std::function<void(std::int64_t, std::int64_t)>;

// Of each the shortest of the repetitions that fit the time, at least three, in turn, so that what other programs leave of the
// memory's bandwidth is shared fairly. The rows are split evenly over the threads. A repetition takes as long as its slowest thread
// computed or waited for memory; what other programs took does not count.
std::vector<double> times_of(int threads, const std::vector<Work>& works) {
    std::vector<double> best(works.size(), INFINITY);
    const double begin = clock_seconds(CLOCK_MONOTONIC);
    for (int repetition = 0; repetition < 3 || clock_seconds(CLOCK_MONOTONIC) - begin < seconds_a_figure * static_cast<double>(works.size()); ++repetition)
        for (std::size_t i = 0; i < works.size(); ++i) {
            std::vector<double> taken(threads);
            {
                std::vector<std::jthread> workers;
                for (int t = 0; t < threads; ++t)
                    workers.emplace_back([&, t] {
                        const double start = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
                        works[i](rows * t / threads, rows * (t + 1) / threads);
                        taken[t] = clock_seconds(CLOCK_THREAD_CPUTIME_ID) - start;
                    });
            }
            best[i] = std::min(best[i], *std::max_element(taken.begin(), taken.end()));
        }
    return best;
}
double time_of(int threads, const Work& work) { return times_of(threads, {work})[0]; }

// Zeros, past the caches.
void fill(float* to, std::int64_t n) {
#if defined(__SSE2__)
    for (std::int64_t i = 0; i < n; i += 4) _mm_stream_ps(to + i, _mm_setzero_ps());
    _mm_sfence();
#else
    std::memset(to, 0, static_cast<std::size_t>(n) * sizeof(float));
#endif
}

double read_bandwidth(int threads) {
    std::vector<std::uint64_t> from(elements / 2, 1), sums(64 * threads);
    const double read = time_of(threads, [&](std::int64_t first, std::int64_t last) {
        // Eight sums, so that the adder's latency does not hide the memory's.
        std::uint64_t sum[8] = {};
        for (std::int64_t i = first * cols / 2; i < last * cols / 2; i += 8)
            for (int k = 0; k < 8; ++k) sum[k] += from[i + k];
        for (int k = 0; k < 8; ++k) sums[first * threads / rows * 64 + k] = sum[k];
    });
    return 4.0 * elements / read / 1e9;
}

void print(const std::string& name, int threads, double bytes, double time, double bandwidth) {
    std::printf("%-28s %d thread%s %8.2f GB/s %6.0f %% %8.2f G weights/s\n", name.c_str(), threads,
                threads == 1 ? " " : "s", bytes / time / 1e9, 100 * bytes / time / 1e9 / bandwidth,
                elements / time / 1e9);
    std::fflush(stdout);
}

// Work on `bytes`, of which `written` are written, beside a copy and a fill in turn.
void bench_stream(const std::string& name, int threads, double bytes, double written, const Work& work) {
    static std::vector<float> from(elements, 1), to(elements);
    const auto times = times_of(threads, {work,
                                          [&](std::int64_t first, std::int64_t last) {
                                              std::memcpy(to.data() + first * cols, from.data() + first * cols, (last - first) * cols * sizeof(float));
                                          },
                                          [&](std::int64_t first, std::int64_t last) { fill(to.data() + first * cols, (last - first) * cols); }});
    const double copy = 8.0 * elements / times[1] / 1e9, write = 4.0 * elements / times[2] / 1e9;
    print(name, threads, bytes, times[0], copy);
    std::printf("%-28s            beside copies of %.2f GB/s; of writes alone, %.2f GB/s, %.0f %%\n", "", copy, write, 100 * written / times[0] / 1e9 / write);
}

std::vector<float> numbers(std::int64_t n) {
    std::vector<float> x(n);
    std::uint32_t state = 1;
    for (float& value : x) {
        state = state * 1664525 + 1013904223;
        value = static_cast<float>(static_cast<std::int32_t>(state)) * 0x1p-31f;
    }
    return x;
}

void bench_code(Code code, const char* name, const std::vector<float>& weights, std::vector<float>& out,
                int threads, double read) {
    const std::int64_t code_block = code == Code::int8 ? cols : block, row_blocks = cols / code_block;
    std::vector<std::uint8_t> packed(packed_bytes(code, elements));
    std::vector<float> absmax(block_count(elements, code_block));
    const double packed_size = static_cast<double>(packed.size()) + 4.0 * static_cast<double>(absmax.size());
    const double plain_size = 4.0 * elements;
    const auto label = [&](const char* what) { return std::string(name) + " " + what; };

    bench_stream(label("quantize"), threads, plain_size + packed_size, packed_size, [&](std::int64_t first, std::int64_t last) {
        quantize(code, weights.data() + first * cols, (last - first) * cols, code_block,
                 packed.data() + packed_bytes(code, first * cols), absmax.data() + first * row_blocks);
    });

    const PackedRows matrix{.code = code,
                            .rows = rows,
                            .cols = cols,
                            .block = code_block,
                            .packed = packed.data(),
                            .absmax = absmax.data()};
    bench_stream(label("dequantize"), threads, plain_size + packed_size, plain_size, [&](std::int64_t first, std::int64_t last) {
        dequantize_rows(matrix, first, last, out.data() + first * cols);
    });

    // Into a tile of 16 rows that stays in the cache, as the engine expands weights before a GEMM.
    const double tiles = time_of(threads, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t row = first; row < last; row += 16)
            dequantize_rows(matrix, row, std::min(row + 16, last), out.data() + first * cols);
    });
    print(label("dequantize to tiles"), threads, packed_size, tiles, read);

    const auto x = numbers(8 * cols);
    std::vector<float> y(8 * rows);
    for (const int vectors : {1, 4, 8}) {
        const double product = time_of(threads, [&](std::int64_t first, std::int64_t last) {
            multiply_several(matrix, x.data(), vectors, first, last, y.data());
        });
        print(label(("multiply by " + std::to_string(vectors)).c_str()), threads, packed_size, product, read);
    }
}

void bench_format(BlockFormat format, std::vector<float>& out, int threads, double read) {
    const std::int64_t row_bytes = cols / block_elements(format) * block_bytes(format);
    std::vector<std::byte> data(rows * row_bytes, std::byte{0x35});
    const double size = static_cast<double>(data.size());
    const std::string name(block_format_name(format));
    bench_stream(name + " dequantize", threads, size + 4.0 * elements, 4.0 * elements, [&](std::int64_t first, std::int64_t last) {
        dequantize(format, data.data() + first * row_bytes, (last - first) * cols, out.data() + first * cols);
    });
    const auto x = numbers(8 * cols);
    std::vector<float> y(8 * rows);
    for (const int vectors : {1, 8}) {
        const double product = time_of(threads, [&](std::int64_t first, std::int64_t last) {
            multiply_several(format, data.data(), rows, cols, x.data(), vectors, first, last, y.data());
        });
        print(name + " multiply by " + std::to_string(vectors), threads, size, product, read);
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc > 1) seconds_a_figure = std::atof(argv[1]);
    std::printf("target %s, %lld x %lld weights, block %lld\n", std::string(target_name()).c_str(),
                static_cast<long long>(rows), static_cast<long long>(cols), static_cast<long long>(block));
    const auto weights = numbers(elements);
    std::vector<float> out(elements);
    for (const int threads : {1, 2}) {
        const double read = read_bandwidth(threads);
        std::printf("memory, %d thread%s: reads %.2f GB/s\n", threads, threads == 1 ? "" : "s", read);
        bench_code(Code::nf4, "nf4", weights, out, threads, read);
        bench_code(Code::fp4, "fp4", weights, out, threads, read);
        bench_code(Code::int4, "int4", weights, out, threads, read);
        bench_code(Code::int8, "int8", weights, out, threads, read);
        for (const BlockFormat format :
             {BlockFormat::q4_1, BlockFormat::q8_0, BlockFormat::q4_k, BlockFormat::q6_k, BlockFormat::bf16})
            bench_format(format, out, threads, read);
    }
    return 0;
}
