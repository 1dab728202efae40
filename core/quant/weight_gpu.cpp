// A weight on a GPU: moved there as packed as it is, and expanded or multiplied there by the CUDA kernels.
#include <torch/torch.h>

#include "core/gpu/gpu.h"
#include "core/quant/weight.h"
#include "kernels/cuda/launch.h"

namespace qlora::quant {

namespace cuda = kernels::cuda;
using torch::Tensor;

namespace {

// Elements that one launch expands at most.
constexpr std::int64_t most_at_once = std::int64_t{1} << 30;

cuda::Element element_of(const Tensor& x) {
    switch (x.scalar_type()) {
        case torch::kFloat16:
            return cuda::Element::f16;
        case torch::kBFloat16:
            return cuda::Element::bf16;
        default:
            break;
    }
    return cuda::Element::f32;
}

kernels::BlockFormat plain_format(const Tensor& dense) {
    switch (element_of(dense)) {
        case cuda::Element::f16:
            return kernels::BlockFormat::f16;
        case cuda::Element::bf16:
            return kernels::BlockFormat::bf16;
        default:
            break;
    }
    return kernels::BlockFormat::f32;
}

const std::byte* bytes_of(const Tensor& x) {
    return static_cast<const std::byte*>(x.const_data_ptr());
}

}  // namespace

torch::Device Weight::device() const {
    if (auto* d = std::get_if<Dense>(&storage_)) return d->values.device();
    if (auto* g = std::get_if<Gguf>(&storage_)) return g->packed.device();
    if (auto* b = std::get_if<Blockwise>(&storage_)) return b->packed.device();
    return torch::kCPU;
}

Weight Weight::to(torch::Device device) const {
    Weight moved = *this;
    const auto move = [&](Tensor& part) {
        if (part.defined()) part = part.to(device);
    };
    if (auto* d = std::get_if<Dense>(&moved.storage_)) move(d->values);
    if (auto* g = std::get_if<Gguf>(&moved.storage_)) move(g->packed);
    if (auto* b = std::get_if<Blockwise>(&moved.storage_))
        for (Tensor* part : {&b->packed, &b->absmax, &b->absmax_codes, &b->nested_absmax}) move(*part);
    return moved;
}

void Weight::expand_on_gpu(std::int64_t begin, std::int64_t end, Tensor& out) const {
    if (auto* d = std::get_if<Dense>(&storage_)) {
        out.copy_(d->values.narrow(0, begin, end - begin));
        return;
    }
    auto& runner = gpu::runner(device());
    const std::int64_t rows = std::max<std::int64_t>(1, most_at_once / cols_);
    for (std::int64_t first = begin; first < end; first += rows) {
        const std::int64_t last = std::min(end, first + rows);
        void* place = out.narrow(0, first - begin, last - first).data_ptr();
        if (auto* b = std::get_if<Blockwise>(&storage_))
            cuda::dequantize_rows(runner, view(*b), first, last, element_of(out), place);
        if (auto* g = std::get_if<Gguf>(&storage_))
            cuda::dequantize_rows(runner, cuda::BlockRows{g->format, bytes_of(g->packed), rows_, cols_}, first, last,
                                  element_of(out), place);
    }
}

Tensor Weight::gather_on_gpu(const Tensor& ids) const {
    const Tensor index = ids.contiguous();
    Tensor out = torch::empty({index.numel(), cols_}, torch::TensorOptions(device()).dtype(torch::kFloat32));
    auto& runner = gpu::runner(device());
    const auto* rows = index.const_data_ptr<std::int64_t>();
    if (auto* b = std::get_if<Blockwise>(&storage_))
        cuda::gather_rows(runner, view(*b), rows, index.numel(), cuda::Element::f32, out.data_ptr());
    if (auto* g = std::get_if<Gguf>(&storage_))
        cuda::gather_rows(runner, cuda::BlockRows{g->format, bytes_of(g->packed), rows_, cols_}, rows, index.numel(),
                          cuda::Element::f32, out.data_ptr());
    return out;
}

void Weight::multiply_on_gpu(const Tensor& x, Tensor& y) const {
    auto& runner = gpu::runner(device());
    const float* from = x.const_data_ptr<float>();
    float* to = y.data_ptr<float>();
    if (auto* b = std::get_if<Blockwise>(&storage_)) cuda::multiply(runner, view(*b), from, to);
    if (auto* g = std::get_if<Gguf>(&storage_))
        cuda::multiply(runner, cuda::BlockRows{g->format, bytes_of(g->packed), rows_, cols_}, from, to);
    if (auto* d = std::get_if<Dense>(&storage_))
        cuda::multiply(runner, cuda::BlockRows{plain_format(d->values), bytes_of(d->values), rows_, cols_}, from, to);
}

}  // namespace qlora::quant
