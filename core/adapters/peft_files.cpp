// PEFT's adapter format: adapter_config.json (LoraConfig.to_dict) and adapter_model.safetensors, whose tensors are
// called base_model.model.<module>.lora_A.weight [rank, in] and .lora_B.weight [out, rank].

#include <torch/torch.h>

#include <cmath>
#include <cstring>

#include "core/adapters/lora.h"
#include "core/adapters/targets.h"
#include "core/base/error.h"
#include "core/formats/sharded_tensors.h"

namespace qlora::adapters {

namespace fs = std::filesystem;
using torch::Tensor;

namespace {

constexpr const char* weights_file = "adapter_model.safetensors";
constexpr const char* config_file = "adapter_config.json";

std::string tensor_name(const std::string& module, const char* part) {
    return "base_model.model." + module + ".lora_" + part + ".weight";
}

Tensor read_tensor(const formats::TensorView& view, const std::string& where) {
    torch::ScalarType type = torch::kFloat32;
    switch (view.dtype) {
        case formats::DType::f32: break;
        case formats::DType::f16: type = torch::kFloat16; break;
        case formats::DType::bf16: type = torch::kBFloat16; break;
        case formats::DType::f64: type = torch::kFloat64; break;
        default: formats::expect_dtype(view, formats::DType::f32, where);
    }
    Tensor tensor = torch::empty(view.shape, type);
    std::memcpy(tensor.data_ptr(), view.data.data(), view.data.size());
    return tensor.to(torch::kFloat32);
}

// Settings that change what the adapter computes and that this program does not know must not be passed over.
void refuse_unsupported(const JsonObject& config) {
    auto off = [&](const char* key) {
        const Json& raw = config.raw();
        auto it = raw.find(key);
        return it == raw.end() || it->is_null() || (it->is_boolean() && !it->get<bool>()) ||
               ((it->is_object() || it->is_array()) && it->empty());
    };
    for (const char* key : {"modules_to_save", "rank_pattern", "alpha_pattern", "layers_to_transform", "layer_replication",
                            "trainable_token_indices", "target_parameters", "lora_bias",
                            "alora_invocation_tokens", "exclude_modules"})
        if (!off(key)) config.fail(key, "nothing: adapters with it are not supported yet");
    // Variants of LoRA announce themselves as use_... or ..._config.
    for (const auto& [key, value] : config.raw().items())
        if (((key.starts_with("use_") && key != "use_rslora") || key.ends_with("_config")) && !off(key.c_str()))
            config.fail(key.c_str(), "nothing: this variant of LoRA is not supported yet");
    if (config.string("bias", "none") != "none") config.fail("bias", "\"none\": trained biases are not supported yet");
}

}  // namespace

LoraConfig read_config(const fs::path& folder) {
    const fs::path path = folder / config_file;
    if (!fs::exists(path))
        throw input_error("adapter.config", path.string(), "no adapter here: adapter_config.json is missing",
                          "Choose a folder written by PEFT or by this program.");
    const Json json = read_json_file(path);
    JsonObject object(json, path.string());
    if (object.string("peft_type") != "LORA") object.fail("peft_type", "\"LORA\"");
    refuse_unsupported(object);
    LoraConfig config;
    config.rank = object.integer("r", 1, 1 << 16);
    config.alpha = object.number("lora_alpha", -1e9, 1e9);
    config.dropout = object.number("lora_dropout", 0, 0.999, 0);
    config.rslora = object.boolean("use_rslora", false);
    config.base_model = object.string("base_model_name_or_path", "");
    const Json& targets = object.value("target_modules");
    config.target_modules.clear();
    if (targets.is_string()) {
        config.target_modules.push_back(targets.get<std::string>());
    } else {
        if (!targets.is_array() || targets.empty()) object.fail("target_modules", "a list of module names");
        for (const auto& target : targets) {
            if (!target.is_string()) object.fail("target_modules", "a list of module names");
            config.target_modules.push_back(target.get<std::string>());
        }
    }
    return config;
}

void Lora::restore(const fs::path& folder) {
    torch::NoGradGuard no_grad;
    const formats::ShardedTensors file(folder, "adapter_model");
    const std::string where = (folder / weights_file).string();
    std::string missing, unexpected;
    std::size_t known = 0;
    for (const Layer& layer : layers_)
        for (const char* part : {"A", "B"}) {
            const auto* view = file.find(tensor_name(layer.module, part));
            if (view == nullptr) {
                missing += "\n  missing: " + tensor_name(layer.module, part);
                continue;
            }
            ++known;
            const Tensor& target = *part == 'A' ? layer.branch->a : layer.branch->b;
            formats::expect_shape(*view, target.sizes(), where);
            formats::expect_finite(*view, where);
            target.detach().copy_(read_tensor(*view, where));
        }
    if (known < file.tensors().size())
        for (const auto* view : file.tensors()) {
            bool ours = false;
            for (const Layer& layer : layers_)
                ours = ours || view->name == tensor_name(layer.module, "A") || view->name == tensor_name(layer.module, "B");
            if (!ours) unexpected += "\n  unexpected: " + view->name;
        }
    file.check();
    if (!missing.empty() || !unexpected.empty())
        throw input_error("adapter.tensors", where, "the adapter does not fit this model:" + missing + unexpected,
                          "Use it with the base model it was trained on.");
}

// PEFT matches list entries as whole names or last parts: plain entries stay as they are, all-linear becomes the last
// names it selected, and a pattern the full names.
std::vector<std::string> Lora::written_targets() const {
    const bool all = config_.target_modules == std::vector<std::string>{"all-linear"};
    const bool pattern = config_.target_modules.size() == 1 && is_target_pattern(config_.target_modules[0]);
    if (!all && !pattern) return config_.target_modules;
    std::vector<std::string> entries;
    for (const Layer& layer : layers_) {
        auto entry = all ? layer.module.substr(layer.module.rfind('.') + 1) : layer.module;
        if (std::find(entries.begin(), entries.end(), entry) == entries.end()) entries.push_back(entry);
    }
    return entries;
}

void Lora::save(const fs::path& folder) const {
    OrderedJson config = {{"peft_type", "LORA"},
                          {"task_type", "CAUSAL_LM"},
                          {"base_model_name_or_path", config_.base_model},
                          {"r", config_.rank},
                          {"lora_alpha", config_.alpha},
                          {"lora_dropout", config_.dropout},
                          {"use_rslora", config_.rslora},
                          {"use_dora", false},
                          {"bias", "none"},
                          {"fan_in_fan_out", false},
                          {"inference_mode", true},
                          {"init_lora_weights", true},
                          {"modules_to_save", nullptr},
                          {"rank_pattern", OrderedJson::object()},
                          {"alpha_pattern", OrderedJson::object()}};
    if (config_.alpha == std::floor(config_.alpha)) config["lora_alpha"] = static_cast<std::int64_t>(config_.alpha);
    config["target_modules"] = written_targets();
    std::vector<formats::TensorView> tensors;
    for (const Layer& layer : layers_)
        for (const char* part : {"A", "B"}) {
            const Tensor& t = *part == 'A' ? layer.branch->a : layer.branch->b;
            tensors.push_back({tensor_name(layer.module, part), formats::DType::f32, t.sizes().vec(),
                               {static_cast<const std::byte*>(t.const_data_ptr()), t.nbytes()}});
        }
    formats::write_safetensors(folder / weights_file, tensors, {{"format", "pt"}});
    write_atomically(folder / config_file, config.dump(2) + "\n");
}

}  // namespace qlora::adapters
