#include "core/nn/functions/checkpoint.h"

#include <torch/torch.h>

namespace qlora::nn {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

using Run = std::function<Tensor(const Tensor&, const Tensor&)>;

struct Body : torch::CustomClassHolder {
    explicit Body(Run f) : run(std::move(f)) {}
    Run run;
};

class Checkpoint : public torch::autograd::Function<Checkpoint> {
  public:
    // `anchor` requires a gradient, so that the block is differentiated even when x (the embedding) is not. No memory: an
    // empty tensor, since Function::apply takes no undefined ones.
    static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& memory, const Tensor& anchor,
                          c10::intrusive_ptr<Body> body) {
        ctx->save_for_backward({x, memory});
        ctx->saved_data["body"] = c10::IValue::make_capsule(body);
        ctx->saved_data["x_wanted"] = x.requires_grad();
        ctx->saved_data["memory_wanted"] = memory.requires_grad();
        return body->run(x, given(memory));
    }
    static variable_list backward(AutogradContext* ctx, variable_list gradients) {
        auto body = c10::static_intrusive_pointer_cast<Body>(ctx->saved_data["body"].toCapsule());
        const auto saved = ctx->get_saved_variables();
        Tensor x = saved[0].detach().requires_grad_(ctx->saved_data["x_wanted"].toBool());
        Tensor memory = saved[1].detach().requires_grad_(ctx->saved_data["memory_wanted"].toBool());
        Tensor y;
        {
            torch::AutoGradMode enable(true);
            y = body->run(x, given(memory));
        }
        torch::autograd::backward({y}, {gradients[0]});
        auto gradient = [](const Tensor& t) { return t.requires_grad() ? t.grad() : Tensor(); };
        return {gradient(x), gradient(memory), Tensor(), Tensor()};
    }

  private:
    static Tensor given(const Tensor& memory) { return memory.numel() > 0 ? memory : Tensor(); }
};

}  // namespace

Tensor checkpoint(const Tensor& x, const Tensor& memory, const Run& f) {
    static const Tensor anchor = torch::zeros({0}).requires_grad_(true);
    return Checkpoint::apply(x, memory.defined() ? memory : torch::empty({0}), anchor, c10::make_intrusive<Body>(f));
}

}  // namespace qlora::nn
