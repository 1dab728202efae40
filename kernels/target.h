#pragma once
// Which instruction set the kernels run on here.

#include <string_view>

namespace qlora::kernels {

// The Highway target chosen for this CPU: "SSE4", "AVX2", "AVX3" (AVX-512), ...
std::string_view target_name();

}  // namespace qlora::kernels
