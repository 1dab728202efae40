#pragma once
// How autograd functions are checked: against LibTorch's own derivative of the plain formula, and against central differences along a
// random direction.

#include <torch/torch.h>

#include <functional>
#include <vector>

namespace qlora::nn {

using torch::Tensor;
using Function = std::function<Tensor(const std::vector<Tensor>&)>;

inline double relative_difference(const Tensor& a, const Tensor& b) {
    return ((a - b).norm() / (b.norm() + 1e-12)).item<double>();
}

inline std::vector<Tensor> leaves(const std::vector<Tensor>& values) {
    std::vector<Tensor> result;
    for (const auto& v : values) result.push_back(v.clone().requires_grad_(true));
    return result;
}

// The largest relative difference between the gradients of f and g at `values`, after the outputs were compared.
inline double compare(const Function& f, const Function& g, const std::vector<Tensor>& values) {
    auto a = leaves(values), b = leaves(values);
    Tensor y = f(a), z = g(b);
    double worst = relative_difference(y.detach(), z.detach());
    Tensor weight = torch::randn_like(z);
    (y * weight).sum().backward();
    (z * weight).sum().backward();
    for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, relative_difference(a[i].grad(), b[i].grad()));
    return worst;
}

// |directional derivative by central differences - by f's backward|, relative.
inline double central_difference(const Function& f, const std::vector<Tensor>& values, double h = 1e-2) {
    auto at = leaves(values);
    Tensor y = f(at);
    Tensor weight = torch::randn_like(y);
    (y * weight).sum().backward();
    std::vector<Tensor> direction, plus, minus;
    double analytic = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
        direction.push_back(torch::randn_like(values[i]) * 0.5);
        plus.push_back(values[i] + h * direction[i]);
        minus.push_back(values[i] - h * direction[i]);
        analytic += (at[i].grad() * direction[i]).sum().item<double>();
    }
    torch::NoGradGuard no_grad;
    const double numeric = ((f(plus) - f(minus)).to(torch::kFloat64) * weight.to(torch::kFloat64)).sum().item<double>() / (2 * h);
    return std::abs(numeric - analytic) / std::max(1.0, std::abs(analytic));
}

}  // namespace qlora::nn
