#include "core/adapters/draw.h"

#include <torch/torch.h>

#include <cmath>

#include "core/base/random.h"

namespace qlora::adapters {

namespace {

template <typename Draw>
void fill(torch::Tensor& tensor, Draw draw) {
    torch::NoGradGuard no_grad;
    torch::Tensor drawn = torch::empty(tensor.sizes(), torch::kFloat32);
    float* values = drawn.data_ptr<float>();
    for (std::int64_t i = 0; i < drawn.numel(); ++i) values[i] = static_cast<float>(draw());
    tensor.copy_(drawn);
}

}  // namespace

void draw_kaiming(torch::Tensor matrix, std::uint64_t seed, const std::string& stream) {
    RandomStream random(seed, stream);
    const double bound = 1 / std::sqrt(static_cast<double>(matrix.size(1)));
    fill(matrix, [&] { return (2 * random.uniform() - 1) * bound; });
}

void draw_normal(torch::Tensor tensor, double deviation, std::uint64_t seed, const std::string& stream) {
    RandomStream random(seed, stream);
    fill(tensor, [&] { return deviation * random.normal(); });
}

}  // namespace qlora::adapters
