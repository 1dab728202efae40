#include "core/adapters/targets.h"

#include <algorithm>
#include <charconv>

#include "core/adapters/pattern.h"
#include "core/base/error.h"

namespace qlora::adapters {

namespace {

constexpr const char* where = "method.target_modules";

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

bool is_named(const std::string& name, const std::string& entry) { return name == entry || name.ends_with("." + entry); }

// What an entry selects: a name, all of them, or a pattern where it stands alone.
class Entry {
  public:
    Entry(const std::string& entry, bool alone) : entry_(entry) {
        if (alone && is_target_pattern(entry)) pattern_.emplace(entry, where);
    }
    bool selects(const std::string& name) const {
        if (entry_ == "all-linear") return !is_head(name);
        return pattern_ ? pattern_->matches_whole(name) : is_named(name, entry_);
    }

  private:
    std::string entry_;
    std::optional<Pattern> pattern_;
};

// The number of the layer that a module lies in, as PEFT finds it.
std::optional<std::int64_t> layer_of(const std::string& name, const std::vector<Pattern>& patterns) {
    std::string digits;
    for (const Pattern& pattern : patterns)
        if (pattern.matches_start(name, &digits)) break;
    std::int64_t layer = 0;
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), layer);
    return !digits.empty() && read.ec == std::errc() ? std::optional(layer) : std::nullopt;
}

}  // namespace

bool is_target_pattern(const std::string& entry) { return entry.find_first_of("*+?[](){}|^$\\") != std::string::npos; }

bool is_saved(const std::string& name, const std::vector<std::string>& entries) {
    for (std::size_t end = name.find('.'); ; end = name.find('.', end + 1)) {
        const std::string module = name.substr(0, end);
        for (const auto& entry : entries)
            if (!entry.empty() && module.ends_with(entry)) return true;
        if (end == std::string::npos) return false;
    }
}

bool is_head(const std::string& name) {
    return name == "lm_head" || name == "score" || name == "pre_classifier" || name == "classifier" || name.starts_with("classifier.");
}

std::vector<std::string> select_targets(const std::vector<std::string>& names, const std::vector<std::string>& entries,
                                        const TargetOptions& options) {
    std::vector<Pattern> layer_patterns;
    if (options.layers_pattern.empty()) layer_patterns.emplace_back(R"(.*?\.[^.]*\.(\d+)\.)", where);
    for (const auto& pattern : options.layers_pattern)
        layer_patterns.emplace_back(R"((?:^|.*?\.))" + pattern + R"(\.(\d+)\.)", "layers_pattern");
    std::vector<Entry> excluded;
    for (const auto& entry : options.exclude) excluded.emplace_back(entry, options.exclude.size() == 1);
    auto may = [&](const std::string& name) {
        if (is_saved(name, options.saved)) return false;
        if (std::ranges::any_of(excluded, [&](const Entry& entry) { return entry.selects(name); })) return false;
        if (!options.layers) return true;
        const auto layer = layer_of(name, layer_patterns);
        return layer && std::ranges::find(*options.layers, *layer) != options.layers->end();
    };
    std::vector<bool> chosen(names.size(), false);
    for (const std::string& entry : entries) {
        const Entry wanted(entry, entries.size() == 1);
        bool found = false;
        for (std::size_t i = 0; i < names.size(); ++i)
            if (wanted.selects(names[i])) {
                found = true;
                if (may(names[i])) chosen[i] = true;
            }
        if (!found && !(options.lenient && entries.size() > 1))
            throw input_error("adapter.targets", where, "\"" + entry + "\" matches no linear layer of this model",
                              "Use all-linear, or some of: " + known_modules(names) + ".");
    }
    std::vector<std::string> targets;
    for (std::size_t i = 0; i < names.size(); ++i)
        if (chosen[i]) targets.push_back(names[i]);
    if (targets.empty())
        throw input_error("adapter.targets", where, "no linear layer of this model is left to adapt: none is matched, or all are excluded or trained whole",
                          "Use all-linear, or some of: " + known_modules(names) + ".");
    return targets;
}

}  // namespace qlora::adapters
