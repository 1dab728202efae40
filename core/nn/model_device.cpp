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
    move(norm.weight, device);
    move(norm.bias, device);
}
void move(Linear& layer, torch::Device device) {
    if (layer.defined() && layer.weight.device() != device) layer.weight = layer.weight.to(device);
    move(layer.bias, device);
}

}  // namespace

void Block::to(torch::Device device) {
    for (Norm* norm :
         {&attention_norm, &cross_norm, &mlp_norm, &attention_post_norm, &mlp_post_norm, &query_norm, &key_norm})
        move(*norm, device);
    for (Linear* layer : linears()) move(*layer, device);
}

// A head that is the embedding stays it.
void Model::to(torch::Device device) {
    if (embedding.defined() && embedding.device() != device) {
        embedding = embedding.to(device);
        if (config.head_is_embedding()) head.weight = embedding;
    }
    for (Tensor* tensor : {&positions, &token_types}) move(*tensor, device);
    move(embedding_norm, device);
    for (Stack* of : {&encoder, &stack}) {
        for (Block& block : of->blocks) block.to(device);
        move(of->final_norm, device);
        move(of->relative_bias, device);
    }
    for (Linear* layer : {&head_dense, &head}) move(*layer, device);
}

}  // namespace qlora::nn
