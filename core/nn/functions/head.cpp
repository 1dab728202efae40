#include "core/nn/functions/head.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

#include "core/gpu/gpu.h"
#include "core/memory/meters.h"
#include "core/nn/functions/checkpoint.h"
#include "core/nn/functions/poll.h"
#include "core/quant/matmul.h"
#include "kernels/cuda/launch.h"
#include "kernels/elementwise.h"
#include "kernels/half.h"

namespace qlora::nn {

using quant::Operand;
using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

HeadChunk head_chunk(std::int64_t classes, LogitsIn numbers) {
    const std::int64_t bytes = numbers == LogitsIn::bf16 ? 2 : 4, mib = numbers == LogitsIn::gpu ? 160 : numbers == LogitsIn::bf16 ? 24 : 36;
    return {std::max<std::int64_t>(64, (mib << 20) / (bytes * classes)), bytes};
}

namespace {

// Rows of logits at a time, all chunks alike.
std::int64_t chunk_of(const Tensor& x, std::int64_t classes, bool in_bf16) {
    const std::int64_t rows = x.size(0), most = head_chunk(classes, x.is_cuda() ? LogitsIn::gpu : in_bf16 ? LogitsIn::bf16 : LogitsIn::fp32).most_rows;
    const std::int64_t chunks = std::max<std::int64_t>(1, (rows + most - 1) / most);
    return std::max<std::int64_t>(1, (rows + chunks - 1) / chunks);
}

// The sum of -log softmax(logits)[target] over rows; with `gradients` logits become their own gradients.
double plain_cross_entropy(Tensor& logits, const Tensor& targets, bool gradients) {
    const std::int64_t rows = logits.size(0), classes = logits.size(1);
    if (gpu::takes(logits)) {
        Tensor losses = torch::empty({rows}, logits.options().dtype(torch::kFloat64));
        kernels::cuda::cross_entropy(gpu::runner(logits), logits.data_ptr<float>(), rows, classes, targets.const_data_ptr<std::int64_t>(),
                                     gradients, losses.data_ptr<double>());
        return losses.sum().item<double>();
    }
    std::vector<double> losses(static_cast<std::size_t>(rows));
    float* from = logits.data_ptr<float>();
    const std::int64_t* target = targets.const_data_ptr<std::int64_t>();
    at::parallel_for(0, rows, std::max<std::int64_t>(1, (1 << 14) / classes), [&](std::int64_t begin, std::int64_t end) {
        kernels::cross_entropy(from + begin * classes, end - begin, classes, target + begin, gradients, losses.data() + begin);
    });
    return std::accumulate(losses.begin(), losses.end(), 0.0);
}

// The same with smoothing, which adds s * (logits[target] - mean of the logits) to each row's loss.
double cross_entropy(Tensor& logits, const Tensor& targets, bool gradients, double smoothing) {
    if (smoothing == 0) return plain_cross_entropy(logits, targets, gradients);
    const Tensor places = targets.unsqueeze(1);
    const double added = (logits.gather(1, places).sum(torch::kFloat64) - logits.mean(1).sum(torch::kFloat64)).item<double>();
    const double total = plain_cross_entropy(logits, targets, gradients);
    if (gradients)
        logits.sub_(smoothing / static_cast<double>(logits.size(1))).scatter_add_(1, places, torch::full_like(places, smoothing, logits.options()));
    return total + smoothing * added;
}

// Whether the loss is made of stripes of logits in bf16: where products round to it, and nothing comes between logits and loss.
bool by_stripes(const Operand& rows, const Tensor& bias, bool low_rank, const LossRule& rule) {
    return bias.numel() == 0 && !low_rank && rule.softcap == 0 && rule.smoothing == 0 && rows.taken_by() == Operand::By::kernels &&
           rows.rounded().scalar_type() == torch::kBFloat16;
}

// The sum of losses of rows x W^T. Logits in fp32 are there a stripe at a time; of each stay its exponentials against the stripe's
// largest, which `gradients` [rows, classes], bf16, gets where it is defined, and turns into those of the logits once a row's sum is
// known.
double loss_by_stripes(const Operand& x, const quant::Weight& weight, const Tensor& targets, const Tensor& gradients) {
    constexpr std::int64_t width = 256;
    const std::int64_t rows = x.rows(), classes = weight.rows(), stripes = (classes + width - 1) / width;
    const std::int64_t* target = targets.const_data_ptr<std::int64_t>();
    auto* out = gradients.defined() ? static_cast<std::uint16_t*>(gradients.data_ptr()) : nullptr;
    const std::int64_t pitch = gradients.defined() ? gradients.stride(0) : 0;
    std::vector<kernels::SoftmaxPart> parts(static_cast<std::size_t>(rows * stripes));
    std::vector<float> of_targets(static_cast<std::size_t>(rows));
    quant::for_each_stripe(x, weight, width, [&](std::int64_t first, std::int64_t columns, const float* logits) {
        kernels::softmax_parts(logits, columns, rows, columns, parts.data() + first / width, stripes, out == nullptr ? nullptr : out + first, pitch);
        for (std::int64_t r = 0; r < rows; ++r)
            if (target[r] >= first && target[r] < first + columns) of_targets[static_cast<std::size_t>(r)] = logits[r * columns + target[r] - first];
    });
    std::vector<double> losses(static_cast<std::size_t>(rows));
    at::parallel_for(0, rows, std::max<std::int64_t>(1, (1 << 14) / classes), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r) {
            const std::span<const kernels::SoftmaxPart> mine(parts.data() + r * stripes, static_cast<std::size_t>(stripes));
            const double most = std::ranges::max(mine, {}, &kernels::SoftmaxPart::largest).largest;
            double sum = 0;
            for (const auto& part : mine) sum += part.sum * std::exp(part.largest - most);
            const double behind = of_targets[static_cast<std::size_t>(r)] - most;
            losses[static_cast<std::size_t>(r)] = std::log(sum) - behind;
            if (out == nullptr) continue;
            for (std::int64_t s = 0; s < stripes; ++s)
                kernels::scale(out + r * pitch + s * width, std::min(width, classes - s * width),
                               static_cast<float>(std::exp(mine[static_cast<std::size_t>(s)].largest - most) / sum));
            const auto of_target = static_cast<float>(std::exp(behind) / sum - 1);
            kernels::f32_to_bf16(&of_target, 1, out + r * pitch + target[r]);
        }
    });
    return std::accumulate(losses.begin(), losses.end(), 0.0);
}

