#include "core/adapters/freeze.h"

#include <algorithm>
#include <charconv>

#include "core/adapters/targets.h"

namespace qlora::adapters {

namespace {

// "3" or "0-5".
bool is_range(const std::string& entry, std::int64_t& first, std::int64_t& last) {
    const char* end = entry.data() + entry.size();
    auto [stop, error] = std::from_chars(entry.data(), end, first);
    if (error != std::errc()) return false;
    last = first;
    if (stop == end) return true;
    if (*stop != '-') return false;
    const auto rest = std::from_chars(stop + 1, end, last);
    return rest.ec == std::errc() && rest.ptr == end;
}

bool covers(const std::string& entry, const std::string& tensor, bool embeds) {
    if (entry == "embeddings") return embeds || tensor.find("position_embeddings.") != tensor.npos || tensor.find("token_type_embeddings.") != tensor.npos || tensor.ends_with("wpe.weight");
    const std::string module = tensor.substr(0, tensor.rfind('.'));
    if (entry == "head") return is_head(module);
    if (entry == "norms") {
        const std::string last = module.substr(module.rfind('.') + 1);
        return last.find("norm") != last.npos || last.find("Norm") != last.npos || last.starts_with("ln_");
    }
    std::int64_t first = 0, end = 0;
    if (is_range(entry, first, end)) {
        const std::string block = block_name(tensor);
        if (block.empty()) return false;
        const auto number = std::stoll(block.substr(block.rfind('.') + 1));
        return number >= first && number <= end;
    }
    return ("." + tensor + ".").find("." + entry + ".") != std::string::npos;
}

}  // namespace

std::string block_name(const std::string& name) {
    for (std::size_t begin = 0; begin < name.size();) {
        const std::size_t end = std::min(name.find('.', begin), name.size());
        const auto digit = [](char c) { return c >= '0' && c <= '9'; };
        if (end > begin && end - begin < 10 && std::all_of(name.begin() + static_cast<std::ptrdiff_t>(begin), name.begin() + static_cast<std::ptrdiff_t>(end), digit))
            return name.substr(0, end);
        begin = end + 1;
    }
    return {};
}

bool is_frozen(const std::string& tensor, const std::string& embedding, const std::vector<std::string>& freeze, std::vector<bool>* used) {
    bool frozen = false;
    for (std::size_t i = 0; i < freeze.size(); ++i) {
        if (!covers(freeze[i], tensor, tensor == embedding + ".weight")) continue;
        frozen = true;
        if (used != nullptr) (*used)[i] = true;
    }
    return frozen;
}

}  // namespace qlora::adapters
