#include "core/nn/functions/attention.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>
#include <array>

#include "core/gpu/gpu.h"
#include "core/nn/functions/elementwise.h"
#include "core/nn/functions/own_attention.h"
#include "core/quant/matmul.h"
#include "kernels/cuda/launch.h"

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

// The factors of a segment's probabilities, [1, heads, asked, L].
Tensor score_factors(const AttentionDropout& dropout, std::int64_t segment, std::int64_t heads, std::int64_t asked, std::int64_t keys, torch::Device device) {
    if (gpu::on(device)) {
        std::vector<std::int32_t> of_heads;
        for (std::int64_t head = 0; head < heads; ++head) of_heads.push_back(static_cast<std::int32_t>(dropout.of_head(segment, head).key));
        const Tensor there = torch::tensor(of_heads, torch::kInt32).to(device);
        Tensor factors = torch::empty({1, heads, asked, keys}, torch::TensorOptions(device).dtype(torch::kFloat32));
        kernels::cuda::score_factors(gpu::runner(device), kernels::dropout_rate(dropout.p), static_cast<const std::uint32_t*>(there.const_data_ptr()), heads,
                                     asked, keys, factors.data_ptr<float>());
        return factors;
    }
    Tensor factors = torch::empty({1, heads, asked, keys}, torch::kFloat32);
    at::parallel_for(0, heads, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t head = begin; head < end; ++head)
            kernels::score_factors(dropout.of_head(segment, head), 0, asked, keys, factors.data_ptr<float>() + head * asked * keys);
    });
    return factors;
}

// Attention by its definition, for what the fused kernel cannot do. q [1, heads, asked, D]; k, v [1, kv, L, D]. `bias` decides
// by itself what is seen; probabilities are multiplied by `factors`; both may be undefined.
Tensor plain_attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionRule& rule, const Tensor& bias = {}, const Tensor& factors = {}) {
    const std::int64_t group = q.size(1) / k.size(1);
    Tensor keys = group == 1 ? k : k.repeat_interleave(group, 1), values = group == 1 ? v : v.repeat_interleave(group, 1);
    Tensor scores = at::matmul(q, keys.transpose(2, 3)) * rule.scale;
    if (rule.softcap > 0) scores = (scores / rule.softcap).tanh() * rule.softcap;
    if (bias.defined()) scores = scores + bias;
    else if (rule.causal) scores = scores + visible(q.size(2), k.size(2), rule.window, scores.options());
    Tensor probabilities = scores.softmax(-1, torch::kFloat32);
    if (factors.defined()) probabilities = probabilities * factors;
    return at::matmul(probabilities.to(q.scalar_type()), values);
}

// As LibTorch has it for GPUs. q [1, heads, asked, D]; k, v [1, kv, L, D]; `mask`, where given, says what is seen.
Tensor gpu_attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionRule& rule, const std::optional<Tensor>& mask) {
    const std::int64_t group = q.size(1) / k.size(1);
    const auto type = rule.arithmetic == kernels::Arithmetic::bf16 ? torch::kBFloat16 : q.scalar_type();
    const auto operand = [&](const Tensor& x) { return (x.size(1) == q.size(1) ? x : x.repeat_interleave(group, 1)).to(type); };
    return at::scaled_dot_product_attention(operand(q), operand(k), operand(v), mask ? mask->to(type) : mask, 0.0, rule.causal && !mask, rule.scale)
        .to(q.scalar_type());
}

// What segments of a pack ask what.
struct Layout : Segments {
    std::shared_ptr<RelativeBias> bias;

    Tensor queries(const Tensor& x, std::size_t i) const { return heads_first(x, starts[i], length(i)); }
    using Segments::keys;
    Tensor keys(const Tensor& x, std::size_t i) const { return heads_first(x, key_starts[i], keys(i)); }

    Tensor bias_of(std::size_t i, const Tensor& q) const {
        return bias ? bias->at(length(i), keys(i), q.scalar_type()) : Tensor();
    }
    Tensor factors(std::size_t i, const Tensor& q, const AttentionRule& rule) const {
        return rule.dropout.active() ? score_factors(rule.dropout, static_cast<std::int64_t>(i), q.size(1), length(i), keys(i), q.device()) : Tensor();
    }

    // Nothing where the kernel's own rule says the same: that is the quicker one.
    std::optional<Tensor> mask(std::size_t i, const AttentionRule& rule, const torch::TensorOptions& options) const {
        const std::int64_t asked = length(i), all = keys(i);
        if (bias) return bias->at(asked, all, c10::typeMetaToScalarType(options.dtype()));
        if (!rule.causal || (asked == all && (rule.window == 0 || all <= rule.window))) return {};
        return visible(asked, all, rule.window, options);
    }
};

// Whether it takes attention by its definition, computed whole.
bool by_definition(const AttentionRule& rule) { return rule.softcap > 0 || rule.dropout.active(); }

