#include "kernels/error_feedback.h"

#include "kernels/code_tables.h"

namespace qlora::kernels {

void code_with_feedback(Code code, float* row, const float* factor, std::int64_t cols, std::int64_t begin, std::int64_t end,
                        const float* scales, std::int64_t block, std::uint8_t* codes, float* errors) {
    const Thresholds& by = thresholds(code);
    const float* values = levels(code).data();
    for (std::int64_t c = begin; c < end; ++c) {
        const float scale = scales[c / block];
        codes[c] = code_of(by, row[c] * (1 / divisor_of(scale)));
        const float* along = factor + c * cols;
        const float error = (row[c] - values[codes[c]] * scale) / along[c];
        errors[c - begin] = error;
        for (std::int64_t later = c + 1; later < end; ++later) row[later] -= error * along[later];
    }
}

void pack_codes(Code code, const std::uint8_t* codes, std::int64_t n, std::uint8_t* packed) {
    for (std::int64_t i = 0; i + 1 < n; i += 2) packed[i / 2] = static_cast<std::uint8_t>(codes[i] << 4 | codes[i + 1]);
    if (n % 2 == 1) packed[n / 2] = static_cast<std::uint8_t>(codes[n - 1] << 4 | code_of(thresholds(code), 0));
}

}  // namespace qlora::kernels
