#pragma once
// Which modules an adapter goes to, by PEFT's rules. Strings alone: the planner asks too.

#include <optional>
#include <string>
#include <vector>

namespace qlora::adapters {

struct TargetOptions {
    std::vector<std::string> exclude{};          // PEFT's exclude_modules: entries as those of target_modules
    std::vector<std::string> saved{};            // modules_to_save: never targets
    std::optional<std::vector<std::int64_t>> layers{};  // layers_to_transform, of those in layers_pattern (empty: any list)
    std::vector<std::string> layers_pattern{};
    bool lenient = false;  // an entry may select nothing while another selects something, as in adapters from elsewhere
};

// The modules of `names` that `entries` select, in the order of `names`. An entry selects a module when the name
// equals it or ends with "." + entry; "all-linear" selects all but those of a head; a single entry with
// regular-expression characters must match the whole name. Throws input_error "adapter.targets" when an entry selects
// nothing, naming the modules there are.
std::vector<std::string> select_targets(const std::vector<std::string>& names, const std::vector<std::string>& entries,
                                        const TargetOptions& options = {});

// True for an entry that is a regular expression rather than a name.
bool is_target_pattern(const std::string& entry);

// Whether modules_to_save covers a module: it, or one that it lies in, ends with an entry.
bool is_saved(const std::string& name, const std::vector<std::string>& entries);

// A layer of a head: "lm_head", "score", "classifier.dense", ...
bool is_head(const std::string& name);

}  // namespace qlora::adapters
