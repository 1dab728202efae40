#include "core/train/checkpoint.h"

#include <torch/torch.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <span>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/formats/safetensors.h"

namespace qlora::train {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t format_version = 1;
constexpr const char* hashed_files[] = {"adapter_config.json", "adapter_model.safetensors", "optimizer.safetensors"};

// FNV-1a, 64 bit, over eight bytes at a time: it finds damage, it is no defence against forgery.
std::string hash_of(std::span<const std::byte> bytes) {
    std::uint64_t hash = 0xCBF29CE484222325;
    std::size_t i = 0;
    for (; i + 8 <= bytes.size(); i += 8) {
        std::uint64_t word;
        std::memcpy(&word, bytes.data() + i, 8);
        hash = (hash ^ word) * 0x100000001B3;
        hash ^= hash >> 29;
    }
    for (; i < bytes.size(); ++i) hash = (hash ^ static_cast<std::uint64_t>(bytes[i])) * 0x100000001B3;
    hash ^= bytes.size();
    char text[17] = {};
    auto end = std::to_chars(text, text + 16, hash, 16);
    return std::string(text, end.ptr);
}

std::string content_hash(const fs::path& path) {
    MappedFile file(path);
    std::string hash = hash_of(file.bytes());
    file.check();
    return hash;
}

// Of what state.json says beside its hashes, as it is read back.
std::string state_hash(const Json& json) {
    const std::string text = Json{{"updates", json.value("updates", Json())}, {"state", json.value("state", Json())}}.dump();
    return hash_of(std::as_bytes(std::span(text)));
}

std::int64_t step_of(const fs::path& folder) {
    const std::string name = folder.filename().string();
    std::int64_t step = 0;
    if (!name.starts_with("step-")) return -1;
    auto end = std::from_chars(name.data() + 5, name.data() + name.size(), step);
    return end.ec == std::errc() && end.ptr == name.data() + name.size() ? step : -1;
}

formats::DType dtype_of(const torch::Tensor& tensor) { return tensor.scalar_type() == torch::kUInt8 ? formats::DType::u8 : formats::DType::f32; }

formats::TensorView view_of(const std::string& name, const torch::Tensor& tensor) {
    return {name, dtype_of(tensor), tensor.sizes().vec(), {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}};
}

// Numbers that are not finite are written as null, and are left out here; so are checkpoints older than the key.
std::map<std::string, double> metrics_from_json(const JsonObject& o, const char* key) {
    std::map<std::string, double> metrics;
    if (!o.has(key)) return metrics;
    const Json& values = o.value(key);
    if (!values.is_object()) o.fail(key, "an object of numbers");
    for (const auto& [name, value] : values.items())
        if (value.is_number()) metrics[name] = value.get<double>();
    return metrics;
}

// state.json, its version and the hashes it gives.
Json checked_state(const fs::path& folder) {
    const fs::path path = folder / "state.json";
    Json json = read_json_file(path);
    JsonObject object(json, path.string());
    const auto version = object.integer("format", 1, INT64_MAX);
    if (version > format_version)
        throw input_error("checkpoint.version", path.string(),
                          "written by a newer version of this program (format " + std::to_string(version) + ")", "Update the program.");
    JsonObject hashes(object.value("hashes"), path.string());
    for (const char* name : hashed_files)
        if (hashes.string(name) != content_hash(folder / name))
            throw input_error("checkpoint.damaged", (folder / name).string(), "the content is not what was written");
    if (json["hashes"].contains("state.json") && hashes.string("state.json") != state_hash(json))  // older checkpoints have none
        throw input_error("checkpoint.damaged", path.string(), "the content is not what was written");
    return json;
}

}  // namespace

OrderedJson to_json(const RunState& s) {
    return {{"step", s.step}, {"position", data::to_json(s.position)}, {"skipped_in_a_row", s.skipped_in_a_row},
            {"skipped", s.skipped}, {"best_loss", s.best_loss}, {"base_loss", s.base_loss},
            {"last_train_loss", s.last_train_loss}, {"last_validation_loss", s.last_validation_loss},
            {"best_metrics", s.best_metrics}, {"last_metrics", s.last_metrics},
            {"best_step", s.best_step}, {"evaluated_step", s.evaluated_step}, {"without_improvement", s.without_improvement},
            {"base_evaluated", s.base_evaluated}, {"stopped_early", s.stopped_early}, {"seconds", s.seconds},
            {"peak_bytes", s.peak_bytes}, {"train_fingerprint", s.train_fingerprint},
            {"validation_fingerprint", s.validation_fingerprint}, {"threads", s.threads},
            {"processes", s.processes}};
}

