#pragma once
// What a run trains: LoRA and its kin (lora.h), the base's own tensors (whole.h), bottleneck adapter layers (bottleneck.h), or
// virtual tokens (virtual_tokens.h). Attached to a Model, whose base stays as it is: switched off, the model is its base, exactly.
// Saved in PEFT's format where PEFT has one, and else in that of docs/adapters.md; both are a folder of adapter_config.json and
// adapter_model.safetensors. One thread at a time.

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/json.h"
#include "core/formats/tensor_view.h"
#include "core/nn/model.h"

namespace qlora::adapters {

class Adapter {
  public:
    virtual ~Adapter() = default;
    Adapter(const Adapter&) = delete;
    Adapter& operator=(const Adapter&) = delete;

    std::int64_t parameters() const { return values_.numel(); }
    // Flat fp32 tensors of which every trained tensor is a view, so that clipping and the optimizer run over single tensors; the
    // gradient is accumulated into by backward.
    torch::Tensor& values() { return values_; }
    torch::Tensor& gradients() { return gradients_; }

    // Every trained tensor under the name that its file gives it: a view of values().
    struct Named {
        std::string name;
        torch::Tensor tensor;
        bool transposed = false;  // in the file (GPT-2's Conv1D)
    };
    const std::vector<Named>& tensors() const { return tensors_; }

    virtual void set_enabled(bool enabled);  // off: the model is its base, exactly. Not while merged

    // Quantization-aware training: what quantizes the model's matrices while it is on and the adapter is enabled (attach.h).
    void set_quantizers(std::vector<std::shared_ptr<nn::Quantizer>> quantizers, bool on);
    void set_quantizing(bool on);

    // Works the adapter into the weights: every adapted matrix is replaced by dequantized(W) + scale B A in fp32 (with DoRA
    // its rows take the trained lengths), everything trained whole by its own values. The base that is added to is the
    // one that training saw, so outputs are those with the adapter on, to rounding; onto the weights before quantization
    // they would not be. Takes 4 bytes an element. Again: nothing happens. Throws input_error "adapter.not_finite" naming
    // the first module whose result would hold NaN or infinite numbers, and "adapter.merge" where an adapter is no change of
    // weights; the model is then as it was.
    void merge(nn::Model& model);
    // The base's own weights again, to the bit, with the adapter beside them.
    void unmerge(nn::Model& model);
    bool merged() const { return merged_; }

    // Writes adapter_config.json and adapter_model.safetensors into an existing folder.
    void save(const std::filesystem::path& folder) const;
    // Replaces the values by those of a saved adapter of the same layout. Throws input_error naming missing, unexpected or
    // misshapen tensors.
    void restore(const std::filesystem::path& folder);

  protected:
    Adapter() = default;

    // A tensor to be trained, before there is room for it: `place` gets the leaf and where its gradient is added.
    struct Planned {
        std::string name;
        std::vector<std::int64_t> shape;
        std::function<void(const torch::Tensor& leaf, const torch::Tensor& gradient)> place;
        bool transposed = false;
    };
    // Makes the flat buffers, zeroed, and places every tensor.
    void allocate(const std::vector<Planned>& planned, torch::Device device);
    // A stand-in for a tensor of the base, which it begins as; `target` is where the model keeps it.
    Planned whole(std::string name, std::vector<std::int64_t> shape, std::shared_ptr<nn::Trained>& target, std::function<torch::Tensor()> base,
                  bool transposed = false);
    // The layers of `saved` (PEFT's modules_to_save), weight and bias, and the embedding; named with `prefix`.
    void plan_saved(nn::Model& model, const std::vector<std::string>& saved, const std::string& prefix, std::vector<Planned>& planned);

    virtual OrderedJson config_json() const = 0;
    virtual bool mergeable() const { return true; }
    // What the file holds, in the order of tensors(): the trained tensors, mostly; and a tensor of it read back, of its shape.
    virtual std::vector<Named> written() const { return tensors_; }
    virtual void take(std::size_t index, const torch::Tensor& read) { tensors_[index].tensor.detach().copy_(read); }

  private:
    torch::Tensor values_, gradients_;
    std::vector<Named> tensors_;
    std::vector<std::shared_ptr<nn::Trained>> whole_;
    std::vector<std::shared_ptr<nn::Quantizer>> quantizers_;
    bool quantizing_ = false, enabled_ = true;
    struct Originals;
    std::shared_ptr<Originals> originals_;  // while merged
    bool merged_ = false;
};

// adapter_config.json of a folder. Throws input_error "adapter.config" where there is none.
Json read_adapter_json(const std::filesystem::path& folder);
// A list of module names; absent or null: none.
std::vector<std::string> read_name_list(const JsonObject& object, const char* key);
// The tensor of a file, in fp32. `where` for messages.
torch::Tensor read_tensor(const formats::TensorView& view, const std::string& where);
// A number without a fraction as an integer, as PEFT writes it.
OrderedJson whole_if_possible(double number);

}  // namespace qlora::adapters
