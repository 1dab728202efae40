#pragma once
// A frozen weight matrix in any precision behind one type: dense (fp32, fp16, bf16), blockwise quantized (int8, nf4,
// fp4, int4, int3; QLoRA, Dettmers et al. 2023), or GGUF blocks kept packed as they lie in the file.

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "core/recipe/recipe.h"
#include "kernels/gemm.h"

namespace qlora::quant {

// What a block's scale is: its largest magnitude, or, of 4-bit codes, the scale of the least squared error
// (kernels::search_scales).
enum class ScaleChoice { absmax, search };

// Of a precision that is quantized blockwise.
kernels::Code code_of(recipe::Precision precision);

struct BlockOptions {
    std::int64_t block = 64;  // elements; 0: a row, which for int8 it always is, as in bitsandbytes' LLM.int8
    bool double_quantization = true;  // 4-bit only: absmax in 8 bit with a nested absmax per 256
    ScaleChoice scales = ScaleChoice::absmax;
};

// A matrix that is quantized already, in the parts of bitsandbytes 0.50.
struct Prequantized {
    recipe::Precision precision;        // nf4, fp4, int4, int3 or int8
    std::int64_t rows = 0, cols = 0, block = 64;  // elements; of int8 one block is one row
    std::span<const std::byte> packed;  // copied
    torch::Tensor absmax{};             // fp32, one a block; undefined when doubly quantized:
    torch::Tensor absmax_codes{}, nested_absmax{};  // uint8, one a block; fp32, one per 256 of those
    float offset = 0;
};

// Fills `out` with rows [begin, end) of a matrix in fp32, row-major. Multiplies no Weight: `out` is this thread's scratch.
using RowReader = std::function<void(std::int64_t begin, std::int64_t end, float* out)>;

// Immutable once made; any thread may read. Copies share the storage. What it is made of lies on one device: the CPU where it
// is made, or where `to` puts it.
class Weight {
  public:
    Weight() = default;

    // [rows, cols], contiguous, fp32, fp16 or bf16; kept as it is.
    static Weight dense(torch::Tensor values);
    // Quantizes an fp32 [rows, cols] tensor to int8, nf4, fp4, int4 or int3; dense for the float precisions. Uses all threads.
    static Weight quantized(const torch::Tensor& values, recipe::Precision precision, const BlockOptions& options = {});
    // The same, of a matrix that is never whole in fp32: `read` is called for tiles of rows from the first to the last.
    static Weight quantized(std::int64_t rows, std::int64_t cols, const RowReader& read, recipe::Precision precision,
                            const BlockOptions& options = {});
    // Takes the parts as they are. Throws input_error "weight.block", "weight.size" or "weight.absmax" naming `file` and
    // `tensor` for a block that is neither a power of two in 32..4096 nor a row, parts whose sizes do not fit, scales that are not finite.
    static Weight prequantized(const Prequantized& parts, const std::string& file, const std::string& tensor);
    // Copies the packed rows of a GGUF tensor; `bytes` holds rows * cols elements.
    static Weight packed(kernels::BlockFormat format, std::int64_t rows, std::int64_t cols, const std::byte* bytes);

    bool defined() const { return rows_ > 0; }
    std::int64_t rows() const { return rows_; }
    std::int64_t cols() const { return cols_; }
    std::int64_t bytes() const;                  // of storage, scales included
    const std::string& form() const { return form_; }  // "nf4", "Q4_1", "bf16"
    std::int64_t block() const;                  // elements that share a scale; 0 where it is not quantized blockwise

    torch::Device device() const;
    // The same weight on another device, as packed as it is.
    Weight to(torch::Device device) const;

    // Rows [begin, end) as fp32, row-major, into `out`; uses all threads. On the CPU.
    void expand(std::int64_t begin, std::int64_t end, float* out) const;
    torch::Tensor dequantized() const;           // fp32 [rows, cols], a new tensor (the same for dense fp32)
    // Rows by index: ids int64 [n] in [0, rows), on the weight's device -> fp32 [n, cols].
    torch::Tensor gather(const torch::Tensor& ids) const;
    // The fp32 values themselves when they are kept so; undefined otherwise.
    const torch::Tensor& dense_fp32() const;
    // The same in whatever type they are kept; undefined where they are packed.
    const torch::Tensor& dense_values() const;
    // The raw storage tensors by name ("weight", "absmax", ...), for hashing and export.
    std::vector<std::pair<std::string, torch::Tensor>> storage() const;

    // y[rows] = W x for one fp32 vector x[cols], straight from the packed form; uses all threads.
    void multiply(const float* x, float* y) const;
    // Calls f with the matrix as the kernels take it; it is valid during the call.
    void with_matrix(const std::function<void(const kernels::AnyMatrix&)>& f) const;

    // On a GPU (gpu/gpu.h): rows [begin, end) into `out` [end - begin, cols], fp32, fp16 or bf16; and W x [cols] into
    // y [rows], both fp32, straight from the packed form.
    void expand_on_gpu(std::int64_t begin, std::int64_t end, torch::Tensor& out) const;
    void multiply_on_gpu(const torch::Tensor& x, torch::Tensor& y) const;

  private:
    struct Dense {
        torch::Tensor values;
    };
    struct Blockwise {
        kernels::Code code;
        std::int64_t block;
        torch::Tensor packed, absmax;              // absmax fp32, or, when nested:
        torch::Tensor absmax_codes, nested_absmax;
        float offset = 0;
    };
    struct Gguf {
        kernels::BlockFormat format;
        torch::Tensor packed;  // uint8
    };

    kernels::PackedRows view(const Blockwise& b) const;
    torch::Tensor gather_on_gpu(const torch::Tensor& ids) const;

    std::int64_t rows_ = 0, cols_ = 0;
    std::string form_;
    std::variant<std::monostate, Dense, Blockwise, Gguf> storage_;
};

}  // namespace qlora::quant
