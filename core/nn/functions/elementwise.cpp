#include "core/nn/functions/elementwise.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include "core/gpu/gpu.h"
#include "core/quant/matmul.h"
#include "kernels/cuda/launch.h"
#include "kernels/elementwise.h"
#include "kernels/norm.h"

namespace qlora::nn {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using quant::ours;
using Kind = Source::Kind;

namespace {

// Whether numbers are for our own kernels, on a CPU or a GPU.
bool own(const Tensor& x) { return ours(x) || gpu::takes(x); }

// Numbers that a thread should have at least.
constexpr std::int64_t share = 1 << 14;

// Calls f(first row, rows) on all threads.
template <typename F>
void for_rows(std::int64_t rows, std::int64_t width, F f) {
    at::parallel_for(0, rows, std::max<std::int64_t>(1, share / std::max<std::int64_t>(1, width)),
                     [&](std::int64_t begin, std::int64_t end) { f(begin, end - begin); });
}

// Numbers kept in bf16 for our own kernels.
bool narrow(const Tensor& x) { return x.scalar_type() == torch::kBFloat16 && x.is_cpu() && !gpu::on(x.device()); }
const std::uint16_t* halves(const Tensor& x) { return static_cast<const std::uint16_t*>(x.const_data_ptr()); }
std::uint16_t* mutable_halves(const Tensor& x) { return static_cast<std::uint16_t*>(x.data_ptr()); }
// From a row on; null where there are none.
std::uint16_t* halves_from(const Tensor& x, std::int64_t row) { return x.defined() ? mutable_halves(x) + row * x.stride(0) : nullptr; }

// As the kernels take it, of a weight and a bias without gaps; the latter may be undefined.
kernels::NormRule norm_rule(const NormRule& rule, const Tensor& weight, const Tensor& bias) {
    return {rule.centred, static_cast<float>(rule.eps), weight.const_data_ptr<float>(), bias.defined() ? bias.const_data_ptr<float>() : nullptr};
}

Tensor normed(const Tensor& given, const NormRule& rule) {
    const std::int64_t width = given.size(-1), rows = given.numel() / std::max<std::int64_t>(1, width);
    if (!own(given)) {
        const Tensor wide = given.to(torch::kFloat32);
        const Tensor centre = rule.centred ? wide - wide.mean(-1, true) : wide;
        Tensor y = centre * (centre.square().mean(-1, true) + rule.eps).rsqrt() * rule.weight;
        return (rule.bias.defined() ? y + rule.bias : y).to(given.scalar_type());
    }
    const Tensor x = given.contiguous(), weight = rule.weight.contiguous(), bias = rule.bias.defined() ? rule.bias.contiguous() : rule.bias;
    Tensor y = torch::empty_like(x);
    const kernels::NormRule kernel = norm_rule(rule, weight, bias);
    if (gpu::takes(x)) {
        kernels::cuda::norm(gpu::runner(x), kernel, x.const_data_ptr<float>(), rows, width, y.data_ptr<float>());
        return y;
    }
    for_rows(rows, width, [&, in = x.const_data_ptr<float>(), out = y.data_ptr<float>()](auto first, auto rows) {
        kernels::norm(kernel, in + first * width, rows, width, out + first * width);
    });
    return y;
}

// `y`, where it is defined, gets the norm of numbers kept in bf16 once more.
Tensor normed_backward(const Tensor& given, const NormRule& rule, const Tensor& gradient, const Tensor& y = {}) {
    const std::int64_t width = given.size(-1), rows = given.numel() / std::max<std::int64_t>(1, width);
    const bool kept = narrow(given) && ours(gradient);
    if (!kept && !own(given)) {
        const Tensor wide = given.to(torch::kFloat32), centre = rule.centred ? wide - wide.mean(-1, true) : wide;
        const Tensor inverse = (centre.square().mean(-1, true) + rule.eps).rsqrt(), normed = centre * inverse;
        Tensor g = gradient.to(torch::kFloat32) * rule.weight;
        Tensor dx = g - normed * (g * normed).mean(-1, true);
        if (rule.centred) dx = dx - g.mean(-1, true);
        return (dx * inverse).to(given.scalar_type());
    }
    const Tensor x = given.contiguous(), dy = gradient.contiguous(), weight = rule.weight.contiguous(),
                 bias = rule.bias.defined() ? rule.bias.contiguous() : rule.bias;
    Tensor dx = torch::empty_like(dy);
    const kernels::NormRule kernel = norm_rule(rule, weight, bias);
    if (gpu::takes(x)) {
        kernels::cuda::norm_backward(gpu::runner(x), kernel, x.const_data_ptr<float>(), dy.const_data_ptr<float>(), rows, width, dx.data_ptr<float>());
        return dx;
    }
    for_rows(rows, width, [&, g = dy.const_data_ptr<float>(), out = dx.data_ptr<float>()](auto first, auto rows) {
        const std::int64_t at = first * width;
        if (kept) kernels::norm_backward(kernel, halves(x) + at, g + at, rows, width, out + at, halves_from(y, first), y.defined() ? y.stride(0) : 0);
        else kernels::norm_backward(kernel, x.const_data_ptr<float>() + at, g + at, rows, width, out + at);
    });
    return dx;
}

Tensor activated(const Tensor& x, Activation activation) {
    switch (activation) {
        case Activation::silu: return at::silu(x);
        case Activation::gelu: return at::gelu(x);
        case Activation::gelu_tanh: return at::gelu(x, "tanh");
        case Activation::tanh: return at::tanh(x);
        case Activation::relu: break;
    }
    return at::relu(x);
}

Tensor activated_backward(const Tensor& gradient, const Tensor& x, Activation activation) {
    switch (activation) {
        case Activation::silu: return at::silu_backward(gradient, x);
        case Activation::gelu: return at::gelu_backward(gradient, x);
        case Activation::gelu_tanh: return at::gelu_backward(gradient, x, "tanh");
        case Activation::tanh: return at::tanh_backward(gradient, x.tanh());
        case Activation::relu: break;
    }
    return at::threshold_backward(gradient, x, 0);
}

bool has_kernel(Activation gate) { return gate == Activation::silu || gate == Activation::gelu_tanh; }

// The gate and what it lets through, [T, width] each; and where their gradients go.
struct Gated {
    Tensor gate, up;
    explicit Gated(const Tensor& x, const Tensor& other) {
        const std::int64_t width = other.defined() ? x.size(1) : x.size(1) / 2;
        gate = other.defined() ? x : x.narrow(1, 0, width);
        up = other.defined() ? other : x.narrow(1, width, width);
    }
    bool own(Activation activation) const {
        return nn::own(gate) && has_kernel(activation) && gate.stride(1) == 1 && up.stride(1) == 1 && gate.stride(0) == up.stride(0);
    }
};
kernels::Gate gate_of(Activation activation) { return activation == Activation::silu ? kernels::Gate::silu : kernels::Gate::gelu_tanh; }

Tensor gated(const Source& source) {
    const Gated in(source.x, source.up);
    if (!in.own(source.activation)) return activated(in.gate, source.activation).mul_(in.up);
    const std::int64_t width = in.gate.size(1), stride = in.gate.stride(0);
    Tensor y = torch::empty({in.gate.size(0), width}, source.x.options());
    if (gpu::takes(in.gate)) {
        kernels::cuda::gate(gpu::runner(y), gate_of(source.activation), in.gate.const_data_ptr<float>(), in.up.const_data_ptr<float>(), stride, y.size(0),
                            width, y.data_ptr<float>());
        return y;
    }
    for_rows(y.size(0), width, [&, gate = in.gate.const_data_ptr<float>(), up = in.up.const_data_ptr<float>(), out = y.data_ptr<float>()](auto first, auto rows) {
        kernels::gate(gate_of(source.activation), gate + first * stride, up + first * stride, stride, rows, width, out + first * width);
    });
    return y;
}

// `y`, where it is defined, gets what kept numbers let through once more.
SourceGradients gated_backward(const Source& source, const Tensor& gradient, const Tensor& y = {}) {
    if (narrow(source.x) && ours(gradient)) {
        const Tensor dy = gradient.contiguous(), x = source.x.contiguous(), through = source.up.contiguous();
        SourceGradients found{.x = torch::empty_like(dy), .up = torch::empty_like(dy)};
        const std::int64_t width = dy.size(1);
        for_rows(dy.size(0), width,
                 [&, gate = halves(x), up = halves(through), g = dy.const_data_ptr<float>(), dgate = found.x.data_ptr<float>(),
                  dup = found.up.data_ptr<float>()](auto first, auto rows) {
                     const std::int64_t at = first * width;
                     kernels::gate_backward(gate_of(source.activation), gate + at, up + at, g + at, rows, width, dgate + at, dup + at, halves_from(y, first),
                                            y.defined() ? y.stride(0) : 0);
                 });
        return found;
    }
    const Gated in(source.x, source.up);
    SourceGradients found{.x = torch::empty_like(source.x), .up = source.up.defined() ? torch::empty_like(source.up) : Tensor()};
    Gated out(found.x, found.up);
    if (!in.own(source.activation) || out.gate.strides() != in.gate.strides() || out.up.strides() != in.up.strides()) {
        out.up.copy_(activated(in.gate, source.activation).mul_(gradient));
        out.gate.copy_(activated_backward(gradient * in.up, in.gate, source.activation));
        return found;
    }
    const Tensor dy = gradient.contiguous();
    const std::int64_t width = in.gate.size(1), stride = in.gate.stride(0);
    if (gpu::takes(in.gate)) {
        kernels::cuda::gate_backward(gpu::runner(dy), gate_of(source.activation), in.gate.const_data_ptr<float>(), in.up.const_data_ptr<float>(), stride,
                                     dy.const_data_ptr<float>(), dy.size(0), width, out.gate.data_ptr<float>(), out.up.data_ptr<float>());
        return found;
    }
    for_rows(dy.size(0), width,
             [&, gate = in.gate.const_data_ptr<float>(), up = in.up.const_data_ptr<float>(), g = dy.const_data_ptr<float>(),
              dgate = out.gate.data_ptr<float>(), dup = out.up.data_ptr<float>()](auto first, auto rows) {
                 kernels::gate_backward(gate_of(source.activation), gate + first * stride, up + first * stride, stride, g + first * width, rows,
                                        width, dgate + first * stride, dup + first * stride);
             });
    return found;
}

struct Held : torch::CustomClassHolder {
    explicit Held(Source s) : source(std::move(s)) {}
    Source source;  // without its x and up, which autograd keeps
};

class Made : public torch::autograd::Function<Made> {
  public:
    // Function::apply takes no undefined tensors: no `up` is an empty one, and a norm that is not trained has two.
    static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& up, const Tensor& norm_weight, const Tensor& norm_bias, Source source) {
        ctx->save_for_backward({kept(x, source.arithmetic), kept(up, source.arithmetic)});
        Tensor y = made(source);
        source.x = source.up = Tensor();
        if (source.norm.weight.defined()) source.norm.weight = source.norm.weight.detach();
        ctx->saved_data["trained"] = norm_weight.numel() + norm_bias.numel() > 0;
        ctx->saved_data["source"] = c10::IValue::make_capsule(c10::make_intrusive<Held>(std::move(source)));
        return y;
    }
    static variable_list backward(AutogradContext* ctx, variable_list gradients) {
        Source source = c10::static_intrusive_pointer_cast<Held>(ctx->saved_data["source"].toCapsule())->source;
        const auto saved = ctx->get_saved_variables();
        source.x = saved[0];
        if (saved[1].numel() > 0) source.up = saved[1];
        const SourceGradients found = made_backward(source, gradients[0], {.norm = ctx->saved_data["trained"].toBool()});
        return {found.x, found.up, found.norm_weight, found.norm_bias, Tensor()};
    }
};

Tensor rotated(const Tensor& given, const Tensor& cosine, const Tensor& sine, bool backward) {
    const std::int64_t half = cosine.size(-1), heads = given.size(1), dim = given.size(2);
    if (own(given) && cosine.scalar_type() == torch::kFloat32) {
        // Heads side by side; rows may be apart, as in a fused projection.
        const Tensor x = given.stride(2) == 1 && given.stride(1) == dim ? given : given.contiguous();
        const Tensor cosines = cosine.contiguous(), sines = sine.contiguous();
        Tensor y = torch::empty(given.sizes(), given.options());
        if (gpu::takes(x)) {
            const kernels::Rotation rotation{heads, dim, half, cosines.const_data_ptr<float>(), sines.const_data_ptr<float>(), backward};
            kernels::cuda::rotate(gpu::runner(x), rotation, x.const_data_ptr<float>(), x.stride(0), x.size(0), y.data_ptr<float>());
            return y;
        }
        for_rows(x.size(0), heads * dim, [&, in = x.const_data_ptr<float>(), out = y.data_ptr<float>()](auto first, auto rows) {
            const kernels::Rotation rotation{heads, dim, half, cosines.const_data_ptr<float>() + first * half,
                                             sines.const_data_ptr<float>() + first * half, backward};
            kernels::rotate(rotation, in + first * x.stride(0), x.stride(0), rows, out + first * heads * dim);
        });
        return y;
    }
    Tensor y = torch::empty_like(given, at::MemoryFormat::Contiguous);
    Tensor c = cosine.unsqueeze(1).to(given.scalar_type()), s = (backward ? -sine : sine).unsqueeze(1).to(given.scalar_type());
    Tensor first = given.narrow(-1, 0, half), second = given.narrow(-1, half, half);
    y.narrow(-1, 0, half).copy_(first * c - second * s);
    y.narrow(-1, half, half).copy_(second * c + first * s);
    if (const std::int64_t rest = dim - 2 * half; rest > 0) y.narrow(-1, 2 * half, rest).copy_(given.narrow(-1, 2 * half, rest));
    return y;
}

class Rotate : public torch::autograd::Function<Rotate> {
  public:
    static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& cosine, const Tensor& sine) {
        ctx->save_for_backward({cosine, sine});
        return rotated(x, cosine, sine, false);
    }
    static variable_list backward(AutogradContext* ctx, variable_list gradients) {
        auto saved = ctx->get_saved_variables();
        return {rotated(gradients[0], saved[0], saved[1], true), Tensor(), Tensor()};
    }
};

}  // namespace

