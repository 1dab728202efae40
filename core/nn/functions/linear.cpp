#include "core/nn/functions/linear.h"

#include <torch/torch.h>

#include <array>

#include "core/nn/functions/dora.h"
#include "core/nn/functions/observe.h"
#include "core/nn/functions/poll.h"
#include "core/quant/matmul.h"

namespace qlora::nn {

using quant::Operand;
using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

// Where the tensors of a layer lie among the inputs of its function; -1: it has none.
struct Places {
    std::int64_t bias = -1, whole = -1, a = -1, b = -1;
};

// A group of layers, as its backward pass needs it.
struct Group : torch::CustomClassHolder {
    struct Layer {
        const quant::Weight* weight;
        quant::Weight made{};  // what products are made with, where that is not the base's
        Places places{};
        bool branched = false, drops = false, merged = false;  // merged: the branch is a part of `made`
        double scale = 0, dropout = 0;
        std::uint64_t stream = 0;
        Tensor a_gradient{}, b_gradient{}, whole_gradient{};
        Tensor start_a{}, start_b{};
        bool starts() const { return start_a.defined() && !merged; }
        const quant::Weight& used() const { return made.defined() ? made : *weight; }
    };
    Source source;  // without its x and up, which autograd keeps
    std::vector<Layer> layers;
    DropoutKey key;
    std::int64_t norm_weight = -1, norm_bias = -1;  // places
    bool reads = false;  // whether a gradient needs what the layers read
};

// dy^T x, a gradient of that type: added to its place, or handed over.
Tensor delivered(const Operand& dy, const Operand& x, torch::ScalarType type, Tensor& place) {
    if (place.defined() && dy.type() == torch::kFloat32) {
        quant::add_turned_matmul(place, dy, x);
        return {};
    }
    Tensor gradient = quant::matmul(dy.t(), x).to(type);
    if (!place.defined()) return gradient;
    place.add_(gradient);
    return {};
}

// Without a copy, nor a call of LibTorch's, where it is in that type already.
Tensor in_type(const Tensor& x, torch::ScalarType type) { return x.scalar_type() == type ? x : x.to(type); }

// W, with a branch W + scale B A, in fp32, as the quantizer gets it.
quant::Weight quantized(const LinearParts& parts) {
    torch::NoGradGuard no_grad;
    const bool changes = parts.trained != nullptr || parts.branch != nullptr;
    if (!changes && parts.quantizer->of_base.defined()) return parts.quantizer->of_base;
    const Tensor& values = parts.trained != nullptr ? parts.trained->values : parts.weight->dense_fp32();
    Tensor whole = values.defined() ? values.detach() : parts.weight->dequantized();
    if (parts.branch != nullptr) {
        if (values.defined()) whole = whole.clone();
        quant::add_matmul(whole, parts.branch->b.detach() * parts.branch->scale, parts.branch->a.detach());
        if (parts.branch->start_a.defined()) quant::add_matmul(whole, parts.branch->start_b * -parts.branch->scale, parts.branch->start_a);
    }
    quant::Weight made = parts.quantizer->make(whole);
    if (!changes) parts.quantizer->of_base = made;
    return made;
}

// What backward needs of the numbers that were read and of every branch: what is between its factors.
struct Kept {
    Tensor x, up;
    variable_list lows;
};

// What the layers give; `to_keep` may be null.
variable_list multiply_layers(const Source& source, std::span<const LinearParts> layers, Group& group, Kept* to_keep) {
    const Arithmetic arithmetic = source.arithmetic;
    const Read from = is_observed() ? Read{{observed(made(source), layers), arithmetic}, source.x, source.up} : read(source, to_keep != nullptr);
    const Operand& input = from.numbers;
    const auto type = input.type();
    variable_list results;
    for (std::size_t i = 0; i < layers.size(); ++i) {
        const auto& [weight, bias, branch, trained, quantizer] = layers[i];
        Group::Layer& own = group.layers[i];
        if (quantizer != nullptr) own.made = quantized(layers[i]);
        else if (trained != nullptr) own.made = quant::Weight::dense(trained->values.detach());
        Tensor y;
        if (branch == nullptr) {
            y = quant::matmul_transposed(input, own.used());
        } else {
            const Operand given = own.drops ? Operand(apply_dropout(input.numbers(), own.dropout, group.key, own.stream), arithmetic) : input;
            const Operand low = Operand::scaled(quant::matmul_transposed(given, in_type(branch->a, type)), own.scale, arithmetic), factor(in_type(branch->b, type));
            const quant::Added added{low, factor};
            y = quant::matmul_transposed(input, own.used(), own.merged ? nullptr : &added);
            if (own.starts()) quant::add_matmul_transposed(y, Operand::scaled(quant::matmul_transposed(input, own.start_a.to(type)), -own.scale, arithmetic), own.start_b.to(type));
            if (to_keep != nullptr) to_keep->lows.push_back(kept(low, arithmetic));
        }
        if (bias.defined()) y.add_(bias.detach());
        results.push_back(std::move(y));
    }
    if (to_keep != nullptr) {
        to_keep->x = from.x;
        to_keep->up = from.up;
    }
    return results;
}

class Linears : public torch::autograd::Function<Linears> {
  public:
    // inputs: x, up, and the leaves that `group` has places for, from 2 on. Function::apply takes no undefined tensors: no `up`
    // is an empty one. Saved: x, up, and of every branch what is between its factors, scale d(x) A^T, and its factors.
    static variable_list forward(AutogradContext* ctx, const Tensor& x, const Tensor& up, at::TensorList leaves, Source source,
                                 std::span<const LinearParts> layers, c10::intrusive_ptr<Group> group) {
        poll();
        Kept to_keep;
        variable_list results = multiply_layers(source, layers, *group, &to_keep);
        // A plain source that nothing but frozen weights reads needs not be kept.
        const bool keep = group->reads || source.kind != Source::Kind::plain;
        const Tensor none = torch::empty({0}, x.options());
        variable_list saved{keep ? to_keep.x : none, keep && to_keep.up.defined() ? to_keep.up : none};
        saved.insert(saved.end(), to_keep.lows.begin(), to_keep.lows.end());
        for (const Group::Layer& layer : group->layers)
            if (layer.branched)
                for (const std::int64_t place : {layer.places.a, layer.places.b}) saved.push_back(leaves[static_cast<std::size_t>(place)]);
        ctx->save_for_backward(std::move(saved));
        ctx->set_materialize_grads(false);
        source.x = source.up = source.held = Tensor();
        source.norm.weight = source.norm.weight.defined() ? source.norm.weight.detach() : Tensor();
        group->source = std::move(source);
        ctx->saved_data["group"] = c10::IValue::make_capsule(group);
        ctx->saved_data["leaves"] = static_cast<std::int64_t>(leaves.size());
        return results;
    }

