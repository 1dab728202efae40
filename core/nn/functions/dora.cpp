#include "core/nn/functions/dora.h"

#include <torch/torch.h>

#include "core/nn/functions/poll.h"
#include "core/quant/matmul.h"

namespace qlora::nn {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

Tensor squared_row_norms(const quant::Weight& weight) {
    torch::NoGradGuard no_grad;
    Tensor norms = torch::empty({weight.rows()}, torch::TensorOptions(weight.device()).dtype(torch::kFloat32));
    quant::for_each_tile(weight, torch::kFloat32, [&](std::int64_t begin, const Tensor& tile) {
        norms.narrow(0, begin, tile.size(0)).copy_(tile.square().sum(1));
    });
    return norms;
}

Tensor adapted_row_norms(const quant::Weight& weight, const LowRank& branch) {
    torch::NoGradGuard no_grad;
    // ||w + s b A||^2 = ||w||^2 + 2 s (w A^T) b^T + s^2 b (A A^T) b^T, row by row.
    const Tensor a = branch.a.detach(), b = branch.b.detach();
    Tensor across = quant::matmul_transposed(a, weight).t();
    Tensor squares = (across * b).sum(1).mul_(2 * branch.scale);
    squares.add_((at::mm(b, at::mm(a, a.t())) * b).sum(1), branch.scale * branch.scale);
    // Never 0: a row of zeros stays one, whatever its magnitude.
    return squares.add_(branch.base_square_norms).clamp_min_(1e-30).sqrt_();
}

namespace {

class DoraLinear : public torch::autograd::Function<DoraLinear> {
  public:
    static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& a, const Tensor& b, const Tensor& magnitude,
                          const quant::Weight* weight, const LowRank* branch, DropoutKey key) {
        poll();
        const bool drop = key.training && branch->dropout > 0;
        const Tensor norms = adapted_row_norms(*weight, *branch);
        const Tensor factor = (magnitude / norms).to(x.scalar_type());
        Tensor base = quant::matmul_transposed(x, *weight);
        Tensor input = drop ? apply_dropout(x, branch->dropout, key, branch->stream) : x;
        Tensor sum = drop ? quant::matmul_transposed(input, *weight) : base;
        Tensor low = at::mm(input, a.to(x.scalar_type()).t());
        Tensor y = drop ? base - sum : Tensor();
        sum.addmm_(low, b.to(x.scalar_type()).t(), 1, branch->scale);
        // With dropout: base - W d(x) + c * sum, since c * sum - W d(x) is what the branch adds.
        y = drop ? y.add_(sum * factor) : sum * factor;
        ctx->save_for_backward({x, low, sum, a, b, factor, norms});
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
        const Tensor &x = saved[0], &low = saved[1], &sum = saved[2], &a = saved[3], &b = saved[4], &factor = saved[5], &norms = saved[6];
        auto* weight = reinterpret_cast<const quant::Weight*>(ctx->saved_data["weight"].toInt());
        const double scale = ctx->saved_data["scale"].toDouble(), dropout = ctx->saved_data["dropout"].toDouble();
        const DropoutKey key{dropout > 0, static_cast<std::uint64_t>(ctx->saved_data["seed"].toInt()),
                             static_cast<std::uint64_t>(ctx->saved_data["step"].toInt())};
        const auto stream = static_cast<std::uint64_t>(ctx->saved_data["stream"].toInt());
        const Tensor dy = gradients[0].contiguous();
        const Tensor dmagnitude = (dy * sum).sum(0, false, torch::kFloat32) / norms;
        const Tensor dsum = dy * factor;
        const Tensor dlow = at::mm(dsum, b.to(dy.scalar_type())).mul_(scale);
        const Tensor input = dropout > 0 ? apply_dropout(x, dropout, key, stream) : x;
        const Tensor da = at::mm(dlow.t(), input).to(a.scalar_type());
        const Tensor db = at::mm(dsum.t(), low).mul_(scale).to(b.scalar_type());
        Tensor dx;
        if (ctx->needs_input_grad(0)) {
            if (dropout > 0) {
                dx = quant::matmul(dy, *weight);
                Tensor behind = quant::matmul(dsum - dy, *weight).addmm_(dlow, a.to(dy.scalar_type()));
                dx.add_(apply_dropout(behind, dropout, key, stream));
            } else {
                dx = quant::matmul(dsum, *weight).addmm_(dlow, a.to(dy.scalar_type()));
            }
        }
        return {dx, da, db, dmagnitude, Tensor(), Tensor(), Tensor()};
    }
};

}  // namespace

Tensor dora_linear(const Tensor& x, const quant::Weight& weight, const LowRank& branch, const DropoutKey& dropout) {
    return DoraLinear::apply(x, branch.a, branch.b, branch.magnitude, &weight, &branch, dropout);
}

}  // namespace qlora::nn
