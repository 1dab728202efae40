"""20 steps from one PEFT adapter on one list of batches, here, with transformers + peft, and exactly, in fp64: each loss within 1e-4
(fp32) or 1e-3 (NF4) of both, the final adapter within 1e-3 of the exact update. Then the adapter travels: ours opens in PEFT and
gives the same logits. Negative control: another learning rate.

AdamW's first steps are all but the gradient's sign, so that of millions of elements some, whose gradient is nearly zero,
go as the last bit of a sum goes: by twice the rate, a tenth of the largest update in 20 steps. Which ones, and how many, is
another on every kind of processor; in 14 courses with vectors of 8 and of 16 numbers up to 9.4e-4 of the elements were more than 1e-3 of the
largest update from the exact ones, the farthest 0.087 of it, all together 7.8e-5 to 5.1e-4 of the update's norm. transformers' in
fp32 is 1.1e-3 to 3.3e-3 from it, so that against it alone nothing as close could be asked."""
import json
import subprocess
from typing import NamedTuple

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
NORM, STRAGGLERS, FARTHEST = 1e-3, 3e-3, 0.25  # see above
failures = []


class Differences(NamedTuple):
    loss: float  # largest relative difference of a loss
    norm: float  # of the adapters' difference, in norms of the update
    largest: float  # difference of an element, in largest updates
    beyond: float  # share of the elements that differ by more than 1e-3 of the largest update

    def __str__(self):
        return (f"losses within {self.loss:.1e}; adapter within {self.norm:.1e} of the update's norm, {self.beyond:.1e} of its "
                f"elements beyond 1e-3 of the largest update, the farthest at {self.largest:.1e}")


def ours(precision, rate):
    out = WORK / f"ours-{precision}-{rate}"
    subprocess.run([TRAJECTORY, GGUF, start, WORK / "batches.json", out, precision, str(rate)], check=True)
    return json.loads((out / "losses.json").read_text()), out / "adapter"


def farthest_loss(some, others):
    return max(abs(a - b) / b for a, b in zip(some, others, strict=True))


def differences(some_losses, some_adapter, losses, adapter):
    a, b, s = (load_file(x / "adapter_model.safetensors") for x in (some_adapter, adapter, start))
    assert a.keys() == b.keys()
    a, b, s = (torch.cat([x[k].double().flatten() for k in sorted(x)]) for x in (a, b, s))
    apart = (a - b).abs() / (b - s).abs().max()  # of the largest update
    return Differences(farthest_loss(some_losses, losses), ((a - b).norm() / (b - s).norm()).item(), apart.max().item(), (apart > 1e-3).double().mean().item())


for precision, bar in (("fp32", 1e-4), ("nf4", 1e-3)):
    reference, exact = WORK / f"reference-{precision}", WORK / f"exact-{precision}"
    losses = run(folder, start, batches, reference, precision, RATE)
    exact_losses = run(folder, start, batches, exact, precision, RATE, exact=True)
    print(f"{precision}, {losses[0]:.4f} -> {losses[-1]:.4f}")
    print(f"transformers from exact: {differences(losses, reference / 'adapter', exact_losses, exact / 'adapter')}")
    our_losses, our_adapter = ours(precision, RATE)
    got = differences(our_losses, our_adapter, exact_losses, exact / "adapter")
    apart = farthest_loss(our_losses, losses)
    print(f"ours from exact: {got}; losses within {apart:.1e} of transformers'")
    if max(got.loss, apart) > bar: failures.append(f"{precision}: losses differ by {got.loss:.1e} and {apart:.1e}, bar {bar}")
    if got.norm > NORM or got.beyond > STRAGGLERS or got.largest > FARTHEST: failures.append(f"{precision}: the adapter differs")
    wrong = differences(*ours(precision, RATE * 1.05), exact_losses, exact / "adapter")
    print(f"control at 1.05 times the rate: {wrong}")
    if wrong.loss < bar or wrong.norm < NORM or wrong.beyond < STRAGGLERS: failures.append(f"{precision}: another learning rate passes too")

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
