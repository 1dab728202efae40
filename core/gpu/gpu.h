#pragma once
// NVIDIA GPUs that LibTorch and our own kernels compute on: which there are, and how a tensor's numbers get to the
// kernels.

#include <torch/types.h>

#include <string>

#include "kernels/cuda/driver.h"
#include "kernels/cuda/runner.h"

namespace qlora::gpu {

// How many can be used; where none: why. Any thread.
struct Available {
    int devices = 0;
    std::string why;
};
Available available();
kernels::cuda::DeviceFacts facts(int device);  // of one that can be used

// Makes LibTorch ready for the device, whose memory is counted from now on. Any thread.
void use(int device);

// Whether numbers on a device, or these, are for the CUDA kernels: on a GPU, and fp32.
bool on(const torch::Device& device);
bool takes(const torch::Tensor& x);
// Runs kernels on a tensor's device, on LibTorch's current stream. Any thread. What goes wrong is thrown as
// std::runtime_error, in a build for CPUs always.
kernels::cuda::Runner& runner(const torch::Device& device);
inline kernels::cuda::Runner& runner(const torch::Tensor& x) {
    return runner(x.device());
}

// While it lives, tensors on the CPU are treated as those on a GPU and their kernels are run by `stand_in`: how the
// engine's way over a GPU is tested without one. One at a time, while nothing else computes.
class StandInScope {
  public:
    explicit StandInScope(kernels::cuda::Runner& stand_in);
    ~StandInScope();
    StandInScope(const StandInScope&) = delete;
    StandInScope& operator=(const StandInScope&) = delete;
};

// While it lives, backward runs on this thread alone, on a GPU too: memory is counted under this thread's tags, and a
// pause or stop is asked about here.
class BackwardHere {
  public:
    BackwardHere();
    ~BackwardHere();
    BackwardHere(const BackwardHere&) = delete;
    BackwardHere& operator=(const BackwardHere&) = delete;

  private:
    bool before_;
};

}  // namespace qlora::gpu
