#include "core/recipe/table.h"

namespace qlora::recipe {

void add_method_fields(std::vector<Field>& table) {
    using enum Field::Level;

    table.push_back(choice(
        {.key = "method.kind",
         .aliases = {"peft_type"},
         .level = simple,
         .label = "Method",
         .choices = {"lora"},
         .help = "What is trained.",
         .details =
             "lora: two thin matrices beside each chosen weight matrix; the base stays as it is. Trains a "
             "few percent of the parameters or less, so gradients and optimizer state are small.",
         .typical = "lora"},
        [](auto& r) -> auto& { return r.method.kind; }));
    table.push_back(integer(
        {.key = "method.rank",
         .aliases = {"r", "rank", "lora_r", "lora_rank"},
         .level = simple,
         .label = "Rank",
         .low = 1,
         .high = 1024,
         .help = "The adapter's inner width: how much it can learn.",
         .details =
             "Parameters, gradients, optimizer state and the adapter file grow in proportion; time a step "
             "grows a little. Too low cannot hold the task, too high learns rows by heart when they are few.",
         .typical = "8 to 32; 64 and more for large and varied data"},
        [](auto& r) -> auto& { return r.method.rank; }));
    table.push_back(real(
        {.key = "method.alpha",
         .aliases = {"lora_alpha", "alpha"},
         .level = simple,
         .label = "Alpha",
         .low = 0.001,
         .high = 65536,
         .help = "The adapter's output is scaled by alpha / rank.",
         .details = "Acts much like a larger learning rate. Costs nothing. Keep alpha / rank when you change "
                    "the rank.",
         .typical = "the rank, or twice the rank"},
        [](auto& r) -> auto& { return r.method.alpha; }));
    table.push_back(real(
        {.key = "method.dropout",
         .aliases = {"lora_dropout"},
         .level = advanced,
         .label = "Dropout",
         .low = 0,
         .high = 0.95,
         .help = "The part of the adapter's inputs zeroed at random.",
         .details = "Makes learning by heart harder when rows are few; the loss falls more slowly and less "
                    "smoothly. Costs memory for one mask for each adapted matrix and a little time.",
         .typical = "0; 0.05 to 0.1 for a few hundred rows"},
        [](auto& r) -> auto& { return r.method.dropout; }));
    table.push_back(list(
        {.key = "method.target_modules",
         .aliases = {"target_modules", "lora_target_modules", "lora_target"},
         .level = advanced,
         .label = "Adapted layers",
         .help = "The weight matrices that get an adapter.",
         .details = "all-linear takes every linear layer of the blocks, not the output head: the best "
                    "quality for a given rank. Only q_proj and v_proj takes about a fifth of the adapter's "
                    "memory, and learns less.",
         .typical = "all-linear; q_proj, v_proj"},
        [](auto& r) -> auto& { return r.method.target_modules; }));
    table.push_back(boolean(
        {.key = "method.rslora",
         .aliases = {"use_rslora", "rslora"},
         .level = advanced,
         .label = "Rank-stabilised scale",
         .help = "Divides alpha by the square root of the rank.",
         .details = "Keeps the size of updates even as the rank grows, so that ranks above 32 learn as they "
                    "should. Costs nothing. With it, a smaller alpha is usual.",
         .typical = "off; on for ranks from 64"},
        [](auto& r) -> auto& { return r.method.rslora; }));
    table.push_back(boolean(
        {.key = "method.dora",
         .aliases = {"use_dora", "dora"},
         .level = advanced,
         .label = "DoRA",
         .help = "Trains lengths and directions apart.",
         .details = "Weight decomposition: the length of each output's weights is trained beside the direction that "
                    "LoRA turns. Learns a little more at small ranks, at about a third more time a step. Saved and "
                    "read as PEFT does.",
         .typical = "off; on for ranks up to 16"},
        [](auto& r) -> auto& { return r.method.dora; }));
    table.push_back(real(
        {.key = "method.lora_plus_ratio",
         .aliases = {"loraplus_lr_ratio"},
         .level = advanced,
         .label = "LoRA+ ratio",
         .low = 1,
         .high = 1000,
         .help = "B's learning rate, in multiples of A's.",
         .details = "LoRA's B begins at zero and can take larger steps than A (Hayou et al. 2024): often reaches the same loss "
                    "in fewer steps. Lower the learning rate when you raise this. Costs nothing.",
         .typical = "1 (off); 4 to 16"},
        [](auto& r) -> auto& { return r.method.lora_plus_ratio; }));
    table.push_back(path(
        {.key = "method.adapter",
         .aliases = {"adapter_name_or_path", "adapter_path"},
         .level = advanced,
         .label = "Start from adapter",
         .help = "An adapter in PEFT's format to go on from.",
         .details = "Its rank, alpha and layers must be the recipe's. Left empty, a fresh adapter is made, "
                    "which changes nothing until it has learned.",
         .typical = "empty"},
        [](auto& r) -> auto& { return r.method.adapter; }));
}

}  // namespace qlora::recipe
