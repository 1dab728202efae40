"""Training steps, a whole epoch, prompts and decoding, and quantization, beside the Python peers and llama.cpp: in turn, in one run, on a computer that
does nothing else.

    speed.py train|epoch|generate|quantize BIN DEPS WORK [--rounds 3] [--write docs/performance.md]
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

from report import machine, write_section

HERE = pathlib.Path(__file__).parent
PEERS = HERE / "peers"
arguments = argparse.ArgumentParser()
arguments.add_argument("what", choices=["train", "epoch", "generate", "quantize"])
for name in ("bin", "deps", "work"):
    arguments.add_argument(name, type=pathlib.Path)
arguments.add_argument("--rounds", type=int, default=3), arguments.add_argument("--write")
options = arguments.parse_args()
PYTHON, GGUF = options.deps / "peers/bin/python", options.deps / "models/smollm2-135m.gguf"


def figures(*command):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=os.environ | {"HF_HUB_OFFLINE": "1"})
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not lines:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return json.loads(lines[-1])


def peer(script, *rest):
    return figures(PYTHON, PEERS / "run.py", PEERS / script, *rest)


def expanded():
    """The embedded model as the peers want it."""
    folder = options.work / "smollm2-hf"
    if not (folder / "config.json").exists():
        subprocess.run([str(PYTHON), str(PEERS / "gguf_to_hf.py"), str(GGUF), str(folder)], check=True, stdout=subprocess.DEVNULL)
    return folder


def in_turn(contenders):
    """Every contender once a round; a list of results each."""
    results = {name: [] for name in contenders}
    for turn in range(options.rounds):
        for name, run in contenders.items():
            results[name].append(run())
            print(f"round {turn + 1}, {name}: " + json.dumps(results[name][-1]), flush=True)
    return results


def median(runs, key):
    return statistics.median(run[key] for run in runs)


def best_gemm():
    """GFLOP/s of LibTorch's own products, in the better of both types."""
    code = ("import torch, time\nfor t in (torch.float32, torch.bfloat16):\n a, b = torch.randn(2048, 2048).to(t), torch.randn(2048, 2048).to(t)\n"
            " best = 0\n for _ in range(12):\n  s = time.perf_counter(); a @ b; best = max(best, 2 * 2048**3 / (time.perf_counter() - s))\n"
            " print(best / 1e9)")
    return [float(line) for line in subprocess.run([str(PYTHON), "-c", code], check=True, stdout=subprocess.PIPE, text=True).stdout.split()]


def train():
    model = expanded()
    ours = options.bin / "bench_train"
    runs = in_turn({
        "transformers + peft + bitsandbytes, checkpointing (its default)": lambda: peer("train_qlora.py", model),
        "the same without checkpointing": lambda: peer("train_qlora.py", model, "--no-ckpt"),
        "QLoRA Studio": lambda: figures(ours, GGUF),
        "QLoRA Studio in fp32": lambda: figures(ours, GGUF, "--compute", "fp32"),
    })
    names = list(runs)
    libtorch = dict(zip(("fp32", "bf16"), best_gemm()))
    table = ["| 512 tokens, batch 1, LoRA r 16 on all linears | computes in | tokens/s | peak RSS | tensors |", "|---|---|---|---|---|"]
    for name in names:
        first = runs[name][0]
        tensors = f"{median(runs[name], 'tensors_mib'):.0f} MiB" if "tensors_mib" in first else ""
        table.append(f"| {name} | {first['compute'].removeprefix('torch.')} | {median(runs[name], 'tok_s'):.0f} | {median(runs[name], 'peak_rss_mib'):.0f} MiB | {tensors} |")

    def ratio(other, key):
        return statistics.median(a[key] / b[key] for a, b in zip(runs["QLoRA Studio"], runs[other]))
    table += ["", f"Against its default **{ratio(names[0], 'tok_s'):.2f} times** the speed in **{ratio(names[0], 'peak_rss_mib'):.2f}** of its memory; "
              f"against it without checkpointing {ratio(names[1], 'tok_s'):.2f} times in {ratio(names[1], 'peak_rss_mib'):.2f}."]
    for name in names[2:]:
        kind, useful, own = runs[name][0]["compute"], median(runs[name], "gflops"), median(runs[name], "best_product_gflops")
        table.append(f"{name}: {useful:.0f} GFLOP/s of useful products, {100 * useful / max(own, libtorch[kind]):.0f} % of the best {kind} product "
                     f"of 2048 x 2048 here (ours {own:.0f}, LibTorch's {libtorch[kind]:.0f}).")
    table += ["", "| tokens in one row | 512 | 1,024 | 2,048 | 4,096 | 8,192 |", "|---|---|---|---|---|---|"]
    lengths = {length: figures(ours, GGUF, "--seq", length, "--steps", 1) for length in (512, 1024, 2048, 4096, 8192)}
    for label, key, unit in (("activations", None, " MiB"), ("tensors", "tensors_mib", " MiB"), ("peak RSS", "peak_rss_mib", " MiB"), ("tokens/s", "tok_s", "")):
        cells = (one["by_tag_mib"]["activations"] if key is None else one[key] for one in lengths.values())
        table.append(f"| {label} | " + " | ".join(f"{cell:,.0f}{unit}" for cell in cells) + " |")
    return table


