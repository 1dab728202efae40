"""Trains the banking-support recipe beside it and prints what came of it: validation perplexity of base and tuned model, and
both models' answers to ten held-out questions, as Markdown.

    demo.py QLORA [--readme README.md]     # with --readme, also puts the result between the README's demo marks
"""
import json
import pathlib
import re
import subprocess
import sys

qlora, here = sys.argv[1], pathlib.Path(__file__).parent
run = pathlib.Path("runs/demo")


def call(*arguments):
    done = subprocess.run([qlora, *map(str, arguments), "--json"], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"demo: qlora {arguments[0]} ended with {done.returncode}: {done.stdout.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def train():
    arguments = ["train", here.parent / "recipes/banking-support.json", "--out", run]
    if (run / "checkpoints").exists():
        if (run / "metrics.json").exists() and json.loads((run / "metrics.json").read_text())["reason"] == "completed":
            return  # the figures below are measured again all the same
        arguments = ["train", here.parent / "recipes/banking-support.json", "--resume", run]
    process = subprocess.Popen([qlora, *map(str, arguments), "--json"], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "step":
            print(f"\rstep {event['step']}  loss {event['loss']:.3f}  {event['tokens_per_second']:.0f} tok/s   ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    if process.wait() != 0:
        sys.exit("demo: the training run did not end well")


def cell(text):
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()


train()
finished = json.loads((run / "metrics.json").read_text())
validation = call("evaluate", run, "--split", "validation", "--baselines")[-1]
test = call("evaluate", run, "--split", "test", "--baselines", "--answers", 10, "--max-tokens", 80)[-1]
perplexity = {split["split"]: {c["name"]: c["metrics"]["perplexity"] for c in split["contenders"]} for split in (validation, test)}
rows = {split["split"]: split["rows"] for split in (validation, test)}
lines = [f"{finished['steps']} steps in {finished['seconds'] / 60:.0f} minutes, peak {finished['peak_bytes'] / 1e9:.2f} GB of tensors.", "",
         "| perplexity of the answers | base | tuned |", "|---|---|---|"]
for name in ("validation", "test"):
    p = perplexity[name]
    lines.append(f"| {name} ({rows[name]} rows) | {p['base']:.2f} | {p['tuned']:.2f} |")
lines += ["", "| held-out question | base model | tuned model |", "|---|---|---|"]
base, tuned = (next(c for c in test["contenders"] if c["name"] == name)["answers"] for name in ("base", "tuned"))
for question, before, after in zip(test["questions"], base, tuned):
    lines.append(f"| {cell(question)} | {cell(before)} | {cell(after)} |")
result = "\n".join(lines)
print(result)
if "--readme" in sys.argv:
    readme = pathlib.Path(sys.argv[sys.argv.index("--readme") + 1])
    begin, end = "<!-- demo: written by ./dev demo --readme -->", "<!-- end of demo -->"
    text = readme.read_text()
    readme.write_text(text[:text.index(begin) + len(begin)] + "\n" + result + "\n" + text[text.index(end):])
