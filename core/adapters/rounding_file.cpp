#include "core/adapters/rounding_file.h"

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/recipe/fields.h"

namespace qlora::adapters {

namespace fs = std::filesystem;

namespace {

constexpr const char* rounding_file = "rounding.json";

recipe::Precision precision_of(const JsonObject& object, const char* key) {
    const auto precision = recipe::precision_named(object.string(key));
    if (!precision) object.fail(key, recipe::find_field("precision")->expected());
    return *precision;
}

}  // namespace

std::optional<TrainedRounding> read_rounding(const fs::path& folder) {
    const fs::path path = folder / rounding_file;
    if (!fs::exists(path)) return std::nullopt;
    const Json json = read_json_file(path);
    const JsonObject object(json, path.string());
    return TrainedRounding{precision_of(object, "base"), precision_of(object, "precision"), object.integer("block", 0, 4096)};
}

void write_rounding(const fs::path& folder, const recipe::Recipe& recipe) {
    if (!recipe.qat.active()) return;
    const OrderedJson json = {{"base", recipe::name(recipe.precision)}, {"precision", recipe.qat.precision}, {"block", recipe.qat.block}};
    write_atomically(folder / rounding_file, json.dump(2) + "\n");
}

}  // namespace qlora::adapters
