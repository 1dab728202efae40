#include "core/hub/catalogue.h"

#include <algorithm>
#include <array>
#include <system_error>

#include "core/base/error.h"
#include "core/base/home.h"
#include "core/base/json.h"

namespace qlora::hub {

namespace fs = std::filesystem;

namespace {

struct KnownModel {
    const char *id, *name, *description, *licence;
};

constexpr std::array known_models = {
    KnownModel{"smollm2-135m", "SmolLM2 135M Instruct",
               "A small chat model of Hugging Face, of the Llama family, in 4 bit (GGUF Q4_1). Quick to "
               "teach on any "
               "computer.",
               "Apache-2.0"},
    KnownModel{"all-minilm-l6-v2", "MiniLM L6",
               "A small encoder of the BERT family, 22 million parameters, made for telling sentences apart. "
               "Quick to teach a classification on any computer.",
               "Apache-2.0"},
};

constexpr std::array table_endings = {".jsonl", ".json", ".csv", ".tsv", ".parquet", ".txt"};

bool is_model(const fs::path& path) {
    std::error_code error;
    if (fs::is_directory(path, error)) return fs::is_regular_file(path / "config.json", error);
    return path.extension() == ".gguf" && fs::is_regular_file(path, error);
}

bool is_table(const fs::path& path) {
    std::error_code error;
    return fs::is_regular_file(path, error) &&
           std::find(table_endings.begin(), table_endings.end(), path.extension()) != table_endings.end();
}

std::int64_t bytes_of(const fs::path& path) {
    std::error_code error;
    if (!fs::is_directory(path, error)) return static_cast<std::int64_t>(fs::file_size(path, error));
    std::int64_t bytes = 0;
    for (fs::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error)) {
        std::error_code gone;
        auto size = entry->is_regular_file(gone) ? entry->file_size(gone) : 0;
        if (!gone) bytes += static_cast<std::int64_t>(size);
    }
    return bytes;
}

// The visible entries of a folder by name, links followed; none when there is no such folder.
std::vector<std::pair<std::string, fs::path>> entries(const fs::path& folder) {
    std::vector<std::pair<std::string, fs::path>> found;
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
        std::string name = entry->path().filename();
        std::error_code broken_link;
        fs::path path = fs::canonical(entry->path(), broken_link);
        if (!name.starts_with('.') && !broken_link) found.emplace_back(name, path);
    }
    std::sort(found.begin(), found.end());
    return found;
}

// models/ and datasets/ of what setup prepared and of the user's home, the user's last.
std::vector<fs::path> folders(const char* kind) {
    std::vector<fs::path> found;
    if (fs::path prepared = prepared_folder(); !prepared.empty()) found.push_back(prepared / kind);
    found.push_back(data_home() / kind);
    return found;
}

std::string without_ending(const std::string& name, const std::string& ending) {
    return name.ends_with(ending) ? name.substr(0, name.size() - ending.size()) : name;
}

template <typename Entry>
Entry* find(std::vector<Entry>& entries, const std::string& id) {
    auto it =
        std::find_if(entries.begin(), entries.end(), [&](const Entry& entry) { return entry.id == id; });
    return it == entries.end() ? nullptr : &*it;
}

template <typename Entry>
std::string ids(const std::vector<Entry>& entries) {
    std::string text;
    for (const Entry& entry : entries)
        if (entry.available) text += (text.empty() ? "" : ", ") + entry.id;
    return text.empty() ? "nothing is in the catalogue" : "the catalogue has " + text;
}

CatalogueData read_data(const Json& json, const std::string& where, const fs::path& shipped) {
    JsonObject object(json, where);
    CatalogueData data;
    data.id = object.string("id");
    data.name = object.string("name", data.id);
    data.description = object.string("description", "");
    data.licence = object.string("licence", "");
    data.layout = object.string("layout", "");
    data.rows = object.integer("rows", 0, INT64_MAX, 0);
    fs::path folder = object.boolean("prepared", false) ? prepared_folder() / "datasets" : shipped;
    std::error_code error;
    data.path = folder / object.string("file");
    data.available = fs::is_regular_file(data.path, error);
    if (object.has("held_out")) data.held_out = folder / object.string("held_out");
    if (!fs::is_regular_file(data.held_out, error)) data.held_out.clear();
    if (!data.available) data.path.clear();
    return data;
}

