"""The sentiment example beside the Python peers: all-MiniLM-L6-v2 in NF4, LoRA r 8 on query and key, at 5e-4 for one
epoch and at the example's 2e-5 for three.

    sentiment.py QLORA DEPS WORK [--seeds 3] [--write docs/performance.md]

Speed first, which wants a computer that does nothing else: both programs in turn on the first tenth of the rows, the
median of three rounds. Then the accuracies of all runs over all rows, two at a time with one thread each, which takes
about an hour on two cores (with --long two); runs that WORK already holds are not done again.
"""
import argparse
import concurrent.futures
import csv
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tarfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "resources/datasets"))
from prepare import ARCHIVE, INNER_ARCHIVE, SNIPPETS  # noqa: E402
from report import machine, write_section  # noqa: E402

HERE = pathlib.Path(__file__).parent
RECIPES = HERE.parents[1] / "resources/recipes"
RATES = [("5e-4", 1, "sentiment.json"), ("2e-5", 3, "sentiment-slow-rate.json")]
PEER, OURS = "transformers + peft + bitsandbytes", "QLoRA Studio"

arguments = argparse.ArgumentParser()
arguments.add_argument("qlora"), arguments.add_argument("deps", type=pathlib.Path), arguments.add_argument("work", type=pathlib.Path)
arguments.add_argument("--seeds", type=int, default=3), arguments.add_argument("--write")
arguments.add_argument("--long", action="store_true", help="the peer without dropout at the slow rate too")
options = arguments.parse_args()


def lines(command, threads):
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false",
                                "QLORA_HOME": str(options.work / "home")}
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def snippets(count=None):
    """The peer's file, or its first lines."""
    path = options.work / f"snippets-{count or 'all'}.txt"
    if not path.exists():
        with tarfile.open(options.deps / "src" / ARCHIVE) as outer, tarfile.open(fileobj=outer.extractfile(INNER_ARCHIVE)) as inner:
            path.write_bytes(b"".join(inner.extractfile(SNIPPETS).readlines()[:count]))
    return path


def peer(rate, epochs, seed, _, threads, count=None, model=None):
    printed = lines([options.deps / "peers/bin/python", HERE / "peers/run.py", HERE / "peers/sentiment_bert.py",
                     model or options.deps / "models/all-minilm-l6-v2", snippets(count), "--lr", rate, "--epochs", epochs, "--seed", seed], threads)
    return {"rows": printed[0]["train"], "test": printed[0]["test"], "base": printed[0]["accuracy"], "accuracy": printed[-1]["accuracy"],
            "examples_s": printed[-1]["examples_s"], "peak_mib": printed[-1]["peak_rss_mib"]}


def peer_still(rate, epochs, seed, recipe, threads):
    """The peer with the dropout of 0.1 that the model's configuration asks for switched off."""
    folder = options.work / "all-minilm-l6-v2-still"
    if not folder.exists():
        shutil.copytree(options.deps / "models/all-minilm-l6-v2", folder)
        config = json.loads((folder / "config.json").read_text())
        config |= {"hidden_dropout_prob": 0, "attention_probs_dropout_prob": 0}
        (folder / "config.json").write_text(json.dumps(config))
    return peer(rate, epochs, seed, recipe, threads, model=folder)


def ours(rate, epochs, seed, recipe, threads, count=None, start=None, dropout=True):
    """All training rows, as the peer's; nothing is measured in between."""
    run = options.work / f"run-{rate}-{seed}-{count or 'all'}{'-start' if start else ''}{'' if dropout else '-still'}"
    shutil.rmtree(run, ignore_errors=True)  # of a bench that was cut off
    keys = {**({"method.adapter": start} if start else {}), "train.seed": seed, "train.epochs": epochs, "train.learning_rate": rate,
            "train.base_dropout": str(dropout).lower(), "data.validation_fraction": 0, "evaluate.every": 0}
    if count:
        keys["data.train"] = table = options.work / f"train-{count}.csv"
        rows = [line.rstrip("\n").split("\t") for line in open(snippets(count), encoding="utf-8", errors="replace")]
        with open(table, "w", newline="", encoding="utf-8") as out:
            csv.writer(out).writerows([("text", "label"), *((text, "positive" if float(score) > 0 else "negative")
                                                             for i, (_, score, text) in enumerate(rows) if i % 5)])
    sets = [part for key, value in keys.items() for part in ("--set", f"{key}={value}")]
    events = lines([options.qlora, "train", RECIPES / recipe, "--out", run, *sets, "--threads", threads, "--json"], threads)
    steps = [event for event in events if event["event"] == "step"]
    rows = next(event for event in events if event["event"] == "loaded")["train_rows"]
    figures = {"rows": rows, "examples_s": rows * epochs / sum(step["seconds"] for step in steps),
               "peak_mib": max(step["process_bytes"] for step in steps) / 2**20}
    if not count:
        report = lines([options.qlora, "evaluate", run, "--split", "test", "--baselines", "--threads", threads, "--json"], threads)[-1]
        base = next(one for one in report["contenders"] if one["name"] == "base")
        figures |= {"test": report["rows"], "base": base["metrics"]["accuracy"], "accuracy": report["metrics"]["accuracy"]}
    return figures


