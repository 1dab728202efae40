#pragma once
// CUDA's execution model on the host, small and strict: the kernels' own sources, compiled as C++ behind this header,
// run here thread by thread, each to its next barrier or shuffle, where it waits on a fiber of its own; blocks come one
// after the other. Another order of the threads shows a barrier that is missing; a barrier that some thread of the
// block, or a shuffle that some lane of the warp, never comes to is an error.
//
// Include it before the sources, and once: it defines CUDA's names.

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
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

inline unsigned __float_as_uint(float x) {
    return std::bit_cast<unsigned>(x);
}
inline float __uint_as_float(unsigned x) {
    return std::bit_cast<float>(x);
}
inline unsigned __umulhi(unsigned a, unsigned b) {
    return static_cast<unsigned>(std::uint64_t{a} * b >> 32);
}

namespace qlora::kernels::cuda {
inline float widen_half(unsigned short bits) {
    return reference::f16_to_f32(bits);
}
inline unsigned short narrow_half(float x) {
    return reference::f32_to_f16(x);
}
}  // namespace qlora::kernels::cuda

namespace cuda_emulator {

// A stack on which threads of a block run, one after the other until one of them waits. Fibers are kept for the next
// block.
class Fiber {
  public:
    explicit Fiber(void (*work)()) : stack_(stack_bytes) {
        ::getcontext(&begin_);
        begin_.uc_stack.ss_sp = stack_.data();
        begin_.uc_stack.ss_size = stack_.size();
        ::makecontext(&begin_, work, 0);
    }
    // From the scheduler into the fiber, and back. Signal masks, which swapcontext would keep too, are none of theirs.
    void enter() {
        if (_setjmp(scheduler_) != 0) return;
        if (std::exchange(begun_, true)) _longjmp(here_, 1);
        ::setcontext(&begin_);
    }
    void leave() {
        if (_setjmp(here_) == 0) _longjmp(scheduler_, 1);
    }

  private:
    static constexpr std::size_t stack_bytes = 64 << 10;
    inline static jmp_buf scheduler_;
    std::vector<std::byte> stack_;
    ucontext_t begin_{};
    jmp_buf here_;
    bool begun_ = false;
};

class Block {
  public:
    static Block& running() { return *current_; }

    Block(unsigned threads, FiberOrder order, const std::function<void()>& kernel)
        : threads_(threads), order_(threads), kernel_(kernel) {
        std::iota(order_.begin(), order_.end(), 0u);
        if (order == FiberOrder::descending) std::reverse(order_.begin(), order_.end());
    }

    void run() {
        current_ = this;
        while (begun_ < order_.size()) enter(idle());
        while (release())
            for (const unsigned thread : order_) {
                if (threads_[thread].state != State::ready) continue;
                now(thread);
                enter(*threads_[thread].fiber);
            }
    }

    void wait_for_block() { wait(State::at_barrier); }

    // What the lane at this distance gives.
    template <class T>
    T exchange(T x, int distance) {
        static_assert(sizeof(T) <= sizeof(Thread::given));
        const unsigned me = running_;
        std::memcpy(threads_[me].given, &x, sizeof(T));
        wait(State::at_shuffle);
        std::memcpy(&x, threads_[me ^ static_cast<unsigned>(distance)].given, sizeof(T));
        wait(State::at_shuffle);
        return x;
    }

  private:
    enum class State { ready, at_barrier, at_shuffle, done };
    struct Thread {
        State state = State::ready;
        Fiber* fiber = nullptr;  // where it waits
        std::byte given[8];
    };
    static constexpr std::size_t warp = 32;

