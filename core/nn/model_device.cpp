// A model's way to another device.
#include <torch/torch.h>

#include "core/nn/model.h"

namespace qlora::nn {

using torch::Tensor;

namespace {

void move(Tensor& tensor, torch::Device device) {
    if (tensor.defined()) tensor = tensor.to(device);
}
void move(Norm& norm, torch::Device device) {
    move(norm.weight.base, device);
    move(norm.bias.base, device);
}
void move(Linear& layer, torch::Device device) {
    if (layer.defined() && layer.weight.device() != device) layer.weight = layer.weight.to(device);
    move(layer.bias.base, device);
}

}  // namespace

void Block::to(torch::Device device) {
    for (Norm* norm : norms()) move(*norm, device);
    for (Linear* layer : linears()) move(*layer, device);
}

// A head that is the embedding stays it.
void Model::to(torch::Device device) {
    if (embedding.defined() && embedding.device() != device) {
        embedding = embedding.to(device);
        if (config.head_is_embedding()) head.weight = embedding;
    }
    for (Parameter* table : {&positions, &token_types}) move(table->base, device);
    move(embedding_norm, device);
    for (Stack* of : {&encoder, &stack}) {
        for (Block& block : of->blocks) block.to(device);
        move(of->final_norm, device);
        move(of->relative_bias.base, device);
    }
    for (Linear* layer : {&head_dense, &head}) move(*layer, device);
}

}  // namespace qlora::nn
