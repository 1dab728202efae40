// Shows what augmentation would make of training rows, before anything is trained.
#include "core/data/augment.h"

#include <cmath>
#include <map>

#include "app/qlora/command.h"
#include "app/qlora/live_line.h"
#include "app/qlora/options.h"
#include "core/evaluate/paraphrase.h"

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
        const data::Augmenter augmenter(recipe.data.augment, recipe.train.seed, data.roles, paraphrases);
        std::map<data::RowIndex, std::vector<data::Variant>> variants;
        for (const data::Variant variant : augmenter.plan(*data.train.table, data.train.rows, *data.renderer))
            if (variant.copy > 0) variants[variant.row].push_back(variant);
        for (const data::RowIndex row : shown) {
            context.control.check();
            const auto example = data::read_example(*data.train.table, row, data.roles);
            if (!example) continue;
            const auto texts = data::read_texts(*example);
            OrderedJson list = OrderedJson::array(), refused = OrderedJson::array();
            std::string lines = "row " + std::to_string(row) + ": " + joined(texts, "\n");
            for (const data::Variant variant : variants[row]) {
                const auto view = augmenter.describe(*data.train.table, variant, *data.renderer);
                list.push_back({{"change", view.change}, {"text", joined(view.texts, "\n")}, {"masked", view.masked}});
                lines += "\n  " + (view.change.empty() ? std::string("the same") : view.change) + ": " + joined(view.texts, "\n") +
                         (view.masked.empty() ? "" : "\n    masked: " + joined(view.masked, ", "));
            }
            for (const std::string& text : paraphrases ? texts : std::vector<std::string>())
                for (const auto& one : paraphrases->of(text))
                    if (!one.refused.empty()) {
                        refused.push_back({{"text", one.text}, {"similarity", one.similarity}, {"reason", one.refused}});
                        lines += "\n  refused, " + one.refused + (one.similarity != 0 ? " (" + Json(std::round(100 * one.similarity) / 100).dump() + ")" : std::string()) + ": " + one.text;
                    }
            context.output.answer({{"row", row}, {"text", joined(texts, "\n")}, {"variants", list}, {"refused", refused}}, lines);
        }
        return 0;
    };
}

}  // namespace qlora::cli