RunState state_from_json(const JsonObject& o) {
    constexpr double any = 1e300;
    RunState s;
    s.step = o.integer("step", 0, INT64_MAX);
    s.position = data::position_from_json(o.value("position"), o.where());
    s.skipped_in_a_row = o.integer("skipped_in_a_row", 0, INT64_MAX);
    s.skipped = o.integer("skipped", 0, INT64_MAX);
    s.best_loss = o.number("best_loss", -any, any);
    s.base_loss = o.number("base_loss", -any, any);
    s.last_train_loss = o.number("last_train_loss", -any, any);
    s.last_validation_loss = o.number("last_validation_loss", -any, any);
    s.best_metrics = metrics_from_json(o, "best_metrics");
    s.last_metrics = metrics_from_json(o, "last_metrics");
    s.best_step = o.integer("best_step", 0, INT64_MAX);
    s.evaluated_step = o.integer("evaluated_step", 0, INT64_MAX);
    s.without_improvement = o.integer("without_improvement", 0, INT64_MAX);
    s.base_evaluated = o.boolean("base_evaluated", false);
    s.stopped_early = o.boolean("stopped_early", false);
    s.seconds = o.number("seconds", 0, any);
    s.peak_bytes = o.integer("peak_bytes", 0, INT64_MAX);
    s.train_fingerprint = o.string("train_fingerprint");
    s.validation_fingerprint = o.string("validation_fingerprint");
    s.threads = static_cast<int>(o.integer("threads", 0, 1 << 20));
    s.processes = static_cast<int>(o.integer("processes", 1, 1 << 20, 1));
    return s;
}

fs::path write_checkpoint(const fs::path& run, const RunState& state, const adapters::Adapter& adapter, Optimizer& optimizer,
                          std::int64_t keep) {
    const fs::path all = run / "checkpoints", folder = all / ("step-" + std::to_string(state.step));
    create_folders(all);
    write_folder_atomically(folder, [&](const fs::path& f) {
        adapter.save(f);
        std::vector<formats::TensorView> moments;
        std::vector<torch::Tensor> here;  // alive until they are written
        for (const auto& [name, tensor] : optimizer.state()) moments.push_back(view_of(name, here.emplace_back(tensor.cpu())));
        formats::write_safetensors(f / "optimizer.safetensors", moments);
        OrderedJson json = {{"format", format_version}, {"updates", optimizer.updates()}, {"state", to_json(state)}};
        for (const char* name : hashed_files) json["hashes"][name] = content_hash(f / name);
        json["hashes"]["state.json"] = state_hash(parse_json(json.dump(), "state.json"));
        write_atomically(f / "state.json", json.dump(2) + "\n");
    });
    auto checkpoints = list_checkpoints(run);
    for (std::size_t i = 0; i + static_cast<std::size_t>(std::max<std::int64_t>(1, keep)) < checkpoints.size(); ++i) {
        std::error_code ignored;
        fs::remove_all(checkpoints[i], ignored);
    }
    return folder;
}

std::vector<fs::path> list_checkpoints(const fs::path& run, std::vector<std::string>* damaged) {
    std::vector<fs::path> found;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(run / "checkpoints", error)) {
        if (step_of(entry.path()) < 0) continue;
        try {
            checked_state(entry.path());
            found.push_back(entry.path());
        } catch (const Error& problem) {
            if (damaged != nullptr) damaged->push_back(problem.message());
        }
    }
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return step_of(a) < step_of(b); });
    return found;
}

RunState read_checkpoint(const fs::path& checkpoint, adapters::Adapter& adapter, Optimizer& optimizer) {
    const Json json = checked_state(checkpoint);
    const std::string where = (checkpoint / "state.json").string();
    JsonObject object(json, where);
    adapter.restore(checkpoint);
    const formats::SafetensorsFile file(checkpoint / "optimizer.safetensors");
    for (auto [name, moment] : optimizer.state()) {
        const auto& view = file.at(name);
        formats::expect_dtype(view, dtype_of(moment), file.path().string());
        formats::expect_shape(view, moment.sizes(), file.path().string());
        torch::Tensor read = torch::empty(moment.sizes(), moment.scalar_type());
        std::memcpy(read.data_ptr(), view.data.data(), view.data.size());
        moment.copy_(read);
    }
    file.check();
    optimizer.set_updates(object.integer("updates", 0, INT64_MAX));
    return state_from_json(JsonObject(object.value("state"), where));
}

}  // namespace qlora::train