Tensor kept(const Tensor& x, Arithmetic arithmetic) {
    return arithmetic.keeps_bf16 && x.scalar_type() == torch::kFloat32 ? x.to(torch::kBFloat16) : x;
}
Tensor kept(const quant::Operand& x, Arithmetic arithmetic) { return arithmetic.keeps_bf16 ? kept(x.rounded(), arithmetic) : x.numbers(); }
Tensor restored(const Tensor& x, Arithmetic arithmetic) { return arithmetic.keeps_bf16 && x.scalar_type() == torch::kBFloat16 ? x.to(torch::kFloat32) : x; }

quant::Operand kept_operand(const Tensor& x, Arithmetic arithmetic) {
    return arithmetic.products == kernels::Arithmetic::bf16 ? quant::Operand(x, arithmetic) : quant::Operand(restored(x, arithmetic), arithmetic);
}

namespace {

// The source with what was kept of it restored.
Source with_restored(Source source) {
    source.x = restored(source.x, source.arithmetic);
    if (source.up.defined()) source.up = restored(source.up, source.arithmetic);
    return source;
}

// Whether layers read it, and keep it, in bf16 from kernels of our own.
bool reads_bf16(const Source& source) {
    const Arithmetic arithmetic = source.arithmetic;
    if (arithmetic.products != kernels::Arithmetic::bf16 || !arithmetic.keeps_bf16 || !kernels::has_bf16_products()) return false;
    return source.kind == Kind::norm || (source.kind == Kind::gate && source.up.defined() && has_kernel(source.activation));
}

}  // namespace

