#include "kernels/cuda/launch.h"

#include <algorithm>
#include <bit>
#include <stdexcept>
#include <type_traits>

#include "kernels/code_tables.h"
#include "kernels/cuda/sources/arguments.h"

namespace qlora::kernels::cuda {

namespace {

constexpr unsigned usual_threads = 256, most_blocks = 16384;

template <class T>
constexpr Argument argument(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    return {&value, sizeof(value)};
}

// Arguments have the types that the kernel's source gives them.
template <class... Arguments>
void run(Runner& runner, Launch launch, const Arguments&... arguments) {
    const Argument all[] = {argument(arguments)...};
    if (launch.blocks > 0) runner.run(launch, all);
}

// Blocks of threads for so many items, of which a block does `a_block` at a time.
unsigned blocks_for(std::int64_t items, std::int64_t a_block) {
    if (items > std::int64_t{1} << 31) throw std::length_error("more than 2^31 elements of work for one CUDA kernel");
    return static_cast<unsigned>(std::min<std::int64_t>(most_blocks, (items + a_block - 1) / a_block));
}
// A block for each, without a bound that a loop would make up for.
unsigned block_each(std::int64_t items, std::int64_t a_block = 1) {
    return static_cast<unsigned>((items + a_block - 1) / a_block);
}

// Threads of a block that takes a row of so many parts: whole warps, no more than have something to do.
unsigned row_threads(std::int64_t parts, unsigned most) {
    return static_cast<unsigned>(
        std::clamp<std::int64_t>((parts + warp_lanes - 1) / warp_lanes * warp_lanes, warp_lanes, most));
}

bool aligned(std::initializer_list<const void*> pointers) {
    return std::ranges::all_of(pointers, [](const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; });
}

void expect_aligned(std::initializer_list<const void*> pointers) {
    if (!aligned(pointers)) throw std::invalid_argument("numbers for a CUDA kernel begin at no multiple of 16 bytes");
}

const char* suffix(Element element) {
    return element == Element::f32 ? "_f32" : element == Element::f16 ? "_f16" : "_bf16";
}

// The codes whose levels are in the tables, in their order there.
constexpr Code in_tables[] = {Code::nf4, Code::fp4, Code::int4, Code::int3};
std::ptrdiff_t place_of(Code code) {
    return std::ranges::find(in_tables, code) - std::begin(in_tables);
}

Blockwise device_view(Runner& runner, const PackedRows& m) {
    const float* tables = runner.tables();
    const float* levels = four_bit(m.code) ? tables + place_of(m.code) * four_bit_levels : nullptr;
    const auto block = static_cast<std::uint64_t>(m.block);
    return {m.packed, m.absmax, m.absmax_codes, m.nested_absmax,       m.offset, std::has_single_bit(block) ? std::countr_zero(block) : -1,
            m.cols,   levels,   tables + map_with_sign};
}

unsigned blocks_of_rows(std::int64_t rows, std::int64_t cols) {
    return blocks_for(rows * ((cols + group - 1) / group), usual_threads);
}

void expand(Runner& runner, const PackedRows& m, const Rows& rows, Element element, void* out) {
    expect_aligned({m.packed, out});
    run(runner,
        {"dequantize", std::string("dequantize") + suffix(element), blocks_of_rows(rows.count, m.cols), usual_threads},
        device_view(runner, m), rows, out);
}
void expand(Runner& runner, const BlockRows& m, const Rows& rows, Element element, void* out) {
    expect_aligned({m.data, out});
    run(runner,
        {"blocks", "dequantize_" + std::string(block_format_name(m.format)) + suffix(element),
         blocks_of_rows(rows.count, m.cols), usual_threads},
        m.data, Index{m.cols}, rows, out);
}

const Index* device_ids(const std::int64_t* ids) {
    static_assert(sizeof(Index) == sizeof(*ids));
    return reinterpret_cast<const Index*>(ids);
}

// Of a product with one vector: four warps of four rows.
constexpr unsigned product_threads = 128;
constexpr std::int64_t product_rows = 16;

AdamW device_rule(const AdamWRule& rule) {
    return {rule.beta1_rest, rule.beta2, rule.beta2_rest, rule.epsilon,
            rule.keep,       rule.rate,  rule.root,       rule.gradient_scale};
}

}  // namespace

std::vector<float> table_numbers() {
    std::vector<float> all;
    const auto add = [&](std::span<const float> numbers) { all.insert(all.end(), numbers.begin(), numbers.end()); };
    for (const Code code : in_tables) add(levels(code));
    for (const DynamicMap map : {DynamicMap::with_sign, DynamicMap::without_sign}) add(dynamic_map(map));
    return all;
}

void quantize(Runner& runner, Code code, const float* x, std::int64_t n, std::int64_t block, std::uint8_t* packed,
              float* absmax) {
    const std::int64_t blocks = block_count(n, block);
    if (code == Code::int8) {
        run(runner, {"quantize", "quantize_int8", blocks_for(blocks, 1), row_threads(block, usual_threads)}, x,
            Index{n}, Index{block}, packed, absmax);
        return;
    }
    FourBitRule rule{};
    const Thresholds& by = thresholds(code);
    std::ranges::copy(by.bounds, rule.bounds);
    for (int rank = 0; rank < 16; ++rank)
        rule.codes |= static_cast<unsigned long long>(by.code_of_rank[static_cast<std::size_t>(rank)]) << 4 * rank;
    run(runner, {"quantize", "quantize_four_bit", block_each(blocks, usual_threads / warp_lanes), usual_threads}, rule,
        x, Index{n}, Index{block}, packed, absmax);
}

void dequantize_rows(Runner& runner, const PackedRows& matrix, std::int64_t row_begin, std::int64_t row_end,
                     Element element, void* out) {
    expand(runner, matrix, {row_begin, row_end - row_begin, nullptr}, element, out);
}
void gather_rows(Runner& runner, const PackedRows& matrix, const std::int64_t* ids, std::int64_t count, Element element,
                 void* out) {
    expand(runner, matrix, {0, count, device_ids(ids)}, element, out);
}
void multiply(Runner& runner, const PackedRows& matrix, const float* x, float* y) {
    expect_aligned({matrix.packed, x});
    run(runner, {"multiply", "multiply_blockwise", block_each(matrix.rows, product_rows), product_threads},
        device_view(runner, matrix), Index{matrix.rows}, x, y);
}

void dequantize_rows(Runner& runner, const BlockRows& matrix, std::int64_t row_begin, std::int64_t row_end,
                     Element element, void* out) {
    expand(runner, matrix, {row_begin, row_end - row_begin, nullptr}, element, out);
}
void gather_rows(Runner& runner, const BlockRows& matrix, const std::int64_t* ids, std::int64_t count, Element element,
                 void* out) {
    expand(runner, matrix, {0, count, device_ids(ids)}, element, out);
}
void multiply(Runner& runner, const BlockRows& matrix, const float* x, float* y) {
    expect_aligned({matrix.data, x});
    run(runner,
        {"blocks", "multiply_" + std::string(block_format_name(matrix.format)), block_each(matrix.rows, product_rows),
         product_threads},
        matrix.data, Index{matrix.cols}, Index{matrix.rows}, x, y);
}

namespace {

Norm device_rule(const NormRule& rule) {
    return {rule.weight, rule.bias, rule.epsilon, rule.centred};
}
const char* by(bool fours, const char* four, const char* one) {
    return fours ? four : one;
}

}  // namespace

void norm(Runner& runner, const NormRule& rule, const float* x, std::int64_t rows, std::int64_t width, float* y) {
    const bool fours = width % 4 == 0 && aligned({x, y, rule.weight, rule.bias});
    run(runner,
        {"norm", by(fours, "norm_by_4", "norm_by_1"), blocks_for(rows, 1),
         row_threads(fours ? width / 4 : width, usual_threads)},
        device_rule(rule), x, Index{rows}, Index{width}, y);
}
void norm_backward(Runner& runner, const NormRule& rule, const float* x, const float* dy, std::int64_t rows,
                   std::int64_t width, float* dx) {
    const bool fours = width % 4 == 0 && aligned({x, dy, dx, rule.weight});
    run(runner,
        {"norm", by(fours, "norm_backward_by_4", "norm_backward_by_1"), blocks_for(rows, 1),
         row_threads(fours ? width / 4 : width, usual_threads)},
        device_rule(rule), x, dy, Index{rows}, Index{width}, dx);
}

void rotate(Runner& runner, const Rotation& rotation, const float* x, std::int64_t stride, std::int64_t rows,
            float* y) {
    const bool fours = rotation.half % 4 == 0 && rotation.dim % 4 == 0 && stride % 4 == 0 &&
                       aligned({x, y, rotation.cosines, rotation.sines});
    const std::int64_t slots = rotation.half / (fours ? 4 : 1) + rotation.dim - 2 * rotation.half;
    const Rotary rule{rotation.cosines,
                      rotation.sines,
                      static_cast<int>(rotation.heads),
                      static_cast<int>(rotation.dim),
                      static_cast<int>(rotation.half),
                      rotation.backward,
                      stride};
    run(runner,
        {"rotary", by(fours, "rotate_by_4", "rotate_by_1"), blocks_for(rows * rotation.heads * slots, usual_threads),
         usual_threads},
        rule, x, static_cast<unsigned>(rows), y);
}

void gate(Runner& runner, Gate kind, const float* gate, const float* up, std::int64_t stride, std::int64_t rows,
          std::int64_t width, float* out) {
    const bool fours = width % 4 == 0 && stride % 4 == 0 && aligned({gate, up, out});
    const Gated rule{kind == Gate::gelu_tanh, static_cast<unsigned>(rows), static_cast<unsigned>(width), stride};
    run(runner,
        {"gates", by(fours, "gate_by_4", "gate_by_1"), blocks_for(rows * width / (fours ? 4 : 1), usual_threads),
         usual_threads},
        rule, gate, up, out);
}
void gate_backward(Runner& runner, Gate kind, const float* gate, const float* up, std::int64_t stride,
                   const float* dout, std::int64_t rows, std::int64_t width, float* dgate, float* dup) {
    const bool fours = width % 4 == 0 && stride % 4 == 0 && aligned({gate, up, dout, dgate, dup});
    const Gated rule{kind == Gate::gelu_tanh, static_cast<unsigned>(rows), static_cast<unsigned>(width), stride};
    run(runner,
        {"gates", by(fours, "gate_backward_by_4", "gate_backward_by_1"),
         blocks_for(rows * width / (fours ? 4 : 1), usual_threads), usual_threads},
        rule, gate, up, dout, dgate, dup);
}

void cross_entropy(Runner& runner, float* logits, std::int64_t rows, std::int64_t classes, const std::int64_t* targets,
                   bool gradients, double* losses) {
    run(runner, {"cross_entropy", "cross_entropy", blocks_for(rows, 1), row_threads(classes, 512)}, logits, Index{rows},
        Index{classes}, device_ids(targets), static_cast<int>(gradients), losses);
}

void adamw(Runner& runner, const AdamWRule& rule, const float* gradients, std::int64_t n, float* values, float* first,
           float* second) {
    const bool fours = aligned({gradients, values, first, second});
    run(runner,
        {"adamw", by(fours, "adamw_by_4", "adamw_by_1"), blocks_for(fours ? (n + 3) / 4 : n, usual_threads),
         usual_threads},
        device_rule(rule), gradients, Index{n}, values, first, second);
}
void adamw_8bit(Runner& runner, const AdamWRule& rule, const float* gradients, std::int64_t n, float* values,
                EightBit first, EightBit second) {
    static_assert(moment_block == usual_threads);
    run(runner, {"adamw", "adamw_8bit", blocks_for(n, moment_block), usual_threads}, device_rule(rule), runner.tables(),
        gradients, Index{n}, values, first.codes, first.absmax, second.codes, second.absmax);
}

std::int64_t square_sums(std::int64_t n) {
    return (n + squares_part - 1) / squares_part;
}
void sum_of_squares(Runner& runner, const float* x, std::int64_t n, double* sums) {
    expect_aligned({x});
    run(runner, {"adamw", "sum_of_squares", block_each(square_sums(n)), usual_threads}, x, Index{n}, sums);
}

void drop(Runner& runner, const DropoutRate& rate, const DropoutStream& stream, const float* x, std::int64_t n,
          float* y) {
    expect_aligned({x, y});
    Dropout rule{};
    std::ranges::copy(stream.key, rule.key);
    std::ranges::copy(stream.stream, rule.counter);
    rule.threshold = rate.threshold;
    rule.keep = rate.keep;
    run(runner, {"dropout", "dropout", blocks_for((n + 3) / 4, usual_threads), usual_threads}, rule, x, Index{n}, y);
}
void score_factors(Runner& runner, const DropoutRate& rate, const std::uint32_t* head_keys, std::int64_t heads,
                   std::int64_t asked, std::int64_t keys, float* out) {
    run(runner, {"dropout", "score_factors", blocks_for(heads * asked * keys, usual_threads), usual_threads},
        rate.threshold, rate.keep, head_keys, static_cast<unsigned>(heads), static_cast<unsigned>(asked),
        static_cast<unsigned>(keys), out);
}

}  // namespace qlora::kernels::cuda
