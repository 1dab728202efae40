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

Tensor with_dense_rows(const Tensor& x) { return x.dim() == 2 && x.stride(1) == 1 && x.stride(0) >= x.size(1) ? x : x.contiguous(); }

// The matrix as the kernels take it: rows of fp32 or bf16 numbers side by side.
kernels::AnyMatrix matrix_of(const Tensor& x) {
    const bool narrow = x.scalar_type() == torch::kBFloat16;
    return {.rows = x.size(0),
            .cols = x.size(1),
            .format = narrow ? kernels::BlockFormat::bf16 : kernels::BlockFormat::f32,
            .data = static_cast<const std::byte*>(x.const_data_ptr()),
            .row_bytes = x.stride(0) * x.element_size()};
}

// Calls multiply(the numbers), in bf16 or in fp32 as they are.
template <typename F>
void by_type(const Tensor& a, F multiply) {
    if (a.scalar_type() == torch::kBFloat16) multiply(static_cast<const std::uint16_t*>(a.const_data_ptr()));
    else multiply(a.const_data_ptr<float>());
}

void multiply_dense(const Operand& a, const Operand& w, Side side, Tensor& c, bool add);

// C = A W^T or A W, or, with `add`, C + the product; `from` on a CPU. `turned`: of A^T.
void multiply_all(const Operand& from, const kernels::AnyMatrix& w, Side side, Tensor& c, bool add, const Added* added = nullptr, bool turned = false) {
    const Tensor a = with_dense_rows(from.rounded());
    // What is added comes in the same pass where the kernels take it.
    Tensor low, factor;
    kernels::AddedProduct more;
    if (added != nullptr) {
        low = with_dense_rows(added->a.rounded());
        factor = with_dense_rows(added->w.rounded());
        const bool together = a.scalar_type() == torch::kBFloat16 && low.scalar_type() == torch::kBFloat16 && low.size(1) % 2 == 0 &&
                              low.size(1) <= kernels::most_added_elements;
        if (!together) {
            multiply_all(from, w, side, c, add);
            return multiply_dense(added->a, added->w, side, c, true);
        }
        const std::int64_t elements = side == Side::transposed ? factor.size(1) : factor.size(0), out = side == Side::transposed ? factor.size(0) : factor.size(1);
        TORCH_CHECK(low.size(0) == a.size(0) && low.size(1) == elements && out == c.size(1), "a product of [", low.sizes(), "] with [", factor.sizes(),
                    "] is added into [", c.sizes(), "]");
        more = {static_cast<const std::uint16_t*>(low.const_data_ptr()), low.stride(0), matrix_of(factor)};
    }
    const std::int64_t inner = side == Side::transposed ? w.cols : w.rows;
    TORCH_CHECK(a.dim() == 2 && a.size(turned ? 0 : 1) == inner && c.is_cpu() && c.dim() == 2 && c.size(0) == a.size(turned ? 1 : 0) && c.stride(1) == 1 &&
                    c.size(1) == (side == Side::transposed ? w.rows : w.cols),
                "a product of [", a.sizes(), "] with a matrix of ", w.rows, " by ", w.cols, " into [", c.sizes(), "]");
    if (c.numel() == 0) return;
    const std::int64_t m = c.size(0), columns = c.size(1), panels = (columns + kernels::gemm_columns - 1) / kernels::gemm_columns;
    const auto [across, down] = split(m, columns, 2.0 * static_cast<double>(m) * static_cast<double>(w.rows * w.cols));
    auto* to = c.data_ptr<float>();
    at::parallel_for(0, across * down, 1, [&, across = across, down = down](std::int64_t begin, std::int64_t end) {
        float* workspace = scratch_workspace(kernels::gemm_workspace);
        for (std::int64_t part = begin; part < end; ++part) {
            const std::int64_t x = part % across, y = part / across, first = m * y / down, rows = m * (y + 1) / down - first;
            kernels::AddedProduct rows_of_more = more;
            rows_of_more.a += first * more.a_stride;
            const kernels::Details details{.turned = turned, .added = added != nullptr ? &rows_of_more : nullptr};
            const auto multiply = [&](const auto* numbers) {
                kernels::multiply_matrix(numbers + first * (turned ? 1 : a.stride(0)), a.stride(0), rows, w, side, panels * x / across * kernels::gemm_columns,
                                         std::min(columns, panels * (x + 1) / across * kernels::gemm_columns), to + first * c.stride(0), c.stride(0),
                                         add, workspace, details);
            };
            by_type(a, multiply);
        }
    });
}

