#include "core/plan/plan.h"

#include <algorithm>

#include "app/qlora/command.h"
#include "app/qlora/format.h"
#include "app/qlora/options.h"
#include "core/evaluate/device.h"
#include "core/memory/meters.h"

namespace qlora::cli {

namespace {

// What the chosen device has free.
std::int64_t budget(const std::string& device) {
    memory::Reading reading = memory::read();
    if (evaluate::gpu_index(device) >= 0 && reading.device)
        return std::max<std::int64_t>(0, reading.device->total - reading.device->used);
    return reading.machine_available_bytes;
}

OrderedJson to_json(const plan::Plan& plan) {
    OrderedJson bytes = OrderedJson::object();
    for (std::size_t tag = 0; tag < memory_tag_count; ++tag)
        bytes[std::string(memory_tag_names[tag])] = plan.bytes.by_tag[tag];
    return {{"bytes", bytes},
            {"peak_bytes", plan.peak_bytes},
            {"budget_bytes", plan.budget_bytes},
            {"fits", plan.fits},
            {"step_seconds", plan.step_seconds},
            {"total_seconds", plan.total_seconds},
            {"steps", plan.steps},
            {"trainable_parameters", plan.trainable_parameters},
            {"sentence", plan.sentence},
            {"notices", plan.notices}};
}

std::string text(const plan::Plan& plan) {
    std::vector<std::vector<std::string>> rows;
    for (std::size_t tag = 0; tag < memory_tag_count; ++tag)
        if (plan.bytes.by_tag[tag] > 0)
            rows.push_back({std::string(memory_tag_names[tag]), bytes_text(plan.bytes.by_tag[tag])});
    rows.push_back({"at most", bytes_text(plan.peak_bytes) + " of " + bytes_text(plan.budget_bytes) +
                                   (plan.fits ? ": fits" : ": does not fit")});
    rows.push_back({"time", count_text(plan.steps) + " steps, about " + duration_text(plan.step_seconds) +
                                " each, " + duration_text(plan.total_seconds) + " in all"});
    std::string out = plan.sentence + "\n" + table(rows);
    for (const std::string& notice : plan.notices) out += notice + "\n";
    return out;
}

}  // namespace

Run define_plan(CLI::App& command) {
    auto options = std::make_shared<RecipeOptions>();
    command.add_option("RECIPE", options->file, "The recipe, a JSON file")->required();
    add_set(command, *options);
    return [options](Context& context) {
        recipe::Recipe recipe = options->load();
        nn::ModelInfo model = nn::inspect(recipe.model);
        context.control.check();
        plan::Plan plan =
            plan::make_plan(recipe, model, std::nullopt, budget(context.device), plan::measured_gemm_rates());
        context.output.answer(to_json(plan), text(plan));
        return 0;
    };
}

}  // namespace qlora::cli
