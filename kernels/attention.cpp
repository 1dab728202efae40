#include "kernels/attention.h"

#include <algorithm>
#include <cmath>

#include "kernels/gemm.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention.cpp"
#include <hwy/foreach_target.h>

#include "kernels/score_dropout-inl.h"
#include "kernels/softmax-inl.h"

#ifndef QLORA_KERNELS_ATTENTION_ONCE
#define QLORA_KERNELS_ATTENTION_ONCE
namespace qlora::kernels {
// Queries of a block, the most; the most keys that they see; and, backward, the most keys of a block.
inline constexpr std::int64_t query_block = 128, key_block = 512;
inline std::int64_t most_keys(const AttentionShape& s) {
    return s.causal && s.window > 0 ? std::min(s.keys, s.window + query_block) : s.keys;
}
// Room for rows of so many numbers: whole vectors, and in bf16 such that they do not evict each other.
inline std::int64_t padded(std::int64_t n) {
    const std::int64_t pitch = (n + 31) / 32 * 32;
    return evict_each_other(pitch) ? pitch + 32 : pitch;
}
}  // namespace qlora::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace qlora::kernels::HWY_NAMESPACE {

// Of a short sequence a large block would hide too much.
std::int64_t block_of(const AttentionShape& s) {
    return s.causal && s.asked <= 2 * query_block ? query_block / 2 : query_block;
}

// The keys that some query of [begin, end) sees.
struct Keys {
    std::int64_t begin, end;
    std::int64_t count() const { return end - begin; }
};
Keys visible(const AttentionShape& s, std::int64_t begin, std::int64_t end) {
    const std::int64_t offset = s.keys - s.asked;
    return {s.window > 0 ? std::max<std::int64_t>(0, begin + offset - s.window + 1) : 0,
            s.causal ? std::min(s.keys, end + offset) : s.keys};
}

// The keys from `first_key` on that query begin + i sees.
Band band_of(const AttentionShape& s, std::int64_t begin, std::int64_t first_key) {
    const std::int64_t behind = begin + s.keys - s.asked + 1 - first_key;
    return {s.window > 0 ? behind - s.window : -Band::far, s.causal ? behind : Band::far};
}

template <class Number>
AnyMatrix matrix_of(RowsOf<const Number> x, std::int64_t begin, std::int64_t count, std::int64_t dim) {
    return any_matrix(x.data + begin * x.stride, count, dim, x.stride);
}

// C = A W^T or A W, or with `add` C + the product.
template <class Number>
void multiply(RowsOf<const Number> a, std::int64_t begin, std::int64_t rows, const AnyMatrix& w, Side side, RowsOf<float> c, std::int64_t c_begin, bool add,
              float* workspace, const Details& details) {
    multiply_matrix(a.data + begin * a.stride, a.stride, rows, w, side, 0, side == Side::transposed ? w.rows : w.cols, c.data + c_begin * c.stride,
                    c.stride, add, workspace, details);
}

// Room for the same numbers as a product's side: where they are, or, in bf16, beside.
template <class Number>
Number* beside(float* numbers, float* behind) {
    if constexpr (std::is_same_v<Number, float>) return numbers;
    else return reinterpret_cast<Number*>(behind);
}

// Row i of `out` times `share`; `rounded` gets it too, where there is one.
void scale_row(MutableHeadRows out, MutableHalfHeadRows rounded, std::int64_t i, std::int64_t dim, float share) {
    float* row = out.data + i * out.stride;
    for_parts(dim, [&](std::int64_t d, std::int64_t count) {
        const Vector x = hn::Mul(load_part(row + d, count), hn::Set(floats, share));
        store_part(x, row + d, count);
        if (rounded.data != nullptr) store_part(x, rounded.data + i * rounded.stride + d, count);
    });
}

