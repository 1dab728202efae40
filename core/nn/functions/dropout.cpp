#include "core/nn/functions/dropout.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include "core/base/random.h"
#include "core/gpu/gpu.h"
#include "core/quant/matmul.h"
#include "kernels/cuda/launch.h"

namespace qlora::nn {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

std::uint32_t low(std::uint64_t v) { return static_cast<std::uint32_t>(v); }
std::uint32_t high(std::uint64_t v) { return static_cast<std::uint32_t>(v >> 32); }

class Dropped : public torch::autograd::Function<Dropped> {
  public:
    static Tensor forward(AutogradContext* ctx, const Tensor& x, double p, DropoutKey key, std::uint64_t stream) {
        ctx->saved_data["p"] = p;
        ctx->saved_data["seed"] = static_cast<std::int64_t>(key.seed);
        ctx->saved_data["step"] = static_cast<std::int64_t>(key.step);
        ctx->saved_data["stream"] = static_cast<std::int64_t>(stream);
        return apply_dropout(x, p, key, stream);
    }
    static variable_list backward(AutogradContext* ctx, variable_list gradients) {
        const DropoutKey key{true, static_cast<std::uint64_t>(ctx->saved_data["seed"].toInt()), static_cast<std::uint64_t>(ctx->saved_data["step"].toInt())};
        const auto stream = static_cast<std::uint64_t>(ctx->saved_data["stream"].toInt());
        return {apply_dropout(gradients[0], ctx->saved_data["p"].toDouble(), key, stream), Tensor(), Tensor(), Tensor()};
    }
};

}  // namespace

Tensor apply_dropout(const Tensor& x, double p, const DropoutKey& key, std::uint64_t stream) {
    const kernels::DropoutStream words{{low(key.step), high(key.step), low(stream)}, {low(key.seed), high(key.seed) ^ 0xD20D0u}};
    if (gpu::takes(x)) {
        const Tensor given = x.contiguous();
        Tensor y = torch::empty_like(given);
        kernels::cuda::drop(gpu::runner(x), kernels::dropout_rate(p), words, given.const_data_ptr<float>(), x.numel(), y.data_ptr<float>());
        return y;
    }
    const Tensor from = quant::ours(x) ? x.contiguous() : torch::ones(x.sizes(), torch::kFloat32);
    Tensor out = torch::empty(x.sizes(), torch::TensorOptions().dtype(torch::kFloat32));
    const auto rate = kernels::dropout_rate(p);
    const std::int64_t blocks = (x.numel() + 3) / 4;
    at::parallel_for(0, blocks, 4096, [&](std::int64_t begin, std::int64_t end) {
        kernels::drop(rate, words, begin, from.const_data_ptr<float>() + 4 * begin, std::min(4 * end, x.numel()) - 4 * begin,
                      out.data_ptr<float>() + 4 * begin);
    });
    return quant::ours(x) ? out : out.to(x.device(), x.scalar_type()).mul_(x);
}

Tensor dropped(const Tensor& x, double p, const DropoutKey& key, std::uint64_t stream) {
    return key.training && p > 0 ? Dropped::apply(x, p, key, stream) : x;
}

kernels::ScoreDropout AttentionDropout::of_head(std::int64_t segment, std::int64_t head) const {
    if (!active()) return {};
    const auto words = philox({low(key.step), high(key.step), low(stream), static_cast<std::uint32_t>(segment)},
                              {low(key.seed), high(key.seed) ^ 0xA77D0u});
    // Heads differ in the counter of a second draw, so that any number of segments and heads have keys of their own.
    return {kernels::dropout_rate(p), philox({static_cast<std::uint32_t>(head), words[0], words[1], words[2]}, {words[3], low(key.seed)})[0]};
}

}  // namespace qlora::nn