void multiply_dense(const Operand& a, const Operand& w, Side side, Tensor& c, bool add) {
    const Tensor right = with_dense_rows(w.rounded());
    multiply_all(a, matrix_of(right), side, c, add);
}

// On a GPU, summed in fp32 and given in it.
Tensor gpu_product(const Tensor& a, const Tensor& b) {
    if (a.scalar_type() == torch::kFloat32) return at::mm(a, b);
    return a.is_cuda() ? at::mm(a, b, torch::kFloat32) : at::mm(a.to(torch::kFloat32), b.to(torch::kFloat32));
}
Tensor gpu_product(const Operand& a, const Operand& b) { return gpu_product(a.rounded(), b.rounded().to(a.rounded().scalar_type())); }

// x W^T on a GPU. One row alone multiplies straight from the packed form.
Tensor gpu_transposed(const Operand& x, const Weight& weight) {
    Tensor y;
    if (x.rows() == 1) {
        y = torch::empty({1, weight.rows()}, x.numbers().options());
        weight.multiply_on_gpu(x.numbers().contiguous(), y);
        return y;
    }
    const Tensor& rows = x.rounded();
    for_each_tile(weight, rows.scalar_type(), [&](std::int64_t begin, const Tensor& tile) {
        Tensor part = gpu_product(rows, tile.t());
        if (tile.size(0) == weight.rows()) {
            y = std::move(part);
            return;
        }
        if (begin == 0) y = torch::empty({rows.size(0), weight.rows()}, part.options());
        y.narrow(1, begin, tile.size(0)).copy_(part);
    });
    return y;
}

// dx = dy W on a GPU, or, with `add`, dx + dy W.
void gpu_plain(const Tensor& dy, const Weight& weight, Tensor& dx, bool add) {
    for_each_tile(weight, dy.scalar_type(), [&](std::int64_t begin, const Tensor& tile) {
        const Tensor part = gpu_product(dy.narrow(1, begin, tile.size(0)), tile);
        if (begin == 0 && !add) dx.copy_(part);
        else dx.add_(part);
    });
}