Tensor made(const Source& source) {
    torch::NoGradGuard no_grad;
    switch (source.kind) {
        case Kind::plain: return source.x;
        case Kind::norm: return normed(source.x, source.norm);
        case Kind::activation: return activated(source.x, source.activation);
        case Kind::gate: break;
    }
    return gated(source);
}

Read read(const Source& source, bool keep) {
    torch::NoGradGuard no_grad;
    // One row alone is multiplied in fp32.
    if (!keep && source.x.size(0) == 1) return {{made(source), source.arithmetic}};
    const auto& [x, up, arithmetic] = std::tie(source.x, source.up, source.arithmetic);
    if (!reads_bf16(source) || !ours(x)) {
        if (source.kind == Kind::plain && source.held.defined()) return {kept_operand(source.held, arithmetic), source.held};
        // A plain source is kept as its products round it.
        const quant::Operand numbers(made(source), arithmetic);
        if (!keep) return {numbers};
        if (source.kind == Kind::plain) return {numbers, kept(numbers, arithmetic)};
        return {numbers, kept(x, arithmetic), up.defined() ? kept(up, arithmetic) : up};
    }
    const std::int64_t rows = x.size(0), width = x.size(1);
    const auto narrow = torch::TensorOptions(torch::kBFloat16);
    const Tensor y = quant::bf16_rows(rows, width), from = x.contiguous();
    Read result{{y, arithmetic}, keep ? torch::empty({rows, width}, narrow) : Tensor()};
    auto* out = mutable_halves(y);
    if (source.kind == Kind::norm) {
        const Tensor weight = source.norm.weight.contiguous(), bias = source.norm.bias.defined() ? source.norm.bias.contiguous() : Tensor();
        const kernels::NormRule rule = norm_rule(source.norm, weight, bias);
        for_rows(rows, width, [&, in = from.const_data_ptr<float>()](auto first, auto rows) {
            kernels::norm(rule, in + first * width, rows, width, out + first * y.stride(0), y.stride(0), halves_from(result.x, first));
        });
        return result;
    }
    const Tensor through = up.contiguous();
    if (keep) result.up = torch::empty({rows, width}, narrow);
    for_rows(rows, width, [&, gate = from.const_data_ptr<float>(), up = through.const_data_ptr<float>()](auto first, auto rows) {
        const std::int64_t at = first * width;
        kernels::gate(gate_of(source.activation), gate + at, up + at, width, rows, width, out + first * y.stride(0), y.stride(0), halves_from(result.x, first),
                      halves_from(result.up, first));
    });
    return result;
}

