#include <charconv>

#include "core/adapters/freeze.h"
#include "core/adapters/targets.h"

namespace qlora::adapters {

namespace {

// The number of the block that a tensor lies in; -1: in none.
std::int64_t block_of(const std::string& tensor) {
    for (std::size_t begin = 0; begin < tensor.size();) {
        const std::size_t end = std::min(tensor.find('.', begin), tensor.size());
        std::int64_t number = 0;
        const auto [stop, error] = std::from_chars(tensor.data() + begin, tensor.data() + end, number);
        if (error == std::errc() && stop == tensor.data() + end) return number;
        begin = end + 1;
    }
    return -1;
}

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
        const std::int64_t block = block_of(tensor);
        return block >= first && block <= end;
    }
    return ("." + tensor + ".").find("." + entry + ".") != std::string::npos;
}

}  // namespace

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
