"""Every way to fine-tune on the banking-support data with SmolLM2-135M and on the sentiment data with all-MiniLM-L6-v2: trainable
parameters, peak memory, time, validation loss, and what held-out rows say. One epoch of each.

    methods.py QLORA DEPS WORK [--write docs/performance.md]

Rates are the usual ones of each method, not searched for. Runs that WORK already holds are not done again.
"""
import argparse
import json
import pathlib

from report import machine, write_section
from runs import RECIPES, Program, event

arguments = argparse.ArgumentParser()
arguments.add_argument("qlora"), arguments.add_argument("deps", type=pathlib.Path), arguments.add_argument("work", type=pathlib.Path)
arguments.add_argument("--write")
options = arguments.parse_args()

# name: settings beside the recipe's.
METHODS = {
    "LoRA, base in bf16": {"precision": "bf16", "train.learning_rate": 5e-4},
    "QLoRA, NF4": {"precision": "nf4", "train.learning_rate": 5e-4},
    "QLoRA, INT8": {"precision": "int8", "train.learning_rate": 5e-4},
    "QLoRA, INT4": {"precision": "int4", "train.learning_rate": 5e-4},
    "QLoRA, FP4": {"precision": "fp4", "train.learning_rate": 5e-4},
    "rsLoRA, NF4": {"precision": "nf4", "method.rslora": True, "train.learning_rate": 2e-4},
    "DoRA, NF4": {"precision": "nf4", "method.dora": True, "train.learning_rate": 5e-4},
    "LoRA+, NF4": {"precision": "nf4", "method.lora_plus_ratio": 8, "train.learning_rate": 2e-4},
    "PiSSA, NF4": {"precision": "nf4", "method.start": "pissa", "train.learning_rate": 2e-4},
    "full fine-tuning": {"precision": "bf16", "method.kind": "full", "train.learning_rate": 5e-5},
    "full, first half frozen": {"precision": "bf16", "method.kind": "full", "train.learning_rate": 5e-5, "method.freeze": ("embeddings,0-14", "embeddings,0-2")},
    "adapters, Houlsby": {"precision": "nf4", "method.kind": "adapter", "method.placement": "houlsby", "train.learning_rate": 1e-3},
    "adapters, Pfeiffer": {"precision": "nf4", "method.kind": "adapter", "train.learning_rate": 1e-3},
    "adapters, Pfeiffer, parallel": {"precision": "nf4", "method.kind": "adapter", "method.parallel": True, "train.learning_rate": 1e-3},
    "prompt tuning, 20": {"precision": "nf4", "method.kind": "prompt-tuning", "train.learning_rate": 1e-2},
    "prefix tuning, 20": {"precision": "nf4", "method.kind": "prefix-tuning", "train.learning_rate": 1e-2},
    "BitFit": {"precision": "nf4", "method.kind": "bitfit", "train.learning_rate": 2e-3},
}


def measured(recipe, name, settings, second):
    folder = program.work / f"{recipe}-{name}".replace(" ", "-").replace(",", "")
    cached = folder.with_suffix(".json")
    if cached.exists(): return json.loads(cached.read_text())
    chosen = {"evaluate.samples": 0, "train.epochs": 1, **{k: v[second] if isinstance(v, tuple) else v for k, v in settings.items()}}
    if recipe != "sentiment": chosen["data.test_fraction"] = 0.1
    events = program.train(RECIPES / f"{recipe}.json", folder, chosen)
    if isinstance(events, str):
        figures = {"refused": events}
    else:
        steps = [one for one in events if one["event"] == "step"]
        report = program.answer("evaluate", folder, "--split", "test", "--baselines")[-1]
        base = next(one for one in report["contenders"] if one["name"] == "base")
        score = "accuracy" if recipe == "sentiment" else "perplexity"
        figures = {"parameters": event(events, "loaded")["trainable_parameters"], "peak_mib": max(step["process_bytes"] for step in steps) / 2**20,
                   "seconds": sum(step["seconds"] for step in steps), "validation_loss": event(events, "finished")["metrics"]["validation_loss"],
                   "score": report["metrics"][score], "base": base["metrics"][score]}
    cached.write_text(json.dumps(figures))
    return figures


program = Program(options.qlora, options.work)
table = []
for second, (recipe, model, score) in enumerate((("banking-support", "SmolLM2-135M, banking support", "perplexity of test rows"),
                                                 ("sentiment", "all-MiniLM-L6-v2, sentiment", "accuracy on test rows"))):
    table += [f"| {model} | trainable | peak memory | time | validation loss | {score} | before |", "|---|---|---|---|---|---|---|"]
    for name, settings in METHODS.items():
        figures = measured(recipe, name, settings, second)
        if "refused" in figures:
            table.append(f"| {name} | refused: {figures['refused'].splitlines()[-1].strip()} | | | | | |")
        else:
            table.append(f"| {name} | {figures['parameters']:,} | {figures['peak_mib']:,.0f} MiB | {figures['seconds']:.0f} s | "
                         f"{figures['validation_loss']:.4f} | {figures['score']:.4f} | {figures['base']:.4f} |")
        print(table[-1], flush=True)
    table.append("")
if options.write:
    write_section(options.write, "methods", [machine(options.deps), "", *table])