# What the peer begins with for a seed: its random classifier and adapter.
START = """
import sys, torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from transformers import AutoModelForSequenceClassification, BitsAndBytesConfig
torch.manual_seed(int(sys.argv[2]))
quant = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                           bnb_4bit_compute_dtype=torch.float32, llm_int8_skip_modules=["classifier"])
model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1], num_labels=2, dtype=torch.float32, device_map="cpu", quantization_config=quant)
model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
model = get_peft_model(model, LoraConfig(r=8, lora_alpha=32, target_modules=["query", "key"], task_type="SEQ_CLS", modules_to_save=["classifier"]))
model.save_pretrained(sys.argv[3])
"""


def same_start(rate, epochs, seed, recipe, threads):
    """Ours from the peer's random numbers: what is left of the difference is not luck."""
    folder = options.work / f"start-{seed}"
    if not folder.exists():
        subprocess.run([str(options.deps / "peers/bin/python"), "-c", START, str(options.deps / "models/all-minilm-l6-v2"), str(seed), str(folder)],
                       check=True, env=os.environ | {"HF_HUB_OFFLINE": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return ours(rate, epochs, seed, recipe, threads, start=folder.absolute())


def ours_still(rate, epochs, seed, recipe, threads):
    return ours(rate, epochs, seed, recipe, threads, dropout=False)


def cached(name, make):
    path = options.work / f"{name}.json"
    if not path.exists():
        path.write_text(json.dumps(make()))
    return json.loads(path.read_text())


def speed():
    rounds = []
    for turn in range(3):
        one = {who.__name__: who("5e-4", 1, turn, RATES[0][2], os.cpu_count(), 1060) for who in (peer, ours)}
        print(f"round {turn + 1}: " + ", ".join(f"{who} {figures['examples_s']:.1f} examples/s, {figures['peak_mib']:.0f} MiB"
                                                for who, figures in one.items()), flush=True)
        rounds.append(one)
    return rounds


def accuracy(job):
    who, rate, epochs, seed, recipe = job
    figures = cached(f"{who.__name__}-{rate}-{seed}", lambda: who(rate, epochs, seed, recipe, 1))
    print(f"{who.__name__:10} {rate} seed {seed}: accuracy {figures['accuracy']:.4f}, before {figures['base']:.4f}; "
          f"{figures['rows']} and {figures['test']} rows", flush=True)
    return job, figures


options.work.mkdir(parents=True, exist_ok=True)
rounds = cached("speed", speed)
ratio = statistics.median(one["ours"]["examples_s"] / one["peer"]["examples_s"] for one in rounds)
table = ["| program | examples/s | peak memory |", "|---|---|---|"]
for who, name in (("peer", PEER), ("ours", OURS)):
    table.append(f"| {name} | {statistics.median(one[who]['examples_s'] for one in rounds):.0f} | {max(one[who]['peak_mib'] for one in rounds):.0f} MiB |")
table += [f"| **against the peer** | **{ratio:.2f} times** | |", "", "| rate, epochs | program | accuracy on the test rows | each seed | before |", "|---|---|---|---|---|"]
jobs = [(who, rate, epochs, seed, recipe) for rate, epochs, recipe in RATES for seed in range(options.seeds)
        for who in (peer, ours, same_start, peer_still, ours_still)
        if who is not peer_still or rate == RATES[0][0] or options.long]
with concurrent.futures.ThreadPoolExecutor(max(1, os.cpu_count())) as pool:
    results = dict(pool.map(accuracy, jobs))
for rate, epochs, recipe in RATES:
    means = {}
    for who, name in ((peer, PEER), (ours, OURS), (same_start, OURS + ", from the peer's start"),
                      (peer_still, PEER + ", without dropout"), (ours_still, OURS + ", without dropout")):
        if (who, rate, epochs, 0, recipe) not in results:
            continue
        runs = [results[who, rate, epochs, seed, recipe] for seed in range(options.seeds)]
        means[who] = statistics.mean(run["accuracy"] for run in runs)
        table.append(f"| {rate}, {epochs} | {name} | {means[who]:.4f} | {', '.join(format(run['accuracy'], '.4f') for run in runs)} | "
                     f"{statistics.mean(run['base'] for run in runs):.4f} |")
    table.append(f"| {rate}, {epochs} | **against the peer** | **{100 * (means[ours] - means[peer]):+.2f} points**"
                 + f", from its start {100 * (means[same_start] - means[peer]):+.2f}"
                 + (f", without dropout {100 * (means[ours_still] - means[peer_still]):+.2f}" if peer_still in means else "") + " | | |")
print("\n".join(table))
if options.write:
    write_section(options.write, "sentiment", [machine(options.deps), "", *table])
