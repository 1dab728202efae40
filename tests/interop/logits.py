"""Logits of the embedded model's GGUF against transformers on the same dequantized weights: the largest difference at
most 2e-4 of the largest logit in fp32, and the same most likely token after 200 prompts. Negative control: NF4."""
import json

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from peers import GGUF, WORK, expanded, qlora, verdict

folder = expanded()
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
root = __file__.rsplit("/tests/", 1)[0]
rows = [json.loads(line) for line in open(root + "/resources/datasets/banking-support.jsonl", encoding="utf-8")]
prompts = [tokenizer(row["prompt"])["input_ids"] for row in rows[:200]]
failures = []

# Loading the model for each prompt would take minutes: prompts follow each other in sequences of up to 1,200 tokens,
# and the token after each prompt is compared.
worst, wrong, seen = 0.0, 0, 0
chunk = []
chunks = []
for prompt in prompts:
    if sum(map(len, chunk)) + len(prompt) > 1200:
        chunks.append(chunk)
        chunk = []
    chunk.append(prompt)
chunks.append(chunk)
out = WORK / "logits.safetensors"
for chunk in chunks:
    ids = [i for prompt in chunk for i in prompt]
    qlora("logits", GGUF, "--ids", ",".join(map(str, ids)), "--precision", "fp32", "--out", out)
    ours = load_file(out)["logits"]
    with torch.inference_mode():
        theirs = model(torch.tensor([ids])).logits[0]
    worst = max(worst, ((ours - theirs).abs().max() / theirs.abs().max()).item())
    ends = torch.tensor([len(p) for p in chunk]).cumsum(0) - 1
    wrong += (ours[ends].argmax(-1) != theirs[ends].argmax(-1)).sum().item()
    seen += len(chunk)
print(f"fp32: largest difference {worst:.2e} of the largest logit; {seen - wrong} of {seen} most likely tokens equal")
if worst > 2e-4: failures.append(f"difference {worst:.2e} above 2e-4")
if wrong: failures.append(f"{wrong} of {seen} most likely tokens differ")

qlora("logits", GGUF, "--ids", ",".join(map(str, ids)), "--precision", "native", "--out", out)
native = ((load_file(out)["logits"] - theirs).abs().max() / theirs.abs().max()).item()
print(f"native blocks: {native:.2e}")
if native > 2e-4: failures.append(f"blocks kept packed: {native:.2e} above 2e-4")
qlora("logits", GGUF, "--ids", ",".join(map(str, ids)), "--precision", "nf4", "--out", out)
nf4 = ((load_file(out)["logits"] - theirs).abs().max() / theirs.abs().max()).item()
print(f"control, NF4: {nf4:.2e}")
if nf4 < 2e-4: failures.append("NF4 is as near as fp32: the comparison compares nothing")
verdict(failures)