template <class Number>
void attend_head(const AttentionShape& s, RowsOf<const Number> q, RowsOf<const Number> k, RowsOf<const Number> v, MutableHeadRows out,
                 MutableHalfHeadRows rounded, float* log_sums, std::int64_t log_stride, float* workspace) {
    const std::int64_t block = block_of(s);
    float *scores = workspace + gemm_workspace, *shares = scores + padded(most_keys(s)) * query_block;
    auto* weights = beside<Number>(scores, shares + query_block);
    for (std::int64_t begin = 0; begin < s.asked; begin += block) {
        const std::int64_t end = std::min(s.asked, begin + block), count = end - begin;
        const Keys keys = visible(s, begin, end);
        if (keys.count() <= 0) {  // nothing to attend to
            for (std::int64_t i = begin; i < end; ++i) {
                std::fill_n(out.data + i * out.stride, s.dim, 0.0f);
                scale_row(out, rounded, i, s.dim, 1);
                log_sums[i * log_stride] = 0;
            }
            continue;
        }
        const std::int64_t pitch = padded(keys.count());
        const Band band = band_of(s, begin, keys.begin);
        multiply(q, begin, count, matrix_of(k, keys.begin, keys.count(), s.dim), Side::transposed, {scores, pitch}, 0, false, workspace, {.columns = band});
        for (std::int64_t i = 0; i < count; ++i) {
            const Keys mine = visible(s, begin + i, begin + i + 1);
            const float* row = scores + i * pitch;
            Number* weight = weights + i * pitch;
            const std::int64_t first = mine.begin - keys.begin, last = mine.end - keys.begin;
            const float largest = largest_of(row, first, last) * s.scale;
            const float sum = exponentials(row, first, last, keys.count(), s.scale, largest, weight);
            log_sums[(begin + i) * log_stride] = largest + std::log(sum);
            shares[i] = 1 / sum;
            // Whole vectors: behind the last key there is room, and zeros stay zeros.
            if (s.dropout.active())
                for (std::int64_t j = first / lanes * lanes; j < last; j += lanes)
                    store_part(hn::Mul(load_part(weight + j, lanes), factors_along_keys(s.dropout, s.first_query + begin + i, keys.begin + j)),
                               weight + j, lanes);
        }
        multiply(RowsOf<const Number>{weights, pitch}, 0, count, matrix_of(v, keys.begin, keys.count(), s.dim), Side::plain, out, begin, false, workspace,
                 {.elements = band});
        for (std::int64_t i = 0; i < count; ++i) scale_row(out, rounded, begin + i, s.dim, shares[i]);
    }
}

// A block of scores, keys by queries.
template <class Number>
struct Block {
    std::int64_t begin, count, pitch;  // of queries
    Keys keys;
    float *scores, *gradients;  // from products: of probabilities and of their gradients
    Number *weights, *slopes;   // what becomes of them: probabilities, dropped where they are, and the gradients of the scores
};

template <class Number>
void score_gradients(const AttentionShape& s, const Block<Number>& b, const float* logs, const float* deltas) {
    const std::int64_t offset = s.keys - s.asked;
    const Vector scale = hn::Set(floats, s.scale);
    for (std::int64_t j = b.keys.begin, at = 0; j < b.keys.end; ++j, at += b.pitch) {
        // The queries that see key j.
        const std::int64_t first = s.causal ? std::clamp<std::int64_t>(j - offset - b.begin, 0, b.count) : 0;
        const std::int64_t last =
            s.window > 0 ? std::clamp<std::int64_t>(j - offset + s.window - b.begin, first, b.count) : b.count;
        const float *score = b.scores + at, *gradient = b.gradients + at;
        Number *weight = b.weights + at, *slope = b.slopes + at;
        // Whole vectors: behind the last query there is room, and what is computed there is set to zero.
        for (std::int64_t c = first / lanes * lanes; c < last; c += lanes) {
            const Vector p = hn::Exp(floats, hn::MulSub(hn::Load(floats, score + c), scale, hn::Load(floats, logs + c)));
            Vector g = hn::Load(floats, gradient + c), dropped = p;
            if (s.dropout.active()) {
                const Vector factors = factors_along_queries(s.dropout, s.first_query + b.begin + c, j);
                g = hn::Mul(g, factors);
                dropped = hn::Mul(p, factors);
            }
            store_part(dropped, weight + c, lanes);
            store_part(hn::Mul(hn::Mul(p, scale), hn::Sub(g, hn::Load(floats, deltas + c))), slope + c, lanes);
        }
        for (Number* row : {weight, slope}) {
            std::fill(row, row + first, 0);
            std::fill(row + last, row + b.count, 0);
        }
    }
}