// Whether our own kernels take it: in fp32, with scores as they are.
bool ours(const Tensor& q, const Layout& layout, const AttentionRule& rule) {
    return quant::ours(q) && rule.softcap == 0 && !layout.bias;
}

// LibTorch's fused kernel, one call a segment, each writing its rows of the packed result: no mask over the whole pack is
// built and no gradient of the pack's size is added up per segment.
void fused_forward(const Tensor& q, const Tensor& k, const Tensor& v, const Layout& layout, const AttentionRule& rule, Tensor& out, Tensor& log_sums) {
    for (std::size_t i = 0; i < layout.count(); ++i) {
        Tensor queries = layout.queries(q, i), keys = layout.keys(k, i), values = layout.keys(v, i);
        if (by_definition(rule)) {
            layout.queries(out, i).copy_(plain_attention(queries, keys, values, rule, layout.bias_of(i, q), layout.factors(i, q, rule)));
            continue;
        }
        const auto mask = layout.mask(i, rule, q.options());
        if (gpu::on(q.device())) {
            layout.queries(out, i).copy_(gpu_attention(queries, keys, values, rule, mask));
            continue;
        }
        auto [o, sums] =
            at::_scaled_dot_product_flash_attention_for_cpu(queries, keys, values, 0.0, rule.causal && !mask, mask, rule.scale);
        layout.queries(out, i).copy_(o);
        log_sums.narrow(0, layout.starts[i], layout.length(i)).copy_(sums.view({q.size(1), layout.length(i)}).t());
    }
}

// By computing segment i again: what goes by the definition, and on a GPU all, whose kernels keep other things than these
// functions.
variable_list rerun_backward(const Tensor& dout, const Tensor& q, const Tensor& k, const Tensor& v, const Layout& layout, std::size_t i,
                             const AttentionRule& rule) {
    torch::AutoGradMode on(true);
    const variable_list inputs{layout.queries(q, i).detach().requires_grad_(), layout.keys(k, i).detach().requires_grad_(),
                               layout.keys(v, i).detach().requires_grad_()};
    const Tensor y = by_definition(rule) ? plain_attention(inputs[0], inputs[1], inputs[2], rule, layout.bias_of(i, q), layout.factors(i, q, rule))
                                         : gpu_attention(inputs[0], inputs[1], inputs[2], rule, layout.mask(i, rule, q.options()));
    return torch::autograd::grad({y}, inputs, {layout.queries(dout, i)});
}

void fused_backward(const Tensor& dout, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out, const Tensor& log_sums,
                    const Layout& layout, const AttentionRule& rule, Tensor& dq, Tensor& dk, Tensor& dv) {
    for (std::size_t i = 0; i < layout.count(); ++i) {
        Tensor gq, gk, gv;
        if (by_definition(rule) || gpu::on(q.device())) {
            const auto found = rerun_backward(dout, q, k, v, layout, i, rule);
            std::tie(gq, gk, gv) = std::tie(found[0], found[1], found[2]);
        } else {
            const auto mask = layout.mask(i, rule, q.options());
            std::tie(gq, gk, gv) = at::_scaled_dot_product_flash_attention_for_cpu_backward(
                layout.queries(dout, i), layout.queries(q, i), layout.keys(k, i), layout.keys(v, i), layout.queries(out, i),
                log_sums.narrow(0, layout.starts[i], layout.length(i)).t().unsqueeze(0).contiguous(), 0.0, rule.causal && !mask, mask,
                rule.scale);
        }
        layout.queries(dq, i).copy_(gq);
        layout.keys(dk, i).copy_(gk);
        layout.keys(dv, i).copy_(gv);
    }
}

Dims dims_of(const Tensor& q, const Tensor& k) { return {q.size(1), k.size(1), q.size(2)}; }
Tensor flat(const Tensor& x) { return x.flatten(1); }

// What a backward pass needs to know.
struct Asked : torch::CustomClassHolder {
    Asked(Layout l, const AttentionRule& r, const Dims& d) : layout(std::move(l)), rule(r), dims(d) {}
    Layout layout;
    AttentionRule rule;
    Dims dims;
};