    static variable_list backward(AutogradContext* ctx, variable_list gradients) {
        poll();
        auto group = c10::static_intrusive_pointer_cast<Group>(ctx->saved_data["group"].toCapsule());
        const auto saved = ctx->get_saved_variables();
        Source source = group->source;
        const Arithmetic arithmetic = source.arithmetic;
        source.x = saved[0];
        if (saved[1].numel() > 0) source.up = saved[1];
        const std::size_t branches = (saved.size() - 2) / 3;
        const bool wanted = ctx->needs_input_grad(0) || group->norm_weight >= 0 || group->norm_bias >= 0;
        variable_list found(static_cast<std::size_t>(ctx->saved_data["leaves"].toInt()));
        const auto place = [&](std::int64_t index) -> Tensor& { return found[static_cast<std::size_t>(index)]; };
        // First what needs the layers' gradients alone, then the source's, then what needs the numbers that were read, which come with these.
        struct Part {
            Operand dy{Tensor()}, dlow{Tensor()};
        };
        std::vector<Part> parts(group->layers.size());
        Tensor dinput;
        std::size_t branch = 0;
        for (std::size_t i = 0; i < group->layers.size(); ++i) {
            auto& layer = group->layers[i];
            const std::size_t mine = branch;
            if (layer.branched) ++branch;
            if (!gradients[i].defined()) continue;
            const Operand& dy = parts[i].dy = Operand(gradients[i].contiguous(), arithmetic);
            const auto type = dy.type();
            const auto add_base = [&](const quant::Added* added) {
                if (!wanted) return;
                if (dinput.defined()) quant::add_matmul(dinput, dy, layer.used(), added);
                else dinput = quant::matmul(dy, layer.used(), added);
            };
            if (layer.places.bias >= 0) place(layer.places.bias) = dy.numbers().sum(0).to(torch::kFloat32);
            if (!layer.branched) {
                add_base(nullptr);
                continue;
            }
            const Operand low = kept_operand(saved[2 + mine], arithmetic);
            const Tensor &a = saved[2 + branches + 2 * mine], &b = saved[3 + branches + 2 * mine];
            const Operand& dlow = parts[i].dlow = Operand::scaled(quant::matmul(dy, in_type(b, type)), layer.scale, arithmetic);
            const Operand factor(in_type(a, type));
            place(layer.places.b) = delivered(dy, low, b.scalar_type(), layer.b_gradient);
            const quant::Added added{dlow, factor};
            add_base(layer.merged || layer.drops ? nullptr : &added);
            if (!wanted || layer.merged) continue;
            if (layer.starts())
                quant::add_matmul(dinput, Operand::scaled(quant::matmul(dy, layer.start_b.to(type)), -layer.scale, arithmetic), layer.start_a.to(type));
            if (layer.drops) dinput.add_(apply_dropout(quant::matmul(dlow, factor), layer.dropout, group->key, layer.stream));
        }
        SourceGradients from;
        if (dinput.defined()) from = made_backward(source, dinput, {.norm = group->norm_weight >= 0, .numbers = group->reads});
        else if (group->reads) from.numbers = read_again(source);
        dinput = Tensor();
        if (group->norm_weight >= 0) place(group->norm_weight) = from.norm_weight;
        if (group->norm_bias >= 0) place(group->norm_bias) = from.norm_bias;
        for (std::size_t i = 0; i < group->layers.size(); ++i) {
            auto& layer = group->layers[i];
            if (!gradients[i].defined()) continue;
            const auto& [dy, dlow] = parts[i];
            const Operand& input = from.numbers;
            if (layer.places.whole >= 0) place(layer.places.whole) = delivered(dy, input, torch::kFloat32, layer.whole_gradient);
            if (!layer.branched) continue;
            const Operand given = layer.drops ? Operand(apply_dropout(input.numbers(), layer.dropout, group->key, layer.stream), arithmetic) : input;
            place(layer.places.a) = delivered(dlow, given, torch::kFloat32, layer.a_gradient);
        }
        variable_list all{from.x, from.up};
        all.insert(all.end(), found.begin(), found.end());
        all.resize(all.size() + 3);
        return all;
    }
};

}  // namespace

