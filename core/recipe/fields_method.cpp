#include "core/recipe/table.h"

namespace qlora::recipe {

namespace {

auto of(std::initializer_list<MethodKind> kinds) {
    return [all = std::vector(kinds)](const Recipe& recipe) { return std::ranges::find(all, recipe.method.kind) != all.end(); };
}
const auto of_lora = of({MethodKind::lora});

}  // namespace

void add_method_fields(std::vector<Field>& table) {
    using enum Field::Level;

    table.push_back(choice(
        {.key = "method.kind",
         .aliases = {"peft_type"},
         .level = simple,
         .label = "Method",
         .choices = {"lora", "full", "adapter", "prompt-tuning", "prefix-tuning", "bitfit"},
         .help = "What is trained.",
         .details =
             "lora: two thin matrices beside each chosen weight matrix; the base stays as it is. Trains a few percent of the parameters or "
             "less, so gradients and optimizer state are small. full: the base's own weights, at 16 bytes a parameter for values, gradients and "
             "AdamW beside the base. adapter: small layers put behind the parts of each block. prompt-tuning: a few embeddings in front of every "
             "row. prefix-tuning: a few keys and values in front of every row, in each layer. bitfit: the biases alone, of models that have them.",
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
         .typical = "8 to 32; 64 and more for large and varied data",
         .matters = of_lora},
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
         .typical = "the rank, or twice the rank",
         .matters = of_lora},
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
         .typical = "0; 0.05 to 0.1 for a few hundred rows",
         .matters = of_lora},
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
         .typical = "all-linear; q_proj, v_proj",
         .matters = of_lora},
        [](auto& r) -> auto& { return r.method.target_modules; }));
    table.push_back(boolean(
        {.key = "method.rslora",
         .aliases = {"use_rslora", "rslora"},
         .level = advanced,
         .label = "Rank-stabilised scale",
         .help = "Divides alpha by the square root of the rank.",
         .details = "Keeps the size of updates even as the rank grows, so that ranks above 32 learn as they "
                    "should. Costs nothing. With it, a smaller alpha is usual.",
         .typical = "off; on for ranks from 64",
         .matters = of_lora},
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
         .typical = "off; on for ranks up to 16",
         .matters = of_lora},
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
         .typical = "1 (off); 4 to 16",
         .matters = of_lora},
        [](auto& r) -> auto& { return r.method.lora_plus_ratio; }));
    table.push_back(choice(
        {.key = "method.start",
         .aliases = {"init_lora_weights"},
         .level = advanced,
         .label = "LoRA begins",
         .choices = {"default", "pissa", "loftq"},
         .help = "What A and B are before the first step.",
         .details = "default: B is zero, so that the model begins as it was. pissa: the base's principal part, which is taken off the base beside "
                    "them: the model begins as it was too, and its largest directions are trained; it often learns faster. The adapter is then "
                    "saved at twice the rank, as PEFT converts it. loftq: the best correction of what quantizing took from each matrix, worked "
                    "out from the model's files; the model begins nearer to the unquantized one.",
         .typical = "default; loftq for a base in 4 bits or fewer",
         .matters = of_lora},
        [](auto& r) -> auto& { return r.method.start; }));
    table.push_back(list(
        {.key = "method.freeze",
         .aliases = {"freeze"},
         .level = advanced,
         .label = "Frozen layers",
         .help = "What full fine-tuning leaves as it is.",
         .details = "embeddings, norms, head, blocks by number (0-5), or modules by name (q_proj, layers.3.mlp). Frozen tensors take no gradient and "
                    "no optimizer state. Freezing the lower half keeps what is general and learns from fewer rows.",
         .typical = "empty; embeddings, 0-5",
         .matters = of({MethodKind::full})},
        [](auto& r) -> auto& { return r.method.freeze; }, true));
    table.push_back(choice(
        {.key = "method.placement",
         .aliases = {"adapter_placement"},
         .level = simple,
         .label = "Placement",
         .choices = {"pfeiffer", "houlsby"},
         .help = "Where in each block adapter layers stand.",
         .details = "pfeiffer: one, behind the MLP. houlsby: two, behind attention and the MLP; twice the parameters.",
         .typical = "pfeiffer",
         .matters = of({MethodKind::adapter})},
        [](auto& r) -> auto& { return r.method.placement; }));
    table.push_back(integer(
        {.key = "method.reduction_factor",
         .aliases = {"reduction_factor"},
         .level = simple,
         .label = "Reduction factor",
         .low = 1,
         .high = 65536,
         .help = "The model's width over the adapter layers' width.",
         .details = "A larger one makes the layers thinner: fewer parameters, less that can be learned.",
         .typical = "8 to 32",
         .matters = of({MethodKind::adapter})},
        [](auto& r) -> auto& { return r.method.reduction_factor; }));
    table.push_back(boolean(
        {.key = "method.parallel",
         .aliases = {"is_parallel"},
         .level = advanced,
         .label = "In parallel",
         .help = "Adapter layers read what the part beside them reads.",
         .details = "Off, they read what that part gives. In parallel they often learn a little more.",
         .typical = "off",
         .matters = of({MethodKind::adapter})},
        [](auto& r) -> auto& { return r.method.parallel; }));
    table.push_back(integer(
        {.key = "method.virtual_tokens",
         .aliases = {"num_virtual_tokens"},
         .level = simple,
         .label = "Virtual tokens",
         .unit = "tokens",
         .low = 1,
         .high = 4096,
         .help = "Trained tokens in front of every row.",
         .details = "Each takes room in the context and time in every row. More can hold more, and learn more slowly.",
         .typical = "10 to 100",
         .matters = of({MethodKind::prompt_tuning, MethodKind::prefix_tuning})},
        [](auto& r) -> auto& { return r.method.virtual_tokens; }));
    table.push_back(text(
        {.key = "method.prompt_text",
         .aliases = {"prompt_tuning_init_text"},
         .level = advanced,
         .label = "They begin as",
         .help = "A text that virtual tokens begin as; empty: random tokens.",
         .details = "An instruction for the task is a better beginning than chance. It is cut, or repeated, to the number of tokens.",
         .typical = "Classify the review as positive or negative:",
         .matters = of({MethodKind::prompt_tuning, MethodKind::prefix_tuning})},
        [](auto& r) -> auto& { return r.method.prompt_text; }));
    table.push_back(path(
        {.key = "method.adapter",
         .aliases = {"adapter_name_or_path", "adapter_path"},
         .level = advanced,
         .label = "Start from adapter",
         .help = "What another run has trained, to go on from.",
         .details = "A folder in PEFT's format, or of this program, of the same method. Its rank, alpha and layers count, not the "
                    "recipe's. Left empty, training begins afresh.",
         .typical = "empty"},
        [](auto& r) -> auto& { return r.method.adapter; }));
}

}  // namespace qlora::recipe
