#include <map>

#include "core/recipe/place.h"
#include "core/recipe/recipe.h"

namespace qlora::recipe {

namespace {

// What other programs say in a way that has no field here, and what to say instead.
std::string advice(const std::string& key) {
    static const std::map<std::string, std::string> known = {
        {"load_in_4bit", "say \"precision\": \"nf4\""},
        {"load_in_8bit", "say \"precision\": \"int8\""},
        {"bf16", "say \"compute\": \"bf16\""},
        {"fp16", "say \"compute\": \"fp16\""},
        {"bias", "biases are not trained; leave it out"},
        {"modules_to_save", "a classifier is trained whole by itself; leave it out"},
        {"eval_strategy", "say \"evaluate.every\": a number of steps, or 0 for the end of each epoch"},
        {"save_strategy", "say \"train.checkpoint_every\": a number of steps, or 0 for the end only"},
        {"per_device_eval_batch_size", "evaluation chooses its own batches; leave it out"},
        {"logging_steps", "every step is told; leave it out"},
        {"report_to", "nothing is sent anywhere; leave it out"}};
    auto it = known.find(key);
    if (it != known.end()) return it->second;
    std::string nearest = nearest_key(key);
    return nearest.empty() ? "leave it out" : "did you mean \"" + nearest + "\"?";
}

class RecipeReader {
  public:
    RecipeReader(const std::filesystem::path& folder, std::vector<Problem>& problems)
        : folder_(folder), problems_(problems) {}

    Recipe read(const Json& json) {
        if (json.is_object())
            read_section(json, "");
        else
            problems_.push_back({"recipe", "a JSON object", describe(json), ""});
        return recipe_;
    }

  private:
    static bool is_section(const std::string& key) {
        for (const Field& field : fields())
            if (field.key.starts_with(key + ".")) return true;
        return false;
    }

    void read_section(const Json& section, const std::string& prefix) {
        for (const auto& [key, value] : section.items()) {
            const std::string full = prefix + key;
            const Field* field = find_field(full);
            if (is_section(full) && (field == nullptr || value.is_object())) {
                if (value.is_object())
                    read_section(value, full + ".");
                else if (!value.is_null())
                    problems_.push_back({full, "an object", describe(value), section_hint(full)});
                continue;
            }
            if (field == nullptr) field = find_field(key);
            if (field == nullptr)
                problems_.push_back(
                    {full, "a key of a recipe", "an unknown key", advice(prefix.empty() ? key : full)});
            else if (!value.is_null())
                assign(*field, key, full, value);
        }
    }

    static std::string section_hint(const std::string& section) {
        for (const Field& field : fields())
            if (field.key.starts_with(section + "."))
                return "such as \"" + section + "\": {\"" + field.key.substr(section.size() + 1) + "\": ...}";
        return {};
    }

    void assign(const Field& field, const std::string& key, const std::string& full, const Json& value) {
        // transformers takes a share and a number of steps side by side; the steps count when there are any.
        bool nothing = key == "warmup_steps" && value.is_number() && value.get<double>() == 0;
        if (nothing && given_.contains(field.key)) return;
        bool share = key == "warmup_ratio";
        if (share && value.is_number() && !(value.get<double>() >= 0 && value.get<double>() < 1)) {
            problems_.push_back({full, "a number from 0 to below 1", describe(value),
                                 "a number of steps is \"warmup_steps\""});
            return;
        }
        if (!field.set(recipe_, value)) {
            std::string hint =
                value.is_string() && field.type != Field::Type::choice ? "write it without quotes" : "";
            if (field.type == Field::Type::text || field.type == Field::Type::path) hint.clear();
            problems_.push_back({full == field.key ? full : field.key + " (\"" + full + "\")",
                                 field.expected(), describe(value), hint.empty() ? typical(field) : hint});
            return;
        }
        if (field.type == Field::Type::path && value.is_string())
            field.set(recipe_, placed(field, value.get<std::string>(), folder_));
        auto [before, first] = given_.emplace(field.key, Given{full, value});
        if (!first && before->second.value != value && !before->second.nothing)
            problems_.push_back({field.key, "one value",
                                 "\"" + before->second.key + "\" with " + describe(before->second.value) +
                                     " and \"" + full + "\" with " + describe(value),
                                 "keep one of them"});
        before->second.nothing = nothing;
    }

    static std::string typical(const Field& field) {
        return field.typical.empty() || !field.choices.empty() ? "" : "typical: " + field.typical;
    }

    struct Given {
        std::string key;
        Json value;
        bool nothing = false;
    };

    std::filesystem::path folder_;
    std::vector<Problem>& problems_;
    Recipe recipe_;
    std::map<std::string, Given> given_;
};

}  // namespace

Recipe from_json(const Json& json, const std::filesystem::path& folder, std::vector<Problem>& problems) {
    return RecipeReader(folder, problems).read(json);
}

}  // namespace qlora::recipe
