#include "core/events/events.h"

#include <cmath>
#include <fstream>
#include <limits>

#include "core/base/file.h"
#include "core/base/folder.h"

namespace qlora::train {

namespace {

// Each kind of event lists its members once; a Writer or a Reader goes through the list.
template <typename E>
inline constexpr const char* event_name = nullptr;

template <>
inline constexpr const char* event_name<Progressed> = "progress";
template <typename V>
void members(Progressed& e, V&& v) {
    v("what", e.what), v("done", e.done), v("total", e.total);
}

template <>
inline constexpr const char* event_name<Loaded> = "loaded";
template <typename V>
void members(Loaded& e, V&& v) {
    v("model", e.model), v("family", e.family), v("precision", e.precision), v("device", e.device);
    v("compute", e.compute), v("parameters", e.parameters), v("trainable_parameters", e.trainable_parameters);
    v("train_rows", e.train_rows), v("validation_rows", e.validation_rows), v("test_rows", e.test_rows);
    v("dropped_rows", e.dropped_rows), v("steps", e.steps), v("steps_per_epoch", e.steps_per_epoch);
    v("first_step", e.first_step), v("load_seconds", e.load_seconds), v("bytes", e.bytes);
    v("processes", e.processes);
}

template <>
inline constexpr const char* event_name<StepDone> = "step";
template <typename V>
void members(StepDone& e, V&& v) {
    v("step", e.step), v("epoch", e.epoch), v("loss", e.loss), v("learning_rate", e.learning_rate);
    v("grad_norm", e.grad_norm), v("tokens", e.tokens), v("trained_tokens", e.trained_tokens);
    v("tokens_per_second", e.tokens_per_second), v("seconds", e.seconds), v("skipped", e.skipped);
    v("bytes", e.bytes), v("peak_bytes", e.peak_bytes), v("process_bytes", e.process_bytes);
    v("device_used_bytes", e.device_used_bytes);
}

template <typename V>
void members(Sample& e, V&& v) {
    v("prompt", e.prompt), v("expected", e.expected), v("base", e.base), v("tuned", e.tuned);
}

template <>
inline constexpr const char* event_name<Evaluated> = "evaluation";
template <typename V>
void members(Evaluated& e, V&& v) {
    v("step", e.step), v("loss", e.loss), v("metrics", e.metrics), v("best", e.best), v("samples", e.samples);
    v("seconds", e.seconds);
}

template <>
inline constexpr const char* event_name<Checkpointed> = "checkpoint";
template <typename V>
void members(Checkpointed& e, V&& v) {
    v("step", e.step), v("path", e.path), v("seconds", e.seconds);
}

template <>
inline constexpr const char* event_name<MemorySample> = "memory";
template <typename V>
void members(MemorySample& e, V&& v) {
    v("seconds", e.seconds), v("bytes", e.bytes), v("peak_bytes", e.peak_bytes);
    v("process_bytes", e.process_bytes), v("device_used_bytes", e.device_used_bytes);
}

template <>
inline constexpr const char* event_name<Notice> = "notice";
template <typename V>
void members(Notice& e, V&& v) {
    v("code", e.code), v("message", e.message), v("hint", e.hint);
}

template <>
inline constexpr const char* event_name<Finished> = "finished";
template <typename V>
void members(Finished& e, V&& v) {
    v("run", e.run), v("reason", e.reason), v("steps", e.steps), v("best_step", e.best_step);
    v("metrics", e.metrics), v("peak_bytes", e.peak_bytes), v("seconds", e.seconds);
}

template <>
inline constexpr const char* event_name<Failed> = "failed";
template <typename V>
void members(Failed& e, V&& v) {
    v("code", e.code), v("message", e.message), v("where", e.where), v("hint", e.hint), v("input", e.input);
}

class Writer {
  public:
    explicit Writer(OrderedJson& out) : out_(out) {}

    template <typename T>
    void operator()(const char* key, const T& value) {
        out_[key] = value;
    }
    void operator()(const char* key, double value) { out_[key] = number(value); }
    void operator()(const char* key, const MemoryBytes& bytes) {
        OrderedJson& object = out_[key] = OrderedJson::object();
        for (std::size_t tag = 0; tag < memory_tag_count; ++tag)
            object[std::string(memory_tag_names[tag])] = bytes.by_tag[tag];
    }
    void operator()(const char* key, const std::map<std::string, double>& metrics) {
        OrderedJson& object = out_[key] = OrderedJson::object();
        for (const auto& [name, value] : metrics) object[name] = number(value);
    }
    void operator()(const char* key, std::vector<Sample>& samples) {
        OrderedJson& list = out_[key] = OrderedJson::array();
        for (Sample& sample : samples) members(sample, Writer(list.emplace_back(OrderedJson::object())));
    }

