#include "core/nn/files.h"

#include <algorithm>

#include "core/base/checked.h"
#include "core/base/error.h"
#include "core/formats/file_kind.h"
#include "core/nn/bitsandbytes.h"
#include "core/nn/families/families.h"

namespace qlora::nn {

namespace fs = std::filesystem;

std::span<const Family> families() {
    static const std::vector<Family> all = {llama(), mistral(), qwen2(), qwen3(), phi3(), gemma(), gemma2(), gemma3(), gpt2(),
                                            bert(), roberta(), xlm_roberta(), distilbert(), t5()};
    return all;
}

namespace {

std::string known_families() {
    std::string list;
    for (const Family& family : families()) list += (list.empty() ? "" : ", ") + family.name;
    return list;
}

template <typename Match>
const Family& find_family(const std::string& where, const std::string& field, const std::string& got, Match match) {
    for (const Family& family : families())
        if (match(family)) return family;
    throw input_error("model.family", where,
                      "the field \"" + field + "\": expected one of " + known_families() + ", got \"" + got + "\"",
                      "This model family is not supported yet.");
}

kernels::BlockFormat block_format(const formats::GgufTensor& tensor, const std::string& where) {
    using formats::GgmlType;
    using kernels::BlockFormat;
    switch (tensor.type) {
        case GgmlType::f32: return BlockFormat::f32;
        case GgmlType::f16: return BlockFormat::f16;
        case GgmlType::bf16: return BlockFormat::bf16;
        case GgmlType::q8_0: return BlockFormat::q8_0;
        case GgmlType::q4_0: return BlockFormat::q4_0;
        case GgmlType::q4_1: return BlockFormat::q4_1;
        case GgmlType::q5_0: return BlockFormat::q5_0;
        case GgmlType::q5_1: return BlockFormat::q5_1;
        case GgmlType::q4_k: return BlockFormat::q4_k;
        case GgmlType::q5_k: return BlockFormat::q5_k;
        case GgmlType::q6_k: return BlockFormat::q6_k;
        default: break;
    }
    throw input_error("gguf.tensor_type", where,
                      "the tensor \"" + tensor.name + "\": expected F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, "
                      "Q5_K or Q6_K, got " + formats::name(tensor.type),
                      "Choose another quantization of this model.");
}

// Fields of transformers' config.json that change nothing here: bookkeeping, how to train from scratch, what to return, and
// what is read elsewhere (labels, special tokens, generation).
bool changes_nothing(std::string_view field) {
    static constexpr std::string_view fields[] = {
        "add_cross_attention", "architectures", "attention_bias", "attn_logit_softcapping", "bos_token_id", "cache_implementation",
        "chunk_size_feed_forward", "classifier_proj_size", "cls_token_id", "decoder_start_token_id", "dense_act_fn",
        "dtype", "eos_token_id", "finetuning_task", "gradient_checkpointing", "id2label", "is_decoder",
        "is_encoder_decoder", "is_gated_act", "keys_to_ignore_at_inference", "label2id", "license", "mask_token_id",
        "max_position_embeddings", "model_type", "n_ctx", "n_positions", "num_labels",
        "original_max_position_embeddings", "pad_token_id", "pretraining_tp", "problem_type",
        "reorder_and_upcast_attn", "return_dict", "sep_token_id", "sinusoidal_pos_embds", "sliding_window",
        "task_specific_params", "tie_word_embeddings", "tokenizer_class", "torch_dtype", "torchscript",
        "transformers_version", "type_vocab_size", "unk_token_id", "use_cache", "vocab_size"};
    return std::find(std::begin(fields), std::end(fields), field) != std::end(fields) || field.starts_with("_") ||
           field.starts_with("output_") || field.starts_with("summary_") || field.find("dropout") != field.npos ||
           field.find("pdrop") != field.npos || field.starts_with("initializer");
}

// A sentence about the fields that nothing asked for; empty without any.
std::string unknown_fields(const JsonObject& config) {
    std::string names;
    int count = 0;
    for (const auto& key : config.unasked())
        if (!changes_nothing(key) && ++count <= 8) names += (names.empty() ? "" : ", ") + key.substr(0, 60);
    if (count == 0) return "";
    return "config.json has fields that are not known here and not used: " + names +
           (count > 8 ? " and " + std::to_string(count - 8) + " more." : ".");
}

// A folder without safetensors: says what of what lies there to open instead, or why it is not opened.
void expect_safetensors(const fs::path& folder) {
    std::vector<std::string> ggufs;
    fs::path pickle;
    std::error_code ignored;
    for (fs::directory_iterator it(folder, ignored), end; it != end; it.increment(ignored)) {
        const fs::path& file = it->path();
        if (file.extension() == ".safetensors" || file.filename() == "adapter_config.json") return;
        if (file.extension() == ".gguf") ggufs.push_back(file.filename().string());
        else if (formats::has_pickle_name(file) && !file.filename().string().starts_with("training_args")) pickle = file;
    }
    std::sort(ggufs.begin(), ggufs.end());
    if (!ggufs.empty()) {
        std::string names;
        for (std::size_t i = 0; i < std::min<std::size_t>(ggufs.size(), 5); ++i) names += (i > 0 ? ", " : "") + ggufs[i];
        if (ggufs.size() > 5) names += ", ...";
        throw input_error("model.gguf_folder", folder.string(), "expected a folder with safetensors, got one with GGUF files: " + names,
                          "Choose the file " + (folder / ggufs.front()).string() + (ggufs.size() > 1 ? " or another of them." : "."));
    }
    if (!pickle.empty()) formats::expect_kind(formats::FileKind::safetensors, {}, pickle);
}

}  // namespace

std::string with_block(const std::string& pattern, std::int64_t block) {
    auto at = pattern.find("{}");
    return at == std::string::npos ? pattern : pattern.substr(0, at) + std::to_string(block) + pattern.substr(at + 2);
}

TensorName weight_of(const LinearName& name) { return {name.module + ".weight", name.gguf + ".weight"}; }
TensorName bias_of(const LinearName& name) { return {name.module + ".bias", name.gguf + ".bias"}; }

std::vector<LinearPlan> plan_linears(const StackNames& names, const ModelConfig& c, bool crosses) {
    const std::int64_t queries = c.query_width(), keys = c.kv_width();
    std::vector<LinearPlan> plan;
    if (c.fused_qkv) {
        plan.push_back({names.query, &Block::query, c.hidden, queries + 2 * keys, c.attention_bias, 0});
    } else {
        plan.push_back({names.query, &Block::query, c.hidden, queries, c.attention_bias, c.heads});
        plan.push_back({names.key, &Block::key, c.hidden, keys, c.attention_bias, c.kv_heads});
        plan.push_back({names.value, &Block::value, c.hidden, keys, c.attention_bias, 0});
    }
    plan.push_back({names.output, &Block::output, queries, c.hidden, c.output_bias, 0});
    if (crosses) {
        plan.push_back({names.cross_query, &Block::cross_query, c.hidden, queries, c.attention_bias, 0});
        plan.push_back({names.cross_key, &Block::cross_key, c.hidden, keys, c.attention_bias, 0});
        plan.push_back({names.cross_value, &Block::cross_value, c.hidden, keys, c.attention_bias, 0});
        plan.push_back({names.cross_output, &Block::cross_output, queries, c.hidden, c.output_bias, 0});
    }
    if (c.gated && !c.fused_gate_up) plan.push_back({names.gate, &Block::gate, c.hidden, c.intermediate, c.mlp_bias, 0});
    const LinearName& up = c.gated || names.ungated_up.module.empty() ? names.up : names.ungated_up;
    plan.push_back({up, &Block::up, c.hidden, c.fused_gate_up ? 2 * c.intermediate : c.intermediate, c.mlp_bias, 0});
    plan.push_back({names.down, &Block::down, c.intermediate, c.hidden, c.mlp_bias, 0});
    return plan;
}

std::int64_t StoredTensor::elements() const { return static_cast<std::int64_t>(checked_elements(shape).value_or(0)); }

std::string StoredTensor::type_name() const {
    if (auto* dtype = std::get_if<formats::DType>(&type)) return std::string(formats::name(*dtype));
    return std::string(kernels::block_format_name(std::get<kernels::BlockFormat>(type)));
}

ModelFiles ModelFiles::open(const fs::path& path) {
    ModelFiles files;
    files.path_ = path;
    if (!fs::exists(path))
        throw input_error("model.not_found", path.string(), "no such model: expected a folder or a .gguf file", "Check the path.");
    if (!fs::is_directory(path)) {
        if (path.extension() == ".safetensors")
            throw input_error("model.format", path.string(), "expected the model's folder, got one of its files",
                              "Choose " + path.parent_path().string() + " instead.");
        files.gguf_ = std::make_unique<formats::GgufFile>(path);
        const auto architecture = files.gguf_->string("general.architecture");
        files.family_ = &find_family(path.string(), "general.architecture", architecture,
                                     [&](const Family& f) {
                                         return f.gguf_architecture == architecture && (!f.is_in_gguf || f.is_in_gguf(*files.gguf_));
                                     });
        files.config_ = files.family_->from_gguf(*files.gguf_);
    } else {
        expect_safetensors(path);
        const fs::path config = path / "config.json";
        if (!fs::exists(config))
            throw input_error("model.config", config.string(), "a model folder needs a config.json; there is none",
                              fs::exists(path / "adapter_config.json")
                                  ? "This folder holds an adapter: give the base model, and the adapter beside it."
                                  : "Choose the folder that holds config.json and the safetensors files.");
        files.json_ = read_json_file(config);
        JsonObject object(files.json_, config.string());
        const auto type = object.string("model_type");
        files.family_ = &find_family(config.string(), "model_type", type, [&](const Family& f) { return f.name == type; });
        files.config_ = files.family_->from_config(object);
        expect_bitsandbytes(object);
        if (object.has("auto_map"))
            files.notices_.push_back("The model brings code of its own (auto_map). It is never run.");
        if (const auto unknown = unknown_fields(object); !unknown.empty()) files.notices_.push_back(unknown);
        files.tensors_ = std::make_unique<formats::ShardedTensors>(path);
        for (const auto& notice : files.tensors_->notices()) files.notices_.push_back(notice);
        const std::string &prefix = files.family_->prefix, &embedding = files.family_->embedding.hugging_face;
        if (files.tensors_->find(embedding) == nullptr && files.tensors_->find(embedding.substr(prefix.size())) != nullptr)
            files.prefix_ = prefix;
    }
    files.find_head();
    return files;
}

// The names of a classifier's logits: id2label, in the order of the numbers; none where they are not all there.
std::vector<std::string> ModelFiles::label_names(std::int64_t count) const {
    std::vector<std::string> names;
    if (gguf_) {
        const std::string key = family_->gguf_architecture + ".classifier.output_labels";
        if (gguf_->has(key)) names = gguf_->strings(key);
    } else if (json_.contains("id2label") && json_["id2label"].is_object()) {
        const Json& labels = json_["id2label"];
        for (std::int64_t i = 0; i < count; ++i)
            if (auto found = labels.find(std::to_string(i)); found != labels.end() && found->is_string()) names.push_back(found->get<std::string>());
    }
    if (static_cast<std::int64_t>(names.size()) == count) return names;
    names.clear();
    for (std::int64_t i = 0; i < count; ++i) names.push_back("LABEL_" + std::to_string(i));
    return names;
}

// Which head lies in the file.
void ModelFiles::find_head() {
    HeadConfig& head = config_.head;
    const ClassifierNames& names = family_->classifier;
    head.pooling = names.pooling;
    head.activation = names.activation;
    head.bias = names.bias;
    head.dense = !names.dense.module.empty();
    if (family_->tied_unless_stored) config_.tied_embeddings = !find(weight_of(family_->head));
    const auto stored = names.out.module.empty() ? std::nullopt : find(weight_of(names.out));
    if (stored && stored->shape.size() == 2 && stored->shape[0] > 0) {
        const auto packed = bitsandbytes_layer(*this, weight_of(names.out));
        head.kind = HeadConfig::Kind::classifier;
        head.labels = label_names(packed ? packed->rows : stored->shape[0]);
        if (head.size() == 1) head.problem = recipe::ProblemType::regression;
        if (json_.contains("problem_type") && json_["problem_type"].is_string())
            for (auto type : {recipe::ProblemType::single_label, recipe::ProblemType::multi_label, recipe::ProblemType::regression})
                if (json_["problem_type"] == recipe::name(type)) head.problem = type;
    } else if (!config_.causal) {
        head.kind = HeadConfig::Kind::none;
    }
}

std::int64_t ModelFiles::file_bytes() const {
    return static_cast<std::int64_t>(gguf_ ? gguf_->file_bytes() : tensors_->file_bytes());
}

std::optional<StoredTensor> ModelFiles::find(const TensorName& name, std::int64_t block) const {
    if (gguf_) {
        const auto* tensor = gguf_->find(with_block(name.gguf, block));
        if (tensor == nullptr) return {};
        return StoredTensor{tensor->name, block_format(*tensor, path_.string()), tensor->shape, tensor->data};
    }
    std::string wanted = with_block(name.hugging_face, block);
    if (!prefix_.empty() && wanted.starts_with(prefix_)) wanted = wanted.substr(prefix_.size());
    const auto* tensor = tensors_->find(wanted);
    if (tensor == nullptr) return {};
    return StoredTensor{tensor->name, tensor->dtype, tensor->shape, tensor->data};
}

StoredTensor ModelFiles::at(const TensorName& name, std::span<const std::int64_t> shape, std::int64_t block) const {
    auto tensor = find(name, block);
    const std::string wanted = with_block(gguf_ ? name.gguf : name.hugging_face, block);
    if (!tensor)
        throw input_error("tensor.missing", path_.string(), "the tensor \"" + wanted + "\" is missing",
                          "The file does not hold the whole model; download it again.");
    if (!std::equal(shape.begin(), shape.end(), tensor->shape.begin(), tensor->shape.end()))
        throw input_error("tensor.shape", path_.string(),
                          "the tensor \"" + wanted + "\": expected the shape " + formats::describe(shape) + ", got " +
                              formats::describe(tensor->shape),
                          "The weights do not fit the configuration beside them.");
    return *tensor;
}

std::vector<StoredTensor> ModelFiles::all() const {
    std::vector<StoredTensor> list;
    if (gguf_) {
        for (const auto& t : gguf_->tensors())
            if (formats::block_shape(t.type)) list.push_back({t.name, block_format(t, path_.string()), t.shape, t.data});
    } else {
        for (const auto* t : tensors_->tensors()) list.push_back({t->name, t->dtype, t->shape, t->data});
    }
    return list;
}

void ModelFiles::check() const {
    if (gguf_) gguf_->check();
    else tensors_->check();
}

}  // namespace qlora::nn