// What the branch reads, whose factors are fp32 whatever the rest is in.
Operand in_fp32(const Operand& x) { return x.numbers().scalar_type() == torch::kFloat32 ? x : Operand(x.numbers().to(torch::kFloat32)); }

class HeadLoss : public torch::autograd::Function<HeadLoss> {
  public:
    static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& a, const Tensor& b, const Tensor& targets,
                          const quant::Weight* weight, const Tensor& bias, double scale, LossRule rule, bool wanted, Arithmetic arithmetic) {
        const bool low_rank = a.numel() > 0;
        Tensor dx = wanted ? torch::empty_like(x) : Tensor();
        Tensor da = wanted && low_rank ? torch::zeros_like(a) : Tensor();
        Tensor db = wanted && low_rank ? torch::zeros_like(b) : Tensor();
        double total = 0;
        memory::TagScope scratch(MemoryTag::scratch);
        const Operand all(x, arithmetic);
        const bool striped = by_stripes(all, bias, low_rank, rule);
        const std::int64_t chunk_tokens = chunk_of(x, weight->rows(), striped);
        for (std::int64_t begin = 0; begin < x.size(0); begin += chunk_tokens) {
            poll();
            const std::int64_t n = std::min(chunk_tokens, x.size(0) - begin);
            const Tensor target = targets.narrow(0, begin, n);
            if (striped) {
                const Tensor dlogits = wanted ? quant::bf16_rows(n, weight->rows()) : Tensor();
                total += loss_by_stripes(Operand(all.rounded().narrow(0, begin, n), arithmetic), *weight, target, dlogits);
                if (wanted) dx.narrow(0, begin, n).copy_(quant::matmul(Operand(dlogits, arithmetic), *weight));
                continue;
            }
            const Operand rows(x.narrow(0, begin, n), arithmetic);
            Tensor logits = quant::matmul_transposed(rows, *weight).to(torch::kFloat32);
            if (bias.numel() > 0) logits.add_(bias);
            Operand low(Tensor{});
            if (low_rank) {
                low = Operand::scaled(quant::matmul_transposed(in_fp32(rows), a), scale, arithmetic);
                quant::add_matmul_transposed(logits, low, b);
            }
            Tensor slope;
            if (rule.softcap > 0) {
                logits.div_(rule.softcap).tanh_();
                if (wanted) slope = 1 - logits.square();
                logits.mul_(rule.softcap);
            }
            total += cross_entropy(logits, target, wanted, rule.smoothing);
            if (!wanted) continue;
            if (slope.defined()) logits.mul_(slope);
            const Operand dlogits(logits, arithmetic);
            Tensor part = quant::matmul(x.scalar_type() == torch::kFloat32 ? dlogits : Operand(logits.to(x.scalar_type())), *weight);
            if (low_rank) {
                const Operand dlow = Operand::scaled(quant::matmul(dlogits, b), scale, arithmetic);
                part.add_(quant::matmul(dlow, a).to(x.scalar_type()));
                quant::add_turned_matmul(da, dlow, in_fp32(rows));
                quant::add_turned_matmul(db, dlogits, low);
            }
            dx.narrow(0, begin, n).copy_(part);
        }
        ctx->save_for_backward({dx, da, db});
        return torch::tensor(total, torch::kFloat32);
    }
    static variable_list backward(AutogradContext* ctx, variable_list gradients) {
        auto saved = ctx->get_saved_variables();
        auto scaled = [&](const Tensor& t) { return t.defined() ? t * gradients[0].to(t.scalar_type()) : Tensor(); };
        return {scaled(saved[0]), scaled(saved[1]), scaled(saved[2]), Tensor(), Tensor(), Tensor(), Tensor(), Tensor(), Tensor(), Tensor()};
    }
};

}  // namespace