std::vector<Tensor> linears(const Source& source, std::span<const LinearParts> layers, const DropoutKey& dropout) {
    auto group = c10::make_intrusive<Group>();
    group->key = dropout;
    variable_list leaves;
    const auto add = [&](const Tensor& leaf) {
        leaves.push_back(leaf);
        return static_cast<std::int64_t>(leaves.size()) - 1;
    };
    if (source.kind == Source::Kind::norm && is_trained(source.norm)) {
        group->norm_weight = add(source.norm.weight);
        if (source.norm.bias.defined()) group->norm_bias = add(source.norm.bias);
    }
    for (const LinearParts& parts : layers) {
        Group::Layer layer{.weight = parts.weight, .merged = parts.quantizer != nullptr};
        if (parts.bias.defined() && parts.bias.requires_grad()) layer.places.bias = add(parts.bias);
        if (parts.trained != nullptr) {
            layer.places.whole = add(parts.trained->values);
            layer.whole_gradient = parts.trained->gradient;
        }
        if (const LowRank* branch = parts.branch; branch != nullptr) {
            layer.branched = true;
            layer.places.a = add(branch->a);
            layer.places.b = add(branch->b);
            layer.drops = dropout.training && branch->dropout > 0;
            layer.scale = branch->scale;
            layer.dropout = branch->dropout;
            layer.stream = branch->stream;
            layer.a_gradient = branch->a_gradient;
            layer.b_gradient = branch->b_gradient;
            layer.start_a = branch->start_a;
            layer.start_b = branch->start_b;
        }
        group->reads = group->reads || parts.trained != nullptr || parts.branch != nullptr;
        group->layers.push_back(std::move(layer));
    }
    if (!torch::GradMode::is_enabled()) {
        poll();
        return multiply_layers(source, layers, *group, nullptr);
    }
    return Linears::apply(source.x, source.up.defined() ? source.up : torch::empty({0}), at::TensorList(leaves), source, layers, group);
}

Tensor linear(const Tensor& x, const LinearParts& given, const DropoutKey& dropout, Arithmetic arithmetic) {
    LinearParts layer = given;
    if (layer.branch != nullptr && !layer.branch->enabled) layer.branch = nullptr;
    if (layer.branch == nullptr || !layer.branch->magnitude.defined()) return linears(plain(x, arithmetic), std::array{layer}, dropout)[0];
    Tensor y = dora_linear(x, *layer.weight, *layer.branch, dropout);
    return layer.bias.defined() ? y + layer.bias.to(y.scalar_type()) : y;
}

}  // namespace qlora::nn