// dx = dy W, or, with `add`, dx + dy W.
void multiply_plain(const Operand& dy, const Weight& weight, Tensor& dx, bool add, const Added* added) {
    if (dy.taken_by() == Operand::By::kernels) {
        weight.with_matrix([&](const kernels::AnyMatrix& w) { multiply_all(dy, w, Side::plain, dx, add, added); });
        return;
    }
    if (added != nullptr) {
        multiply_plain(dy, weight, dx, add, nullptr);
        return add_matmul(dx, added->a, added->w);
    }
    if (dy.taken_by() == Operand::By::gpu) return gpu_plain(dy.rounded(), weight, dx, add);
    const Tensor& rows = dy.numbers();
    for_each_tile(weight, rows.scalar_type(), [&](std::int64_t begin, const Tensor& tile) {
        const Tensor part = rows.narrow(1, begin, tile.size(0));
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

Tensor matmul_transposed(const Operand& x, const Weight& weight, const Added* added) {
    torch::NoGradGuard no_grad;
    if (added != nullptr && (x.taken_by() != Operand::By::kernels || x.rows() == 1)) {
        Tensor y = matmul_transposed(x, weight);
        add_matmul_transposed(y, added->a, added->w);
        return y;
    }
    if (x.taken_by() == Operand::By::gpu) return gpu_transposed(x, weight);
    Tensor y = x.empty(x.rows(), weight.rows());
    if (x.taken_by() == Operand::By::libtorch) {
        for_each_tile(weight, y.scalar_type(), [&](std::int64_t begin, const Tensor& tile) {
            Tensor part = y.narrow(1, begin, tile.size(0));
            at::mm_out(part, x.numbers(), tile.t());
        });
        return y;
    }
    if (x.rows() == 1) weight.multiply(with_dense_rows(x.numbers()).const_data_ptr<float>(), y.data_ptr<float>());
    else weight.with_matrix([&](const kernels::AnyMatrix& w) { multiply_all(x, w, Side::transposed, y, false, added); });
    return y;
}

Tensor matmul(const Operand& dy, const Weight& weight, const Added* added) {
    torch::NoGradGuard no_grad;
    Tensor dx = dy.empty(dy.rows(), weight.cols());
    multiply_plain(dy, weight, dx, false, added);
    return dx;
}

void add_matmul(Tensor& dx, const Operand& dy, const Weight& weight, const Added* added) {
    torch::NoGradGuard no_grad;
    multiply_plain(dy, weight, dx, true, added);
}

void for_each_stripe(const Operand& x, const Weight& weight, std::int64_t columns, const std::function<void(std::int64_t, std::int64_t, const float*)>& f) {
    TORCH_CHECK(x.taken_by() == Operand::By::kernels && columns % kernels::gemm_columns == 0, "stripes of ", columns, " columns of a product of ", x.rows(), " rows");
    const Tensor a = with_dense_rows(x.rounded());
    weight.with_matrix([&](const kernels::AnyMatrix& w) {
        at::parallel_for(0, (w.rows + columns - 1) / columns, 1, [&](std::int64_t first, std::int64_t last) {
            float* workspace = scratch_workspace(kernels::gemm_workspace + a.size(0) * columns);
            float* product = workspace + kernels::gemm_workspace;
            for (std::int64_t stripe = first; stripe < last; ++stripe) {
                const std::int64_t begin = stripe * columns, end = std::min(w.rows, begin + columns);
                const auto multiply = [&](const auto* numbers) {
                    kernels::multiply_matrix(numbers, a.stride(0), a.size(0), w, Side::transposed, begin, end, product, end - begin, false, workspace,
                                             {.origin = begin});
                };
                by_type(a, multiply);
                f(begin, end - begin, product);
            }
        });
    });
}

Tensor matmul_transposed(const Operand& x, const Operand& weight) {
    switch (x.taken_by()) {
        case Operand::By::gpu: return gpu_product(x, weight.t());
        case Operand::By::libtorch: return at::mm(x.numbers(), weight.numbers().t());
        case Operand::By::kernels: break;
    }
    Tensor y = x.empty(x.rows(), weight.rows());
    multiply_dense(x, weight, Side::transposed, y, false);
    return y;
}

Tensor matmul(const Operand& dy, const Operand& weight) {
    switch (dy.taken_by()) {
        case Operand::By::gpu: return gpu_product(dy, weight);
        case Operand::By::libtorch: return at::mm(dy.numbers(), weight.numbers());
        case Operand::By::kernels: break;
    }
    Tensor dx = dy.empty(dy.rows(), weight.cols());
    multiply_dense(dy, weight, Side::plain, dx, false);
    return dx;
}

void add_matmul_transposed(Tensor& y, const Operand& x, const Operand& weight) {
    switch (x.taken_by()) {
        case Operand::By::kernels: return multiply_dense(x, weight, Side::transposed, y, true);
        case Operand::By::gpu: y.add_(gpu_product(x, weight.t())); return;
        case Operand::By::libtorch: y.addmm_(x.numbers(), weight.numbers().t());
    }
}

void add_turned_matmul(Tensor& dw, const Operand& dy, const Operand& x) {
    if (dy.taken_by() != Operand::By::kernels) return add_matmul(dw, dy.t(), x);
    const Tensor right = with_dense_rows(x.rounded());
    multiply_all(dy, matrix_of(right), Side::plain, dw, true, nullptr, true);
}

void add_matmul(Tensor& dx, const Operand& dy, const Operand& weight) {
    switch (dy.taken_by()) {
        case Operand::By::kernels: return multiply_dense(dy, weight, Side::plain, dx, true);
        case Operand::By::gpu: dx.add_(gpu_product(dy, weight)); return;
        case Operand::By::libtorch: dx.addmm_(dy.numbers(), weight.numbers());
    }
}

}  // namespace qlora::quant
