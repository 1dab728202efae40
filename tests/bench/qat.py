"""Quantization-aware training beside quantization afterwards: SmolLM2-135M on banking support, LoRA r 16 on all linear layers over a
bf16 base, the same rows and steps, three seeds, at int4 with one scale a row and int3 in blocks of 64.

    qat.py QLORA DEPS WORK [--seeds 3] [--write docs/performance.md]

Each is written as the quantized model that is shipped, and that model is measured on the test rows, which none has learned from.
GPTQ calibrates on training rows. Runs that WORK already holds are not done again.
"""
import argparse
import json
import pathlib
import shutil
import statistics

from report import machine, write_section
from runs import RECIPES, Program, event

arguments = argparse.ArgumentParser()
arguments.add_argument("qlora"), arguments.add_argument("deps", type=pathlib.Path), arguments.add_argument("work", type=pathlib.Path)
arguments.add_argument("--seeds", type=int, default=3), arguments.add_argument("--write")
options = arguments.parse_args()
program = Program(options.qlora, options.work)

RECIPE = json.loads((RECIPES / "banking-support.json").read_text())
DATA = pathlib.Path(__file__).parents[2] / "resources/datasets/banking-support.jsonl"
LEVELS = {"INT4, a scale a row": ("int4", "row", 0), "INT3, blocks of 64": ("int3", "64", 64)}
METHODS = {"absmax": "PTQ, absmax", "search": "PTQ, searched scales", "gptq": "PTQ, GPTQ"}


def measure(model, seed, split):
    """{loss, perplexity} of a whole model on the rows of one part."""
    recipe = program.work / "measured.json"
    recipe.write_text(json.dumps({**RECIPE, "model": str(model), "precision": "native", "data": {**RECIPE["data"], "test_fraction": 0.1},
                                  "train": {**RECIPE["train"], "seed": seed}}))
    return program.answer("evaluate", recipe, "--split", split)[-1]["metrics"]


def exported(run, level, block, method):
    folder = program.work / f"{run.name}-{level}-{block}-{method}"
    if not (folder / level / "config.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        text = ["--text", calibration] if method == "gptq" else []
        program.answer("quantize", RECIPE["model"], "--adapter", run / "adapter", "--levels", level, "--block", block, "--method", method,
                       "--measured-tokens", 512, *text, "--out", folder)
    return folder / level


calibration = program.work / "calibration.txt"
rows = [json.loads(line) for line in DATA.read_text().splitlines()]
calibration.write_text("\n".join(f"{row['prompt']}\n{row['completion']}" for row in rows[:256]))

table = ["| on test rows: perplexity | " + " | ".join(f"seed {seed}" for seed in range(1, options.seeds + 1)) + " | mean | exported less trained, validation loss |",
         "|---" * (options.seeds + 3) + "|"]


def line(name, values, apart=None):
    gap = f"{apart:.1e}" if apart is not None else ""
    table.append(f"| {name} | " + " | ".join(f"{value:.3f}" for value in values) + f" | {statistics.mean(values):.3f} | {gap} |")
    print(table[-1], flush=True)


def train(seed, name, settings):
    folder = program.work / f"{name}-{seed}"
    return folder, program.train(RECIPES / "banking-support.json", folder,
                                 {"precision": "bf16", "train.epochs": 2, "train.seed": seed, "data.test_fraction": 0.1, "evaluate.samples": 0,
                                  "evaluate.every": 0, "early_stopping.restore_best": False, **settings})


seeds = range(1, options.seeds + 1)
plain = {seed: train(seed, "plain", {})[0] for seed in seeds}
line("not quantized, bf16", [program.answer("evaluate", plain[seed], "--split", "test")[-1]["metrics"]["perplexity"] for seed in seeds])
for title, (level, block, size) in LEVELS.items():
    for method, name in METHODS.items():
        line(f"{title}: {name}", [measure(exported(plain[seed], level, block, method), seed, "test")["perplexity"] for seed in seeds])
    perplexities, apart = [], 0
    for seed in seeds:
        folder, events = train(seed, f"qat-{level}", {"qat.precision": level, "qat.block": size, "qat.warmup": 0.1})
        model = exported(folder, level, block, "absmax")
        perplexities.append(measure(model, seed, "test")["perplexity"])
        trained = event(events, "finished")["metrics"]["validation_loss"]
        apart = max(apart, abs(measure(model, seed, "validation")["loss"] - trained))
    line(f"{title}: QAT, absmax", perplexities, apart)
if options.write:
    write_section(options.write, "qat", [machine(options.deps), "", *table])
