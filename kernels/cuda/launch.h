#pragma once
// The CUDA kernels as functions. Shapes and units are those of the CPU kernels whose names they bear (quantize.h,
// packed_rows.h, blocks.h, norm.h, elementwise.h, adamw.h, dropout.h); pointers are the device's and begin at multiples
// of 16 bytes. Each begins the work on the runner's stream and may return before it is done. Throws std::runtime_error
// where a kernel cannot be compiled or begun, std::length_error for more than 2^31 elements of work at once,
// std::invalid_argument for a pointer that begins elsewhere, where the kernel needs it.
//
// Codes, scales, dequantized values, rotations and dropout masks equal the CPU's to the bit; sums are added in another
// order, and exponentials are CUDA's.
//
// Double quantization of scales stays on the CPU, which makes weights at load and uploads them packed: its mean adds in
// an order that has no use on a device. Scales that are doubly quantized are read everywhere here.

#include "kernels/adamw.h"
#include "kernels/blocks.h"
#include "kernels/cuda/runner.h"
#include "kernels/dropout.h"
#include "kernels/elementwise.h"
#include "kernels/norm.h"
#include "kernels/packed_rows.h"

namespace qlora::kernels::cuda {

// Of what is written.
enum class Element : std::uint8_t { f32, f16, bf16 };

// A block of four-bit codes is an even number of elements here.
void quantize(Runner& runner, Code code, const float* x, std::int64_t n, std::int64_t block, std::uint8_t* packed,
              float* absmax);

// Rows [row_begin, row_end), or those that `ids` [count] names, -> out [rows, cols]. Of int8 a block is a row.
void dequantize_rows(Runner& runner, const PackedRows& matrix, std::int64_t row_begin, std::int64_t row_end,
                     Element element, void* out);
void gather_rows(Runner& runner, const PackedRows& matrix, const std::int64_t* ids, std::int64_t count, Element element,
                 void* out);
// y [rows] = W x [cols].
void multiply(Runner& runner, const PackedRows& matrix, const float* x, float* y);

// The same of a matrix of GGUF blocks.
struct BlockRows {
    BlockFormat format = BlockFormat::f32;
    const std::byte* data = nullptr;
    std::int64_t rows = 0, cols = 0;
};
void dequantize_rows(Runner& runner, const BlockRows& matrix, std::int64_t row_begin, std::int64_t row_end,
                     Element element, void* out);
void gather_rows(Runner& runner, const BlockRows& matrix, const std::int64_t* ids, std::int64_t count, Element element,
                 void* out);
void multiply(Runner& runner, const BlockRows& matrix, const float* x, float* y);

void norm(Runner& runner, const NormRule& rule, const float* x, std::int64_t rows, std::int64_t width, float* y);
void norm_backward(Runner& runner, const NormRule& rule, const float* x, const float* dy, std::int64_t rows,
                   std::int64_t width, float* dx);

void rotate(Runner& runner, const Rotation& rotation, const float* x, std::int64_t stride, std::int64_t rows, float* y);
void gate(Runner& runner, Gate kind, const float* gate, const float* up, std::int64_t stride, std::int64_t rows,
          std::int64_t width, float* out);
void gate_backward(Runner& runner, Gate kind, const float* gate, const float* up, std::int64_t stride,
                   const float* dout, std::int64_t rows, std::int64_t width, float* dgate, float* dup);

// losses: [rows], on the device like all else.
void cross_entropy(Runner& runner, float* logits, std::int64_t rows, std::int64_t classes, const std::int64_t* targets,
                   bool gradients, double* losses);

void adamw(Runner& runner, const AdamWRule& rule, const float* gradients, std::int64_t n, float* values, float* first,
           float* second);
void adamw_8bit(Runner& runner, const AdamWRule& rule, const float* gradients, std::int64_t n, float* values,
                EightBit first, EightBit second);

// sums [square_sums(n)], whose sum is that of x's squares.
std::int64_t square_sums(std::int64_t n);
void sum_of_squares(Runner& runner, const float* x, std::int64_t n, double* sums);

// y may be x.
void drop(Runner& runner, const DropoutRate& rate, const DropoutStream& stream, const float* x, std::int64_t n,
          float* y);
// Of a segment's heads, whose keys are keys [heads]: out [heads, asked, keys].
void score_factors(Runner& runner, const DropoutRate& rate, const std::uint32_t* head_keys, std::int64_t heads,
                   std::int64_t asked, std::int64_t keys, float* out);

}  // namespace qlora::kernels::cuda
