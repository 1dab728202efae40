#include "core/base/out_of_memory.h"

#include <algorithm>
#include <string_view>

namespace qlora {

namespace {

// The size ("1.25 GiB") that follows these words.
std::string size_after(std::string_view text, std::string_view words) {
    const auto begin = text.find(words);
    if (begin == text.npos) return {};
    const auto rest = text.substr(begin + words.size());
    const auto unit = rest.find(' ');
    if (unit == rest.npos) return {};
    const auto end = std::find_if(rest.begin() + static_cast<std::ptrdiff_t>(unit) + 1, rest.end(),
                                  [](char c) { return c < 'A' || c > 'z'; });
    return std::string(rest.begin(), end);
}

}  // namespace

std::optional<Error> out_of_device_memory(const std::exception& error) {
    const std::string_view text = error.what();
    constexpr std::string_view known[] = {"CUDA out of memory", "CUDA error: out of memory", "CUDA_ERROR_OUT_OF_MEMORY",
                                          "CUBLAS_STATUS_ALLOC_FAILED"};
    if (std::ranges::none_of(known, [&](std::string_view words) { return text.find(words) != text.npos; })) return {};
    std::string message = "the GPU has not enough free memory";
    if (const auto wanted = size_after(text, "Tried to allocate "); !wanted.empty())
        message += ": " + wanted + " more were wanted";
    const auto total = size_after(text, "a total capacity of "), free = size_after(text, " of which ");
    if (!total.empty() && !free.empty()) message += ", " + free + " of " + total + " are free";
    return failure("memory.device", "GPU", message,
                   "Use a smaller batch, shorter rows, gradient checkpointing or a smaller model, close other programs "
                   "that use the GPU, or compute on "
                   "the CPU (--device cpu).");
}

}  // namespace qlora
