#include "core/adapters/task_file.h"

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/formats/sharded_tensors.h"

namespace qlora::adapters {

namespace fs = std::filesystem;
using recipe::ProblemType;
using recipe::Task;

namespace {

constexpr const char* task_file = "task.json";

// The rows of the last layer that was saved whole: a classifier's logits.
std::int64_t saved_labels(const fs::path& folder) {
    const formats::ShardedTensors tensors(folder, "adapter_model");
    for (const auto* tensor : tensors.tensors())
        for (const char* name : {"score.weight", "classifier.weight", "classifier.out_proj.weight"})
            if (tensor->name.ends_with(std::string(".") + name) && tensor->shape.size() == 2) return tensor->shape[0];
    return 0;
}

}  // namespace

std::string peft_name(Task task) {
    return task == Task::classification ? "SEQ_CLS" : task == Task::seq2seq ? "SEQ_2_SEQ_LM" : "CAUSAL_LM";
}

AdapterTask read_task(const fs::path& folder) {
    const fs::path config = folder / "adapter_config.json";
    AdapterTask task;
    if (!fs::exists(config)) return task;  // said better by who loads the adapter
    const Json json = read_json_file(config);
    const std::string type = JsonObject(json, config.string()).string("task_type", "");
    for (const Task known : {Task::classification, Task::seq2seq})
        if (type == peft_name(known)) task.task = known;
    if (task.task != Task::classification) return task;
    const fs::path path = folder / task_file;
    if (!fs::exists(path)) {
        for (std::int64_t i = 0, n = saved_labels(folder); i < n; ++i) task.labels.push_back("LABEL_" + std::to_string(i));
        return task;
    }
    const Json own = read_json_file(path);
    const JsonObject object(own, path.string());
    const std::string problem = object.string("problem_type");
    for (const ProblemType known : {ProblemType::single_label, ProblemType::multi_label, ProblemType::regression})
        if (problem == recipe::name(known)) task.problem = known;
    if (task.problem == ProblemType::automatic)
        object.fail("problem_type", "\"single_label_classification\", \"multi_label_classification\" or \"regression\"");
    const Json& labels = object.value("id2label");
    if (!labels.is_object() || labels.empty()) object.fail("id2label", "an object of label names by number");
    for (std::size_t i = 0; i < labels.size(); ++i) {
        const auto found = labels.find(std::to_string(i));
        if (found == labels.end() || !found->is_string()) object.fail("id2label", "a name for each number from 0");
        task.labels.push_back(found->get<std::string>());
    }
    return task;
}

void write_task(const fs::path& folder, const AdapterTask& task) {
    if (task.task != Task::classification) return;
    OrderedJson labels = OrderedJson::object();
    for (std::size_t i = 0; i < task.labels.size(); ++i) labels[std::to_string(i)] = task.labels[i];
    const OrderedJson json = {{"problem_type", recipe::name(task.problem)}, {"id2label", labels}};
    write_atomically(folder / task_file, json.dump(2) + "\n");
}

}  // namespace qlora::adapters
