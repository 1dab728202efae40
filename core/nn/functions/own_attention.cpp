#include "core/nn/functions/own_attention.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <atomic>

#include "core/quant/operand.h"
#include "core/quant/scratch.h"
#include "kernels/attention.h"

namespace qlora::nn {

using torch::Tensor;

namespace {

// Work that one thread does: queries [begin, end) of a segment in one head.
struct Item {
    std::size_t segment;
    std::int64_t head, begin, end;
    std::int64_t cost;
};

// Calls f for every item, the costliest first, each thread taking the next when it is done.
template <typename F>
void for_each_item(std::vector<Item> items, F f) {
    std::stable_sort(items.begin(), items.end(), [](const Item& a, const Item& b) { return a.cost > b.cost; });
    std::int64_t total = 0;
    for (const Item& item : items) total += item.cost;
    constexpr std::int64_t smallest_share = 1 << 18;  // multiplications
    const auto threads = std::min({std::int64_t{at::get_num_threads()}, static_cast<std::int64_t>(items.size()), 1 + total / smallest_share});
    std::atomic<std::size_t> next = 0;
    at::parallel_for(0, threads, 1, [&](std::int64_t, std::int64_t) {
        for (std::size_t i = next++; i < items.size(); i = next++) f(items[i]);
    });
}

// How many keys of a segment there are up to the last that one of the queries before `end` may see.
std::int64_t keys_before(std::int64_t end, std::size_t segment, const Segments& segments, const AttentionRule& rule) {
    return segments.keys(segment) - (rule.causal ? segments.length(segment) - end : 0);
}

// Items of at most block(length of the segment) queries of each head.
template <typename Block>
std::vector<Item> items_of(const Segments& segments, const AttentionRule& rule, std::int64_t heads, std::int64_t dim, Block block) {
    std::vector<Item> items;
    for (std::size_t i = 0; i < segments.count(); ++i)
        for (std::int64_t head = 0; head < heads; ++head)
            for (std::int64_t begin = 0, end = 0; begin == 0 || begin < segments.length(i); begin = end) {
                end = std::min(begin + block(segments.length(i)), segments.length(i));
                // What is behind the last query, or before the first one's window, costs nothing.
                std::int64_t keys = keys_before(end, i, segments, rule);
                if (rule.causal && rule.window > 0) keys = std::min(keys, rule.window + end - begin);
                items.push_back({i, head, begin, end, (end - begin) * keys * dim});
            }
    return items;
}

// The item of one head: its queries, and the keys up to the last that one of them may see.
kernels::AttentionShape shape_of(const Item& item, std::int64_t head, const Segments& segments, const AttentionRule& rule, std::int64_t dim) {
    return {.asked = item.end - item.begin, .keys = keys_before(item.end, item.segment, segments, rule), .dim = dim,
            .scale = static_cast<float>(rule.scale), .causal = rule.causal, .window = rule.causal ? rule.window : 0,
            .dropout = rule.dropout.of_head(static_cast<std::int64_t>(item.segment), head), .first_query = item.begin};
}

// A head's rows of x [rows, heads * dim], from one on.
template <class Number>
kernels::RowsOf<const Number> rows_of(const Tensor& x, std::int64_t row, std::int64_t head, std::int64_t dim) {
    return {static_cast<const Number*>(x.const_data_ptr()) + row * x.stride(0) + head * dim, x.stride(0)};
}
template <class Number>
kernels::RowsOf<Number> mutable_rows_of(const Tensor& x, std::int64_t row, std::int64_t head, std::int64_t dim) {
    return {static_cast<Number*>(x.mutable_data_ptr()) + row * x.stride(0) + head * dim, x.stride(0)};
}

bool is_narrow(const PackedHeads& from) { return from.q.scalar_type() == torch::kBFloat16; }

// Into how many ranges of queries a head's backward pass is cut, so that all threads have work; not by their number, for sums
// not to depend on it. Each range adds up gradients of the keys by itself.
std::int64_t ranges_of(std::int64_t length, std::int64_t kv_heads) {
    constexpr std::int64_t items = 16, shortest = 128;
    return std::max<std::int64_t>(1, std::min((items + kv_heads - 1) / kv_heads, length / shortest));
}

}  // namespace

Tensor own_attention(const PackedHeads& from, const Segments& segments, const AttentionRule& rule, const Tensor& out, Tensor& log_sums) {
    const auto& [q, k, v, dims] = from;
    const Tensor rounded = is_narrow(from) ? quant::bf16_rows(q.size(0), q.size(1)) : Tensor();
    for_each_item(items_of(segments, rule, dims.heads, dims.dim, [](std::int64_t) { return 256; }), [&](const Item& item) {
        const auto shape = shape_of(item, item.head, segments, rule, dims.dim);
        const std::int64_t row = segments.starts[item.segment] + item.begin, key = segments.key_starts[item.segment], shared = item.head / dims.group();
        float *logs = log_sums.data_ptr<float>() + row * dims.heads + item.head, *workspace = quant::scratch_workspace(kernels::attention_workspace(shape));
        const auto to = mutable_rows_of<float>(out, row, item.head, dims.dim);
        const auto attend = [&]<class Number>(Number, auto... rounded_to) {
            kernels::attend(shape, rows_of<Number>(q, row, item.head, dims.dim), rows_of<Number>(k, key, shared, dims.dim),
                            rows_of<Number>(v, key, shared, dims.dim), to, rounded_to..., logs, dims.heads, workspace);
        };
        if (rounded.defined()) attend(std::uint16_t{}, mutable_rows_of<std::uint16_t>(rounded, row, item.head, dims.dim));
        else attend(float{});
    });
    return rounded;
}

std::pair<Tensor, Tensor> own_attention_backward(const Tensor& dout, const PackedHeads& from, const Tensor& out, const Tensor& log_sums, const Segments& segments,
                                                 const AttentionRule& rule, const Tensor& dq) {
    const auto& [q, k, v, dims] = from;
    const auto ranges_in = [&](std::size_t segment) { return ranges_of(segments.length(segment), dims.kv_heads); };
    const auto part_of = [&](std::int64_t length) { return (length + ranges_of(length, dims.kv_heads) - 1) / ranges_of(length, dims.kv_heads); };
    std::int64_t most = 1;
    for (std::size_t i = 0; i < segments.count(); ++i) most = std::max(most, ranges_in(i));
    const std::int64_t width = dims.kv_heads * dims.dim, all = k.size(0) * width;
    const Tensor dk = torch::empty({most, k.size(0), width}, torch::kFloat32), dv = torch::empty_like(dk);
    const std::array<float*, 2> sums{dk.data_ptr<float>(), dv.data_ptr<float>()};
    for_each_item(items_of(segments, rule, dims.kv_heads, dims.dim, part_of), [&](const Item& item) {
        const std::int64_t row = segments.starts[item.segment] + item.begin, key = segments.key_starts[item.segment];
        const std::int64_t at = item.begin / part_of(segments.length(item.segment)) * all + key * width + item.head * dims.dim;
        const std::array<kernels::MutableHeadRows, 2> to{{{sums[0] + at, width}, {sums[1] + at, width}}};
        for (const auto& rows : to)
            for (std::int64_t j = 0; j < keys_before(item.end, item.segment, segments, rule); ++j) std::fill_n(rows.data + j * width, dims.dim, 0.0f);
        for (std::int64_t head = item.head * dims.group(); head < (item.head + 1) * dims.group(); ++head) {
            const auto shape = shape_of(item, head, segments, rule, dims.dim);
            const float* logs = log_sums.const_data_ptr<float>() + row * dims.heads + head;
            float* workspace = quant::scratch_workspace(kernels::attention_backward_workspace(shape));
            const auto backward = [&]<class Number>(Number) {
                kernels::attend_backward(shape, rows_of<Number>(q, row, head, dims.dim), rows_of<Number>(k, key, item.head, dims.dim),
                                         rows_of<Number>(v, key, item.head, dims.dim), rows_of<Number>(out, row, head, dims.dim), logs, dims.heads,
                                         rows_of<Number>(dout, row, head, dims.dim), mutable_rows_of<float>(dq, row, head, dims.dim), to[0], to[1],
                                         workspace);
            };
            if (is_narrow(from)) backward(std::uint16_t{});
            else backward(float{});
        }
    });
    // A key's gradients from the ranges that see it, into the first range's place.
    for (std::size_t i = 0; i < segments.count(); ++i) {
        const std::int64_t ranges = ranges_in(i), part = part_of(segments.length(i));
        if (ranges == 1) continue;
        const auto seen = [&](std::int64_t range) { return keys_before(std::min((range + 1) * part, segments.length(i)), i, segments, rule); };
        at::parallel_for(0, segments.keys(i), 64, [&](std::int64_t begin, std::int64_t end) {
            for (float* from : sums)
                for (std::int64_t j = begin; j < end; ++j) {
                    float* to = from + (segments.key_starts[i] + j) * width;
                    std::int64_t range = 0;
                    while (seen(range) <= j) ++range;
                    if (range > 0) std::copy_n(to + range * all, width, to);
                    for (++range; range < ranges; ++range)
                        for (std::int64_t d = 0; d < width; ++d) to[d] += to[range * all + d];
                }
        });
    }
    return {dk[0], dv[0]};
}

}  // namespace qlora::nn
