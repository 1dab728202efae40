#pragma once
// Ready models and data sets, by name: what ./dev setup prepared and what lies in the program's home.

#include <filesystem>
#include <string>
#include <vector>

namespace qlora::hub {

struct CatalogueModel {
    std::string id;           // "smollm2-135m"
    std::string name;         // "SmolLM2 135M Instruct"
    std::string description, licence;
    std::filesystem::path path;  // folder or .gguf
    bool available = false;      // on disk
};

struct CatalogueData {
    std::string id;  // "banking-support"
    std::string name, description, licence, layout;
    std::filesystem::path path, held_out;
    std::int64_t rows = 0;
    bool available = false;
};

std::vector<CatalogueModel> models();
std::vector<CatalogueData> datasets();

// A catalogue id, folder or file to what lies on disk; throws input_error naming what was given, and the known names.
std::filesystem::path resolve_model(const std::string& model);
std::filesystem::path resolve_data(const std::string& data);

}  // namespace qlora::hub
