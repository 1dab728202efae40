#include "core/train/optimizer.h"

#include <torch/torch.h>

#include <cmath>

#include "core/memory/meters.h"
#include "core/train/adamw.h"

namespace qlora::train {

using torch::Tensor;

namespace {

Tensor zeros(std::int64_t size, torch::Device device) {
    memory::TagScope scope(MemoryTag::optimizer);
    return torch::zeros({size}, torch::TensorOptions(device).dtype(torch::kFloat32));
}

// What rules of one state or none share.
class Rule : public Optimizer {
  public:
    Rule(std::int64_t parameters, const recipe::Train& options, torch::Device device) : options_(options), momentum_(zeros(parameters, device)) {}
    std::vector<Named> state() const override { return {{name_, momentum_}}; }
    std::int64_t updates() const override { return updates_; }
    void set_updates(std::int64_t updates) override { updates_ = updates; }

  protected:
    const recipe::Train options_;
    std::int64_t updates_ = 0;
    Tensor momentum_;
    const char* name_ = "momentum_buffer";
};

// As torch.optim.SGD: weight decay is part of the gradient, and the first momentum is the first gradient.
class Sgd : public Rule {
  public:
    using Rule::Rule;
    void step(Tensor& values, const Tensor& gradients, double learning_rate, double gradient_scale) override {
        Tensor gradient = gradients * gradient_scale;
        if (options_.weight_decay != 0) gradient.add_(values, options_.weight_decay);
        if (updates_++ == 0) momentum_.copy_(gradient);
        else momentum_.mul_(options_.momentum).add_(gradient);
        values.sub_(momentum_, learning_rate);
    }
};

// The sign of a mixture of momentum and gradient; the momentum moves more slowly than the mixture.
class Lion : public Rule {
  public:
    Lion(std::int64_t parameters, const recipe::Train& options, torch::Device device) : Rule(parameters, options, device) { name_ = "exp_avg"; }
    void step(Tensor& values, const Tensor& gradients, double learning_rate, double gradient_scale) override {
        ++updates_;
        const Tensor gradient = gradients * gradient_scale;
        if (options_.weight_decay != 0) values.mul_(1 - learning_rate * options_.weight_decay);
        values.sub_((momentum_ * options_.beta1).add_(gradient, 1 - options_.beta1).sign_(), learning_rate);
        momentum_.mul_(options_.beta2).add_(gradient, 1 - options_.beta2);
    }
};

// As transformers' Adafactor with the settings of its Trainer (scale_parameter and relative_step off): squared gradients of a
// matrix are kept as the means of its rows and columns alone.
class Adafactor : public Optimizer {
  public:
    Adafactor(const std::vector<Part>& parts, const recipe::Train& options, torch::Device device) : options_(options), parts_(parts) {
        for (const Part& part : parts) {
            const bool factored = part.cols > 1;
            rows_.push_back(zeros(factored ? part.rows : 0, device));
            columns_.push_back(zeros(factored ? part.cols : 0, device));
            whole_.push_back(zeros(factored ? 0 : part.rows, device));
        }
    }

    void step(Tensor& values, const Tensor& gradients, double learning_rate, double gradient_scale) override {
        ++updates_;
        const double keep = 1 - std::pow(static_cast<double>(updates_), -0.8);
        std::int64_t begin = 0;
        for (std::size_t i = 0; i < parts_.size(); ++i) {
            const Part& part = parts_[i];
            Tensor value = values.narrow(0, begin, part.size());
            Tensor gradient = gradients.narrow(0, begin, part.size()) * gradient_scale;
            begin += part.size();
            const Tensor squares = gradient.square().add_(1e-30);
            Tensor update;
            if (part.cols > 1) {
                const Tensor matrix = squares.view({part.rows, part.cols});
                rows_[i].mul_(keep).add_(matrix.mean(1), 1 - keep);
                columns_[i].mul_(keep).add_(matrix.mean(0), 1 - keep);
                const Tensor by_row = (rows_[i] / rows_[i].mean()).rsqrt_().unsqueeze(1), by_column = columns_[i].rsqrt().unsqueeze(0);
                update = (by_row * by_column).view({-1}).mul_(gradient);
            } else {
                whole_[i].mul_(keep).add_(squares, 1 - keep);
                update = whole_[i].rsqrt().mul_(gradient);
            }
            const double size = update.norm().item<double>() / std::sqrt(static_cast<double>(part.size()));
            update.mul_(learning_rate * part.rate / std::max(1.0, size));
            if (part.decays && options_.weight_decay != 0) value.sub_(value, options_.weight_decay * learning_rate * part.rate);
            value.sub_(update);
        }
    }

