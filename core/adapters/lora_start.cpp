// How A and B begin, where it is not with nothing.
#include <torch/torch.h>

#include "core/adapters/lora.h"
#include "core/base/error.h"
#include "core/memory/meters.h"
#include "core/nn/functions/poll.h"

namespace qlora::adapters {

using torch::Tensor;

namespace {

// The best approximation of a matrix by one of a rank, as two factors that share its singular values: P [rows, rank] and
// Q [rank, cols], P Q = U S V^T cut off. By the eigenvectors of the smaller Gram matrix, in fp64.
std::pair<Tensor, Tensor> halves(const Tensor& matrix, std::int64_t rank) {
    const bool wide = matrix.size(0) <= matrix.size(1);
    const Tensor m = (wide ? matrix : matrix.t()).to(torch::kFloat64);  // no more rows than columns
    const auto [values, vectors] = at::linalg_eigh(at::matmul(m, m.t()));  // ascending
    const std::int64_t kept = std::min(rank, m.size(0));
    const Tensor u = vectors.narrow(1, m.size(0) - kept, kept).flip({1});
    const Tensor singular = values.narrow(0, m.size(0) - kept, kept).flip({0}).clamp_min(0).sqrt();
    // U sqrt(S); and sqrt(S) V^T = S^(-1/2) U^T M, nothing where S is nothing.
    const Tensor root = singular.sqrt(), inverse = at::where(root > 0, 1 / root, torch::zeros_like(root));
    Tensor p = u * root, q = at::matmul(u.t(), m) * inverse.unsqueeze(1);
    if (kept < rank) {
        p = at::cat({p, torch::zeros({p.size(0), rank - kept}, p.options())}, 1);
        q = at::cat({q, torch::zeros({rank - kept, q.size(1)}, q.options())});
    }
    if (!wide) return {q.t().to(torch::kFloat32), p.t().to(torch::kFloat32)};
    return {p.to(torch::kFloat32), q.to(torch::kFloat32)};
}

}  // namespace

void Lora::start_from_principal_parts() {
    torch::NoGradGuard no_grad;
    memory::TagScope scope(MemoryTag::adapters);
    for (const Layer& layer : layers_) {
        if (is_head(layer.module))
            throw input_error("adapter.targets", "method.target_modules", "PiSSA on the output head is not supported", "Leave out " + layer.module + ".");
        nn::poll();
        nn::LowRank& branch = *layer.branch;
        const auto [p, q] = halves(layer.weight->dequantized().cpu() / branch.scale, branch.a.size(0));
        branch.a.copy_(q);
        branch.b.copy_(p);
        branch.start_a = branch.a.detach().clone();
        branch.start_b = branch.b.detach().clone();
    }
}

void Lora::start_from_errors(const std::function<Tensor(const std::string& module)>& original) {
    torch::NoGradGuard no_grad;
    for (const Layer& layer : layers_) {
        nn::poll();
        nn::LowRank& branch = *layer.branch;
        const Tensor lost = original(layer.module) - layer.weight->dequantized().cpu();
        const auto [p, q] = halves(lost / branch.scale, branch.a.size(0));
        branch.a.copy_(q);
        branch.b.copy_(p);
    }
}

}  // namespace qlora::adapters