template <class Number>
void attend_head_backward(const AttentionShape& s, RowsOf<const Number> q, RowsOf<const Number> k, RowsOf<const Number> v, RowsOf<const Number> out,
                          const float* log_sums, std::int64_t log_stride, RowsOf<const Number> dout, MutableHeadRows dq,
                          MutableHeadRows dk, MutableHeadRows dv, float* workspace) {
    const std::int64_t block = block_of(s), pitch = padded(std::min(s.asked, block)), area = std::min(key_block, most_keys(s)) * pitch;
    float *logs = workspace + gemm_workspace, *deltas = logs + query_block + lanes, *scores = deltas + query_block + lanes, *gradients = scores + area,
          *behind = gradients + area;
    for (std::int64_t begin = 0; begin < s.asked; begin += block) {
        const std::int64_t end = std::min(s.asked, begin + block), count = end - begin;
        const Keys keys = visible(s, begin, end);
        for (std::int64_t i = 0; i < count; ++i) {
            const Number *o = out.data + (begin + i) * out.stride, *g = dout.data + (begin + i) * dout.stride;
            Vector sums = hn::Zero(floats);
            for_parts(s.dim, [&](std::int64_t d, std::int64_t n) { sums = hn::MulAdd(load_part(o + d, n), load_part(g + d, n), sums); });
            deltas[i] = sum_of(sums);
            logs[i] = log_sums[(begin + i) * log_stride];
        }
        const AnyMatrix queries = matrix_of(q, begin, count, s.dim), douts = matrix_of(dout, begin, count, s.dim);
        if (keys.count() <= 0)
            for (std::int64_t i = begin; i < end; ++i) std::fill_n(dq.data + i * dq.stride, s.dim, 0.0f);
        for (std::int64_t first = keys.begin; first < keys.end; first += key_block) {
            const Keys part{first, std::min(keys.end, first + key_block)};
            const Block<Number> b{begin,  count,     pitch, part, scores, gradients, beside<Number>(scores, behind),
                                  beside<Number>(gradients, behind + area / 2)};
            const Band seen = band_of(s, begin, first), by = seen.turned();
            multiply(k, first, part.count(), queries, Side::transposed, {scores, pitch}, 0, false, workspace, {.columns = by});
            multiply(v, first, part.count(), douts, Side::transposed, {gradients, pitch}, 0, false, workspace, {.columns = by});
            score_gradients(s, b, logs, deltas);
            const RowsOf<const Number> weights{b.weights, pitch}, slopes{b.slopes, pitch};
            multiply(weights, 0, part.count(), douts, Side::plain, dv, first, true, workspace, {.elements = by});
            multiply(slopes, 0, part.count(), queries, Side::plain, dk, first, true, workspace, {.elements = by});
            multiply(slopes, 0, count, matrix_of(k, first, part.count(), s.dim), Side::plain, dq, begin, first > keys.begin, workspace,
                     {.turned = true, .elements = seen});
        }
    }
}

