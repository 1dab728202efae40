#include "core/nn/functions/checkpoint.h"

#include <torch/torch.h>

namespace qlora::nn {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

struct Body : torch::CustomClassHolder {
    explicit Body(std::function<Tensor(const Tensor&)> f) : run(std::move(f)) {}
    std::function<Tensor(const Tensor&)> run;
};

class Checkpoint : public torch::autograd::Function<Checkpoint> {
  public:
    // `anchor` requires a gradient, so that the block is differentiated even when x (the embedding) is not.
    static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& anchor, c10::intrusive_ptr<Body> body) {
        ctx->save_for_backward({x});
        ctx->saved_data["body"] = c10::IValue::make_capsule(body);
        ctx->saved_data["wanted"] = x.requires_grad();
        return body->run(x);
    }
    static variable_list backward(AutogradContext* ctx, variable_list gradients) {
        auto body = c10::static_intrusive_pointer_cast<Body>(ctx->saved_data["body"].toCapsule());
        Tensor x = ctx->get_saved_variables()[0].detach().requires_grad_(ctx->saved_data["wanted"].toBool());
        Tensor y;
        {
            torch::AutoGradMode enable(true);
            y = body->run(x);
        }
        torch::autograd::backward({y}, {gradients[0]});
        return {x.requires_grad() ? x.grad() : Tensor(), Tensor(), Tensor()};
    }
};

}  // namespace

Tensor checkpoint(const Tensor& x, const std::function<Tensor(const Tensor&)>& f) {
    static const Tensor anchor = torch::zeros({0}).requires_grad_(true);
    return Checkpoint::apply(x, anchor, c10::make_intrusive<Body>(f));
}

}  // namespace qlora::nn
