#include "app/qlora/format.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>

namespace qlora::cli {

namespace {

// Characters, not bytes, of UTF-8.
std::size_t width(const std::string& text) {
    return static_cast<std::size_t>(std::count_if(
        text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace

std::string fixed(double value, int decimals) {
    if (!std::isfinite(value)) return "-";
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), std::abs(value) < 1e15 ? "%.*f" : "%.*e", decimals, value);
    return text.data();
}

std::string bytes_text(std::int64_t bytes) {
    static constexpr std::array units = {"B", "KiB", "MiB", "GiB", "TiB"};
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (std::abs(value) >= 1024 && unit + 1 < units.size()) value /= 1024, ++unit;
    return fixed(value, unit < 2 || value >= 100 ? 0 : 1) + " " + units[unit];
}

std::string duration_text(double seconds) {
    if (!std::isfinite(seconds) || seconds < 0) return "-";
    if (seconds < 60) return fixed(seconds, 1) + " s";
    auto whole = static_cast<std::int64_t>(std::min(seconds, 1e9));
    std::array<char, 64> text{};
    if (whole < 3600)
        std::snprintf(text.data(), text.size(), "%d:%02d", int(whole / 60), int(whole % 60));
    else
        std::snprintf(text.data(), text.size(), "%d:%02d:%02d", int(whole / 3600), int(whole / 60 % 60),
                      int(whole % 60));
    return text.data();
}

std::string short_number(double value) {
    if (!std::isfinite(value)) return "-";
    if (value == 0 || (std::abs(value) >= 0.01 && std::abs(value) < 1e5))
        return fixed(value, std::abs(value) < 10 ? 3 : 1);
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "%.2e", value);
    return text.data();
}

std::string time_text(std::int64_t since_1970) {
    auto time = static_cast<std::time_t>(since_1970);
    std::tm local{};
    std::array<char, 64> text{};
    if (::localtime_r(&time, &local) == nullptr) return "-";
    std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M", &local);
    return text.data();
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
    std::vector<std::size_t> widths;
    for (const auto& row : rows) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
    }
    std::string text;
    for (const auto& row : rows) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i)
            line += row[i] + (i + 1 < row.size() ? std::string(widths[i] - width(row[i]) + 2, ' ') : "");
        text += line + "\n";
    }
    return text;
}

}  // namespace qlora::cli
