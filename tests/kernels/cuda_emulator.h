#pragma once
// CUDA's execution model on the host, small and strict: the kernels' own sources, compiled as C++ behind this header, run
// here thread by thread. Every thread of a block is a fiber of its own, which runs on to the next barrier or shuffle; blocks
// come one after the other. Other orders of the fibers show a barrier that is missing; a barrier that some thread of the
// block, or a shuffle that some lane of the warp, never comes to is an error.
//
// Include it before the sources, and once: it defines CUDA's names.

#include <ucontext.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <numeric>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "cuda_stand_in.h"
#include "kernels/reference.h"

#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(threads)

struct Place {
    unsigned x = 0;
};
inline Place threadIdx, blockIdx, blockDim, gridDim;

struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};

inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(std::uint64_t{a} * b >> 32); }

namespace qlora::kernels::cuda {
inline float widen_half(unsigned short bits) { return reference::f16_to_f32(bits); }
inline unsigned short narrow_half(float x) { return reference::f32_to_f16(x); }
}  // namespace qlora::kernels::cuda

namespace cuda_emulator {

class Block {
  public:
    static Block& running() { return *current_; }

    Block(unsigned threads, FiberOrder order, const std::function<void()>& kernel) : fibers_(threads), kernel_(kernel) {
        order_.resize(threads);
        std::iota(order_.begin(), order_.end(), 0u);
        if (order == FiberOrder::descending) std::reverse(order_.begin(), order_.end());
    }

    void run() {
        current_ = this;
        for (Fiber& fiber : fibers_) {
            fiber.state = State::ready;
            ::getcontext(&fiber.context);
            fiber.context.uc_stack.ss_sp = stack(static_cast<std::size_t>(&fiber - fibers_.data()));
            fiber.context.uc_stack.ss_size = stack_bytes;
            fiber.context.uc_link = &scheduler_;
            ::makecontext(&fiber.context, reinterpret_cast<void (*)()>(&Block::enter), 0);
        }
        while (sweep()) release();
    }

    void wait_for_block() { wait(State::at_barrier); }

    // What the lane at this distance gives.
    template <class T>
    T exchange(T x, int distance) {
        static_assert(sizeof(T) <= sizeof(Fiber::given));
        const unsigned me = running_;
        std::memcpy(fibers_[me].given, &x, sizeof(T));
        wait(State::at_shuffle);
        std::memcpy(&x, fibers_[me ^ static_cast<unsigned>(distance)].given, sizeof(T));
        wait(State::at_shuffle);
        return x;
    }

  private:
    enum class State { ready, at_barrier, at_shuffle, done };
    struct Fiber {
        ucontext_t context;
        State state = State::ready;
        std::byte given[8];
    };
    static constexpr std::size_t stack_bytes = 64 << 10, warp = 32;

    static void enter() {
        current_->kernel_();
        current_->fibers_[current_->running_].state = State::done;
    }
    static void* stack(std::size_t i) {
        static std::vector<std::vector<std::byte>> stacks;
        while (stacks.size() <= i) stacks.emplace_back(stack_bytes);
        return stacks[i].data();
    }

    // Every thread that can runs on to where it waits. False when all are done.
    bool sweep() {
        bool ran = false;
        for (const unsigned i : order_) {
            if (fibers_[i].state != State::ready) continue;
            ran = true;
            running_ = i;
            threadIdx.x = i;
            ::swapcontext(&scheduler_, &fibers_[i].context);
        }
        return ran;
    }

    void wait(State what) {
        const unsigned me = running_;
        fibers_[me].state = what;
        ::swapcontext(&fibers_[me].context, &scheduler_);
    }

    // Lets go on who waits for all that have come; whoever waits for one that will not come makes it an error.
    void release() {
        bool any = false, waiting = false;
        for (std::size_t begin = 0; begin < fibers_.size(); begin += warp) any |= release(begin, begin + warp, State::at_shuffle);
        any |= release(0, fibers_.size(), State::at_barrier);
        for (const Fiber& fiber : fibers_) waiting |= fiber.state != State::done;
        if (waiting && !any) throw std::logic_error("threads wait at a barrier or shuffle that others never come to");
    }
    bool release(std::size_t begin, std::size_t end, State what) {
        for (std::size_t i = begin; i < end; ++i)
            if (fibers_[i].state != what) return false;
        for (std::size_t i = begin; i < end; ++i) fibers_[i].state = State::ready;
        return true;
    }

    inline static Block* current_ = nullptr;
    std::vector<Fiber> fibers_;
    std::vector<unsigned> order_;
    const std::function<void()>& kernel_;
    ucontext_t scheduler_{};
    unsigned running_ = 0;
};

// A kernel's function with what a launch brings; sizes that are not those of its parameters are an error.
using Kernel = std::function<std::function<void()>(std::span<const qlora::kernels::cuda::Argument>)>;
template <class... Parameters>
Kernel kernel(void (*function)(Parameters...)) {
    return [function](std::span<const qlora::kernels::cuda::Argument> arguments) {
        constexpr std::size_t sizes[] = {sizeof(Parameters)...};
        if (arguments.size() != sizeof...(Parameters)) throw std::logic_error("a launch with another number of arguments than the kernel's");
        for (std::size_t i = 0; i < arguments.size(); ++i)
            if (arguments[i].bytes != sizes[i]) throw std::logic_error("argument " + std::to_string(i) + " has another size than the kernel's");
        return [&]<std::size_t... i>(std::index_sequence<i...>) -> std::function<void()> {
            return [function, values = std::tuple(*static_cast<const std::remove_cvref_t<Parameters>*>(arguments[i].value)...)] {
                std::apply(function, values);
            };
        }(std::index_sequence_for<Parameters...>());
    };
}

inline void run(const Kernel& kernel, const qlora::kernels::cuda::Launch& launch, std::span<const qlora::kernels::cuda::Argument> arguments,
                FiberOrder order) {
    if (launch.threads % 32 != 0 || launch.threads > 1024) throw std::logic_error("blocks are of whole warps and at most 1024 threads");
    const std::function<void()> body = kernel(arguments);
    gridDim.x = launch.blocks;
    blockDim.x = launch.threads;
    for (blockIdx.x = 0; blockIdx.x < launch.blocks; ++blockIdx.x) Block(launch.threads, order, body).run();
}

}  // namespace cuda_emulator

inline void __syncthreads() { cuda_emulator::Block::running().wait_for_block(); }
template <class T>
T __shfl_xor_sync(unsigned, T x, int distance) {
    return cuda_emulator::Block::running().exchange(x, distance);
}
