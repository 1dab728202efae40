// Shows what augmentation would make of training rows, before anything is trained.
#include "core/data/augment.h"

#include "app/qlora/command.h"
#include "app/qlora/options.h"
#include "core/evaluate/run_data.h"

namespace qlora::cli {

namespace {

// What a row asks or says.
std::string read_part(const data::Example& example) {
    std::string text = example.text;
    for (const auto& message : example.messages)
        if (message.role == "user") text += (text.empty() ? "" : "\n") + message.content;
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
            throw input_error("data.augment", "data.augment.copies", "expected at least one variant a row, got 0", "Set data.augment.copies, or data.augment.balance.");
        const auto data = evaluate::open_data(recipe, load_tokenizer(recipe.model), {}, context.control, {});
        const data::Augmenter augmenter(recipe.data.augment, recipe.train.seed, data.roles);
        const auto copies = static_cast<std::uint32_t>(std::max<std::int64_t>(1, recipe.data.augment.copies));
        for (const data::RowIndex row : evaluate::spread(data.train.rows, *count)) {
            context.control.check();
            const auto example = data::read_example(*data.train.table, row, data.roles);
            if (!example) continue;
            OrderedJson variants = OrderedJson::array();
            std::string shown = "  " + read_part(*example);
            for (std::uint32_t copy = 1; copy <= copies; ++copy) {
                const std::string varied = read_part(augmenter.vary(*example, {row, copy}));
                variants.push_back(varied);
                shown += "\n" + std::to_string(copy) + " " + varied;
            }
            context.output.answer({{"row", row}, {"text", read_part(*example)}, {"variants", variants}}, shown);
        }
        return 0;
    };
}

}  // namespace qlora::cli
