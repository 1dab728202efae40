#include "core/nn/functions/linear.h"

#include <ATen/Parallel.h>

#include "core/base/random.h"
#include "core/nn/functions/dora.h"
#include "core/nn/functions/poll.h"
#include "core/quant/matmul.h"

namespace qlora::nn {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

Tensor apply_dropout(const Tensor& x, double p, const DropoutKey& key, std::uint64_t stream) {
    Tensor mask = torch::empty(x.sizes(), torch::TensorOptions().dtype(torch::kFloat32));
    float* out = mask.data_ptr<float>();
    const auto threshold = static_cast<std::uint32_t>(p * 4294967295.0);
    const auto keep = static_cast<float>(1.0 / (1.0 - p));
    auto lo = [](std::uint64_t v) { return static_cast<std::uint32_t>(v); };
    const std::int64_t blocks = (x.numel() + 3) / 4;
    at::parallel_for(0, blocks, 4096, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
            auto numbers = philox({lo(static_cast<std::uint64_t>(i)), lo(key.step), lo(key.step >> 32), lo(stream)},
                                  {lo(key.seed), lo(key.seed >> 32) ^ 0xD20D0u});
            for (std::int64_t j = 0; j < 4 && 4 * i + j < x.numel(); ++j)
                out[4 * i + j] = numbers[static_cast<std::size_t>(j)] < threshold ? 0.0f : keep;
        }
    });
    return mask.to(x.device(), x.scalar_type()).mul_(x);
}

namespace {

// y = x W^T. Backward needs the weight alone.
class FrozenLinear : public torch::autograd::Function<FrozenLinear> {
  public:
    static Tensor forward(AutogradContext* ctx, const Tensor& x, const quant::Weight* weight) {
        poll();
        ctx->saved_data["weight"] = reinterpret_cast<std::int64_t>(weight);
        return quant::matmul_transposed(x, *weight);
    }
    static variable_list backward(AutogradContext* ctx, variable_list gradients) {
        poll();
        auto* weight = reinterpret_cast<const quant::Weight*>(ctx->saved_data["weight"].toInt());
        return {quant::matmul(gradients[0].contiguous(), *weight), Tensor()};
    }
};

// y = x W^T + (scale d(x) A^T) B^T; what is in brackets is saved, as `low`
class LowRankLinear : public torch::autograd::Function<LowRankLinear> {
  public:
    static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& a, const Tensor& b,
                          const quant::Weight* weight, const LowRank* branch, DropoutKey key) {
        poll();
        const bool drop = key.training && branch->dropout > 0;
        Tensor y = quant::matmul_transposed(x, *weight);
        Tensor input = drop ? apply_dropout(x, branch->dropout, key, branch->stream) : x;
        Tensor low = quant::matmul_transposed(input, a.to(x.scalar_type())).mul_(branch->scale);
        quant::add_matmul_transposed(y, low, b.to(x.scalar_type()));
        ctx->save_for_backward({x, low, a, b});
        ctx->saved_data["weight"] = reinterpret_cast<std::int64_t>(weight);
        ctx->saved_data["scale"] = branch->scale;
        ctx->saved_data["dropout"] = drop ? branch->dropout : 0.0;
        ctx->saved_data["seed"] = static_cast<std::int64_t>(key.seed);
        ctx->saved_data["step"] = static_cast<std::int64_t>(key.step);
        ctx->saved_data["stream"] = static_cast<std::int64_t>(branch->stream);
        return y;
    }
    static variable_list backward(AutogradContext* ctx, variable_list gradients) {
        poll();
        auto saved = ctx->get_saved_variables();
        const Tensor &x = saved[0], &low = saved[1], &a = saved[2], &b = saved[3];
        auto* weight = reinterpret_cast<const quant::Weight*>(ctx->saved_data["weight"].toInt());
        const double scale = ctx->saved_data["scale"].toDouble(), dropout = ctx->saved_data["dropout"].toDouble();
        const DropoutKey key{dropout > 0, static_cast<std::uint64_t>(ctx->saved_data["seed"].toInt()),
                             static_cast<std::uint64_t>(ctx->saved_data["step"].toInt())};
        const auto stream = static_cast<std::uint64_t>(ctx->saved_data["stream"].toInt());
        const Tensor dy = gradients[0].contiguous();
        const Tensor dlow = quant::matmul(dy, b.to(dy.scalar_type())).mul_(scale);
        const Tensor input = dropout > 0 ? apply_dropout(x, dropout, key, stream) : x;
        Tensor da = quant::matmul(dlow.t(), input).to(a.scalar_type());
        Tensor db = quant::matmul(low.t(), dy).t().to(b.scalar_type());
        Tensor dx;
        if (ctx->needs_input_grad(0)) {
            dx = quant::matmul(dy, *weight);
            if (dropout > 0) {
                dx.add_(apply_dropout(quant::matmul(dlow, a.to(dy.scalar_type())), dropout, key, stream));
            } else {
                quant::add_matmul(dx, dlow, a.to(dy.scalar_type()));
            }
        }
        return {dx, da, db, Tensor(), Tensor(), Tensor()};
    }
};

}  // namespace

Tensor linear(const Tensor& x, const quant::Weight& weight, const Tensor& bias, const LowRank* branch,
              const DropoutKey& dropout) {
    const bool on = branch != nullptr && branch->enabled;
    Tensor y = on && branch->magnitude.defined() ? dora_linear(x, weight, *branch, dropout)
               : on
                   ? LowRankLinear::apply(x, branch->a, branch->b, &weight, branch, dropout)
                   : FrozenLinear::apply(x, &weight);
    return bias.defined() ? y + bias.to(y.scalar_type()) : y;
}

}  // namespace qlora::nn
