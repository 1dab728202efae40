#pragma once
// What an adapter is for. PEFT keeps the task in adapter_config.json (task_type); the names of a classifier's labels have no
// place there, so task.json beside it holds them: {"problem_type": "...", "id2label": {"0": "...", ...}}, the keys of a
// model's config.json.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/recipe/recipe.h"

namespace qlora::adapters {

struct AdapterTask {
    recipe::Task task = recipe::Task::causal_lm;
    std::vector<std::string> labels;  // of a classifier, in the order of its logits
    recipe::ProblemType problem = recipe::ProblemType::automatic;
};

// Throws input_error naming file and field. An adapter from elsewhere has no task.json: its labels are as many as its
// saved classifier gives, called LABEL_0 and so on; none where it has no classifier of its own.
AdapterTask read_task(const std::filesystem::path& folder);
// Writes task.json for classifiers; nothing for other tasks.
void write_task(const std::filesystem::path& folder, const AdapterTask& task);

// PEFT's name: "CAUSAL_LM", "SEQ_CLS", "SEQ_2_SEQ_LM".
std::string peft_name(recipe::Task task);

}  // namespace qlora::adapters
