#pragma once
// Regular expressions over module names, with Python's meaning: PEFT's configurations hold them.

#include <memory>
#include <string>

namespace qlora::adapters {

// Any thread may match. Bounded in steps: an expression that runs away matches nothing.
class Pattern {
  public:
    // Throws input_error "adapter.pattern", `where` naming its place.
    Pattern(const std::string& expression, const std::string& where);
    bool matches_whole(const std::string& name) const;           // re.fullmatch
    bool matches_start(const std::string& name, std::string* group = nullptr) const;  // re.match; the first group's text

  private:
    bool match(const std::string& name, bool whole, std::string* group) const;
    std::shared_ptr<const void> code_;
};

}  // namespace qlora::adapters