    std::vector<Named> state() const override {
        std::vector<Named> named;
        for (std::size_t i = 0; i < parts_.size(); ++i) {
            std::string number(".");
            number += std::to_string(i);
            if (parts_[i].cols > 1) named.insert(named.end(), {{"exp_avg_sq_row" + number, rows_[i]}, {"exp_avg_sq_col" + number, columns_[i]}});
            else named.push_back({"exp_avg_sq" + number, whole_[i]});
        }
        return named;
    }
    std::int64_t updates() const override { return updates_; }
    void set_updates(std::int64_t updates) override { updates_ = updates; }

  private:
    const recipe::Train options_;
    const std::vector<Part> parts_;
    std::int64_t updates_ = 0;
    std::vector<Tensor> rows_, columns_, whole_;
};

std::unique_ptr<Optimizer> make_rule(std::int64_t parameters, const recipe::Train& options, torch::Device device) {
    switch (options.optimizer) {
        case recipe::Optimizer::sgd: return std::make_unique<Sgd>(parameters, options, device);
        case recipe::Optimizer::lion: return std::make_unique<Lion>(parameters, options, device);
        default: return std::make_unique<AdamW>(parameters, options, device);
    }
}

// Ranges that differ in rate or decay, each with a rule of its own.
class Ranges : public Optimizer {
  public:
    Ranges(const std::vector<Part>& parts, const recipe::Train& options, torch::Device device) {
        for (const Part& part : parts) {
            if (ranges_.empty() || ranges_.back().rate != part.rate || ranges_.back().decays != part.decays) ranges_.push_back({0, part.rate, part.decays, nullptr});
            ranges_.back().size += part.size();
        }
        for (Range& range : ranges_) {
            recipe::Train own = options;
            if (!range.decays) own.weight_decay = 0;
            range.rule = make_rule(range.size, own, device);
        }
    }

    void step(Tensor& values, const Tensor& gradients, double learning_rate, double gradient_scale) override {
        std::int64_t begin = 0;
        for (const Range& range : ranges_) {
            Tensor value = values.narrow(0, begin, range.size);
            range.rule->step(value, gradients.narrow(0, begin, range.size), learning_rate * range.rate, gradient_scale);
            begin += range.size;
        }
    }
    std::vector<Named> state() const override {
        std::vector<Named> named;
        for (std::size_t i = 0; i < ranges_.size(); ++i)
            for (auto& [name, tensor] : ranges_[i].rule->state()) named.push_back({i == 0 ? name : name + "." + std::to_string(i), tensor});
        return named;
    }
    std::int64_t updates() const override { return ranges_.empty() ? 0 : ranges_[0].rule->updates(); }
    void set_updates(std::int64_t updates) override {
        for (const Range& range : ranges_) range.rule->set_updates(updates);
    }

  private:
    struct Range {
        std::int64_t size;
        double rate;
        bool decays;
        std::unique_ptr<Optimizer> rule;
    };
    std::vector<Range> ranges_;
};

}  // namespace

std::unique_ptr<Optimizer> make_optimizer(const std::vector<Part>& parts, const recipe::Train& options, torch::Device device) {
    if (options.optimizer == recipe::Optimizer::adafactor) return std::make_unique<Adafactor>(parts, options, device);
    return std::make_unique<Ranges>(parts, options, device);
}

}  // namespace qlora::train