Tensor head_loss(const Tensor& x, const quant::Weight& weight, const Tensor& bias, const Tensor& targets,
                 const LowRank* branch, const LossRule& rule, Arithmetic arithmetic) {
    const bool on = branch != nullptr && branch->enabled;
    // Function::apply takes no undefined tensors.
    const Tensor none = torch::empty({0}), a = on ? branch->a : none, b = on ? branch->b : none;
    const bool wanted = torch::GradMode::is_enabled() && (x.requires_grad() || a.requires_grad());
    return HeadLoss::apply(x, a, b, targets, &weight, bias.defined() ? bias : none, on ? branch->scale : 0.0, rule, wanted, arithmetic);
}

Tensor trained_head_loss(const Tensor& x, const Tensor& targets, const LinearParts& head, const LossRule& rule) {
    Tensor total = torch::zeros({}, x.options().dtype(torch::kFloat32));
    const std::int64_t chunk_tokens = chunk_of(x, head.weight->rows(), false);
    for (std::int64_t begin = 0; begin < x.size(0); begin += chunk_tokens) {
        poll();
        const std::int64_t n = std::min(chunk_tokens, x.size(0) - begin);
        const Tensor target = targets.narrow(0, begin, n);
        auto loss = [=](const Tensor& rows, const Tensor&) {
            Tensor logits = linear(rows, head, {}).to(torch::kFloat32);
            if (rule.softcap > 0) logits = (logits / rule.softcap).tanh() * rule.softcap;
            return at::cross_entropy_loss(logits, target, {}, at::Reduction::Sum, -100, rule.smoothing);
        };
        const Tensor rows = x.narrow(0, begin, n);
        total = total + (torch::GradMode::is_enabled() ? checkpoint(rows, {}, loss) : loss(rows, {}));
    }
    return total;
}

}  // namespace qlora::nn
