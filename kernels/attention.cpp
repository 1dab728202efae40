#include "kernels/attention.h"

#include <algorithm>
#include <cmath>

#include "kernels/gemm.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention.cpp"
#include <hwy/foreach_target.h>

#include "kernels/score_dropout-inl.h"
#include "kernels/softmax-inl.h"
#include "kernels/transpose-inl.h"

#ifndef QLORA_KERNELS_ATTENTION_ONCE
#define QLORA_KERNELS_ATTENTION_ONCE
namespace qlora::kernels {
// Queries of a block, the most, and the most keys that they see.
inline constexpr std::int64_t query_block = 128;
inline std::int64_t most_keys(const AttentionShape& s) {
    return s.causal && s.window > 0 ? std::min(s.keys, s.window + query_block) : s.keys;
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

std::int64_t padded(std::int64_t n) {
    return (n + lanes - 1) / lanes * lanes;
}

AnyMatrix rows_of(HeadRows x, std::int64_t begin, std::int64_t count, std::int64_t dim) {
    return any_matrix(x.data + begin * x.stride, count, dim, x.stride);
}

void attend_head(const AttentionShape& s, HeadRows q, HeadRows k, HeadRows v, MutableHeadRows out,
                 float* log_sums, std::int64_t log_stride, float* workspace) {
    float* scores = workspace + gemm_workspace;
    const std::int64_t block = block_of(s);
    for (std::int64_t begin = 0; begin < s.asked; begin += block) {
        const std::int64_t end = std::min(s.asked, begin + block), count = end - begin;
        const Keys keys = visible(s, begin, end);
        if (keys.count() <= 0) {  // nothing to attend to
            for (std::int64_t i = begin; i < end; ++i) {
                std::fill_n(out.data + i * out.stride, s.dim, 0.0f);
                log_sums[i * log_stride] = 0;
            }
            continue;
        }
        const std::int64_t pitch = padded(keys.count());
        multiply_matrix(q.data + begin * q.stride, q.stride, count,
                        rows_of(k, keys.begin, keys.count(), s.dim), Side::transposed, 0, keys.count(),
                        scores, pitch, false, workspace, s.arithmetic);
        for (std::int64_t i = 0; i < count; ++i) {
            const Keys mine = visible(s, begin + i, begin + i + 1);
            float* row = scores + i * pitch;
            const std::int64_t first = mine.begin - keys.begin, last = mine.end - keys.begin;
            const float largest = largest_of(row, first, last) * s.scale;
            const float sum = exponentials<true>(row, first, last, keys.count(), s.scale, largest);
            log_sums[(begin + i) * log_stride] = largest + std::log(sum);
            scores[count * pitch + i] = 1 / sum;
            // Whole vectors: behind the last key there is room, and zeros stay zeros.
            if (s.dropout.active())
                for (std::int64_t j = first / lanes * lanes; j < last; j += lanes)
                    hn::Store(hn::Mul(hn::Load(floats, row + j), factors_along_keys(s.dropout, s.first_query + begin + i, keys.begin + j)),
                              floats, row + j);
        }
        multiply_matrix(scores, pitch, count, rows_of(v, keys.begin, keys.count(), s.dim), Side::plain, 0,
                        s.dim, out.data + begin * out.stride, out.stride, false, workspace, s.arithmetic);
        for (std::int64_t i = 0; i < count; ++i)
            for (std::int64_t d = 0; d < s.dim; ++d)
                out.data[(begin + i) * out.stride + d] *= scores[count * pitch + i];
    }
}

// Of a block, keys by queries: probabilities from scores, dropped where they are, and the gradient of the scores from
// that of these. Column c is query begin + c.
void score_gradients(const AttentionShape& s, std::int64_t begin, std::int64_t count, Keys keys,
                     std::int64_t pitch, const float* logs, const float* deltas, float* probabilities,
                     float* gradients) {
    const std::int64_t offset = s.keys - s.asked;
    const Vector scale = hn::Set(floats, s.scale);
    for (std::int64_t j = keys.begin; j < keys.end; ++j, probabilities += pitch, gradients += pitch) {
        // The queries that see key j.
        const std::int64_t first = s.causal ? std::clamp<std::int64_t>(j - offset - begin, 0, count) : 0;
        const std::int64_t last =
            s.window > 0 ? std::clamp<std::int64_t>(j - offset + s.window - begin, first, count) : count;
        // Whole vectors: behind the last query there is room, and what is computed there is set to zero.
        for (std::int64_t c = first / lanes * lanes; c < last; c += lanes) {
            const Vector p = hn::Exp(
                floats, hn::MulSub(hn::Load(floats, probabilities + c), scale, hn::Load(floats, logs + c)));
            Vector g = hn::Load(floats, gradients + c), dropped = p;
            if (s.dropout.active()) {
                const Vector factors = factors_along_queries(s.dropout, s.first_query + begin + c, j);
                g = hn::Mul(g, factors);
                dropped = hn::Mul(p, factors);
            }
            hn::Store(dropped, floats, probabilities + c);
            hn::Store(hn::Mul(hn::Mul(p, scale), hn::Sub(g, hn::Load(floats, deltas + c))), floats, gradients + c);
        }
        for (float* row : {probabilities, gradients}) {
            std::fill(row, row + first, 0.0f);
            std::fill(row + last, row + count, 0.0f);
        }
    }
}

void attend_head_backward(const AttentionShape& s, HeadRows q, HeadRows k, HeadRows v, HeadRows out,
                          const float* log_sums, std::int64_t log_stride, HeadRows dout, MutableHeadRows dq,
                          MutableHeadRows dk, MutableHeadRows dv, float* workspace) {
    const std::int64_t block = block_of(s), pitch = padded(std::min(s.asked, block));
    const std::int64_t area = padded(most_keys(s)) * pitch;
    float *logs = workspace + gemm_workspace, *deltas = logs + query_block + lanes,
          *probabilities = deltas + query_block + lanes, *gradients = probabilities + area,
          *turned = gradients + area;
    for (std::int64_t j = 0; j < s.keys; ++j) {
        std::fill_n(dk.data + j * dk.stride, s.dim, 0.0f);
        std::fill_n(dv.data + j * dv.stride, s.dim, 0.0f);
    }
    for (std::int64_t begin = 0; begin < s.asked; begin += block) {
        const std::int64_t end = std::min(s.asked, begin + block), count = end - begin;
        const Keys keys = visible(s, begin, end);
        for (std::int64_t i = 0; i < count; ++i) {
            const float *o = out.data + (begin + i) * out.stride, *g = dout.data + (begin + i) * dout.stride;
            Vector sums = hn::Zero(floats);
            std::int64_t d = 0;
            for (; d + lanes <= s.dim; d += lanes)
                sums = hn::MulAdd(hn::LoadU(floats, o + d), hn::LoadU(floats, g + d), sums);
            float sum = hn::GetLane(hn::SumOfLanes(floats, sums));
            for (; d < s.dim; ++d) sum += o[d] * g[d];
            deltas[i] = sum;
            logs[i] = log_sums[(begin + i) * log_stride];
        }
        const auto queries = rows_of(q, begin, count, s.dim), douts = rows_of(dout, begin, count, s.dim);
        multiply_matrix(k.data + keys.begin * k.stride, k.stride, keys.count(), queries, Side::transposed, 0,
                        count, probabilities, pitch, false, workspace, s.arithmetic);
        multiply_matrix(v.data + keys.begin * v.stride, v.stride, keys.count(), douts, Side::transposed, 0,
                        count, gradients, pitch, false, workspace, s.arithmetic);
        score_gradients(s, begin, count, keys, pitch, logs, deltas, probabilities, gradients);
        multiply_matrix(probabilities, pitch, keys.count(), douts, Side::plain, 0, s.dim,
                        dv.data + keys.begin * dv.stride, dv.stride, true, workspace, s.arithmetic);
        multiply_matrix(gradients, pitch, keys.count(), queries, Side::plain, 0, s.dim,
                        dk.data + keys.begin * dk.stride, dk.stride, true, workspace, s.arithmetic);
        const std::int64_t turned_pitch = padded(keys.count());
        transpose_matrix(gradients, pitch, keys.count(), count, turned, turned_pitch);
        multiply_matrix(turned, turned_pitch, count, rows_of(k, keys.begin, keys.count(), s.dim), Side::plain,
                        0, s.dim, dq.data + begin * dq.stride, dq.stride, false, workspace, s.arithmetic);
    }
}

}  // namespace qlora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qlora::kernels {

namespace {

constexpr std::int64_t widest = 16;  // lanes

std::int64_t padded(std::int64_t n) {
    return (n + widest - 1) / widest * widest;
}

}  // namespace

HWY_EXPORT(attend_head);
HWY_EXPORT(attend_head_backward);

std::int64_t attention_workspace(const AttentionShape& shape) {
    return gemm_workspace + (padded(most_keys(shape)) + 1) * std::min(shape.asked, query_block) + widest;
}

std::int64_t attention_backward_workspace(const AttentionShape& shape) {
    return gemm_workspace + 2 * (query_block + widest) +
           3 * padded(most_keys(shape)) * padded(std::min(shape.asked, query_block));
}

void attend(const AttentionShape& shape, HeadRows q, HeadRows k, HeadRows v, MutableHeadRows out,
            float* log_sums, std::int64_t log_stride, float* workspace) {
    HWY_DYNAMIC_DISPATCH(attend_head)(shape, q, k, v, out, log_sums, log_stride, workspace);
}

void attend_backward(const AttentionShape& shape, HeadRows q, HeadRows k, HeadRows v, HeadRows out,
                     const float* log_sums, std::int64_t log_stride, HeadRows dout, MutableHeadRows dq,
                     MutableHeadRows dk, MutableHeadRows dv, float* workspace) {
    HWY_DYNAMIC_DISPATCH(attend_head_backward)
    (shape, q, k, v, out, log_sums, log_stride, dout, dq, dk, dv, workspace);
}

}  // namespace qlora::kernels
#endif
