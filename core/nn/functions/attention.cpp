#include "core/nn/functions/attention.h"

#include <torch/torch.h>

namespace qlora::nn {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

// [L, heads, D] rows of a packed tensor as the [1, heads, L, D] that LibTorch's kernels take; no copy.
Tensor heads_first(const Tensor& x, std::int64_t begin, std::int64_t length) {
    return x.narrow(0, begin, length).transpose(0, 1).unsqueeze(0);
}

// [asked, length]: 0 where the last `asked` of `length` tokens see, -inf where not.
Tensor visible(std::int64_t asked, std::int64_t length, std::int64_t window, const torch::TensorOptions& options) {
    Tensor hidden = torch::ones({asked, length}, torch::kBool).triu(length - asked + 1);
    if (window > 0) hidden.logical_or_(torch::ones({asked, length}, torch::kBool).tril(length - asked - window));
    return torch::zeros({asked, length}, options).masked_fill_(hidden.to(options.device()), -INFINITY);
}

// Attention by its definition, for scores that the fused kernel cannot bend. q [1, heads, asked, D]; k, v [1, kv, L, D].
Tensor plain_attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionRule& rule) {
    const std::int64_t group = q.size(1) / k.size(1);
    Tensor keys = group == 1 ? k : k.repeat_interleave(group, 1), values = group == 1 ? v : v.repeat_interleave(group, 1);
    Tensor scores = at::matmul(q, keys.transpose(2, 3)) * rule.scale;
    if (rule.softcap > 0) scores = (scores / rule.softcap).tanh() * rule.softcap;
    if (rule.causal) scores = scores + visible(q.size(2), k.size(2), rule.window, scores.options());
    return at::matmul(scores.softmax(-1, torch::kFloat32).to(q.scalar_type()), values);
}

struct BiasHolder : torch::CustomClassHolder {
    explicit BiasHolder(std::shared_ptr<RelativeBias> b) : bias(std::move(b)) {}
    std::shared_ptr<RelativeBias> bias;
};

// What segments of a pack ask what.
struct Layout {
    std::vector<std::int64_t> starts, key_starts;
    std::shared_ptr<RelativeBias> bias;

    std::size_t segments() const { return starts.size() - 1; }
    std::int64_t length(std::size_t i) const { return starts[i + 1] - starts[i]; }
    Tensor queries(const Tensor& x, std::size_t i) const { return heads_first(x, starts[i], length(i)); }
    Tensor keys(const Tensor& x, std::size_t i) const { return heads_first(x, key_starts[i], key_starts[i + 1] - key_starts[i]); }

    // Nothing where the kernel's own rule says the same: that is the quicker one.
    std::optional<Tensor> mask(std::size_t i, const AttentionRule& rule, const torch::TensorOptions& options) const {
        const std::int64_t asked = length(i), all = key_starts[i + 1] - key_starts[i];
        if (bias) return bias->at(asked, all, c10::typeMetaToScalarType(options.dtype()));
        if (!rule.causal || rule.window == 0 || all <= rule.window) return {};
        return visible(asked, all, rule.window, options);
    }
};

// One call of the fused kernel a segment, each writing its rows of the packed result: no mask over the whole pack is
// built and no gradient of the pack's size is added up per segment. Where the scores are capped, a segment's scores are
// computed whole, and again in backward.
class PackedAttention : public torch::autograd::Function<PackedAttention> {
  public:
    static Tensor forward(AutogradContext* ctx, const Tensor& q, const Tensor& k, const Tensor& v, Layout layout, AttentionRule rule) {
        Tensor out = torch::empty_like(q, at::MemoryFormat::Contiguous);
        Tensor normalizer = torch::empty({rule.softcap > 0 ? 0 : q.size(0), q.size(1)}, q.options().dtype(torch::kFloat32));
        for (std::size_t i = 0; i < layout.segments(); ++i) {
            Tensor queries = layout.queries(q, i), keys = layout.keys(k, i), values = layout.keys(v, i);
            if (rule.softcap > 0) {
                layout.queries(out, i).copy_(plain_attention(queries, keys, values, rule));
                continue;
            }
            const auto mask = layout.mask(i, rule, q.options());
            auto [o, lse] =
                at::_scaled_dot_product_flash_attention_for_cpu(queries, keys, values, 0.0, rule.causal && !mask, mask, rule.scale);
            layout.queries(out, i).copy_(o);
            normalizer.narrow(0, layout.starts[i], layout.length(i)).copy_(lse.view({q.size(1), layout.length(i)}).t());
        }
        ctx->save_for_backward({q, k, v, out, normalizer});
        ctx->saved_data["starts"] = std::move(layout.starts);
        ctx->saved_data["key_starts"] = std::move(layout.key_starts);
        if (layout.bias) ctx->saved_data["bias"] = c10::IValue::make_capsule(c10::make_intrusive<BiasHolder>(std::move(layout.bias)));
        ctx->saved_data["scale"] = rule.scale;
        ctx->saved_data["softcap"] = rule.softcap;
        ctx->saved_data["window"] = rule.window;
        ctx->saved_data["causal"] = rule.causal;
        return out;
    }

