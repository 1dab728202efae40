// PEFT's adapter format: adapter_config.json (LoraConfig.to_dict) and adapter_model.safetensors, whose tensors are
// called base_model.model.<module>.lora_A.weight [rank, in], .lora_B.weight [out, rank] and, of DoRA,
// .lora_magnitude_vector [out]; of modules trained whole .weight and .bias.

#include <torch/torch.h>

#include <cmath>
#include <optional>
#include <set>

#include "core/adapters/lora.h"
#include "core/adapters/targets.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/formats/sharded_tensors.h"

namespace qlora::adapters {

namespace fs = std::filesystem;
using torch::Tensor;

namespace {

constexpr const char* config_file = "adapter_config.json";

// Settings that change what the adapter computes and that this program does not know must not be passed over.
void refuse_unsupported(const JsonObject& config) {
    auto off = [&](const char* key) {
        const Json& raw = config.raw();
        auto it = raw.find(key);
        return it == raw.end() || it->is_null() || (it->is_boolean() && !it->get<bool>()) ||
               ((it->is_object() || it->is_array()) && it->empty());
    };
    for (const char* key : {"layer_replication", "trainable_token_indices", "target_parameters", "lora_bias", "alora_invocation_tokens"})
        if (!off(key)) config.fail(key, "nothing: adapters with it are not supported yet");
    // Variants of LoRA announce themselves as use_... or ..._config.
    for (const auto& [key, value] : config.raw().items())
        if (((key.starts_with("use_") && key != "use_rslora" && key != "use_dora") || key.ends_with("_config")) && !off(key.c_str()))
            config.fail(key.c_str(), "nothing: this variant of LoRA is not supported yet");
    // These start from a changed base, which the file does not say.
    if (config.has("init_lora_weights") && config.value("init_lora_weights").is_string())
        if (const auto start = config.string("init_lora_weights"); start != "gaussian" && start != "orthogonal")
            config.fail("init_lora_weights", "true, false, \"gaussian\" or \"orthogonal\": others change the base too");
    if (config.string("bias", "none") != "none") config.fail("bias", "\"none\": trained biases are not supported yet");
}

}  // namespace

namespace {

// A string, or a list of them; absent or null: none.
std::vector<std::string> read_names(const JsonObject& object, const char* key, bool wanted) {
    if (object.has(key) && object.value(key).is_string()) return {object.string(key)};
    auto names = read_name_list(object, key);
    if (wanted && names.empty()) object.fail(key, "a list of module names");
    return names;
}

// {"expression": number, ...} in the file's order.
template <typename Value, typename Read>
std::vector<std::pair<std::string, Value>> read_patterns(const JsonObject& object, const OrderedJson& ordered, const char* key, Read read) {
    std::vector<std::pair<std::string, Value>> patterns;
    if (!object.has(key)) return patterns;
    if (!object.value(key).is_object()) object.fail(key, "an object of numbers by module name");
    const JsonObject values(object.value(key), object.where() + ", " + key);
    for (const auto& [name, value] : ordered.at(key).items()) patterns.emplace_back(name, read(values, name.c_str()));
    return patterns;
}

std::optional<std::vector<std::int64_t>> read_layers(const JsonObject& object) {
    if (!object.has("layers_to_transform")) return {};
    const Json& value = object.value("layers_to_transform");
    std::vector<std::int64_t> layers;
    for (const Json& layer : value.is_array() ? value : Json::array({value})) {
        if (!layer.is_number_integer()) object.fail("layers_to_transform", "a number or a list of numbers");
        layers.push_back(layer.get<std::int64_t>());
    }
    if (layers.empty()) return {};
    return layers;
}

}  // namespace

LoraConfig read_config(const fs::path& folder) {
    const fs::path path = folder / config_file;
    const Json json = read_adapter_json(folder);
    const MappedFile file(path);  // once more, for the order of patterns
    const auto* text = reinterpret_cast<const char*>(file.bytes().data());
    const OrderedJson ordered = OrderedJson::parse(text, text + file.bytes().size());
    JsonObject object(json, path.string());
    if (object.string("peft_type") != "LORA") object.fail("peft_type", "\"LORA\"");
    refuse_unsupported(object);
    constexpr std::int64_t largest_rank = 1 << 16;
    constexpr double largest_alpha = 1e9;
    LoraConfig config;
    config.target_options.lenient = true;
    config.rank = object.integer("r", 1, largest_rank);
    config.alpha = object.number("lora_alpha", -largest_alpha, largest_alpha);
    config.dropout = object.number("lora_dropout", 0, 0.999, 0);
    config.rslora = object.boolean("use_rslora", false);
    config.dora = object.boolean("use_dora", false);
    config.base_model = object.string("base_model_name_or_path", "");
    config.task_type = object.string("task_type", "");
    config.target_modules = read_names(object, "target_modules", true);
    config.target_options.exclude = read_names(object, "exclude_modules", false);
    config.target_options.saved = read_names(object, "modules_to_save", false);
    config.target_options.layers = read_layers(object);
    config.target_options.layers_pattern = read_names(object, "layers_pattern", false);
    config.rank_pattern = read_patterns<std::int64_t>(object, ordered, "rank_pattern", [](const JsonObject& values, const char* key) {
        return values.integer(key, 1, largest_rank);
    });
    config.alpha_pattern = read_patterns<double>(object, ordered, "alpha_pattern", [](const JsonObject& values, const char* key) {
        return values.number(key, -largest_alpha, largest_alpha);
    });
    return config;
}

// Of PiSSA a file holds [A; A0] and [B, -B0].
std::vector<Adapter::Named> Lora::written() const {
    if (!starts()) return tensors();
    std::vector<Named> all = tensors();
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        const nn::LowRank& branch = *layers_[i].branch;
        all[2 * i].tensor = at::cat({branch.a.detach(), branch.start_a});
        all[2 * i + 1].tensor = at::cat({branch.b.detach(), -branch.start_b}, 1);
    }
    return all;
}

