// In every test of the engine: with QLORA_TEST_STAND_IN set all of it goes the way of a GPU, whose kernels the stand-in
// runs.
#include <cstdlib>
#include <memory>

#include "core/gpu/gpu.h"
#include "tests/kernels/cuda_stand_in.h"

namespace {

class WayOfAGpu {
  public:
    WayOfAGpu() {
        if (std::getenv("QLORA_TEST_STAND_IN") == nullptr) return;
        stand_in_ = std::make_unique<StandIn>();
        scope_ = std::make_unique<qlora::gpu::StandInScope>(*stand_in_);
    }

  private:
    std::unique_ptr<StandIn> stand_in_;
    std::unique_ptr<qlora::gpu::StandInScope> scope_;
} way_of_a_gpu;

}  // namespace
