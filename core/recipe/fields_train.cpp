#include "core/recipe/table.h"

namespace qlora::recipe {

namespace {

void add_length_fields(std::vector<Field>& table) {
    using enum Field::Level;

    table.push_back(real(
        {.key = "train.epochs",
         .aliases = {"num_train_epochs", "epochs", "num_epochs"},
         .level = simple,
         .label = "Epochs",
         .low = 0.001,
         .high = 10000,
         .help = "How many times all training rows are gone through.",
         .details =
             "Time grows in proportion, memory does not. Watch the validation loss: once it rises while the "
             "training loss falls, further epochs do harm. Has no effect when a number of steps is set.",
         .typical = "1 to 3; up to 5 for a few hundred rows"},
        [](auto& r) -> auto& { return r.train.epochs; }));
    table.push_back(integer(
        {.key = "train.max_steps",
         .aliases = {"max_steps"},
         .level = advanced,
         .label = "Steps",
         .unit = "steps",
         .low = 0,
         .high = 100000000,
         .help = "Ends the run after so many steps; 0: by epochs.",
         .details = "Handy for a quick try. The learning-rate schedule spans exactly these steps.",
         .typical = "0; 20 to see whether everything works"},
        [](auto& r) -> auto& { return r.train.max_steps; }));
    table.push_back(integer(
        {.key = "train.batch_size",
         .aliases = {"per_device_train_batch_size", "batch_size", "micro_batch_size"},
         .level = simple,
         .label = "Batch size",
         .unit = "rows",
         .low = 1,
         .high = 65536,
         .help = "Rows that go through the model together.",
         .details = "Memory for activations grows in proportion. More rows use the hardware better and make "
                    "steps steadier, but there are fewer of them in an epoch. When memory is short, halve it "
                    "and double the accumulation: the result is the same.",
         .typical = "4 to 16; 1 or 2 for long rows"},
        [](auto& r) -> auto& { return r.train.batch_size; }));
    table.push_back(integer(
        {.key = "train.accumulate",
         .aliases = {"gradient_accumulation_steps", "accumulate"},
         .level = advanced,
         .label = "Accumulation",
         .unit = "batches",
         .low = 1,
         .high = 65536,
         .help = "Batches added up before the weights change.",
         .details = "Learns like a batch this many times larger, at the memory of one, and takes as much "
                    "longer a step. Every trained token counts the same, however the rows are divided.",
         .typical = "1 to 16"},
        [](auto& r) -> auto& { return r.train.accumulate; }));
}

void add_optimizer_fields(std::vector<Field>& table) {
    using enum Field::Level;

    table.push_back(real(
        {.key = "train.learning_rate",
         .aliases = {"learning_rate", "lr"},
         .level = simple,
         .label = "Learning rate",
         .low = 1e-9,
         .high = 1,
         .help = "How large a change each step makes.",
         .details = "The setting that matters most. Too high and the loss jumps, or falls and then the "
                    "answers break down; too low and little is learned in the same time. Costs no memory.",
         .typical = "1e-4 to 5e-4 for LoRA, lower for large models"},
        [](auto& r) -> auto& { return r.train.learning_rate; }));
    table.push_back(choice(
        {.key = "train.optimizer",
         .aliases = {"optim", "optimizer"},
         .level = advanced,
         .label = "Optimizer",
         .choices = {"adamw", "adamw-8bit", "sgd", "adafactor", "lion"},
         .help = "How gradients change the trained parameters.",
         .details = "AdamW keeps two numbers for every trained parameter. In 8 bit they take a quarter of the "
                    "memory and are rounded blockwise, which the result hardly notices; a step takes a little "
                    "longer. Adafactor keeps two rows of numbers a matrix. Lion keeps one number a parameter and wants a third "
                    "of AdamW's learning rate and its beta 2 at 0.99; SGD keeps one too, wants a rate ten to a hundred times higher and "
                    "mostly learns more slowly.",
         .typical = "adamw; adamw-8bit or adafactor where many parameters are trained"},
        [](auto& r) -> auto& { return r.train.optimizer; }));
    table.push_back(choice(
        {.key = "train.schedule",
         .aliases = {"lr_scheduler_type", "lr_scheduler", "schedule"},
         .level = advanced,
         .label = "Schedule",
         .choices = {"linear", "cosine", "constant", "cosine_with_restarts", "inverse_sqrt", "polynomial"},
         .help = "How the learning rate goes down during the run.",
         .details = "linear and cosine end at zero, which lets the model settle; cosine stays high for "
                    "longer, and with restarts goes back to its peak several times. polynomial ends at nearly zero on a curve of "
                    "your choice. constant does not fall and inverse_sqrt falls without an end, for runs whose end is not yet known. "
                    "Costs nothing.",
         .typical = "linear or cosine"},
        [](auto& r) -> auto& { return r.train.schedule; }));
    table.push_back(integer(
        {.key = "train.schedule_cycles",
         .aliases = {"num_cycles"},
         .level = advanced,
         .label = "Restarts",
         .unit = "cycles",
         .low = 1,
         .high = 1000,
         .help = "How often the rate falls, in a cosine with restarts.",
         .details = "Each cycle begins at the full rate, which can lead out of a narrow valley; each end is a settled model.",
         .typical = "2 to 4",
         .matters = [](const Recipe& r) { return r.train.schedule == Schedule::cosine_with_restarts; }},
        [](auto& r) -> auto& { return r.train.schedule_cycles; }));
    table.push_back(real(
        {.key = "train.schedule_power",
         .aliases = {"power"},
         .level = advanced,
         .label = "Power",
         .low = 0.1,
         .high = 10,
         .help = "The bend of the polynomial schedule.",
         .details = "1 is a straight line; above it the rate falls quickly at first, below it at the end.",
         .typical = "1 or 2",
         .matters = [](const Recipe& r) { return r.train.schedule == Schedule::polynomial; }},
        [](auto& r) -> auto& { return r.train.schedule_power; }));
    table.push_back(real(
        {.key = "train.warmup",
         .aliases = {"warmup_ratio", "warmup_steps", "warmup"},
         .level = advanced,
         .label = "Warm-up",
         .low = 0,
         .high = 10000000,
         .help = "The part of the steps in which the rate rises.",
         .details = "Keeps the first steps, whose gradients are large and noisy, from doing harm. Too long "
                    "wastes steps of a short run.",
         .typical = "0.03 to 0.1, or 10 to 100 steps"},
        [](auto& r) -> auto& { return r.train.warmup; }));
    table.push_back(real(
        {.key = "train.weight_decay",
         .aliases = {"weight_decay"},
         .level = advanced,
         .label = "Weight decay",
         .low = 0,
         .high = 1,
         .help = "Pulls the adapter's weights a little to zero.",
         .details = "Keeps the adapter small, against learning by heart; too much keeps it from learning. "
                    "Costs nothing.",
         .typical = "0 to 0.01, at most 0.1"},
        [](auto& r) -> auto& { return r.train.weight_decay; }));
    table.push_back(real(
        {.key = "train.momentum",
         .aliases = {"momentum"},
         .level = advanced,
         .label = "Momentum",
         .low = 0,
         .high = 0.9999,
         .help = "How much of the last step SGD goes on with.",
         .details = "Evens out noisy gradients; at 0.9 a step is about ten times as long as without. Other optimizers have "
                    "betas instead.",
         .typical = "0.9",
         .matters = [](const Recipe& r) { return r.train.optimizer == Optimizer::sgd; }},
        [](auto& r) -> auto& { return r.train.momentum; }));
    table.push_back(real(
        {.key = "train.beta1",
         .aliases = {"adam_beta1", "beta1"},
         .level = advanced,
         .label = "Adam beta 1",
         .low = 0,
         .high = 0.9999,
         .help = "How long past gradients' direction counts.",
         .details = "Higher is smoother and slower to turn. Rarely worth changing.",
         .typical = "0.9",
         .matters = [](const Recipe& r) { return r.train.optimizer != Optimizer::sgd && r.train.optimizer != Optimizer::adafactor; }},
        [](auto& r) -> auto& { return r.train.beta1; }));
    table.push_back(real(
        {.key = "train.beta2",
         .aliases = {"adam_beta2", "beta2"},
         .level = advanced,
         .label = "Adam beta 2",
         .low = 0,
         .high = 0.999999,
         .help = "How long past gradients' size counts.",
         .details = "Lower adapts faster to gradients that change their size, as in short runs. Rarely worth "
                    "changing.",
         .typical = "0.999; 0.95 to 0.99 for large batches",
         .matters = [](const Recipe& r) { return r.train.optimizer != Optimizer::sgd && r.train.optimizer != Optimizer::adafactor; }},
        [](auto& r) -> auto& { return r.train.beta2; }));
    table.push_back(real(
        {.key = "train.epsilon",
         .aliases = {"adam_epsilon", "adam_eps", "epsilon"},
         .level = advanced,
         .label = "Adam epsilon",
         .low = 1e-20,
         .high = 0.1,
         .help = "Keeps AdamW from dividing by zero.",
         .details = "Larger damps the steps of weights with tiny gradients. Rarely worth changing.",
         .typical = "1e-8",
         .matters = [](const Recipe& r) { return r.train.optimizer == Optimizer::adamw || r.train.optimizer == Optimizer::adamw_8bit; }},
        [](auto& r) -> auto& { return r.train.epsilon; }));
    table.push_back(real(
        {.key = "train.max_grad_norm",
         .aliases = {"max_grad_norm"},
         .level = advanced,
         .label = "Gradient clipping",
         .low = 0,
         .high = 1000000,
         .help = "Longer gradients are cut to this; 0: never.",
         .details = "One odd batch cannot throw the run off. Far below the usual norm, seen on the Live "
                    "page, it acts as a lower learning rate.",
         .typical = "0.3 to 1"},
        [](auto& r) -> auto& { return r.train.max_grad_norm; }));
}

void add_running_fields(std::vector<Field>& table) {
    using enum Field::Level;

    table.push_back(real(
        {.key = "train.label_smoothing",
         .aliases = {"label_smoothing_factor", "label_smoothing"},
         .level = advanced,
         .label = "Label smoothing",
         .low = 0,
         .high = 0.5,
         .help = "The part of each target spread over all others.",
         .details = "The model is no longer asked to be certain, which helps against learning by heart and makes a classifier's "
                    "probabilities more honest. The training loss is then higher by design; validation is measured without.",
         .typical = "0; 0.05 to 0.1 for classifiers and noisy labels"},
        [](auto& r) -> auto& { return r.train.label_smoothing; }));
    table.push_back(real(
        {.key = "train.neftune_alpha",
         .aliases = {"neftune_noise_alpha"},
         .level = advanced,
         .label = "NEFTune noise",
         .low = 0,
         .high = 100,
         .help = "Noise on the embeddings while training.",
         .details = "Uniform noise of alpha / sqrt(tokens x width) (Jain et al. 2023). Answers of instruction-tuned models get "
                    "longer and hold less closely to the wording of the rows. Costs nothing.",
         .typical = "0; 5 for a few thousand instructions"},
        [](auto& r) -> auto& { return r.train.neftune_alpha; }));
    table.push_back(integer(
        {.key = "train.seed",
         .aliases = {"seed", "data_seed"},
         .level = advanced,
         .label = "Seed",
         .low = 0,
         .high = 9007199254740991,
         .help = "Fixes everything that is left to chance.",
         .details = "The same seed, machine and threads give the same numbers. Try several to see how much "
                    "of a difference between two runs is chance.",
         .typical = "42"},
        [](auto& r) -> auto& { return r.train.seed; }));
    table.push_back(integer(
        {.key = "train.checkpoint_every",
         .aliases = {"save_steps", "checkpoint_every"},
         .level = advanced,
         .label = "Checkpoint every",
         .unit = "steps",
         .low = 0,
         .high = 100000000,
         .help = "Steps between checkpoints; 0: only at the end.",
         .details = "After a crash at most these steps are lost. Each takes about three times the adapter's "
                    "size on disk, and less than a second.",
         .typical = "50 to 500"},
        [](auto& r) -> auto& { return r.train.checkpoint_every; }));
    table.push_back(integer(
        {.key = "train.keep_checkpoints",
         .aliases = {"save_total_limit", "keep_checkpoints"},
         .level = advanced,
         .label = "Checkpoints kept",
         .low = 1,
         .high = 10000,
         .help = "Older checkpoints than these are deleted.",
         .details = "More takes more disk space and lets you go back further.",
         .typical = "2"},
        [](auto& r) -> auto& { return r.train.keep_checkpoints; }));
    table.push_back(boolean(
        {.key = "train.gradient_checkpointing",
         .aliases = {"gradient_checkpointing"},
         .level = advanced,
         .label = "Recompute activations",
         .help = "Computes them again on the way back: less memory.",
         .details = "The memory of activations falls to a fraction, each step takes about a third longer, "
                    "the result is the same. For long rows that do not fit otherwise.",
         .typical = "off"},
        [](auto& r) -> auto& { return r.train.gradient_checkpointing; }));
    table.push_back(choice(
        {.key = "train.activations",
         .aliases = {"activations"},
         .level = advanced,
         .label = "Activations kept in",
         .choices = {"auto", "fp32", "bf16"},
         .help = "The number type of what the way back needs.",
         .details = "auto is bf16 where the compute type is, else fp32. bf16 halves the memory of activations; gradients are "
                    "then off by about 1 in 400, which the result does not show. Where products are fp32, converting "
                    "takes a few percent of a step.",
         .typical = "auto; bf16 for long rows on a CPU without bf16 instructions"},
        [](auto& r) -> auto& { return r.train.activations; }));
    table.push_back(boolean(
        {.key = "train.base_dropout",
         .aliases = {"base_dropout"},
         .level = advanced,
         .label = "Dropout in the base",
         .help = "Drops numbers inside the base, as its config.json says.",
         .details = "BERT, GPT-2 and T5 were trained with a tenth of the numbers between layers set to zero, and "
                    "transformers does so in fine-tuning too. It works against learning by heart, but slows learning: "
                    "with few epochs the result is often better without. LLaMA and its kin have none.",
         .typical = "off; on to compare with transformers, or for many epochs on few rows"},
        [](auto& r) -> auto& { return r.train.base_dropout; }));
}

}  // namespace

void add_train_fields(std::vector<Field>& table) {
    add_length_fields(table);
    add_optimizer_fields(table);
    add_running_fields(table);
}

}  // namespace qlora::recipe
