#pragma once
// Numbers for people.

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/count_text.h"

namespace qlora::cli {

std::string bytes_text(std::int64_t bytes);      // "1.4 GiB"
std::string duration_text(double seconds);       // "4.2 s", "3:07", "1:02:33"
std::string fixed(double value, int decimals);   // "1.832"; "-" when not finite
std::string short_number(double value);          // "0.0002" as "2e-4", "12.5"
std::string time_text(std::int64_t since_1970);  // "2026-03-01 14:05", local time

// Columns as wide as their widest cell; the first row is the head.
std::string table(const std::vector<std::vector<std::string>>& rows);

}  // namespace qlora::cli