class PackedAttention : public torch::autograd::Function<PackedAttention> {
  public:
    static variable_list forward(AutogradContext* ctx, const Tensor& q, const Tensor& k, const Tensor& v, Layout layout, AttentionRule rule) {
        const Arithmetic arithmetic = rule.arithmetic;
        Tensor out = torch::empty_like(q, at::MemoryFormat::Contiguous);
        const bool own = ours(q, layout, rule);
        Tensor log_sums = torch::empty({!own && by_definition(rule) ? 0 : q.size(0), q.size(1)}, q.options().dtype(torch::kFloat32));
        variable_list saved;
        if (own) {
            const quant::Operand queries(flat(q), arithmetic), keys(flat(k), arithmetic), values(flat(v), arithmetic);
            const Tensor rounded = own_attention({queries.rounded(), keys.rounded(), values.rounded(), dims_of(q, k)}, layout, rule, flat(out), log_sums);
            saved = {kept(queries, arithmetic), kept(keys, arithmetic), kept(values, arithmetic),
                     rounded.defined() && arithmetic.keeps_bf16 ? rounded : kept(flat(out), arithmetic).detach()};
        } else {
            fused_forward(q, k, v, layout, rule, out, log_sums);
            for (const Tensor& x : {q, k, v, out}) saved.push_back(kept(x.detach(), arithmetic));
        }
        const Tensor kept_out = saved.back();
        saved.push_back(log_sums);
        ctx->save_for_backward(std::move(saved));
        ctx->mark_non_differentiable({kept_out});
        ctx->saved_data["asked"] = c10::IValue::make_capsule(c10::make_intrusive<Asked>(std::move(layout), rule, dims_of(q, k)));
        return {out, kept_out};
    }

    static variable_list backward(AutogradContext* ctx, variable_list gradients) {
        const auto saved = ctx->get_saved_variables();
        const auto asked = c10::static_intrusive_pointer_cast<Asked>(ctx->saved_data["asked"].toCapsule());
        const auto& [layout, rule, dims] = std::tie(asked->layout, asked->rule, asked->dims);
        const Arithmetic arithmetic = rule.arithmetic;
        const Tensor dout = gradients[0].contiguous(), &log_sums = saved[4];
        if (saved[0].dim() == 2) {
            std::array<Tensor, 4> rows;
            for (std::size_t i = 0; i < 4; ++i) rows[i] = kept_operand(saved[i], arithmetic).rounded();
            const auto& [q, k, v, out] = rows;
            Tensor dq = torch::empty_like(dout);
            const auto [dk, dv] = own_attention_backward(quant::Operand(flat(dout), arithmetic).rounded(), {q, k, v, dims}, out, log_sums, layout, rule, flat(dq));
            const auto in_heads = [&](const Tensor& x) { return x.unflatten(1, {dims.kv_heads, dims.dim}); };
            return {dq, in_heads(dk), in_heads(dv), Tensor(), Tensor()};
        }
        const Tensor q = restored(saved[0], arithmetic), k = restored(saved[1], arithmetic), v = restored(saved[2], arithmetic),
                     out = restored(saved[3], arithmetic);
        Tensor dq = torch::empty_like(q), dk = torch::empty_like(k), dv = torch::empty_like(v);
        fused_backward(dout, q, k, v, out, log_sums, layout, rule, dq, dk, dv);
        return {dq, dk, dv, Tensor(), Tensor()};
    }
};

std::vector<std::int64_t> wide(const std::vector<std::int32_t>& starts) { return {starts.begin(), starts.end()}; }

}  // namespace

std::pair<Tensor, Tensor> packed_attention(const Tensor& q, const Tensor& k, const Tensor& v, const std::vector<std::int32_t>& starts,
                                           const std::vector<std::int32_t>& key_starts, const AttentionRule& rule, const std::shared_ptr<RelativeBias>& bias) {
    Layout layout{{wide(starts), wide(key_starts)}, bias};
    if (bias && bias->trained() && torch::GradMode::is_enabled()) {
        std::vector<Tensor> parts;
        for (std::size_t i = 0; i < layout.count(); ++i)
            parts.push_back(plain_attention(layout.queries(q, i), layout.keys(k, i), layout.keys(v, i), rule, layout.bias_of(i, q), layout.factors(i, q, rule))
                                .squeeze(0).transpose(0, 1));
        return {at::cat(parts), Tensor()};
    }
    const auto results = PackedAttention::apply(q.contiguous(), k.contiguous(), v.contiguous(), std::move(layout), rule);
    return {results[0], results[1]};
}

Tensor cached_attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionRule& rule, RelativeBias* bias) {
    const std::int64_t asked = q.size(0), length = k.size(0);
    Tensor queries = heads_first(q, 0, asked), keys = heads_first(k, 0, length), values = heads_first(v, 0, length);
    if (rule.softcap > 0) return plain_attention(queries, keys, values, rule).squeeze(0).transpose(0, 1);
    std::optional<Tensor> mask;
    if (bias != nullptr) mask = bias->at(asked, length, q.scalar_type());
    else if (rule.causal && ((asked > 1 && asked < length) || (rule.window > 0 && length > rule.window)))
        mask = visible(asked, length, rule.window, q.options());
    if (gpu::on(q.device()) && asked > 1) return gpu_attention(queries, keys, values, rule, mask).squeeze(0).transpose(0, 1);
    Tensor out = at::scaled_dot_product_attention(queries, keys, values, mask, 0.0, rule.causal && asked > 1 && !mask, rule.scale,
                                                  q.size(1) != k.size(1));
    return out.squeeze(0).transpose(0, 1);
}

}  // namespace qlora::nn
