#include "kernels/target.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/target.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace qlora::kernels::HWY_NAMESPACE {
std::string_view name() {
    return hwy::TargetName(HWY_TARGET);
}
}  // namespace qlora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qlora::kernels {
HWY_EXPORT(name);
std::string_view target_name() {
    return HWY_DYNAMIC_DISPATCH(name)();
}
}  // namespace qlora::kernels
#endif
