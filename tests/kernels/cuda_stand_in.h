#pragma once
// A stand-in for a GPU: the CUDA kernels' sources run on the host (cuda_emulator.h), on the host's memory.

#include "kernels/cuda/runner.h"

enum class FiberOrder { ascending, descending };  // in which a block's threads take their turns

// One at a time, on one thread.
class StandIn final : public qlora::kernels::cuda::Runner {
  public:
    explicit StandIn(FiberOrder order = FiberOrder::ascending)
        : order_(order), tables_(qlora::kernels::cuda::table_numbers()) {}
    // Throws std::logic_error for a kernel that is not there, arguments that do not fit it, barriers that not all
    // reach.
    void run(const qlora::kernels::cuda::Launch& launch,
             std::span<const qlora::kernels::cuda::Argument> arguments) override;
    const float* tables() override { return tables_.data(); }
    std::int64_t launches() const { return launches_; }

  private:
    FiberOrder order_;
    std::vector<float> tables_;
    std::int64_t launches_ = 0;
};
