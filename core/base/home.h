#pragma once
// Where the program keeps things: QLORA_HOME holds everything (run index, caches, downloads, settings);
// without it the XDG folders. No function creates a folder; every path is absolute.

#include <filesystem>

namespace qlora {

std::filesystem::path data_home();    // runs, run index, models: $QLORA_HOME or $XDG_DATA_HOME/qlora-studio
std::filesystem::path config_home();  // settings: $QLORA_HOME/config or $XDG_CONFIG_HOME/qlora-studio
std::filesystem::path
cache_home();  // caches, safe to delete: $QLORA_HOME/cache or $XDG_CACHE_HOME/qlora-studio

// The folder of the running executable, links followed.
std::filesystem::path executable_folder();
// What ships with the program (icons, sample data): $QLORA_RESOURCES, else share/qlora-studio beside an
// installed bin/, else the source tree that the build folder lies in. Empty when there is none.
std::filesystem::path resources_folder();
// What `./dev setup` prepared, models/ and datasets/ in it: $QLORA_DEPS, else the .deps of the source tree.
// Empty when there is none.
std::filesystem::path prepared_folder();

}  // namespace qlora
