#include "core/recipe/table.h"

namespace qlora::recipe {

void add_model_fields(std::vector<Field>& table) {
    using enum Field::Level;

    table.push_back(text(
        {.key = "name",
         .aliases = {"run_name"},
         .level = advanced,
         .label = "Name",
         .help = "What this run is called in the list of runs.",
         .details = "Only for people. Left empty, a name is made from the model, the data and the method.",
         .typical = "support-nf4-r16"},
        [](auto& r) -> auto& { return r.name; }));

    table.push_back(path(
        {.key = "model",
         .aliases = {"model_name_or_path", "base_model_name_or_path", "base_model"},
         .level = simple,
         .label = "Base model",
         .help = "The model to teach: a folder in Hugging Face layout, a .gguf file, or a name from the "
                 "catalogue.",
         .details = "Its own weights are never changed; what it learns goes into a small adapter beside it. "
                    "A larger model answers better from the start, and takes memory and time in proportion "
                    "to its parameters: about 0.6 GB per billion in 4 bit, 2 GB in 16 bit, and on top of it "
                    "what training needs.",
         .typical = "smollm2-135m to try things out; 1 to 8 billion parameters on a 24 GB card"},
        [](auto& r) -> auto& { return r.model; }));

    table.push_back(choice(
        {.key = "precision",
         .aliases = {"quantization", "bnb_4bit_quant_type"},
         .level = simple,
         .label = "Precision",
         .choices = {"fp32", "fp16", "bf16", "int8", "nf4", "fp4", "int4", "native", "int3"},
         .help = "How the frozen base weights are kept in memory.",
         .details = "nf4 has 16 levels placed for normally distributed weights: an eighth of fp32's memory "
                    "at a small loss of quality, the usual choice for QLoRA. fp4 and int4 are as small and a "
                    "little coarser; int3 has seven levels, which lose much unless a model is tuned to them, and "
                    "takes the 4 bits of int4, because its codes are not packed more tightly; int8 doubles the memory and is close to lossless; bf16, fp16 and fp32 "
                    "keep 2, 2 and 4 bytes a weight. native keeps a file's weights as they are stored, so "
                    "nothing is rounded a second time. Fewer bits cost some time a step, because weights are "
                    "expanded where they are used.",
         .typical = "nf4; bf16 when memory is plentiful"},
        [](auto& r) -> auto& { return r.precision; }));

    const auto in_blocks = [](const Recipe& recipe) { return is_four_bit(recipe.precision); };
    table.push_back(boolean(
        {.key = "double_quantization",
         .aliases = {"bnb_4bit_use_double_quant"},
         .level = advanced,
         .label = "Double quantization",
         .help = "Keeps the scales of 4-bit blocks in 8 bit too.",
         .details =
             "Saves about 0.37 bit a weight (46 MB per billion weights at blocks of 64). The loss of quality "
             "is too small to see in most runs, and so is the cost in time. Only for nf4, fp4, int4 and int3.",
         .typical = "on",
         .matters = in_blocks},
        [](auto& r) -> auto& { return r.double_quantization; }));

    table.push_back(integer(
        {.key = "quantization_block",
         .aliases = {"blocksize"},
         .level = advanced,
         .label = "Block size",
         .unit = "weights",
         .low = 0,
         .high = 4096,
         .choices = {"0", "32", "64", "128", "256", "512", "1024", "2048", "4096"},
         .help = "How many neighbouring weights share one scale.",
         .details = "Smaller blocks follow the weights more closely and need more scales: without double "
                    "quantization a block of 64 adds 0.5 bit a weight, one of 256 only 0.125. Above 256 a "
                    "single large weight spoils the precision of many others. 0 gives each row of a matrix one "
                    "scale, however long it is.",
         .typical = "64",
         .matters = in_blocks},
        [](auto& r) -> auto& { return r.quantization_block; }));

    table.push_back(choice(
        {.key = "compute",
         .aliases = {"bnb_4bit_compute_dtype", "compute_dtype"},
         .level = advanced,
         .label = "Compute type",
         .choices = {"auto", "fp32", "bf16", "fp16"},
         .help = "The number type in which the model calculates.",
         .details =
             "auto takes bf16 where the hardware multiplies it, else fp16 on older GPUs, else fp32. bf16 "
             "halves the memory of activations and is about twice as fast; sums stay in fp32. fp16 has a "
             "small range, so the loss is scaled and a step may be skipped. A CPU without bf16 instructions "
             "computes in fp32.",
         .typical = "auto"},
        [](auto& r) -> auto& { return r.compute; }));

    table.push_back(choice(
        {.key = "task",
         .aliases = {"task_type"},
         .level = simple,
         .label = "Task",
         .choices = {"causal-lm", "classification", "seq2seq"},
         .help = "What the model learns to give.",
         .details = "causal-lm: the next token of a text, as chat and completion models do (GPT, LLaMA, Gemma). "
                    "classification: a label for a text; a BERT kind of model is quickest, a GPT or LLaMA kind works too. "
                    "seq2seq: an answer to a text, by a model that reads first and then writes (T5).",
         .typical = "causal-lm"},
        [](auto& r) -> auto& { return r.task; }));

    table.push_back(path(
        {.key = "output",
         .aliases = {"output_dir"},
         .level = advanced,
         .label = "Output folder",
         .help = "The folder the run is kept in.",
         .details = "Left empty, a new folder in the program's home is made. A folder that already holds "
                    "files is refused, unless the run in it is resumed. An adapter takes a few percent of "
                    "the model's size, a checkpoint about three times as much.",
         .typical = "runs/first"},
        [](auto& r) -> auto& { return r.output; }));
}

}  // namespace qlora::recipe
