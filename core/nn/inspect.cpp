#include <algorithm>

#include "core/base/count_text.h"
#include "core/hub/catalogue.h"
#include "core/nn/bitsandbytes.h"
#include "core/nn/load.h"
#include "core/nn/model_info.h"

namespace qlora::nn {

namespace {

std::string model_name(const ModelFiles& files) {
    for (const auto& known : hub::models()) {
        std::error_code ignored;
        if (known.available && std::filesystem::equivalent(known.path, files.path(), ignored)) return known.name;
    }
    if (files.gguf() != nullptr && files.gguf()->has("general.name")) return files.gguf()->string("general.name");
    auto stem = files.gguf() != nullptr ? files.path().stem() : files.path().filename();
    return stem.empty() ? files.path().parent_path().filename().string() : stem.string();
}

// A tensor by what it stands for: of packed ones the type is the form, "nf4", the shape that of the matrix, and the bytes
// those of its scales too.
struct Described {
    std::string type;
    std::vector<std::int64_t> shape;
    std::int64_t elements = 0, bytes = 0;
};

std::vector<Described> describe(const ModelFiles& files) {
    std::vector<Described> list;
    std::map<std::string, std::size_t> packed_at;  // by module
    std::map<std::string, std::int64_t> scales;
    for (const StoredTensor& tensor : files.all()) {
        const auto bytes = static_cast<std::int64_t>(tensor.data.size());
        if (const auto module = module_of_bitsandbytes_part(tensor.name)) {
            if (tensor.name.ends_with("absmax") || tensor.name.ends_with(".SCB")) scales[*module] += bytes;  // the levels are not kept
            continue;
        }
        // Old checkpoints carry position numbers and masks beside the parameters.
        if (const auto* dtype = std::get_if<formats::DType>(&tensor.type);
            dtype != nullptr && (*dtype == formats::DType::i64 || *dtype == formats::DType::i32 || *dtype == formats::DType::boolean))
            continue;
        const auto packed = tensor.name.ends_with(".weight") ? bitsandbytes_layer(files, {tensor.name, ""}) : std::nullopt;
        if (packed) {
            packed_at[tensor.name.substr(0, tensor.name.size() - 7)] = list.size();
            list.push_back({std::string(recipe::name(packed->precision)), {packed->rows, packed->cols}, packed->rows * packed->cols, bytes});
        } else {
            list.push_back({tensor.type_name(), tensor.shape, tensor.elements(), bytes});
        }
    }
    for (const auto& [module, bytes] : scales)
        if (const auto at = packed_at.find(module); at != packed_at.end()) list[at->second].bytes += bytes;
    return list;
}

// The most frequent stored type, by elements, of the matrices.
std::string main_type(const std::vector<Described>& tensors) {
    std::map<std::string, std::int64_t> elements;
    for (const auto& tensor : tensors)
        if (tensor.shape.size() == 2) elements[tensor.type] += tensor.elements;
    auto most = std::max_element(elements.begin(), elements.end(), [](auto& a, auto& b) { return a.second < b.second; });
    return most == elements.end() ? "" : most->first;
}

}  // namespace

ModelInfo inspect(const std::string& model) {
    const ModelFiles files = ModelFiles::open(hub::resolve_model(model));
    const ModelConfig& c = files.config();
    const Family& family = files.family();
    ModelInfo info;
    info.path = files.path();
    info.name = model_name(files);
    info.family = family.name;
    info.format = files.gguf() != nullptr ? "GGUF" : "safetensors";
    const auto tensors = describe(files);
    info.dtype = main_type(tensors);
    info.quantization = bitsandbytes_form(files);
    if (files.gguf() != nullptr && info.dtype.starts_with("Q")) info.quantization = "GGUF " + info.dtype;
    double rest_bytes = 0, rest_elements = 0, linear_bytes = 0, linear_elements = 0;
    for (const auto& tensor : tensors) {
        info.parameters += tensor.elements;
        ++info.tensor_types[tensor.type];
        const bool in_block = tensor.shape.size() == 2 && tensor.shape[0] != c.vocabulary;
        (in_block ? linear_bytes : rest_bytes) += static_cast<double>(tensor.bytes);
        (in_block ? linear_elements : rest_elements) += static_cast<double>(tensor.elements);
    }
    if (linear_elements > 0) info.linear_bits = 8 * linear_bytes / linear_elements;
    if (rest_elements > 0) info.rest_bits = 8 * rest_bytes / rest_elements;
    info.layers = c.layers;
    info.encoder_layers = c.encoder_layers;
    info.hidden = c.hidden;
    info.intermediate = c.intermediate;
    info.heads = c.heads;
    info.kv_heads = c.kv_heads;
    info.head_dim = c.head_dim;
    info.vocabulary = c.vocabulary;
    info.context = c.context;
    info.tied_embeddings = c.tied_embeddings;
    info.file_bytes = files.file_bytes();
    info.notices = files.notices();
    if (files.gguf() != nullptr) {
        info.licence = files.gguf()->string("general.license", "");
    } else if (files.config_json().contains("license") && files.config_json()["license"].is_string()) {
        info.licence = files.config_json()["license"].get<std::string>();
    }
    auto add = [&](const StackNames& names, std::int64_t layers, bool crosses) {
        const auto linears = plan_linears(names, c, crosses);
        for (std::int64_t i = 0; i < layers; ++i)
            for (const LinearPlan& plan : linears) {
                info.linears.push_back({with_block(plan.name.module, i), plan.in, plan.out});
                if (plan.bias) info.biases += plan.out;
            }
        if (c.norm == ModelConfig::Norm::layer) info.biases += (layers * (crosses ? 3 : 2) + (c.norm_first ? 1 : 0)) * c.hidden;
    };
    info.embedding = family.embedding.hugging_face.substr(0, family.embedding.hugging_face.rfind('.'));
    if (c.embedding_norm) info.biases += c.hidden;
    if (c.encoder_decoder()) add(family.encoder, c.encoder_layers, false);
    add(family.stack, c.layers, c.encoder_decoder());
    if (const auto& dense = family.classifier.dense; family.classifier.dense_in_base && files.find(weight_of(dense)))
        info.linears.push_back({dense.module, c.hidden, c.hidden});
    try {
        auto tokenizer = load_tokenizer(files);
        info.tokenizer = tokenizer->kind() + ", " + count_text(tokenizer->vocabulary_size()) + " tokens";
        info.chat_template = tokenizer->has_chat_template();
        if (tokenizer->vocabulary_size() > c.vocabulary)
            info.notices.push_back("The tokenizer knows " + count_text(tokenizer->vocabulary_size()) + " tokens, the model " +
                                   count_text(c.vocabulary) + ": text that uses the others is refused.");
    } catch (const std::exception& error) {
        info.notices.push_back(std::string("No usable tokenizer: ") + error.what());
    }
    return info;
}

}  // namespace qlora::nn
