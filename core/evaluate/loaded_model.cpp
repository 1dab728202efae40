#include "core/evaluate/loaded_model.h"

#include <algorithm>

#include "core/adapters/task_file.h"
#include "core/evaluate/device.h"
#include "core/hub/catalogue.h"
#include "core/memory/meters.h"
#include "core/nn/bitsandbytes.h"

namespace qlora::evaluate {

namespace {

// The end-of-sequence token, what generation_config.json adds to it, and the tokens that close a turn in the known chat formats.
std::vector<std::int32_t> find_stop_ids(const nn::ModelFiles& files, const tokenizer::Tokenizer& tokenizer) {
    std::vector<std::int32_t> ids;
    auto add = [&](std::optional<std::int32_t> id) {
        if (id && std::find(ids.begin(), ids.end(), *id) == ids.end()) ids.push_back(*id);
    };
    add(tokenizer.eos());
    for (const char* token : {"<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>", "<|endoftext|>"})
        if (auto id = tokenizer.find(token); id && tokenizer.is_special(*id)) add(id);
    const auto generation = files.path() / "generation_config.json";
    if (files.gguf() == nullptr && std::filesystem::exists(generation)) {
        const Json json = read_json_file(generation);
        if (json.is_object() && json.contains("eos_token_id")) {
            const Json& eos = json["eos_token_id"];
            for (const Json& id : eos.is_array() ? eos : Json::array({eos}))
                if (id.is_number_integer()) add(id.get<std::int32_t>());
        }
    }
    return ids;
}

}  // namespace

std::unique_ptr<LoadedModel> open_model(const LoadOptions& options) {
    auto model = std::make_unique<LoadedModel>();
    model->device = use_device(options.device, options.threads);
    model->gpu = gpu_index(options.device);
    model->files = std::make_unique<const nn::ModelFiles>(nn::ModelFiles::open(hub::resolve_model(options.model)));
    model->tokenizer = nn::load_tokenizer(*model->files);
    model->stop_ids = find_stop_ids(*model->files, *model->tokenizer);
    model->notices = model->files->notices();
    const auto lost = nn::requantization_notice(nn::bitsandbytes_form(*model->files), options.precision);
    if (!lost.empty()) model->notices.push_back(lost);
    compute_type(options.compute, &model->notices, model->gpu);
    return model;
}

void load_weights(LoadedModel& model, const LoadOptions& options, const nn::HeadWish& head, Control& control, const Progress& progress) {
    const quant::BlockOptions blocks{options.quantization_block, options.double_quantization};
    const torch::Device device = model.gpu < 0 ? torch::Device(torch::kCPU) : torch::Device(torch::kCUDA, static_cast<c10::DeviceIndex>(model.gpu));
    model.network = nn::load(*model.files, {options.precision, blocks, device}, control, progress, head);
    model.network.arithmetic = compute_type(options.compute, nullptr, model.gpu) == "bf16" ? nn::Arithmetic::bf16 : nn::Arithmetic::fp32;
    if (options.activations != "auto") model.network.arithmetic.keeps_bf16 = options.activations == "bf16";
    model.files.reset();
    memory::give_back();
}

nn::HeadWish head_wish(const recipe::Recipe& recipe, const RunData& data) {
    nn::HeadWish wish;
    wish.task = recipe.task;
    wish.seed = recipe.train.seed;
    if (data.labels) {
        wish.labels = data.labels->names;
        wish.problem = data.labels->type;
    }
    return wish;
}

std::unique_ptr<LoadedModel> load_model(const LoadOptions& options, Control& control, const Progress& progress) {
    auto model = open_model(options);
    nn::HeadWish head;
    if (!options.adapter.empty()) {
        const auto task = adapters::read_task(options.adapter);
        if (task.task == recipe::Task::classification) head = {task.task, task.labels, task.problem, 0};
    }
    load_weights(*model, options, head, control, progress);
    if (!options.adapter.empty()) model->adapter = adapters::load(model->network, options.adapter);
    return model;
}

}  // namespace qlora::evaluate