quant::Operand read_again(Source source) {
    torch::NoGradGuard no_grad;
    if (source.kind == Kind::plain) return kept_operand(source.x, source.arithmetic);
    if (!reads_bf16(source) || !narrow(source.x)) return {made(with_restored(std::move(source))), source.arithmetic};
    const std::int64_t rows = source.x.size(0), width = source.x.size(1);
    const Tensor y = quant::bf16_rows(rows, width), weight = source.kind == Kind::norm ? source.norm.weight.contiguous() : Tensor(),
                 bias = source.norm.bias.defined() ? source.norm.bias.contiguous() : Tensor();
    for_rows(rows, width, [&, in = halves(source.x), out = mutable_halves(y)](auto first, auto rows) {
        const std::int64_t at = first * width;
        if (source.kind == Kind::norm) kernels::norm(norm_rule(source.norm, weight, bias), in + at, rows, width, out + first * y.stride(0), y.stride(0));
        else kernels::gate(gate_of(source.activation), in + at, halves(source.up) + at, rows, width, out + first * y.stride(0), y.stride(0));
    });
    return {y, source.arithmetic};
}

SourceGradients made_backward(Source source, const Tensor& gradient, Wanted wanted) {
    torch::NoGradGuard no_grad;
    if (source.kind == Kind::plain) return {.x = gradient, .numbers = wanted.numbers ? read_again(source) : quant::Operand(Tensor())};
    const bool as_kept = reads_bf16(source) && narrow(source.x) && ours(gradient);
    if (!as_kept) source = with_restored(std::move(source));
    Tensor again;  // numbers that come in the same pass
    if (as_kept && wanted.numbers) again = quant::bf16_rows(source.x.size(0), source.x.size(1));
    SourceGradients found;
    switch (source.kind) {
        case Kind::activation: found.x = activated_backward(gradient, source.x, source.activation); break;
        case Kind::gate: found = gated_backward(source, gradient, again); break;
        default: found.x = normed_backward(source.x, source.norm, gradient, again);
    }
    if (wanted.numbers) found.numbers = {again.defined() ? again : made(source), source.arithmetic};
    if (!wanted.norm) return found;
    if (as_kept) source = with_restored(std::move(source));
    const NormRule bare{torch::ones_like(source.norm.weight), {}, source.norm.eps, source.norm.centred};
    const std::int64_t width = gradient.size(-1);
    found.norm_weight = (gradient * normed(source.x, bare)).reshape({-1, width}).sum(0).to(torch::kFloat32);
    if (source.norm.bias.defined()) found.norm_bias = gradient.reshape({-1, width}).sum(0).to(torch::kFloat32);
    return found;
}

Tensor differentiable(const Source& source) {
    if (source.kind == Kind::plain) return source.x;
    const Tensor none = torch::empty({0});
    const bool trained = source.kind == Kind::norm && is_trained(source.norm);
    return Made::apply(source.x, source.up.defined() ? source.up : none, trained ? source.norm.weight : none,
                       trained && source.norm.bias.defined() ? source.norm.bias : none, source);
}

Tensor rotate(const Tensor& x, const Tensor& cosine, const Tensor& sine) { return Rotate::apply(x, cosine, sine); }

}  // namespace qlora::nn
