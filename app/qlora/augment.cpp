// Shows what augmentation would make of training rows, before anything is trained.
#include <cmath>

#include "app/qlora/command.h"
#include "app/qlora/live_line.h"
#include "app/qlora/options.h"
#include "core/evaluate/paraphrase.h"
#include "core/evaluate/row_variants.h"

namespace qlora::cli {

namespace {

std::string joined(const std::vector<std::string>& parts, const char* between) {
    std::string text;
    for (const auto& part : parts) text += (text.empty() ? "" : between) + part;
    return text;
}

}  // namespace

Run define_augment(CLI::App& command) {
    auto options = std::make_shared<RecipeOptions>();
    auto count = std::make_shared<std::int64_t>(5);
    command.add_option("RECIPE", options->file, "The recipe, a JSON file")->required();
    command.add_option("--rows", *count, "How many training rows to show, spread over all")->check(CLI::Range(1, 100000));
    add_set(command, *options);
    return [options, count](Context& context) {
        const recipe::Recipe recipe = options->load();
        if (!recipe.data.augment.active())
            throw input_error("data.augment", "data.augment.copies", "expected at least one variant a row, got 0", "Set data.augment.copies, data.augment.paraphrases or data.augment.balance.");
        const auto data = evaluate::open_data(recipe, load_tokenizer(recipe.model), {}, context.control, {});
        const auto shown = evaluate::spread(data.train.rows, *count);
        std::shared_ptr<const data::Paraphrases> paraphrases;
        if (recipe.data.augment.paraphrases > 0) {
            LiveLine live;
            paraphrases = evaluate::paraphrase(recipe, data, shown, context.device, context.threads, context.control, live.progress());
        }
        for (const auto& one : evaluate::row_variants(recipe, data, shown, paraphrases, context.control)) {
            OrderedJson list = OrderedJson::array(), refused = OrderedJson::array();
            const std::string text = joined(one.texts, "\n");
            std::string lines = "row " + std::to_string(one.row) + ": " + text;
            for (const auto& view : one.variants) {
                list.push_back({{"change", view.change}, {"text", joined(view.texts, "\n")}, {"masked", view.masked}});
                lines += "\n  " + (view.change.empty() ? std::string("the same") : view.change) + ": " + joined(view.texts, "\n") +
                         (view.masked.empty() ? "" : "\n    masked: " + joined(view.masked, ", "));
            }
            for (const auto& written : one.refused) {
                refused.push_back({{"text", written.text}, {"similarity", written.similarity}, {"reason", written.refused}});
                lines += "\n  refused, " + written.refused +
                         (written.similarity != 0 ? " (" + Json(std::round(100 * written.similarity) / 100).dump() + ")" : std::string()) + ": " + written.text;
            }
            context.output.answer({{"row", one.row}, {"text", text}, {"variants", list}, {"refused", refused}}, lines);
        }
        return 0;
    };
}

}  // namespace qlora::cli
