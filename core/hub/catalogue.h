#pragma once
// Ready models and data sets, by name: what `./dev setup` prepared and what lies in the program's home.
//
// A model is a folder in Hugging Face layout or a .gguf file, in models/ of prepared_folder() or of
// data_home(); its name there, without .gguf, is its id. Data sets are those of
// resources/datasets/catalogue.json, their prepared files in datasets/ of prepared_folder(), and any table in
// datasets/ of data_home(). Reads folders and small files only.

#include <filesystem>
#include <string>
#include <vector>

namespace qlora::hub {

struct CatalogueModel {
    std::string id;    // "smollm2-135m"
    std::string name;  // "SmolLM2 135M Instruct"
    std::string description, licence;
    std::filesystem::path path;  // folder or .gguf, links followed; empty when not on disk
    std::int64_t bytes = 0;      // on disk
    bool available = false;      // on disk
};

struct CatalogueData {
    std::string id;  // "banking-support"
    std::string name, description, licence;
    std::string layout;                    // "prompt/completion", "text", "text/label", "messages"; "" when unknown
    std::filesystem::path path, held_out;  // held_out: empty when there is none
    std::int64_t rows = 0;                 // 0: unknown
    bool available = false;                // on disk
};

// A recipe that comes with the program, ready to run with the catalogue's models and data.
struct ReadyRecipe {
    std::string name;  // for people
    std::filesystem::path path;
};

// Known ones first, then the user's own, each by id. A broken catalogue.json throws input_error.
std::vector<CatalogueModel> models();
std::vector<CatalogueData> datasets();
// Those of resources/recipes, by name.
std::vector<ReadyRecipe> recipes();

// A path that exists, else a catalogue id, to what lies on disk, absolute; throws input_error
// "model.not_found" or "data.not_found" naming what was given, the known ids, and what to do. A folder that
// is no model is refused too.
std::filesystem::path resolve_model(const std::string& model);
std::filesystem::path resolve_data(const std::string& data);

// What people call a data set: the catalogue's name of it, or the file's.
std::string data_name(const std::string& data);

}  // namespace qlora::hub
