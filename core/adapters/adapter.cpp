#include "core/adapters/adapter.h"

#include <torch/torch.h>

#include <cmath>
#include <cstring>
#include <set>

#include "core/adapters/targets.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/formats/sharded_tensors.h"
#include "core/memory/meters.h"

namespace qlora::adapters {

namespace fs = std::filesystem;
using torch::Tensor;

namespace {

constexpr const char* weights_file = "adapter_model.safetensors";
constexpr const char* config_file = "adapter_config.json";

}  // namespace

void Adapter::allocate(const std::vector<Planned>& planned, torch::Device device) {
    std::int64_t total = 0, offset = 0;
    for (const Planned& one : planned) total += c10::multiply_integers(one.shape);
    {
        memory::TagScope scope(MemoryTag::adapters);
        values_ = torch::zeros({total}, torch::TensorOptions(device).dtype(torch::kFloat32));
    }
    {
        memory::TagScope scope(MemoryTag::gradients);
        gradients_ = torch::zeros_like(values_);
    }
    torch::NoGradGuard no_grad;
    memory::TagScope scope(MemoryTag::adapters);
    for (const Planned& one : planned) {
        const std::int64_t size = c10::multiply_integers(one.shape);
        Tensor leaf = values_.narrow(0, offset, size).view(one.shape).detach().requires_grad_(true);
        const Tensor gradient = gradients_.narrow(0, offset, size).view(one.shape);
        leaf.mutable_grad() = gradient;
        offset += size;
        tensors_.push_back({one.name, leaf, one.transposed});
        one.place(leaf, gradient);
    }
}

Adapter::Planned Adapter::whole(std::string name, std::vector<std::int64_t> shape, std::shared_ptr<nn::Trained>& target, std::function<Tensor()> base,
                                bool transposed) {
    return {std::move(name), std::move(shape), [this, &target, base = std::move(base)](const Tensor& leaf, const Tensor& gradient) {
                leaf.detach().copy_(base());
                target = std::make_shared<nn::Trained>(nn::Trained{leaf, gradient});
                whole_.push_back(target);
            }, transposed};
}

void Adapter::plan_saved(nn::Model& model, const std::vector<std::string>& saved, const std::string& prefix, std::vector<Planned>& planned) {
    const bool transposes = model.config.family == "gpt2";
    model.for_each_linear([&](nn::Linear& layer) {
        if (!is_saved(layer.name, saved)) return;
        planned.push_back(whole(prefix + layer.name + ".weight", {layer.weight.rows(), layer.weight.cols()}, layer.trained,
                                [&layer] { return layer.weight.dequantized(); }, transposes && !is_head(layer.name)));
        if (layer.bias.defined())
            planned.push_back(whole(prefix + layer.bias.name, layer.bias.base.sizes().vec(), layer.bias.trained, [&layer] { return layer.bias.base; }));
    });
    if (is_saved(model.embedding_name, saved))
        planned.push_back(whole(prefix + model.embedding_name + ".weight", {model.embedding.rows(), model.embedding.cols()}, model.trained_embedding,
                                [&model] { return model.embedding.dequantized(); }));
}

void Adapter::set_enabled(bool enabled) {
    if (merged()) throw input_error("adapter.merged", "adapter", "expected an adapter beside its base, got one merged into it", "Unmerge it first.");
    for (const auto& trained : whole_) trained->enabled = enabled;
    enabled_ = enabled;
    set_quantizing(quantizing_);
}

void Adapter::set_quantizers(std::vector<std::shared_ptr<nn::Quantizer>> quantizers, bool on) {
    quantizers_ = std::move(quantizers);
    set_quantizing(on);
}

void Adapter::set_quantizing(bool on) {
    quantizing_ = on;
    for (const auto& quantizer : quantizers_) quantizer->enabled = on && enabled_;
}

void Adapter::save(const fs::path& folder) const {
    std::vector<formats::TensorView> tensors;
    std::vector<Tensor> turned;  // alive until they are written
    for (const auto& [name, tensor, transposed] : written()) {
        turned.push_back((transposed ? tensor.detach().t() : tensor.detach()).contiguous().cpu());
        const Tensor& stored = turned.back();
        tensors.push_back({name, formats::DType::f32, stored.sizes().vec(),
                           {static_cast<const std::byte*>(stored.const_data_ptr()), stored.nbytes()}});
    }
    formats::write_safetensors(folder / weights_file, tensors, {{"format", "pt"}});
    write_atomically(folder / config_file, config_json().dump(2) + "\n");
}

void Adapter::restore(const fs::path& folder) {
    torch::NoGradGuard no_grad;
    const formats::ShardedTensors file(folder, "adapter_model");
    const std::string where = (folder / weights_file).string();
    std::string missing, unexpected;
    std::set<std::string> known;
    const auto all = written();
    for (std::size_t i = 0; i < all.size(); ++i) {
        const Named& named = all[i];
        known.insert(named.name);
        const auto* view = file.find(named.name);
        if (view == nullptr) {
            missing += "\n  missing: " + named.name;
            continue;
        }
        formats::expect_shape(*view, (named.transposed ? named.tensor.t() : named.tensor).sizes(), where);
        formats::expect_finite(*view, where);
        const Tensor read = read_tensor(*view, where);
        take(i, named.transposed ? read.t() : read);
    }
    for (const auto* view : file.tensors())
        // Of an adapted head PEFT writes the base's weight too.
        if (!known.contains(view->name) && !view->name.ends_with(".base_layer.weight")) unexpected += "\n  unexpected: " + view->name;
    file.check();
    if (!missing.empty() || !unexpected.empty())
        throw input_error("adapter.tensors", where, "the adapter does not fit this model:" + missing + unexpected,
                          "Use it with the base model it was trained on.");
}

Json read_adapter_json(const fs::path& folder) {
    const fs::path path = folder / config_file;
    if (!fs::exists(path))
        throw input_error("adapter.config", path.string(), "no adapter here: adapter_config.json is missing",
                          "Choose a folder written by PEFT or by this program.");
    return read_json_file(path);
}

std::vector<std::string> read_name_list(const JsonObject& object, const char* key) {
    std::vector<std::string> names;
    if (!object.has(key)) return names;
    const Json& value = object.value(key);
    if (!value.is_array()) object.fail(key, "a list of module names");
    for (const Json& name : value) {
        if (!name.is_string()) object.fail(key, "a list of module names");
        names.push_back(name.get<std::string>());
    }
    return names;
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

OrderedJson whole_if_possible(double number) {
    if (number == std::floor(number)) return static_cast<std::int64_t>(number);
    return number;
}

}  // namespace qlora::adapters
