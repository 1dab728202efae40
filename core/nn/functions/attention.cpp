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

// One flash-attention call a segment, each writing its rows of the packed result: no mask over the whole pack is
// built and no gradient of the pack's size is added up per segment.
class PackedAttention : public torch::autograd::Function<PackedAttention> {
  public:
    static Tensor forward(AutogradContext* ctx, const Tensor& q, const Tensor& k, const Tensor& v,
                          std::vector<std::int64_t> starts, double scale) {
        Tensor out = torch::empty_like(q, at::MemoryFormat::Contiguous);
        Tensor normalizer = torch::empty({q.size(0), q.size(1)}, q.options().dtype(torch::kFloat32));
        for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
            const std::int64_t begin = starts[i], length = starts[i + 1] - begin;
            auto [o, lse] = at::_scaled_dot_product_flash_attention_for_cpu(
                heads_first(q, begin, length), heads_first(k, begin, length), heads_first(v, begin, length), 0.0,
                true, {}, scale);
            heads_first(out, begin, length).copy_(o);
            normalizer.narrow(0, begin, length).copy_(lse.view({q.size(1), length}).t());
        }
        ctx->save_for_backward({q, k, v, out, normalizer});
        ctx->saved_data["starts"] = std::move(starts);
        ctx->saved_data["scale"] = scale;
        return out;
    }
    static variable_list backward(AutogradContext* ctx, variable_list gradients) {
        auto saved = ctx->get_saved_variables();
        const Tensor &q = saved[0], &k = saved[1], &v = saved[2], &out = saved[3], &normalizer = saved[4];
        const Tensor dout = gradients[0].contiguous();
        const auto starts = ctx->saved_data["starts"].toIntVector();
        const double scale = ctx->saved_data["scale"].toDouble();
        Tensor dq = torch::empty_like(q), dk = torch::empty_like(k), dv = torch::empty_like(v);
        for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
            const std::int64_t begin = starts[i], length = starts[i + 1] - begin;
            auto [gq, gk, gv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
                heads_first(dout, begin, length), heads_first(q, begin, length), heads_first(k, begin, length),
                heads_first(v, begin, length), heads_first(out, begin, length),
                normalizer.narrow(0, begin, length).t().unsqueeze(0).contiguous(), 0.0, true, {}, scale);
            heads_first(dq, begin, length).copy_(gq);
            heads_first(dk, begin, length).copy_(gk);
            heads_first(dv, begin, length).copy_(gv);
        }
        return {dq, dk, dv, Tensor(), Tensor()};
    }
};

}  // namespace

Tensor packed_attention(const Tensor& q, const Tensor& k, const Tensor& v, const std::vector<std::int32_t>& starts,
                        double scale) {
    return PackedAttention::apply(q.contiguous(), k.contiguous(), v.contiguous(),
                                  std::vector<std::int64_t>(starts.begin(), starts.end()), scale);
}

Tensor cached_attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale) {
    const std::int64_t asked = q.size(0), length = k.size(0);
    std::optional<Tensor> mask;
    if (asked > 1 && asked < length)
        mask = torch::ones({asked, length}, torch::kBool).tril(length - asked).to(q.device());
    Tensor out = at::scaled_dot_product_attention(heads_first(q, 0, asked), heads_first(k, 0, length),
                                                  heads_first(v, 0, length), mask, 0.0, asked > 1 && !mask, scale,
                                                  q.size(1) != k.size(1));
    return out.squeeze(0).transpose(0, 1);
}

}  // namespace qlora::nn
