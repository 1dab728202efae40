#include "kernels/half.h"

#include "kernels/reference.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/half.cpp"
#include <hwy/foreach_target.h>

#include "kernels/half-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qlora::kernels::HWY_NAMESPACE {
#if HWY_TARGET == HWY_SCALAR

void widen_f16_array(const std::uint16_t* x, std::int64_t n, float* out) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = reference::f16_to_f32(x[i]);
}
void widen_bf16_array(const std::uint16_t* x, std::int64_t n, float* out) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = reference::bf16_to_f32(x[i]);
}
void narrow_f16_array(const float* x, std::int64_t n, std::uint16_t* out) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = reference::f32_to_f16(x[i]);
}
void narrow_bf16_array(const float* x, std::int64_t n, std::uint16_t* out) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = reference::f32_to_bf16(x[i]);
}

#else

void widen_f16_array(const std::uint16_t* x, std::int64_t n, float* out) {
    std::int64_t i = 0;
    for (; i + lanes <= n; i += lanes) hn::StoreU(widen_f16(hn::LoadU(halves, x + i)), floats, out + i);
    for (; i < n; ++i) out[i] = reference::f16_to_f32(x[i]);
}
void widen_bf16_array(const std::uint16_t* x, std::int64_t n, float* out) {
    std::int64_t i = 0;
    for (; i + lanes <= n; i += lanes) hn::StoreU(widen_bf16(hn::LoadU(halves, x + i)), floats, out + i);
    for (; i < n; ++i) out[i] = reference::bf16_to_f32(x[i]);
}
void narrow_f16_array(const float* x, std::int64_t n, std::uint16_t* out) {
    std::int64_t i = 0;
    for (; i + lanes <= n; i += lanes) hn::StoreU(narrow_f16(hn::LoadU(floats, x + i)), halves, out + i);
    for (; i < n; ++i) out[i] = reference::f32_to_f16(x[i]);
}
void narrow_bf16_array(const float* x, std::int64_t n, std::uint16_t* out) {
    std::int64_t i = 0;
    for (; i + lanes <= n; i += lanes) hn::StoreU(narrow_bf16(hn::LoadU(floats, x + i)), halves, out + i);
    for (; i < n; ++i) out[i] = reference::f32_to_bf16(x[i]);
}

#endif
}  // namespace qlora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qlora::kernels {

HWY_EXPORT(widen_f16_array);
HWY_EXPORT(widen_bf16_array);
HWY_EXPORT(narrow_f16_array);
HWY_EXPORT(narrow_bf16_array);

void f16_to_f32(const std::uint16_t* x, std::int64_t n, float* out) {
    HWY_DYNAMIC_DISPATCH(widen_f16_array)(x, n, out);
}
void bf16_to_f32(const std::uint16_t* x, std::int64_t n, float* out) {
    HWY_DYNAMIC_DISPATCH(widen_bf16_array)(x, n, out);
}
void f32_to_f16(const float* x, std::int64_t n, std::uint16_t* out) {
    HWY_DYNAMIC_DISPATCH(narrow_f16_array)(x, n, out);
}
void f32_to_bf16(const float* x, std::int64_t n, std::uint16_t* out) {
    HWY_DYNAMIC_DISPATCH(narrow_bf16_array)(x, n, out);
}

}  // namespace qlora::kernels
#endif
