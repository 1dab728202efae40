#pragma once
// A number of things for people.

#include <cstdint>
#include <string>

namespace qlora {

std::string count_text(std::int64_t count);  // "134,515,008"

}  // namespace qlora