def own_epoch(rows):
    """One epoch of the same rows by `qlora train`."""
    folder = options.work / "epoch-run"
    shutil.rmtree(folder, ignore_errors=True)
    recipe = {"model": str(GGUF.absolute()), "precision": "nf4", "data": {"train": str(rows.absolute()), "validation_fraction": 0},
              "method": {"kind": "lora", "rank": 16, "alpha": 32}, "evaluate": {"every": 0, "samples": 0},
              "train": {"epochs": 1, "batch_size": 8, "learning_rate": 2e-4, "schedule": "linear", "warmup": 0}}
    path = options.work / "epoch.json"
    path.write_text(json.dumps(recipe))
    done = subprocess.run([str(options.bin / "qlora"), "train", str(path), "--out", str(folder), "--json"], check=True, stdout=subprocess.PIPE, text=True)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    steps = [event for event in events if event["event"] == "step"]
    loaded = next(event for event in events if event["event"] == "loaded")
    return {"compute": loaded["compute"], "rows": loaded["train_rows"], "steps": len(steps), "tokens": sum(step["tokens"] for step in steps),
            "padded_tokens": sum(step["tokens"] for step in steps), "seconds": sum(step["seconds"] for step in steps),
            "peak_rss_mib": max(step["process_bytes"] for step in steps) / 2**20}


def epoch():
    rows = options.deps / "datasets/support-dialogues.jsonl"
    runs = in_turn({
        "transformers.Trainer + peft + bitsandbytes": lambda: figures(PYTHON, PEERS / "run.py", HERE / "epoch_peer.py", expanded(), rows),
        "the same without checkpointing": lambda: figures(PYTHON, PEERS / "run.py", HERE / "epoch_peer.py", expanded(), rows, "--no-ckpt"),
        "QLoRA Studio": lambda: own_epoch(rows),
    })
    table = ["| one epoch, batches of 8 | rows, steps | tokens, with padding | seconds | peak RSS | QLoRA Studio is faster |", "|---|---|---|---|---|---|"]
    for name, results in runs.items():
        first = results[0]
        ratio = statistics.median(a["seconds"] / b["seconds"] for a, b in zip(results, runs["QLoRA Studio"]))
        table.append(f"| {name} | {first['rows']}, {first['steps']} | {first['tokens']:,}, {first['padded_tokens']:,} | {median(results, 'seconds'):.1f} | "
                     f"{median(results, 'peak_rss_mib'):.0f} MiB | {ratio:.2f} times |")
    return table


def generate():
    ours = options.bin / "bench_generate"
    runs = in_turn({
        "llama.cpp, Q4_1": lambda: peer("generate.py", "llama.cpp", GGUF, "--threads", os.cpu_count()),
        "transformers + bitsandbytes, NF4": lambda: peer("generate.py", "nf4", expanded(), "--threads", os.cpu_count()),
        "QLoRA Studio, Q4_1 as in the file": lambda: figures(ours, GGUF, "--precision", "native"),
        "QLoRA Studio, NF4": lambda: figures(ours, GGUF, "--precision", "nf4"),
    })
    table = ["| 256 prompt tokens, 64 decoded | prompt, tokens/s | decoding, tokens/s | decoding against llama.cpp |", "|---|---|---|---|"]
    reference = runs["llama.cpp, Q4_1"]
    for name, results in runs.items():
        ratio = statistics.median(a["decode_tok_s"] / b["decode_tok_s"] for a, b in zip(results, reference))
        table.append(f"| {name} | {median(results, 'prompt_tok_s'):.0f} | {median(results, 'decode_tok_s'):.0f} | {ratio:.2f} |")
    return table


BITSANDBYTES = """
import json, time, torch, bitsandbytes.functional as F
x = torch.randn(8192, 4096)
def rate(f):
    best = float("inf")
    for _ in range(4):
        start = time.perf_counter(); f(); best = min(best, time.perf_counter() - start)
    return x.numel() / best / 1e9
packed, state = F.quantize_4bit(x, blocksize=64, quant_type="nf4")
print(json.dumps({"quantize": rate(lambda: F.quantize_4bit(x, blocksize=64, quant_type="nf4")),
                  "dequantize": rate(lambda: F.dequantize_4bit(packed, state))}))
"""


def own_kernels():
    """G weights/s and the shares of the memory's bandwidth, of NF4 on all threads, from bench_kernels' table."""
    printed = subprocess.run([str(options.bin / "bench_kernels"), "0.3"], check=True, stdout=subprocess.PIPE, text=True).stdout
    found, lines = {}, printed.splitlines()
    for line, below in zip(lines, lines[1:]):
        words = line.split()
        if words[:1] == ["nf4"] and words[1] in ("quantize", "dequantize") and words[2] == "2":
            found |= {words[1]: float(words[-3]), words[1] + "_share": float(words[-5]), words[1] + "_written": float(below.split()[-2])}
    return found


def quantize():
    runs = in_turn({"bitsandbytes": lambda: figures(PYTHON, "-c", BITSANDBYTES), "QLoRA Studio": own_kernels})
    table = ["| NF4, blocks of 64, all threads | bitsandbytes, G weights/s | QLoRA Studio, G weights/s | times | of a copy's bandwidth | of what can be written alone |",
             "|---|---|---|---|---|---|"]
    for what in ("quantize", "dequantize"):
        theirs, own = median(runs["bitsandbytes"], what), median(runs["QLoRA Studio"], what)
        table.append(f"| {what} | {theirs:.2f} | {own:.2f} | {own / theirs:.1f} | "
                     f"{median(runs['QLoRA Studio'], what + '_share'):.0f} % | {median(runs['QLoRA Studio'], what + '_written'):.0f} % |")
    return table


options.work.mkdir(parents=True, exist_ok=True)
table = {"train": train, "epoch": epoch, "generate": generate, "quantize": quantize}[options.what]()
print("\n".join(table))
if options.write:
    write_section(options.write, options.what, [machine(options.deps), "", *table])