// By the types that HWY_EXPORT tells apart.
void attend_fp32(const AttentionShape& s, HeadRows q, HeadRows k, HeadRows v, MutableHeadRows out, float* log_sums, std::int64_t log_stride,
                 float* workspace) {
    attend_head(s, q, k, v, out, {}, log_sums, log_stride, workspace);
}
void attend_bf16(const AttentionShape& s, HalfHeadRows q, HalfHeadRows k, HalfHeadRows v, MutableHeadRows out, MutableHalfHeadRows rounded,
                 float* log_sums, std::int64_t log_stride, float* workspace) {
    attend_head(s, q, k, v, out, rounded, log_sums, log_stride, workspace);
}
void attend_fp32_backward(const AttentionShape& s, HeadRows q, HeadRows k, HeadRows v, HeadRows out, const float* log_sums, std::int64_t log_stride,
                          HeadRows dout, MutableHeadRows dq, MutableHeadRows dk, MutableHeadRows dv, float* workspace) {
    attend_head_backward(s, q, k, v, out, log_sums, log_stride, dout, dq, dk, dv, workspace);
}
void attend_bf16_backward(const AttentionShape& s, HalfHeadRows q, HalfHeadRows k, HalfHeadRows v, HalfHeadRows out, const float* log_sums,
                          std::int64_t log_stride, HalfHeadRows dout, MutableHeadRows dq, MutableHeadRows dk, MutableHeadRows dv, float* workspace) {
    attend_head_backward(s, q, k, v, out, log_sums, log_stride, dout, dq, dk, dv, workspace);
}

}  // namespace qlora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qlora::kernels {

HWY_EXPORT(attend_fp32);
HWY_EXPORT(attend_bf16);
HWY_EXPORT(attend_fp32_backward);
HWY_EXPORT(attend_bf16_backward);

std::int64_t attention_workspace(const AttentionShape& shape) {
    return gemm_workspace + (padded(most_keys(shape)) * 3 / 2 + 1) * query_block;
}

std::int64_t attention_backward_workspace(const AttentionShape& shape) {
    constexpr std::int64_t widest = 16;  // lanes
    return gemm_workspace + 2 * (query_block + widest) + 3 * std::min(key_block, most_keys(shape)) * padded(std::min(shape.asked, query_block));
}

void attend(const AttentionShape& shape, HeadRows q, HeadRows k, HeadRows v, MutableHeadRows out,
            float* log_sums, std::int64_t log_stride, float* workspace) {
    HWY_DYNAMIC_DISPATCH(attend_fp32)(shape, q, k, v, out, log_sums, log_stride, workspace);
}
void attend(const AttentionShape& shape, HalfHeadRows q, HalfHeadRows k, HalfHeadRows v, MutableHeadRows out, MutableHalfHeadRows rounded,
            float* log_sums, std::int64_t log_stride, float* workspace) {
    HWY_DYNAMIC_DISPATCH(attend_bf16)(shape, q, k, v, out, rounded, log_sums, log_stride, workspace);
}

void attend_backward(const AttentionShape& shape, HeadRows q, HeadRows k, HeadRows v, HeadRows out,
                     const float* log_sums, std::int64_t log_stride, HeadRows dout, MutableHeadRows dq,
                     MutableHeadRows dk, MutableHeadRows dv, float* workspace) {
    HWY_DYNAMIC_DISPATCH(attend_fp32_backward)
    (shape, q, k, v, out, log_sums, log_stride, dout, dq, dk, dv, workspace);
}
void attend_backward(const AttentionShape& shape, HalfHeadRows q, HalfHeadRows k, HalfHeadRows v, HalfHeadRows out,
                     const float* log_sums, std::int64_t log_stride, HalfHeadRows dout, MutableHeadRows dq,
                     MutableHeadRows dk, MutableHeadRows dv, float* workspace) {
    HWY_DYNAMIC_DISPATCH(attend_bf16_backward)
    (shape, q, k, v, out, log_sums, log_stride, dout, dq, dk, dv, workspace);
}

}  // namespace qlora::kernels
#endif
