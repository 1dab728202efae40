"""20 steps from one PEFT adapter on one list of batches, here and with transformers + peft: each loss within 1e-4 (fp32)
or 1e-3 (NF4), the final adapter within 1e-3 of the largest update. Then the adapter travels: ours opens in PEFT and
gives the same logits. Negative control: another learning rate."""
import json
import subprocess

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from peers import GGUF, TRAJECTORY, WORK, expanded, qlora, verdict
from reference_trajectory import run

folder = expanded()
torch.manual_seed(0)
start = WORK / "start"
get_peft_model(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
               LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")).save_pretrained(start)
tokenizer = AutoTokenizer.from_pretrained(folder)
root = __file__.rsplit("/tests/", 1)[0]
rows = [json.loads(line) for line in open(root + "/resources/datasets/banking-support.jsonl", encoding="utf-8")]
batches = []
for step in range(20):
    texts = [(tokenizer(r["prompt"] + "\n")["input_ids"], tokenizer(r["completion"])["input_ids"][:24]) for r in rows[2 * step:2 * step + 2]]
    width = max(len(p) + len(c) for p, c in texts)
    pad = lambda ids, value: ids + [value] * (width - len(ids))
    batches.append(dict(input_ids=[pad(p + c, 2) for p, c in texts], attention_mask=[pad([1] * len(p + c), 0) for p, c in texts],
                        labels=[pad([-100] * len(p) + c, -100) for p, c in texts]))
(WORK / "batches.json").write_text(json.dumps(batches))

RATE = 2e-3
failures = []


def ours(precision, rate):
    out = WORK / f"ours-{precision}-{rate}"
    subprocess.run([TRAJECTORY, GGUF, start, WORK / "batches.json", out, precision, str(rate)], check=True)
    return json.loads((out / "losses.json").read_text()), out / "adapter"


def differences(ours_losses, ours_adapter, losses, adapter):
    loss = max(abs(a - b) / b for a, b in zip(ours_losses, losses))
    a, b, s = (load_file(x / "adapter_model.safetensors") for x in (ours_adapter, adapter, start))
    assert a.keys() == b.keys()
    update = max((b[k] - s[k]).abs().max().item() for k in b)
    return loss, max((a[k] - b[k]).abs().max().item() for k in b) / update


for precision, bar in (("fp32", 1e-4), ("nf4", 1e-3)):
    reference = WORK / f"reference-{precision}"
    losses = run(folder, start, batches, reference, precision, RATE)
    loss, adapter = differences(*ours(precision, RATE), losses, reference / "adapter")
    print(f"{precision}: losses {losses[0]:.4f} -> {losses[-1]:.4f}; within {loss:.1e}; adapter within {adapter:.1e} of the largest update")
    if loss > bar: failures.append(f"{precision}: losses differ by {loss:.1e}, bar {bar}")
    if adapter > 1e-3: failures.append(f"{precision}: adapter differs by {adapter:.1e} of the largest update, bar 1e-3")
    wrong, wrong_adapter = differences(*ours(precision, RATE * 1.05), losses, reference / "adapter")
    print(f"{precision}, control at 1.05 times the rate: losses {wrong:.1e}, adapter {wrong_adapter:.1e}")
    if wrong < bar or wrong_adapter < 1e-3: failures.append(f"{precision}: another learning rate passes too")

saved = WORK / f"ours-fp32-{RATE}" / "adapter"
tuned = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), saved).eval()
ids = tokenizer(rows[100]["prompt"])["input_ids"]
out = WORK / "tuned.safetensors"
qlora("logits", GGUF, "--ids", ",".join(map(str, ids)), "--precision", "fp32", "--adapter", saved, "--out", out)
with torch.inference_mode():
    theirs = tuned(torch.tensor([ids])).logits[0]
    with tuned.disable_adapter():
        base = tuned(torch.tensor([ids])).logits[0]
travel = ((load_file(out)["logits"] - theirs).abs().max() / theirs.abs().max()).item()
print(f"our adapter in PEFT: logits within {travel:.1e}; the base's differ by {((base - theirs).abs().max() / theirs.abs().max()).item():.1e}")
if travel > 1e-3: failures.append(f"the adapter does not travel: {travel:.1e}")
verdict(failures)
