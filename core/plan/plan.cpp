#include "core/plan/plan.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/base/count_text.h"
#include "core/nn/bitsandbytes.h"
#include "core/plan/memory_model.h"

namespace qlora::plan {

namespace {

// What part of the GEMM rate a training step reaches on a CPU, in fp32 and in bf16: 0.7 in runs of short rows, 0.8 with rows of 512
// tokens (docs/performance.md).
constexpr double efficiency = 0.7;

std::string upper(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::toupper(c); });
    return out;
}

std::string plural(std::int64_t n, const char* one, const char* many) {
    return count_text(n) + " " + (n == 1 ? one : many);
}

std::string epochs_text(const recipe::Recipe& recipe) {
    if (recipe.train.max_steps > 0) return plural(recipe.train.max_steps, "step", "steps");
    char text[32];
    std::snprintf(text, sizeof text, "%g", recipe.train.epochs);
    return std::string(text) + (recipe.train.epochs == 1 ? " epoch" : " epochs");
}

}  // namespace

Plan make_plan(const recipe::Recipe& recipe, const nn::ModelInfo& model, const std::optional<DataFacts>& data,
               std::int64_t budget_bytes, const GemmRates& rates) {
    Plan plan;
    DataFacts facts;
    if (data) {
        facts = *data;
    } else {
        facts.mean_tokens = static_cast<double>(recipe.data.max_length);
        facts.mean_trained_tokens = facts.mean_tokens / 2;
        facts.longest_tokens = recipe.data.max_length;
        plan.notices.push_back("No data yet: every row is taken to be as long as the limit.");
    }
    if (recipe.method.kind == recipe::MethodKind::prompt_tuning) {
        facts.mean_tokens += static_cast<double>(recipe.method.virtual_tokens);
        facts.longest_tokens += recipe.method.virtual_tokens;
    }
    const auto limit = static_cast<double>(recipe.data.max_length), batch = static_cast<double>(recipe.train.batch_size);
    const double rows = std::max<double>(1, static_cast<double>(facts.train_rows)) * static_cast<double>(1 + recipe.data.augment.copies + recipe.data.augment.paraphrases);
    // The peak is met in the fullest micro-batch; packed rows fill up to the limit.
    StepShape peak, mean;
    mean.tokens = batch * facts.mean_tokens;
    mean.trained_tokens = batch * facts.mean_trained_tokens;
    peak.longest = std::min(limit, static_cast<double>(facts.longest_tokens));
    peak.tokens = std::max(mean.tokens, std::min(batch * peak.longest, mean.tokens + 2 * std::sqrt(batch) * (peak.longest - facts.mean_tokens) / 2));
    peak.trained_tokens = mean.tokens > 0 ? peak.tokens * mean.trained_tokens / mean.tokens : 0;
    mean.longest = facts.mean_tokens;

    const bool bf16 = recipe.compute != "fp32" && rates.bf16 > 0;
    const double gemm_flops = bf16 ? rates.bf16 : rates.fp32;
    peak.kept_bytes = recipe.train.activations == "auto" ? (bf16 ? 2 : 4) : recipe.train.activations == "bf16" ? 2 : 4;
    peak.logits_in_bf16 = bf16 && recipe.train.label_smoothing == 0 && recipe.method.kind != MethodKind::full;
    plan.bytes = step_bytes(recipe, model, peak);
    plan.peak_bytes = plan.bytes.total();
    plan.budget_bytes = budget_bytes;
    plan.fits = budget_bytes <= 0 || plan.peak_bytes <= budget_bytes;
    plan.trainable_parameters = adapter_parameters(recipe, model);

    const double a_step = batch * static_cast<double>(recipe.train.accumulate);
    const auto steps_an_epoch = static_cast<std::int64_t>(std::ceil(rows / a_step));
    plan.steps = recipe.train.max_steps > 0
                     ? recipe.train.max_steps
                     : static_cast<std::int64_t>(std::ceil(static_cast<double>(steps_an_epoch) * recipe.train.epochs));
    if (gemm_flops > 0) {
        const double flops = step_flops(recipe, model, mean) * static_cast<double>(recipe.train.accumulate);
        plan.step_seconds = flops / (gemm_flops * efficiency);
        plan.total_seconds = plan.step_seconds * static_cast<double>(plan.steps);
    }
    if (facts.truncated_rows > 0)
        plan.notices.push_back(plural(facts.truncated_rows, "row is", "rows are") + " cut at " +
                               std::to_string(recipe.data.max_length) + " tokens.");
    if (recipe.data.max_length > model.context)
        plan.notices.push_back("The limit of " + std::to_string(recipe.data.max_length) + " tokens is above the model's context of " +
                               std::to_string(model.context) + ".");
    if (const auto lost = nn::requantization_notice(model.quantization, recipe.precision); !lost.empty()) plan.notices.push_back(lost);
    if (!plan.fits) plan.notices.push_back("It needs more memory than there is free. Try a smaller batch or shorter rows.");

    plan.sentence = "Teach " + model.name + " in " +
                    (recipe.precision == recipe::Precision::native ? model.dtype : upper(recipe::name(recipe.precision))) +
                    (recipe.method.kind == recipe::MethodKind::lora || recipe.method.kind == recipe::MethodKind::adapter ? " with " : " by ") + recipe::method_title(recipe.method);
    if (facts.train_rows > 0) plan.sentence += " on " + plural(facts.train_rows, "row", "rows");
    plan.sentence += ", " + epochs_text(recipe) + ".";
    return plan;
}

}  // namespace qlora::plan
