#include "core/adapters/targets.h"

#include <algorithm>
#include <regex>

#include "core/base/error.h"

namespace qlora::adapters {

namespace {

constexpr std::string_view head_module = "lm_head";

// The last parts of the names, each once, for messages.
std::string known_modules(const std::vector<std::string>& names) {
    std::vector<std::string> last;
    std::string list;
    for (const auto& name : names) {
        auto part = name.substr(name.rfind('.') + 1);
        if (std::find(last.begin(), last.end(), part) != last.end()) continue;
        last.push_back(part);
        list += (list.empty() ? "" : ", ") + part;
    }
    return list;
}

}  // namespace

bool is_target_pattern(const std::string& entry) { return entry.find_first_of("*+?[](){}|^$\\") != std::string::npos; }

std::vector<std::string> select_targets(const std::vector<std::string>& names, const std::vector<std::string>& entries) {
    std::vector<bool> chosen(names.size(), false);
    for (const std::string& entry : entries) {
        std::regex pattern;
        const bool whole = entries.size() == 1 && is_target_pattern(entry);
        try {
            if (whole) pattern = entry;
        } catch (const std::regex_error&) {
            throw input_error("adapter.targets", "method.target_modules", "\"" + entry + "\" is no regular expression");
        }
        bool found = false;
        for (std::size_t i = 0; i < names.size(); ++i) {
            const bool match = entry == "all-linear" ? names[i] != head_module
                               : whole               ? std::regex_match(names[i], pattern)
                                                     : names[i] == entry || names[i].ends_with("." + entry);
            if (match) chosen[i] = found = true;
        }
        if (!found)
            throw input_error("adapter.targets", "method.target_modules",
                              "\"" + entry + "\" matches no linear layer of this model",
                              "Use all-linear, or some of: " + known_modules(names) + ".");
    }
    std::vector<std::string> targets;
    for (std::size_t i = 0; i < names.size(); ++i)
        if (chosen[i]) targets.push_back(names[i]);
    return targets;
}

}  // namespace qlora::adapters
