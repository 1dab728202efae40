// The parts of a training run that several processes do together.

#include <torch/torch.h>

#include "core/base/error.h"
#include "core/data/share.h"
#include "core/train/training_run.h"

namespace qlora::train {

std::unique_ptr<parallel::Group> TrainingRun::join() const {
    return std::make_unique<parallel::Group>(options_.processes, [this] {
        control_.check();
        if (options_.while_joining) options_.while_joining();
    });
}

recipe::Recipe TrainingRun::recipe_of_all(const recipe::Recipe& recipe) const {
    if (group_->alone()) return recipe;
    const std::string text = group_->broadcast(group_->first() ? recipe::to_json(recipe).dump() : "");
    if (group_->first()) return recipe;
    std::vector<recipe::Problem> problems;
    auto received = recipe::from_json(parse_json(text, "recipe"), {}, problems);
    if (!problems.empty()) recipe::throw_problems("recipe", problems);
    return received;
}

void TrainingRun::share_state() {
    if (group_->alone()) return;
    if (const auto rows = recipe_.train.batch_size * recipe_.train.accumulate; !recipe_.data.packing && rows < group_->size())
        notice("parallel.idle", "A step has " + std::to_string(rows) + (rows == 1 ? " row" : " rows") + " for " +
                                    std::to_string(group_->size()) + " processes: the others wait.",
               "Start fewer processes, or raise the batch size.");
    const OrderedJson mine = {{"updates", optimizer_->updates()}, {"parameters", adapter_->parameters()}, {"steps", steps_},
                              {"state", to_json(state_)}};
    const Json json = parse_json(group_->broadcast(mine.dump()), "rank 0");
    const JsonObject object(json, "rank 0");
    const RunState first = state_from_json(JsonObject(object.value("state"), "rank 0"));
    // Each compares before anything of another shape could travel.
    if (first.train_fingerprint != state_.train_fingerprint || first.validation_fingerprint != state_.validation_fingerprint ||
        object.integer("steps", 0, INT64_MAX) != steps_)
        throw input_error("parallel.data", "data", group_->name() + " reads other rows than process 0",
                          "Give every machine the same files and the same model.");
    if (object.integer("parameters", 0, INT64_MAX) != adapter_->parameters())
        throw input_error("parallel.model", "model", group_->name() + " loads another model than process 0",
                          "Give every machine the same files and the same model.");
    group_->together(control_, [] {});
    group_->broadcast(adapter_->values());
    for (auto& [name, moment] : optimizer_->state()) group_->broadcast(moment);
    if (group_->first()) return;
    optimizer_->set_updates(object.integer("updates", 0, INT64_MAX));
    const int threads = state_.threads;
    state_ = first;
    state_.threads = threads;
    sampler_->seek(state_.position);
}

double TrainingRun::gradients_of(const std::vector<data::Batch>& step, std::int64_t trained_tokens) {
    const auto parts = group_->alone() ? std::vector<data::Batch>() : data::share(step, group_->rank(), group_->size());
    const auto& mine = group_->alone() ? step : parts;
    double loss = 0;
    const auto compute = [&] {
        for (std::size_t i = 0; i < mine.size(); ++i) {
            if (mine[i].rows.empty()) continue;
            // Of several processes each has dropout's masks of its own.
            const auto pass = static_cast<std::uint64_t>(group_->rank()) << 48 | static_cast<std::uint64_t>(state_.step) << 16 | i;
            const nn::DropoutKey key{true, recipe_.train.seed, pass};
            torch::Tensor sum = model_->network.loss_sum(mine[i], key);
            loss += sum.item<double>();
            memory::TagScope scope(MemoryTag::activations);
            (sum / static_cast<double>(trained_tokens)).backward();
        }
    };
    group_->together(control_, compute, std::span(&loss, 1));
    group_->sum(adapter_->gradients());
    return loss / static_cast<double>(trained_tokens);
}

}  // namespace qlora::train
