#include "core/nn/functions/elementwise.h"

#include <torch/torch.h>

namespace qlora::nn {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

class RmsNorm : public torch::autograd::Function<RmsNorm> {
  public:
    static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& weight, double eps) {
        Tensor wide = x.to(torch::kFloat32);
        Tensor inverse = wide.square().mean(-1, true).add_(eps).rsqrt_();
        ctx->save_for_backward({x, inverse, weight});
        return (wide * inverse).mul_(weight).to(x.scalar_type());
    }
    static variable_list backward(AutogradContext* ctx, variable_list gradients) {
        auto saved = ctx->get_saved_variables();
        const Tensor &inverse = saved[1], &weight = saved[2];
        Tensor normed = saved[0].to(torch::kFloat32) * inverse;
        Tensor g = gradients[0].to(torch::kFloat32) * weight;
        Tensor along = (g * normed).mean(-1, true);
        return {g.sub_(normed.mul_(along)).mul_(inverse).to(saved[0].scalar_type()), Tensor(), Tensor()};
    }
};

// Rotates the first 2 * half features of each head; `sign` -1 rotates back.
Tensor rotated(const Tensor& x, const Tensor& cosine, const Tensor& sine, double sign) {
    const std::int64_t half = cosine.size(-1);
    Tensor y = torch::empty_like(x, at::MemoryFormat::Contiguous);
    Tensor c = cosine.unsqueeze(1).to(x.scalar_type()), s = (sine * sign).unsqueeze(1).to(x.scalar_type());
    Tensor first = x.narrow(-1, 0, half), second = x.narrow(-1, half, half);
    Tensor out_first = y.narrow(-1, 0, half), out_second = y.narrow(-1, half, half);
    at::mul_out(out_first, first, c);
    out_first.addcmul_(second, s, -1);
    at::mul_out(out_second, second, c);
    out_second.addcmul_(first, s);
    if (const std::int64_t rest = x.size(-1) - 2 * half; rest > 0)
        y.narrow(-1, 2 * half, rest).copy_(x.narrow(-1, 2 * half, rest));
    return y;
}

class Rotate : public torch::autograd::Function<Rotate> {
  public:
    static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& cosine, const Tensor& sine) {
        ctx->save_for_backward({cosine, sine});
        return rotated(x, cosine, sine, 1);
    }
    static variable_list backward(AutogradContext* ctx, variable_list gradients) {
        auto saved = ctx->get_saved_variables();
        return {rotated(gradients[0], saved[0], saved[1], -1), Tensor(), Tensor()};
    }
};

Tensor activate(const Tensor& x, Activation activation) {
    switch (activation) {
        case Activation::silu: return at::silu(x);
        case Activation::gelu: return at::gelu(x);
        case Activation::gelu_tanh: return at::gelu(x, "tanh");
        case Activation::tanh: return at::tanh(x);
        case Activation::relu: break;
    }
    return at::relu(x);
}

Tensor activate_backward(const Tensor& gradient, const Tensor& x, Activation activation) {
    switch (activation) {
        case Activation::silu: return at::silu_backward(gradient, x);
        case Activation::gelu: return at::gelu_backward(gradient, x);
        case Activation::gelu_tanh: return at::gelu_backward(gradient, x, "tanh");
        case Activation::tanh: return at::tanh_backward(gradient, x.tanh());
        case Activation::relu: break;
    }
    return at::threshold_backward(gradient, x, 0);
}

class Gated : public torch::autograd::Function<Gated> {
  public:
    static Tensor forward(AutogradContext* ctx, const Tensor& gate, const Tensor& up, std::int64_t activation) {
        ctx->save_for_backward({gate, up});
        ctx->saved_data["activation"] = activation;
        return activate(gate, static_cast<Activation>(activation)).mul_(up);
    }
    static variable_list backward(AutogradContext* ctx, variable_list gradients) {
        auto saved = ctx->get_saved_variables();
        const auto activation = static_cast<Activation>(ctx->saved_data["activation"].toInt());
        Tensor dup = activate(saved[0], activation).mul_(gradients[0]);
        Tensor dgate = activate_backward(gradients[0] * saved[1], saved[0], activation);
        return {dgate, dup, Tensor()};
    }
};

}  // namespace

Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps, double offset) {
    return RmsNorm::apply(x, offset == 0 ? weight : weight + offset, eps);
}

Tensor rotate(const Tensor& x, const Tensor& cosine, const Tensor& sine) { return Rotate::apply(x, cosine, sine); }

Tensor activated(const Tensor& x, Activation activation) { return activate(x, activation); }

Tensor gated(const Tensor& gate, const Tensor& up, Activation activation) {
    return Gated::apply(gate, up, static_cast<std::int64_t>(activation));
}

}  // namespace qlora::nn
