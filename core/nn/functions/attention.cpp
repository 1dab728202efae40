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
    scores = scores + visible(q.size(2), k.size(2), rule.window, scores.options());
    return at::matmul(scores.softmax(-1, torch::kFloat32).to(q.scalar_type()), values);
}

// One call of the fused kernel a segment, each writing its rows of the packed result: no mask over the whole pack is
// built and no gradient of the pack's size is added up per segment. Where the scores are capped, a segment's scores are
// computed whole, and again in backward.
class PackedAttention : public torch::autograd::Function<PackedAttention> {
  public:
    static Tensor forward(AutogradContext* ctx, const Tensor& q, const Tensor& k, const Tensor& v,
                          std::vector<std::int64_t> starts, double scale, double softcap, std::int64_t window) {
        const AttentionRule rule{scale, softcap, window};
        Tensor out = torch::empty_like(q, at::MemoryFormat::Contiguous);
        Tensor normalizer = torch::empty({softcap > 0 ? 0 : q.size(0), q.size(1)}, q.options().dtype(torch::kFloat32));
        for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
            const std::int64_t begin = starts[i], length = starts[i + 1] - begin;
            Tensor queries = heads_first(q, begin, length), keys = heads_first(k, begin, length), values = heads_first(v, begin, length);
            if (softcap > 0) {
                heads_first(out, begin, length).copy_(plain_attention(queries, keys, values, rule));
                continue;
            }
            const auto mask = windowed(rule, length, q.options());
            auto [o, lse] = at::_scaled_dot_product_flash_attention_for_cpu(queries, keys, values, 0.0, !mask, mask, scale);
            heads_first(out, begin, length).copy_(o);
            normalizer.narrow(0, begin, length).copy_(lse.view({q.size(1), length}).t());
        }
        ctx->save_for_backward({q, k, v, out, normalizer});
        ctx->saved_data["starts"] = std::move(starts);
        ctx->saved_data["scale"] = scale;
        ctx->saved_data["softcap"] = softcap;
        ctx->saved_data["window"] = window;
        return out;
    }

    static variable_list backward(AutogradContext* ctx, variable_list gradients) {
        auto saved = ctx->get_saved_variables();
        const Tensor &q = saved[0], &k = saved[1], &v = saved[2], &out = saved[3], &normalizer = saved[4];
        const Tensor dout = gradients[0].contiguous();
        const auto starts = ctx->saved_data["starts"].toIntVector();
        const AttentionRule rule{ctx->saved_data["scale"].toDouble(), ctx->saved_data["softcap"].toDouble(),
                                 ctx->saved_data["window"].toInt()};
        Tensor dq = torch::empty_like(q), dk = torch::empty_like(k), dv = torch::empty_like(v);
        for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
            const std::int64_t begin = starts[i], length = starts[i + 1] - begin;
            auto segment = [&](const Tensor& x) { return heads_first(x, begin, length); };
            Tensor gq, gk, gv;
            if (rule.softcap > 0) {
                std::tie(gq, gk, gv) = plain_backward(segment(dout), segment(q), segment(k), segment(v), rule);
            } else {
                const auto mask = windowed(rule, length, q.options());
                std::tie(gq, gk, gv) = at::_scaled_dot_product_flash_attention_for_cpu_backward(
                    segment(dout), segment(q), segment(k), segment(v), segment(out),
                    normalizer.narrow(0, begin, length).t().unsqueeze(0).contiguous(), 0.0, !mask, mask, rule.scale);
            }
            segment(dq).copy_(gq);
            segment(dk).copy_(gk);
            segment(dv).copy_(gv);
        }
        return {dq, dk, dv, Tensor(), Tensor(), Tensor(), Tensor()};
    }

  private:
    // Nothing where the window holds the whole segment: then the kernel's own causal rule is the quicker one.
    static std::optional<Tensor> windowed(const AttentionRule& rule, std::int64_t length, const torch::TensorOptions& options) {
        if (rule.window == 0 || length <= rule.window) return {};
        return visible(length, length, rule.window, options);
    }

    static std::tuple<Tensor, Tensor, Tensor> plain_backward(const Tensor& dout, const Tensor& q, const Tensor& k,
                                                             const Tensor& v, const AttentionRule& rule) {
        torch::AutoGradMode on(true);
        const variable_list inputs{q.detach().requires_grad_(), k.detach().requires_grad_(), v.detach().requires_grad_()};
        const auto found = torch::autograd::grad({plain_attention(inputs[0], inputs[1], inputs[2], rule)}, inputs, {dout});
        return {found[0], found[1], found[2]};
    }
};

}  // namespace

Tensor packed_attention(const Tensor& q, const Tensor& k, const Tensor& v, const std::vector<std::int32_t>& starts,
                        const AttentionRule& rule) {
    return PackedAttention::apply(q.contiguous(), k.contiguous(), v.contiguous(),
                                  std::vector<std::int64_t>(starts.begin(), starts.end()), rule.scale, rule.softcap, rule.window);
}

Tensor cached_attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionRule& rule) {
    const std::int64_t asked = q.size(0), length = k.size(0);
    Tensor queries = heads_first(q, 0, asked), keys = heads_first(k, 0, length), values = heads_first(v, 0, length);
    if (rule.softcap > 0) return plain_attention(queries, keys, values, rule).squeeze(0).transpose(0, 1);
    std::optional<Tensor> mask;
    if ((asked > 1 && asked < length) || (rule.window > 0 && length > rule.window))
        mask = visible(asked, length, rule.window, q.options());
    Tensor out = at::scaled_dot_product_attention(queries, keys, values, mask, 0.0, asked > 1 && !mask, rule.scale,
                                                  q.size(1) != k.size(1));
    return out.squeeze(0).transpose(0, 1);
}

}  // namespace qlora::nn
