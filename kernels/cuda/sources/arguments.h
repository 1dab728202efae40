#pragma once
// What kernels take by value. Read by the host's compiler and by NVRTC, which has no standard headers.

namespace qlora::kernels::cuda {

using Index = long long;

// Elements that a thread takes at once: 16 bytes of halves.
constexpr int group = 8;
constexpr int warp_lanes = 32;

// Numbers that lie in device memory, one after the other: the levels of nf4, fp4, int4 and int3, 16 each, and both
// dynamic maps.
constexpr int four_bit_levels = 16;
constexpr int map_with_sign = 4 * four_bit_levels, map_without_sign = map_with_sign + 256,
              table_size = map_without_sign + 256;

// kernels/packed_rows.h on the device. `packed` begins at a multiple of 16 bytes.
struct Blockwise {
    const unsigned char* packed;
    const float* absmax;  // or null, and then
    const unsigned char* absmax_codes;
    const float* nested_absmax;
    float offset;
    int block_shift;  // of four-bit codes: log2 of their block; negative, and of int8: a block is a row
    Index cols;
    const float* levels;  // of four-bit codes, [16]; null: int8
    const float* map;     // the signed dynamic map
};

// Rows to expand: [first, first + count), or those that `ids` names.
struct Rows {
    Index first, count;
    const Index* ids;
};

// How a scaled value becomes a four-bit code (kernels/code_tables.h).
struct FourBitRule {
    float bounds[15];
    unsigned long long codes;  // of each rank, four bits from the lowest on
};

struct Norm {
    const float* weight;
    const float* bias;  // or null
    float epsilon;
    int centred;
};

struct Rotary {
    const float* cosines;
    const float* sines;
    int heads, dim, half, backward;
    Index stride;  // of x's rows
};

struct Gated {
    int gelu;  // else SiLU
    unsigned rows, width;
    Index stride;  // of gate's and up's rows, and of their gradients'
};

// kernels::AdamWRule
struct AdamW {
    float beta1_rest, beta2, beta2_rest, epsilon, keep, rate, root, gradient_scale;
};

struct Dropout {
    unsigned key[2];
    unsigned counter[3];  // behind the number of the block of four
    unsigned threshold;   // numbers below drop their element
    float keep;           // what the others are multiplied by
};

// Elements whose squares one block of threads adds up.
constexpr int squares_part = 1 << 16;

}  // namespace qlora::kernels::cuda