  private:
    static OrderedJson number(double value) {
        return std::isfinite(value) ? OrderedJson(value) : OrderedJson(nullptr);
    }

    OrderedJson& out_;
};

class Reader {
  public:
    Reader(const Json& json, const std::string& where) : object_(json, where) {}

    void operator()(const char* key, std::string& value) { value = object_.string(key, value); }
    void operator()(const char* key, bool& value) { value = object_.boolean(key, value); }
    void operator()(const char* key, std::int64_t& value) {
        value = object_.integer(key, INT64_MIN, INT64_MAX, value);
    }
    void operator()(const char* key, double& value) {
        auto it = object_.raw().find(key);
        if (it != object_.raw().end()) value = number(key, *it);
    }
    void operator()(const char* key, MemoryBytes& bytes) {
        if (!object_.has(key)) return;
        JsonObject by_tag(object_.value(key), object_.where());
        for (std::size_t tag = 0; tag < memory_tag_count; ++tag)
            bytes.by_tag[tag] = by_tag.integer(std::string(memory_tag_names[tag]).c_str(), 0, INT64_MAX, 0);
    }
    void operator()(const char* key, std::map<std::string, double>& metrics) {
        if (!object_.has(key)) return;
        JsonObject values(object_.value(key), object_.where());
        for (const auto& [name, value] : values.raw().items()) metrics[name] = number(name.c_str(), value);
    }
    void operator()(const char* key, std::vector<Sample>& samples) {
        if (!object_.has(key)) return;
        if (!object_.value(key).is_array()) object_.fail(key, "a list");
        for (const Json& sample : object_.value(key))
            members(samples.emplace_back(), Reader(sample, object_.where()));
    }

  private:
    double number(const char* key, const Json& value) const {
        if (value.is_null()) return std::numeric_limits<double>::quiet_NaN();
        if (!value.is_number())
            throw input_error(
                "json.field", object_.where(),
                std::string("the field \"") + key + "\": expected a number or null, got " + describe(value));
        return value.get<double>();
    }

    JsonObject object_;
};

// Reads the event of the alternative whose name it is.
template <std::size_t Index = 0>
Event read(const std::string& name, const Json& json, const std::string& where) {
    if constexpr (Index == std::variant_size_v<Event>) {
        throw input_error("event.unknown", where, "expected an event of a run, got \"" + name + "\"");
    } else {
        using E = std::variant_alternative_t<Index, Event>;
        if (name != event_name<E>) return read<Index + 1>(name, json, where);
        E event;
        if constexpr (std::is_same_v<E, Failed>)
            members(event, Reader(JsonObject(json, where).value("error"), where));
        else
            members(event, Reader(json, where));
        return event;
    }
}

}  // namespace

Failed failed(const Error& error) {
    return {error.code(), error.message(), error.where(), error.hint(), error.kind() == Error::Kind::input};
}

OrderedJson to_json(const Event& event) {
    return std::visit(
        [](auto copy) {
            using E = decltype(copy);
            OrderedJson out;
            out["event"] = event_name<E>;
            if constexpr (std::is_same_v<E, Failed>)
                members(copy, Writer(out["error"] = OrderedJson::object()));
            else
                members(copy, Writer(out));
            return out;
        },
        event);
}

std::string to_line(const Event& event) {
    return to_json(event).dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

Event from_json(const Json& json, const std::string& where) {
    return read(JsonObject(json, where).string("event"), json, where);
}

bool is_only_tried(const std::filesystem::path& folder) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
        const std::string name = entry.path().filename().string();
        if (!name.starts_with(".") && name != "recipe.json" && name != "events.jsonl") return false;
    }
    if (error || is_locked(folder)) return false;
    for (const char* name : {"recipe.json", "events.jsonl"})
        if (!std::filesystem::is_regular_file(folder / name, error)) return false;
    std::ifstream in(folder / "events.jsonl");
    for (std::string line; std::getline(in, line);) {
        const Json event = Json::parse(line, nullptr, false);
        if (!event.is_object() || event.value("event", "") == "step") return false;
    }
    return true;
}

std::vector<Event> read_events(const std::filesystem::path& file) {
    std::string text = read_file(file);
    std::vector<Event> events;
    std::size_t number = 0;
    for (std::size_t begin = 0; begin < text.size();) {
        std::size_t end = text.find('\n', begin);
        if (end == std::string::npos) break;  // the program ended while it wrote this line
        ++number;
        std::string where = file.string() + " line " + std::to_string(number);
        auto line = std::string_view(text).substr(begin, end - begin);
        if (!line.empty()) events.push_back(from_json(parse_json(line, where), where));
        begin = end + 1;
    }
    return events;
}

}  // namespace qlora::train
