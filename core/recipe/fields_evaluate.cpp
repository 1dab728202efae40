#include "core/recipe/table.h"

namespace qlora::recipe {

void add_evaluate_fields(std::vector<Field>& table) {
    using enum Field::Level;

    table.push_back(integer(
        {.key = "early_stopping.patience",
         .aliases = {"early_stopping_patience", "patience"},
         .level = simple,
         .label = "Stop early after",
         .unit = "evaluations",
         .low = 0,
         .high = 100000,
         .help = "Ends the run when validation stops improving.",
         .details = "Saves the time that would only make the model worse. Too small stops at the first bump "
                    "of the curve.",
         .typical = "0, or 3 to 5"},
        [](auto& r) -> auto& { return r.early_stopping.patience; }));
    table.push_back(real(
        {.key = "early_stopping.min_delta",
         .aliases = {"early_stopping_threshold", "early_stopping_min_delta", "min_delta"},
         .level = advanced,
         .label = "Smallest improvement",
         .low = 0,
         .high = 100,
         .help = "Less than this does not count as an improvement: patience runs on.",
         .details = "Larger stops sooner, when what is gained is no longer worth the time.",
         .typical = "0 to 0.01"},
        [](auto& r) -> auto& { return r.early_stopping.min_delta; }));
    table.push_back(boolean(
        {.key = "early_stopping.restore_best",
         .aliases = {"load_best_model_at_end", "restore_best_weights", "restore_best"},
         .level = advanced,
         .label = "Take the best step",
         .help = "Keeps the step with the lowest validation loss.",
         .details = "Undoes what was learned by heart towards the end. Costs one more copy of the adapter on "
                    "disk. Without validation rows it is the last step's.",
         .typical = "on"},
        [](auto& r) -> auto& { return r.early_stopping.restore_best; }));

    table.push_back(integer(
        {.key = "evaluate.every",
         .aliases = {"eval_steps", "evaluate_every"},
         .level = advanced,
         .label = "Evaluate every",
         .unit = "steps",
         .low = 0,
         .high = 100000000,
         .help = "Steps between evaluations; 0: each epoch's end.",
         .details = "Oftener draws a finer curve and finds the best step more exactly; each time costs about "
                    "a third of a training step for every batch of validation rows.",
         .typical = "10 to 100"},
        [](auto& r) -> auto& { return r.evaluate.every; }));
    table.push_back(integer(
        {.key = "evaluate.max_rows",
         .aliases = {"max_eval_samples", "evaluate_max_rows"},
         .level = advanced,
         .label = "Rows evaluated",
         .unit = "rows",
         .low = 0,
         .high = 100000000,
         .help = "Validation rows used each time; 0: all.",
         .details = "More rows give a steadier figure and take longer. The same rows are used each time.",
         .typical = "100 to 500"},
        [](auto& r) -> auto& { return r.evaluate.max_rows; }));
    table.push_back(integer(
        {.key = "evaluate.samples",
         .aliases = {"evaluate_samples"},
         .level = advanced,
         .label = "Answers shown",
         .unit = "questions",
         .low = 0,
         .high = 100,
         .help = "Validation questions answered each time.",
         .details = "Shows in words what the loss says in numbers. Each answer takes a few seconds on a CPU.",
         .typical = "0 to 3"},
        [](auto& r) -> auto& { return r.evaluate.samples; }));
    table.push_back(integer(
        {.key = "evaluate.max_tokens",
         .aliases = {"max_new_tokens", "generation_max_length"},
         .level = advanced,
         .label = "Length of answers",
         .unit = "tokens",
         .low = 1,
         .high = 8192,
         .help = "Tokens after which a shown answer ends.",
         .details = "Time grows in proportion.",
         .typical = "32 to 128"},
        [](auto& r) -> auto& { return r.evaluate.max_tokens; }));
}

}  // namespace qlora::recipe