    static variable_list backward(AutogradContext* ctx, variable_list gradients) {
        auto saved = ctx->get_saved_variables();
        const Tensor &q = saved[0], &k = saved[1], &v = saved[2], &out = saved[3], &normalizer = saved[4];
        const Tensor dout = gradients[0].contiguous();
        Layout layout{ctx->saved_data["starts"].toIntVector(), ctx->saved_data["key_starts"].toIntVector(), nullptr};
        if (auto held = ctx->saved_data.find("bias"); held != ctx->saved_data.end())
            layout.bias = c10::static_intrusive_pointer_cast<BiasHolder>(held->second.toCapsule())->bias;
        const AttentionRule rule{ctx->saved_data["scale"].toDouble(), ctx->saved_data["softcap"].toDouble(),
                                 ctx->saved_data["window"].toInt(), ctx->saved_data["causal"].toBool()};
        Tensor dq = torch::empty_like(q), dk = torch::empty_like(k), dv = torch::empty_like(v);
        for (std::size_t i = 0; i < layout.segments(); ++i) {
            Tensor gq, gk, gv;
            if (rule.softcap > 0) {
                std::tie(gq, gk, gv) = plain_backward(layout.queries(dout, i), layout.queries(q, i), layout.keys(k, i), layout.keys(v, i), rule);
            } else {
                const auto mask = layout.mask(i, rule, q.options());
                std::tie(gq, gk, gv) = at::_scaled_dot_product_flash_attention_for_cpu_backward(
                    layout.queries(dout, i), layout.queries(q, i), layout.keys(k, i), layout.keys(v, i), layout.queries(out, i),
                    normalizer.narrow(0, layout.starts[i], layout.length(i)).t().unsqueeze(0).contiguous(), 0.0,
                    rule.causal && !mask, mask, rule.scale);
            }
            layout.queries(dq, i).copy_(gq);
            layout.keys(dk, i).copy_(gk);
            layout.keys(dv, i).copy_(gv);
        }
        return {dq, dk, dv, Tensor(), Tensor()};
    }

  private:
    static std::tuple<Tensor, Tensor, Tensor> plain_backward(const Tensor& dout, const Tensor& q, const Tensor& k,
                                                             const Tensor& v, const AttentionRule& rule) {
        torch::AutoGradMode on(true);
        const variable_list inputs{q.detach().requires_grad_(), k.detach().requires_grad_(), v.detach().requires_grad_()};
        const auto found = torch::autograd::grad({plain_attention(inputs[0], inputs[1], inputs[2], rule)}, inputs, {dout});
        return {found[0], found[1], found[2]};
    }
};

std::vector<std::int64_t> wide(const std::vector<std::int32_t>& starts) { return {starts.begin(), starts.end()}; }

}  // namespace

Tensor packed_attention(const Tensor& q, const Tensor& k, const Tensor& v, const std::vector<std::int32_t>& starts,
                        const AttentionRule& rule, const std::shared_ptr<RelativeBias>& bias) {
    return PackedAttention::apply(q.contiguous(), k.contiguous(), v.contiguous(), Layout{wide(starts), wide(starts), bias}, rule);
}

Tensor cross_attention(const Tensor& q, const Tensor& k, const Tensor& v, const std::vector<std::int32_t>& starts,
                       const std::vector<std::int32_t>& key_starts, double scale) {
    return PackedAttention::apply(q.contiguous(), k.contiguous(), v.contiguous(), Layout{wide(starts), wide(key_starts), nullptr},
                                  AttentionRule{scale, 0, 0, false});
}

Tensor cached_attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionRule& rule, RelativeBias* bias) {
    const std::int64_t asked = q.size(0), length = k.size(0);
    Tensor queries = heads_first(q, 0, asked), keys = heads_first(k, 0, length), values = heads_first(v, 0, length);
    if (rule.softcap > 0) return plain_attention(queries, keys, values, rule).squeeze(0).transpose(0, 1);
    std::optional<Tensor> mask;
    if (bias != nullptr) mask = bias->at(asked, length, q.scalar_type());
    else if (rule.causal && ((asked > 1 && asked < length) || (rule.window > 0 && length > rule.window)))
        mask = visible(asked, length, rule.window, q.options());
    Tensor out = at::scaled_dot_product_attention(queries, keys, values, mask, 0.0, rule.causal && asked > 1 && !mask, rule.scale,
                                                  q.size(1) != k.size(1));
    return out.squeeze(0).transpose(0, 1);
}

}  // namespace qlora::nn
