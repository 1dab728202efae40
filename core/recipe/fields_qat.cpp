#include "core/recipe/table.h"

namespace qlora::recipe {

namespace {

bool is_on(const Recipe& recipe) { return recipe.qat.active(); }

}  // namespace

void add_qat_fields(std::vector<Field>& table) {
    using enum Field::Level;

    table.push_back(choice(
        {.key = "qat.precision",
         .level = advanced,
         .label = "Train for precision",
         .choices = {"none", "int8", "int4", "int3", "nf4"},
         .help = "Quantization-aware training: computes with weights rounded as they will be exported.",
         .details = "Every matrix of the blocks, with what training adds to it, is quantized anew in each step; gradients pass as if it were not. "
                    "What is exported at this precision then computes what was trained. Takes a base in floats, as it cannot undo an earlier "
                    "rounding, and about a third more time a step.",
         .typical = "none; int4 or int3 where rounding afterwards costs too much"},
        [](auto& r) -> auto& { return r.qat.precision; }));
    table.push_back(integer(
        {.key = "qat.block",
         .level = advanced,
         .label = "Rounded in blocks of",
         .low = 0,
         .high = 4096,
         .choices = {"0", "32", "64", "128", "256", "512", "1024", "2048", "4096"},
         .help = "Weights that share a scale; 0: a whole output channel.",
         .details = "int8 always takes channels. Smaller blocks are nearer to the weights and take more room for scales.",
         .typical = "64; 0 for the plainest kernels",
         .matters = is_on},
        [](auto& r) -> auto& { return r.qat.block; }));
    table.push_back(real(
        {.key = "qat.warmup",
         .level = advanced,
         .label = "Rounding begins at",
         .low = 0,
         .high = 1,
         .help = "The part of the steps that is trained without rounding first.",
         .details = "Learning settles before weights begin to jump from one level to the next.",
         .typical = "0 to 0.2",
         .matters = is_on},
        [](auto& r) -> auto& { return r.qat.warmup; }));
}

}  // namespace qlora::recipe
