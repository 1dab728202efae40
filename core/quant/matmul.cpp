#include "core/quant/matmul.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include "core/gpu/gpu.h"
#include "core/memory/meters.h"
#include "core/quant/scratch.h"

namespace qlora::quant {

using kernels::Side;
using torch::Tensor;

Tensor scratch_tile(std::int64_t rows, std::int64_t cols) {
    static thread_local Tensor buffer;
    if (!buffer.defined() || buffer.numel() < rows * cols) {
        memory::TagScope scope(MemoryTag::scratch);
        buffer = torch::empty({rows * cols}, torch::kFloat32);
    }
    return buffer.narrow(0, 0, rows * cols).view({rows, cols});
}

float* scratch_workspace(std::int64_t floats) {
    static thread_local Tensor buffer;
    if (!buffer.defined() || buffer.numel() < floats) {
        memory::TagScope scope(MemoryTag::scratch);
        buffer = Tensor();
        buffer = torch::zeros({floats}, torch::kFloat32);
    }
    return buffer.data_ptr<float>();
}

bool ours(const Tensor& x) { return x.scalar_type() == torch::kFloat32 && x.is_cpu() && !gpu::takes(x); }

namespace {

// Work below which a second thread costs more than it does, and what packing a panel costs, in rows of the other matrix.
constexpr double smallest_share = 1e6;  // FLOP
constexpr std::int64_t packing_rows = 24;

// How C is split: into so many stripes of columns and of rows, as evenly as whole panels allow.
struct Grid {
    std::int64_t across = 1, down = 1;
};
Grid split(std::int64_t m, std::int64_t columns, double flop) {
    const auto threads = std::min<std::int64_t>(at::get_num_threads(), 1 + static_cast<std::int64_t>(flop / smallest_share));
    const std::int64_t panels = (columns + kernels::gemm_columns - 1) / kernels::gemm_columns;
    Grid best;
    std::int64_t least = panels * (m + packing_rows);
    for (std::int64_t across = 1; across <= std::min(threads, panels); ++across) {
        const std::int64_t down = std::min(m, threads / across);
        const std::int64_t longest = (panels + across - 1) / across * ((m + down - 1) / down + packing_rows);
        if (longest < least) {
            best = {across, down};
            least = longest;
        }
    }
    return best;
}

// `a` has rows of numbers side by side.
void multiply_all(const Tensor& a, const kernels::AnyMatrix& w, Side side, Tensor& c, bool add, Arithmetic arithmetic) {
    const std::int64_t inner = side == Side::transposed ? w.cols : w.rows;
    TORCH_CHECK(a.dim() == 2 && a.size(1) == inner && c.is_cpu() && c.dim() == 2 && c.size(0) == a.size(0) && c.stride(1) == 1 &&
                    c.size(1) == (side == Side::transposed ? w.rows : w.cols),
                "a product of [", a.sizes(), "] with a matrix of ", w.rows, " by ", w.cols, " into [", c.sizes(), "]");
    if (c.numel() == 0) return;
    const std::int64_t m = a.size(0), columns = c.size(1), panels = (columns + kernels::gemm_columns - 1) / kernels::gemm_columns;
    const auto [across, down] = split(m, columns, 2.0 * static_cast<double>(m) * static_cast<double>(w.rows * w.cols));
    const auto* from = a.const_data_ptr<float>();
    auto* to = c.data_ptr<float>();
    at::parallel_for(0, across * down, 1, [&, across = across, down = down](std::int64_t begin, std::int64_t end) {
        for (std::int64_t part = begin; part < end; ++part) {
            const std::int64_t x = part % across, y = part / across, first = m * y / down, last = m * (y + 1) / down;
            kernels::multiply_matrix(from + first * a.stride(0), a.stride(0), last - first, w, side,
                                     panels * x / across * kernels::gemm_columns,
                                     std::min(columns, panels * (x + 1) / across * kernels::gemm_columns),
                                     to + first * c.stride(0), c.stride(0), add, scratch_workspace(kernels::gemm_workspace), arithmetic);
        }
    });
}

Tensor with_dense_rows(const Tensor& x) { return x.dim() == 2 && x.stride(1) == 1 && x.stride(0) >= x.size(1) ? x : x.contiguous(); }

void multiply_dense(const Tensor& a, const Tensor& w, Side side, Tensor& c, bool add, Arithmetic arithmetic) {
    const Tensor left = with_dense_rows(a), right = with_dense_rows(w);
    multiply_all(left, kernels::any_matrix(right.const_data_ptr<float>(), right.size(0), right.size(1), right.stride(0)), side, c, add, arithmetic);
}

// What operands of a product on a GPU are in, and the product of two, summed in fp32 and given in it.
torch::ScalarType operand_type(Arithmetic arithmetic) { return arithmetic == Arithmetic::bf16 ? torch::kBFloat16 : torch::kFloat32; }
Tensor gpu_product(const Tensor& a, const Tensor& b) {
    if (a.scalar_type() == torch::kFloat32) return at::mm(a, b);
    return a.is_cuda() ? at::mm(a, b, torch::kFloat32) : at::mm(a.to(torch::kFloat32), b.to(torch::kFloat32));
}
Tensor gpu_product(const Tensor& a, const Tensor& b, Arithmetic arithmetic) {
    const auto type = operand_type(arithmetic);
    return gpu_product(a.to(type), b.to(type));
}

// x W^T on a GPU. One row alone multiplies straight from the packed form.
Tensor gpu_transposed(const Tensor& x, const Weight& weight, Arithmetic arithmetic) {
    Tensor y;
    if (x.size(0) == 1) {
        y = torch::empty({1, weight.rows()}, x.options());
        weight.multiply_on_gpu(x.contiguous(), y);
        return y;
    }
    const Tensor rows = x.to(operand_type(arithmetic));
    for_each_tile(weight, rows.scalar_type(), [&](std::int64_t begin, const Tensor& tile) {
        Tensor part = gpu_product(rows, tile.t());
        if (tile.size(0) == weight.rows()) {
            y = std::move(part);
            return;
        }
        if (begin == 0) y = torch::empty({x.size(0), weight.rows()}, x.options());
        y.narrow(1, begin, tile.size(0)).copy_(part);
    });
    return y;
}

// dx = dy W on a GPU, or, with `add`, dx + dy W.
void gpu_plain(const Tensor& dy, const Weight& weight, Tensor& dx, bool add, Arithmetic arithmetic) {
    const Tensor rows = dy.to(operand_type(arithmetic));
    for_each_tile(weight, rows.scalar_type(), [&](std::int64_t begin, const Tensor& tile) {
        const Tensor part = gpu_product(rows.narrow(1, begin, tile.size(0)), tile);
        if (begin == 0 && !add) dx.copy_(part);
        else dx.add_(part);
    });
}

// dx = dy W, or, with `add`, dx + dy W.
void multiply_plain(const Tensor& dy, const Weight& weight, Tensor& dx, bool add, Arithmetic arithmetic) {
    if (ours(dy)) {
        weight.with_matrix([&](const kernels::AnyMatrix& w) { multiply_all(with_dense_rows(dy), w, Side::plain, dx, add, arithmetic); });
        return;
    }
    if (gpu::takes(dy)) return gpu_plain(dy, weight, dx, add, arithmetic);
    for_each_tile(weight, dy.scalar_type(), [&](std::int64_t begin, const Tensor& tile) {
        const Tensor part = dy.narrow(1, begin, tile.size(0));
        if (begin == 0 && !add) at::mm_out(dx, part, tile);
        else dx.addmm_(part, tile);
    });
}

// On a GPU products want large tiles, and its allocator keeps their memory from one to the next.
constexpr std::int64_t gpu_tile_elements = std::int64_t{1} << 25;
void for_each_gpu_tile(const Weight& weight, torch::ScalarType dtype, const std::function<void(std::int64_t, const Tensor&)>& f) {
    if (const Tensor& dense = weight.dense_values(); dense.defined() && dense.scalar_type() == dtype) return f(0, dense);
    const std::int64_t tile_rows = std::min(weight.rows(), std::max<std::int64_t>(16, gpu_tile_elements / weight.cols()));
    Tensor buffer;
    {
        memory::TagScope scope(MemoryTag::scratch);
        buffer = torch::empty({tile_rows, weight.cols()}, torch::TensorOptions(weight.device()).dtype(dtype));
    }
    for (std::int64_t begin = 0; begin < weight.rows(); begin += tile_rows) {
        Tensor tile = buffer.narrow(0, 0, std::min(tile_rows, weight.rows() - begin));
        weight.expand_on_gpu(begin, begin + tile.size(0), tile);
        f(begin, tile);
    }
}

}  // namespace

void for_each_tile(const Weight& weight, torch::ScalarType dtype,
                   const std::function<void(std::int64_t, const Tensor&)>& f) {
    if (gpu::on(weight.device())) return for_each_gpu_tile(weight, dtype, f);
    if (const Tensor& dense = weight.dense_fp32(); dense.defined()) return f(0, dense.to(dtype));
    const std::int64_t tile_rows = std::min(weight.rows(), std::max<std::int64_t>(16, tile_elements / weight.cols()));
    for (std::int64_t begin = 0; begin < weight.rows(); begin += tile_rows) {
        const std::int64_t count = std::min(tile_rows, weight.rows() - begin);
        Tensor tile = scratch_tile(count, weight.cols());
        weight.expand(begin, begin + count, tile.data_ptr<float>());
        f(begin, tile.to(dtype));
    }
}

Tensor matmul_transposed(const Tensor& x, const Weight& weight, Arithmetic arithmetic) {
    torch::NoGradGuard no_grad;
    if (gpu::takes(x)) return gpu_transposed(x, weight, arithmetic);
    Tensor y = torch::empty({x.size(0), weight.rows()}, x.options());
    if (!ours(x)) {
        for_each_tile(weight, x.scalar_type(), [&](std::int64_t begin, const Tensor& tile) {
            Tensor part = y.narrow(1, begin, tile.size(0));
            at::mm_out(part, x, tile.t());
        });
        return y;
    }
    const Tensor rows = with_dense_rows(x);
    if (x.size(0) == 1) weight.multiply(rows.const_data_ptr<float>(), y.data_ptr<float>());
    else weight.with_matrix([&](const kernels::AnyMatrix& w) { multiply_all(rows, w, Side::transposed, y, false, arithmetic); });
    return y;
}

Tensor matmul(const Tensor& dy, const Weight& weight, Arithmetic arithmetic) {
    torch::NoGradGuard no_grad;
    Tensor dx = torch::empty({dy.size(0), weight.cols()}, dy.options());
    multiply_plain(dy, weight, dx, false, arithmetic);
    return dx;
}

void add_matmul(Tensor& dx, const Tensor& dy, const Weight& weight, Arithmetic arithmetic) {
    torch::NoGradGuard no_grad;
    multiply_plain(dy, weight, dx, true, arithmetic);
}

Tensor matmul_transposed(const Tensor& x, const Tensor& weight, Arithmetic arithmetic) {
    if (gpu::takes(x)) return gpu_product(x, weight.t(), arithmetic);
    if (!ours(x)) return at::mm(x, weight.t());
    Tensor y = torch::empty({x.size(0), weight.size(0)}, x.options());
    multiply_dense(x, weight, Side::transposed, y, false, arithmetic);
    return y;
}

Tensor matmul(const Tensor& dy, const Tensor& weight, Arithmetic arithmetic) {
    if (gpu::takes(dy)) return gpu_product(dy, weight, arithmetic);
    if (!ours(dy)) return at::mm(dy, weight);
    Tensor dx = torch::empty({dy.size(0), weight.size(1)}, dy.options());
    multiply_dense(dy, weight, Side::plain, dx, false, arithmetic);
    return dx;
}

void add_matmul_transposed(Tensor& y, const Tensor& x, const Tensor& weight, Arithmetic arithmetic) {
    if (gpu::takes(x)) y.add_(gpu_product(x, weight.t(), arithmetic));
    else if (ours(x)) multiply_dense(x, weight, Side::transposed, y, true, arithmetic);
    else y.addmm_(x, weight.t());
}

void add_matmul(Tensor& dx, const Tensor& dy, const Tensor& weight, Arithmetic arithmetic) {
    if (gpu::takes(dy)) dx.add_(gpu_product(dy, weight, arithmetic));
    else if (ours(dy)) multiply_dense(dy, weight, Side::plain, dx, true, arithmetic);
    else dx.addmm_(dy, weight);
}

}  // namespace qlora::quant
