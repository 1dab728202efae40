#pragma once
// Which linear layers an adapter goes to, by PEFT's rules. Strings alone: the planner asks too.

#include <string>
#include <vector>

namespace qlora::adapters {

// The modules of `names` that `entries` select, in the order of `names`. An entry selects a module when the name
// equals it or ends with "." + entry; "all-linear" selects all but the head; a single entry with regular-expression
// characters must match the whole name. Throws input_error "adapter.targets" when an entry selects nothing, naming the
// modules there are.
std::vector<std::string> select_targets(const std::vector<std::string>& names, const std::vector<std::string>& entries);

// True for an entry that is a regular expression rather than a name.
bool is_target_pattern(const std::string& entry);

}  // namespace qlora::adapters