    // All that a fiber does: threads that have not begun, until there are none, for one block after the other.
    static void work() {
        for (;;) {
            while (current_->begun_ < current_->order_.size()) {
                current_->now(current_->order_[current_->begun_++]);
                current_->kernel_();
                current_->threads_[current_->running_].state = State::done;
            }
            Fiber* me = current_->fiber_;
            idle_.push_back(me);
            me->leave();
        }
    }
    static Fiber& idle() {
        if (idle_.empty()) {
            all_.push_back(std::make_unique<Fiber>(work));
            return *all_.back();
        }
        Fiber* fiber = idle_.back();
        idle_.pop_back();
        return *fiber;
    }
    void enter(Fiber& fiber) {
        fiber_ = &fiber;
        fiber.enter();
    }
    void now(unsigned thread) { threadIdx.x = running_ = thread; }
    void wait(State what) {
        threads_[running_].state = what;
        threads_[running_].fiber = fiber_;
        fiber_->leave();
    }

    // Lets go on who waits for all that have come. False when all are done; whoever waits for one that will not come
    // makes it an error.
    bool release() {
        bool any = false, waiting = false;
        for (std::size_t begin = 0; begin < threads_.size(); begin += warp)
            any |= release(begin, begin + warp, State::at_shuffle);
        any |= release(0, threads_.size(), State::at_barrier);
        for (const Thread& thread : threads_) waiting |= thread.state != State::done;
        if (waiting && !any) {
            idle_.clear();  // some hold threads that never end
            all_.clear();
            throw std::logic_error("threads wait at a barrier or shuffle that others never come to");
        }
        return waiting;
    }
    bool release(std::size_t begin, std::size_t end, State what) {
        for (std::size_t i = begin; i < end; ++i)
            if (threads_[i].state != what) return false;
        for (std::size_t i = begin; i < end; ++i) threads_[i].state = State::ready;
        return true;
    }

    inline static Block* current_ = nullptr;
    inline static std::vector<std::unique_ptr<Fiber>> all_;
    inline static std::vector<Fiber*> idle_;
    std::vector<Thread> threads_;
    std::vector<unsigned> order_;
    const std::function<void()>& kernel_;
    std::size_t begun_ = 0;
    unsigned running_ = 0;
    Fiber* fiber_ = nullptr;
};

// A kernel's function with what a launch brings; sizes that are not those of its parameters are an error.
using Kernel = std::function<std::function<void()>(std::span<const qlora::kernels::cuda::Argument>)>;
template <class... Parameters>
Kernel kernel(void (*function)(Parameters...)) {
    return [function](std::span<const qlora::kernels::cuda::Argument> arguments) {
        constexpr std::size_t sizes[] = {sizeof(Parameters)...};
        if (arguments.size() != sizeof...(Parameters))
            throw std::logic_error("a launch with another number of arguments than the kernel's");
        for (std::size_t i = 0; i < arguments.size(); ++i)
            if (arguments[i].bytes != sizes[i])
                throw std::logic_error("argument " + std::to_string(i) + " has another size than the kernel's");
        return [&]<std::size_t... i>(std::index_sequence<i...>)->std::function<void()> {
            return [function,
                    values = std::tuple(*static_cast<const std::remove_cvref_t<Parameters>*>(arguments[i].value)...)] {
                std::apply(function, values);
            };
        }
        (std::index_sequence_for<Parameters...>());
    };
}

inline void run(const Kernel& kernel, const qlora::kernels::cuda::Launch& launch,
                std::span<const qlora::kernels::cuda::Argument> arguments, FiberOrder order) {
    if (launch.threads % 32 != 0 || launch.threads > 1024)
        throw std::logic_error("blocks are of whole warps and at most 1024 threads");
    const std::function<void()> body = kernel(arguments);
    gridDim.x = launch.blocks;
    blockDim.x = launch.threads;
    for (blockIdx.x = 0; blockIdx.x < launch.blocks; ++blockIdx.x) Block(launch.threads, order, body).run();
}

}  // namespace cuda_emulator

inline void __syncthreads() {
    cuda_emulator::Block::running().wait_for_block();
}
template <class T>
T __shfl_xor_sync(unsigned, T x, int distance) {
    return cuda_emulator::Block::running().exchange(x, distance);
}