void Lora::take(std::size_t index, const Tensor& read) {
    if (!starts() || index >= 2 * layers_.size()) return Adapter::take(index, read);
    nn::LowRank& branch = *layers_[index / 2].branch;
    const std::int64_t rank = branch.a.size(0);
    if (index % 2 == 0) {
        branch.a.copy_(read.narrow(0, 0, rank));
        branch.start_a.copy_(read.narrow(0, rank, rank));
    } else {
        branch.b.copy_(read.narrow(1, 0, rank));
        branch.start_b.copy_(-read.narrow(1, rank, rank));
    }
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

namespace {

// An expression stands as a string, names in a list.
OrderedJson as_read(const std::vector<std::string>& entries) {
    if (entries.size() == 1 && is_target_pattern(entries[0])) return entries[0];
    return entries;
}

}  // namespace

OrderedJson Lora::config_json() const {
    const std::int64_t times = starts() ? 2 : 1;  // with the same scale
    const double alpha = config_.alpha * (times == 1 ? 1 : config_.rslora ? std::sqrt(2.0) : 2);
    OrderedJson config = {{"peft_type", "LORA"},
                          {"task_type", config_.task_type.empty() ? OrderedJson() : OrderedJson(config_.task_type)},
                          {"base_model_name_or_path", config_.base_model},
                          {"r", times * config_.rank},
                          {"lora_alpha", whole_if_possible(alpha)},
                          {"lora_dropout", config_.dropout},
                          {"use_rslora", config_.rslora},
                          {"use_dora", config_.dora},
                          {"bias", "none"},
                          {"fan_in_fan_out", fan_in_fan_out_},
                          {"inference_mode", true},
                          {"init_lora_weights", true},
                          {"modules_to_save", nullptr},
                          {"rank_pattern", OrderedJson::object()},
                          {"alpha_pattern", OrderedJson::object()}};
    config["target_modules"] = written_targets();
    const TargetOptions& options = config_.target_options;
    if (!options.saved.empty()) config["modules_to_save"] = options.saved;
    if (!options.exclude.empty()) config["exclude_modules"] = as_read(options.exclude);
    if (options.layers) config["layers_to_transform"] = *options.layers;
    if (!options.layers_pattern.empty()) config["layers_pattern"] = options.layers_pattern;
    for (const auto& [name, rank] : config_.rank_pattern) config["rank_pattern"][name] = rank;
    for (const auto& [name, alpha_of] : config_.alpha_pattern) config["alpha_pattern"][name] = whole_if_possible(alpha_of);
    return config;
}

}  // namespace qlora::adapters
