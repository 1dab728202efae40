#pragma once
// Where a recipe's relative paths point to.

#include <filesystem>
#include <string>

#include "core/recipe/fields.h"

namespace qlora::recipe {

// `value` of a path field, made absolute against `folder` when it is a path rather than a catalogue name: it
// exists there, holds a slash, begins with a dot or has the ending of a table, model or text file. An output
// or adapter is always a path. "~/" is the user's home.
std::string placed(const Field& field, const std::string& value, const std::filesystem::path& folder);

}  // namespace qlora::recipe
