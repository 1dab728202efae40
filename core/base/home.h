#pragma once
// Where the program keeps things: QLORA_HOME holds everything (run index, caches, downloads, settings); without it the
// XDG folders.

#include <filesystem>

namespace qlora {

std::filesystem::path data_home();    // runs, run index, downloaded models: $QLORA_HOME or $XDG_DATA_HOME/qlora-studio
std::filesystem::path config_home();  // settings
std::filesystem::path cache_home();   // caches, safe to delete
// What ships with the program (resources/): $QLORA_RESOURCES, else beside the executable, else the source tree.
std::filesystem::path resources_folder();

}  // namespace qlora
