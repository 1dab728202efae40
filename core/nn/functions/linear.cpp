#include "core/nn/functions/linear.h"

#include <torch/torch.h>

#include <array>

#include "core/nn/functions/dora.h"
#include "core/nn/functions/observe.h"
#include "core/nn/functions/poll.h"
#include "core/quant/matmul.h"

namespace qlora::nn {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

// A group of layers, as its backward pass needs it.
struct Group : torch::CustomClassHolder {
    struct Layer {
        const quant::Weight* weight;
        bool branched = false, drops = false;
        double scale = 0, dropout = 0;
        std::uint64_t stream = 0;
        Tensor a_gradient{}, b_gradient{};
    };
    Source source;  // without its x and up, which autograd keeps
    std::vector<Layer> layers;
    DropoutKey key;
    bool branched = false;
};

// Adds a gradient to its place, or hands it over.
Tensor delivered(Tensor gradient, Tensor& place) {
    if (!place.defined()) return gradient;
    place.add_(gradient);
    return {};
}

class Linears : public torch::autograd::Function<Linears> {
  public:
    // parameters: a and b of every layer that has a branch, in order. Function::apply takes no undefined tensors: no `up` is an
    // empty one. Saved: x, up, and of every branch what is between its factors, scale d(x) A^T, and its factors.
    static variable_list forward(AutogradContext* ctx, const Tensor& x, const Tensor& up, at::TensorList parameters,
                                 Source source, std::span<const FrozenLinear> layers, DropoutKey key) {
        poll();
        auto group = c10::make_intrusive<Group>();
        group->key = key;
        const Tensor input = observed(made(source), layers);
        const auto type = input.scalar_type();
        const Arithmetic arithmetic = source.arithmetic;
        variable_list results, lows;
        std::size_t next = 0;
        for (const auto& [weight, bias, branch] : layers) {
            Group::Layer own{.weight = weight};
            Tensor y = quant::matmul_transposed(input, *weight, arithmetic);
            if (bias.defined()) y.add_(bias);
            if (branch != nullptr) {
                own = {weight, true, key.training && branch->dropout > 0, branch->scale, branch->dropout, branch->stream,
                        branch->a_gradient, branch->b_gradient};
                const Tensor &a = parameters[next++], &b = parameters[next++];
                const Tensor given = own.drops ? apply_dropout(input, branch->dropout, key, branch->stream) : input;
                Tensor low = quant::matmul_transposed(given, a.to(type), arithmetic).mul_(branch->scale);
                quant::add_matmul_transposed(y, low, b.to(type), arithmetic);
                lows.push_back(kept(low, arithmetic));
                group->branched = true;
            }
            group->layers.push_back(std::move(own));
            results.push_back(std::move(y));
        }
        // A plain source that no branch reads needs not be kept.
        const bool keep = group->branched || source.kind != Source::Kind::plain;
        const Tensor none = torch::empty({0}, input.options());
        variable_list saved{!keep ? none : source.held.defined() ? source.held : kept(x, arithmetic), keep ? kept(up, arithmetic) : none};
        saved.insert(saved.end(), lows.begin(), lows.end());
        saved.insert(saved.end(), parameters.begin(), parameters.end());
        ctx->save_for_backward(std::move(saved));
        ctx->set_materialize_grads(false);
        source.x = source.up = source.held = Tensor();
        group->source = std::move(source);
        ctx->saved_data["group"] = c10::IValue::make_capsule(group);
        return results;
    }

    static variable_list backward(AutogradContext* ctx, variable_list gradients) {
        poll();
        auto group = c10::static_intrusive_pointer_cast<Group>(ctx->saved_data["group"].toCapsule());
        const auto saved = ctx->get_saved_variables();
        Source source = group->source;
        const Arithmetic arithmetic = source.arithmetic;
        source.x = restored(saved[0], arithmetic);
        if (saved[1].numel() > 0) source.up = restored(saved[1], arithmetic);
        const std::size_t branches = (saved.size() - 2) / 3;
        const bool wanted = ctx->needs_input_grad(0);
        const Tensor input = group->branched ? made(source) : Tensor();
        variable_list found(2 * branches);
        Tensor dinput;
        std::size_t branch = 0;
        for (std::size_t i = 0; i < group->layers.size(); ++i) {
            auto& layer = group->layers[i];
            const std::size_t mine = branch;
            if (layer.branched) ++branch;
            if (!gradients[i].defined()) continue;
            const Tensor dy = gradients[i].contiguous();
            if (wanted && !dinput.defined()) dinput = quant::matmul(dy, *layer.weight, arithmetic);
            else if (wanted) quant::add_matmul(dinput, dy, *layer.weight, arithmetic);
            if (!layer.branched) continue;
            const Tensor low = restored(saved[2 + mine], arithmetic), &a = saved[2 + branches + 2 * mine], &b = saved[3 + branches + 2 * mine];
            const Tensor dlow = quant::matmul(dy, b.to(dy.scalar_type()), arithmetic).mul_(layer.scale);
            const Tensor given = layer.drops ? apply_dropout(input, layer.dropout, group->key, layer.stream) : input;
            found[2 * mine] = delivered(quant::matmul(dlow.t(), given, arithmetic).to(a.scalar_type()), layer.a_gradient);
            found[2 * mine + 1] = delivered(quant::matmul(low.t(), dy, arithmetic).t().to(b.scalar_type()), layer.b_gradient);
            if (!wanted) continue;
            if (layer.drops) dinput.add_(apply_dropout(quant::matmul(dlow, a.to(dy.scalar_type()), arithmetic), layer.dropout, group->key, layer.stream));
            else quant::add_matmul(dinput, dlow, a.to(dy.scalar_type()), arithmetic);
        }
        SourceGradients from;
        if (dinput.defined()) from = made_backward(source, dinput);
        variable_list all{from.x, from.up};
        all.insert(all.end(), found.begin(), found.end());
        all.resize(all.size() + 3);
        return all;
    }
};

}  // namespace

std::vector<Tensor> linears(const Source& source, std::span<const FrozenLinear> layers, const DropoutKey& dropout) {
    variable_list parameters;
    for (const auto& layer : layers)
        if (layer.branch != nullptr) parameters.insert(parameters.end(), {layer.branch->a, layer.branch->b});
    return Linears::apply(source.x, source.up.defined() ? source.up : torch::empty({0}), at::TensorList(parameters), source, layers, dropout);
}

Tensor linear(const Tensor& x, const quant::Weight& weight, const Tensor& bias, const LowRank* branch,
              const DropoutKey& dropout, Arithmetic arithmetic) {
    const bool on = branch != nullptr && branch->enabled;
    if (!on || !branch->magnitude.defined()) return linears(plain(x, arithmetic), std::array{FrozenLinear{&weight, bias, on ? branch : nullptr}}, dropout)[0];
    Tensor y = dora_linear(x, weight, *branch, dropout);
    return bias.defined() ? y + bias.to(y.scalar_type()) : y;
}

}  // namespace qlora::nn
