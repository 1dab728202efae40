#include "core/recipe/fields.h"

#include <algorithm>
#include <map>

#include "core/recipe/table.h"

namespace qlora::recipe {

namespace {

std::vector<Field> build_table() {
    std::vector<Field> table;
    add_model_fields(table);
    add_data_fields(table);
    add_method_fields(table);
    add_train_fields(table);
    add_qat_fields(table);
    add_evaluate_fields(table);
    return table;
}

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
    return text;
}

// 1000000 and 0.0001 rather than 1000000.0 and 1e-04.
std::string number_text(double value) {
    bool whole = std::abs(value) <= 0x1p53 && value == std::floor(value);
    return whole ? std::to_string(static_cast<std::int64_t>(value)) : Json(value).dump();
}

std::string folded(std::string_view text) {
    std::string out;
    for (char c : text) out += c == '_' ? '-' : static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    return out;
}

// Edits (a letter put in, left out, changed, two swapped) from one word to the other.
std::size_t edits(std::string_view a, std::string_view b) {
    std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
    for (std::size_t i = 0; i <= a.size(); ++i) {
        for (std::size_t j = 0; j <= b.size(); ++j) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[a.size()][b.size()];
}

std::string_view last_part(std::string_view key) {
    return key.substr(key.rfind('.') + 1);
}

}  // namespace

std::span<const Field> fields() {
    static const std::vector<Field> table = build_table();
    return table;
}

const Field* find_field(std::string_view key_or_alias) {
    static const std::map<std::string, const Field*, std::less<>> by_name = [] {
        std::map<std::string, const Field*, std::less<>> map;
        for (const Field& field : fields()) map.emplace(field.key, &field);
        for (const Field& field : fields())
            for (const std::string& alias : field.aliases) map.emplace(alias, &field);
        return map;
    }();
    auto it = by_name.find(key_or_alias);
    return it == by_name.end() ? nullptr : it->second;
}

std::vector<const Field*> without_effect(const Recipe& recipe) {
    const Augment& augment = recipe.data.augment;
    // Those that the form shows all the same: it is where they, or what makes them count, are set.
    const auto idle = [&](const std::string& key) {
        if (key.starts_with("data.augment.")) {
            const bool changes = key.ends_with(".synonyms") || key.ends_with(".swap") || key.ends_with(".deletion") || key.ends_with(".mask");
            return (changes && !augment.active()) || (key.ends_with(".balance") && recipe.task != Task::classification);
        }
        // An adapter that goes on is what its files say.
        const bool of_the_adapter = key == "method.rank" || key == "method.alpha" || key == "method.rslora" || key == "method.dora" || key == "method.target_modules";
        return of_the_adapter && !recipe.method.adapter.empty();
    };
    std::vector<const Field*> found;
    for (const Field& field : fields())
        if ((!field.has_effect(recipe) || idle(field.key)) && field.get(recipe) != field.default_value()) found.push_back(&field);
    return found;
}

std::optional<Precision> precision_named(const std::string& word) {
    Recipe scratch;
    return find_field("precision")->set(scratch, Json(word)) ? std::optional(scratch.precision) : std::nullopt;
}

std::string nearest_key(std::string_view mistyped) {
    if (mistyped.size() > 64) return {};
    std::string word = folded(mistyped);
    std::size_t best = word.size() / 3 + 1;  // further away it is another word
    std::string nearest;
    auto consider = [&](std::string_view known, const Field& field) {
        for (std::string_view typed : {std::string_view(word), last_part(word)}) {
            std::size_t distance = edits(typed, folded(known));
            if (distance < best && distance * 2 < known.size() + 1) best = distance, nearest = field.key;
        }
    };
    for (const Field& field : fields()) {
        consider(field.key, field);
        consider(last_part(field.key), field);
        for (const std::string& alias : field.aliases) consider(alias, field);
    }
    return nearest;
}

std::string Field::expected() const {
    if (!choices.empty()) return "one of " + joined(choices);
    switch (type) {
        case Type::integer:
            return "an integer from " + number_text(low) + " to " + number_text(high);
        case Type::real:
            return "a number from " + number_text(low) + " to " + number_text(high);
        case Type::boolean:
            return "true or false";
        case Type::list:
            return "a name or a list of names";
        case Type::path:
            return "a string with a path or a name";
        case Type::text:
        case Type::choice:
            break;
    }
    return "a string";
}

std::optional<std::int64_t> whole_number(const Json& value, const Field& field) {
    if (!value.is_number()) return std::nullopt;
    double number = value.get<double>();
    if (!(number >= field.low && number <= field.high) || number != std::floor(number)) return std::nullopt;
    auto whole = value.is_number_float() ? static_cast<std::int64_t>(number) : value.get<std::int64_t>();
    if (!field.choices.empty() &&
        std::find(field.choices.begin(), field.choices.end(), std::to_string(whole)) == field.choices.end())
        return std::nullopt;
    return whole;
}

std::optional<double> real_number(const Json& value, const Field& field) {
    if (!value.is_number()) return std::nullopt;
    double number = value.get<double>();
    return number >= field.low && number <= field.high ? std::optional(number) : std::nullopt;
}

std::optional<std::string> chosen(const Json& value, const Field& field) {
    // What PEFT, transformers and bitsandbytes call the same thing.
    static const std::map<std::string, std::string> other_names = {
        {"float32", "fp32"},        {"float16", "fp16"},
        {"half", "fp16"},           {"bfloat16", "bf16"},
        {"torch.bfloat16", "bf16"}, {"torch.float16", "fp16"},
        {"torch.float32", "fp32"},  {"constant-with-warmup", "constant"},
        {"adamw-torch", "adamw"}, {"adamw-torch-fused", "adamw"}, {"adamw-hf", "adamw"},
        {"adamw-bnb-8bit", "adamw-8bit"}, {"paged-adamw-8bit", "adamw-8bit"},
        {"seq-cls", "classification"}, {"seq-2-seq-lm", "seq2seq"},
        {"sequence-classification", "classification"}, {"text-classification", "classification"},
        {"single-label-classification", "single_label_classification"},
        {"multi-label-classification", "multi_label_classification"}};
    if (!value.is_string()) return std::nullopt;
    std::string word = folded(value.get_ref<const std::string&>());
    if (auto other = other_names.find(word); other != other_names.end()) word = other->second;
    for (const std::string& known : field.choices)
        if (folded(word) == folded(known)) return known;
    return std::nullopt;
}

bool is_plain_text(const Json& value) {
    return value.is_string() && value.get_ref<const std::string&>().find('\0') == std::string::npos;
}

std::optional<std::vector<std::string>> names(const Json& value) {
    std::vector<std::string> found;
    auto take = [&](const Json& name) {
        if (!is_plain_text(name) || name.get_ref<const std::string&>().empty()) return false;
        found.push_back(name.get<std::string>());
        return true;
    };
    if (value.is_string()) return take(value) ? std::optional(found) : std::nullopt;
    if (!value.is_array() || value.empty()) return std::nullopt;
    for (const Json& name : value)
        if (!take(name)) return std::nullopt;
    return found;
}

}  // namespace qlora::recipe
