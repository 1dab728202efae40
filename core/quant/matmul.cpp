#include <torch/torch.h>

#include "core/memory/meters.h"
#include "core/quant/scratch.h"
#include "core/quant/weight.h"

namespace qlora::quant {

using torch::Tensor;

Tensor scratch_tile(std::int64_t rows, std::int64_t cols) {
    static thread_local Tensor buffer;
    if (!buffer.defined() || buffer.numel() < rows * cols) {
        memory::TagScope scope(MemoryTag::scratch);
        buffer = torch::empty({rows * cols}, torch::kFloat32);
    }
    return buffer.narrow(0, 0, rows * cols).view({rows, cols});
}

void for_each_tile(const Weight& weight, torch::ScalarType dtype,
                   const std::function<void(std::int64_t, const Tensor&)>& f) {
    if (const Tensor& dense = weight.dense_fp32(); dense.defined()) return f(0, dense.to(dtype));
    const std::int64_t tile_rows = std::min(weight.rows(), std::max<std::int64_t>(16, tile_elements / weight.cols()));
    for (std::int64_t begin = 0; begin < weight.rows(); begin += tile_rows) {
        const std::int64_t count = std::min(tile_rows, weight.rows() - begin);
        Tensor tile = scratch_tile(count, weight.cols());
        weight.expand(begin, begin + count, tile.data_ptr<float>());
        f(begin, tile.to(dtype));
    }
}

Tensor matmul_transposed(const Tensor& x, const Weight& weight) {
    torch::NoGradGuard no_grad;
    Tensor y = torch::empty({x.size(0), weight.rows()}, x.options());
    if (x.size(0) == 1 && x.scalar_type() == torch::kFloat32) {
        Tensor row = x.contiguous();
        weight.multiply(row.const_data_ptr<float>(), y.data_ptr<float>());
        return y;
    }
    for_each_tile(weight, x.scalar_type(), [&](std::int64_t begin, const Tensor& tile) {
        Tensor part = y.narrow(1, begin, tile.size(0));
        at::mm_out(part, x, tile.t());
    });
    return y;
}

Tensor matmul(const Tensor& dy, const Weight& weight) {
    torch::NoGradGuard no_grad;
    Tensor dx = torch::empty({dy.size(0), weight.cols()}, dy.options());
    for_each_tile(weight, dy.scalar_type(), [&](std::int64_t begin, const Tensor& tile) {
        Tensor part = dy.narrow(1, begin, tile.size(0));
        if (begin == 0) at::mm_out(dx, part, tile);
        else dx.addmm_(part, tile);
    });
    return dx;
}

}  // namespace qlora::quant