// A path as given, absolute and with "." and ".." taken out; empty when nothing is there.
fs::path existing(const std::string& given) {
    std::error_code error;
    return given.empty() || !fs::exists(given, error) ? fs::path() : fs::absolute(given).lexically_normal();
}

}  // namespace

std::vector<CatalogueModel> models() {
    std::vector<CatalogueModel> all;
    for (const KnownModel& known : known_models) {
        CatalogueModel model;
        model.id = known.id, model.name = known.name, model.description = known.description;
        model.licence = known.licence;
        all.push_back(std::move(model));
    }
    for (const fs::path& folder : folders("models")) {
        for (const auto& [name, path] : entries(folder)) {
            if (!is_model(path)) continue;
            std::string id = without_ending(name, ".gguf");
            CatalogueModel* model = find(all, id);
            if (model == nullptr) {
                model = &all.emplace_back();
                model->id = model->name = id;
            }
            model->path = path;
            model->bytes = bytes_of(path);
            model->available = true;
        }
    }
    return all;
}

std::vector<ReadyRecipe> recipes() {
    std::vector<ReadyRecipe> all;
    for (const auto& [file, path] : entries(resources_folder() / "recipes")) {
        if (path.extension() != ".json") continue;
        const Json json = read_json_file(path);
        all.push_back({JsonObject(json, path.string()).string("name", file), path});
    }
    std::ranges::sort(all, {}, &ReadyRecipe::name);
    return all;
}

std::vector<CatalogueData> datasets() {
    std::vector<CatalogueData> all;
    fs::path shipped = resources_folder() / "datasets", list = shipped / "catalogue.json";
    std::error_code error;
    if (fs::exists(list, error)) {
        Json json = read_json_file(list);
        if (!json.is_array())
            throw input_error("catalogue.list", list.string(),
                              "expected a list of data sets, got " + describe(json));
        for (const Json& entry : json) all.push_back(read_data(entry, list.string(), shipped));
    }
    for (const auto& [name, path] : entries(data_home() / "datasets")) {
        if (!is_table(path)) continue;
        CatalogueData data;
        data.id = fs::path(name).stem().string();
        if (find(all, data.id) != nullptr) data.id = name;
        data.name = data.id, data.path = path, data.available = true;
        all.push_back(std::move(data));
    }
    return all;
}

fs::path resolve_model(const std::string& given) {
    if (fs::path path = existing(given); !path.empty()) {
        if (is_model(path)) return path;
        std::error_code error;
        bool folder = fs::is_directory(path, error);
        throw input_error("model.not_found", given,
                          folder
                              ? "expected a model's folder with a config.json in it, got a folder without one"
                              : "expected a model's folder or a .gguf file, got another file",
                          folder ? "Choose the folder that holds config.json and the weights."
                                 : "For safetensors, choose the folder that the file lies in.");
    }
    std::vector<CatalogueModel> all = models();
    CatalogueModel* model = find(all, given);
    if (model != nullptr && model->available) return model->path;
    if (model != nullptr)
        throw input_error("model.not_found", given, "the model is known but not on this computer",
                          "Run ./dev setup, which prepares it.");
    throw input_error("model.not_found", given.empty() ? "model" : given,
                      "expected a model's folder, a .gguf file or a catalogue name, got " +
                          (given.empty() ? "nothing" : "\"" + given + "\", which is not there"),
                      "Check the path; " + ids(all) + ".");
}

fs::path resolve_data(const std::string& given) {
    if (fs::path path = existing(given); !path.empty()) {
        std::error_code error;
        if (fs::is_regular_file(path, error)) return path;
        throw input_error("data.not_found", given,
                          "expected a file with rows, got a folder or something else",
                          "Choose a JSON lines, JSON, CSV, TSV, Parquet or text file.");
    }
    std::vector<CatalogueData> all = datasets();
    CatalogueData* data = find(all, given);
    if (data != nullptr && data->available) return data->path;
    if (data != nullptr)
        throw input_error("data.not_found", given, "the data set is known but not on this computer",
                          "Run ./dev setup, which prepares it.");
    throw input_error("data.not_found", given.empty() ? "data" : given,
                      "expected a file or a catalogue name, got " +
                          (given.empty() ? "nothing" : "\"" + given + "\", which is not there"),
                      "Check the path; " + ids(all) + ".");
}

std::string data_name(const std::string& data) {
    for (const CatalogueData& set : datasets())
        if (set.id == data) return set.name;
    return std::filesystem::path(data).filename().string();
}

}  // namespace qlora::hub
