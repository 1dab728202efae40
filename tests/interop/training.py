"""20 steps of every optimizer and schedule that PyTorch, transformers or bitsandbytes have, and of label smoothing, on tiny models, here
and there: each loss within 1e-4 in fp32. LoRA on a Llama, and on T5 and BERT where the loss is another. Negative control: each
case's neighbour must not pass for it. The text: reviews.py."""
import json
import subprocess

import torch
from peft import LoraConfig, get_peft_model
from transformers import get_scheduler
from transformers.optimization import Adafactor
from transformers.trainer_pt_utils import LabelSmoother

from peers import TRAJECTORY, WORK, verdict
from reference_trajectory import steps as losses_of
from reviews import batches
from tiny_models import TASKS, tiny

STEPS, ROWS, WARMUP = 20, 4, 4
TARGETS = {"llama": "all-linear", "t5": ["q", "v"], "bert": ["query", "value"]}
failures = []


class Lion(torch.optim.Optimizer):
    """bitsandbytes' update, which it has for GPUs alone (csrc/kernels.cu, LION)."""

    def __init__(self, weights, lr, betas, weight_decay):
        super().__init__(weights, dict(lr=lr, betas=betas, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            first, second = group["betas"]
            for w in group["params"]:
                m = self.state[w].setdefault("m", torch.zeros_like(w))
                w.mul_(1 - group["lr"] * group["weight_decay"])
                w.sub_(torch.sign(m * first + w.grad * (1 - first)), alpha=group["lr"])
                m.mul_(second).add_(w.grad, alpha=1 - second)


OPTIMIZERS = {  # recipe's settings: the peer
    "adamw": ({"optimizer": "adamw", "learning_rate": 2e-3, "weight_decay": 0.1}, lambda w: torch.optim.AdamW(w, lr=2e-3, weight_decay=0.1)),
    "sgd": ({"optimizer": "sgd", "learning_rate": 0.5, "momentum": 0.9, "weight_decay": 0.01}, lambda w: torch.optim.SGD(w, lr=0.5, momentum=0.9, weight_decay=0.01)),
    "adafactor": ({"optimizer": "adafactor", "learning_rate": 2e-3, "weight_decay": 0.1},
                  lambda w: Adafactor(w, lr=2e-3, weight_decay=0.1, scale_parameter=False, relative_step=False)),
    "lion": ({"optimizer": "lion", "learning_rate": 3e-4, "weight_decay": 0.1, "beta1": 0.9, "beta2": 0.99},
             lambda w: Lion(w, 3e-4, (0.9, 0.99), 0.1)),
}
SCHEDULES = {  # recipe's settings: transformers' name and options
    "constant": ({"schedule": "constant"}, "constant_with_warmup", {}),
    "linear": ({"schedule": "linear"}, "linear", {}),
    "cosine": ({"schedule": "cosine"}, "cosine", {}),
    "cosine with restarts": ({"schedule": "cosine_with_restarts", "schedule_cycles": 3}, "cosine_with_restarts", {"num_cycles": 3}),
    "inverse square root": ({"schedule": "inverse_sqrt"}, "inverse_sqrt", {}),
    "polynomial": ({"schedule": "polynomial", "schedule_power": 2.0}, "polynomial", {"power": 2.0}),
}


def course(kind, train, make_optimizer, schedule=None, smoothing=0.0):
    """(losses here, losses there) from the same adapter."""
    model, folder = tiny(kind, WORK / f"training-{kind}")
    start, out = WORK / "training-start", WORK / "training-ours"
    for path in (start, out): subprocess.run(["rm", "-rf", path], check=True)
    torch.manual_seed(3)
    tuned = get_peft_model(model, LoraConfig(task_type=TASKS[kind], r=8, lora_alpha=16, target_modules=TARGETS[kind])).eval()
    tuned.save_pretrained(start)
    weights = [w for w in tuned.parameters() if w.requires_grad]
    optimizer, steps, more = make_optimizer(weights), batches(kind, STEPS, ROWS, 80, first_too=False), {}
    if schedule:
        more["scheduler"] = get_scheduler(schedule[0], optimizer, num_warmup_steps=WARMUP, num_training_steps=STEPS, scheduler_specific_kwargs=schedule[1])
    if smoothing:  # Trainer shifts the labels of decoders, and those alone.
        more["loss_of"] = lambda result, labels: LabelSmoother(smoothing)({"logits": result.logits}, labels, shift_labels=kind == "llama")
    theirs = losses_of(tuned, weights, steps, None, optimizer, **more)
    recipe, given = WORK / "training-recipe.json", WORK / "training-batches.json"
    recipe.write_text(json.dumps({"model": str(folder), "precision": "fp32", "data": {"train": "none.jsonl"},
                                  "train": {"schedule": "constant", "warmup": 0, "max_grad_norm": 1.0, "label_smoothing": smoothing, **train}}))
    given.write_text(json.dumps(steps))
    subprocess.run([TRAJECTORY, folder, start, given, out, "fp32", recipe], check=True)
    return json.loads((out / "losses.json").read_text()), theirs


seen = {}


def compare(name, kind, *how, **more):
    mine, theirs = course(kind, *how, **more)
    apart = max(abs(a - b) / b for a, b in zip(mine, theirs))
    print(f"{name}: {theirs[0]:.4f} -> {theirs[-1]:.4f}, losses within {apart:.1e}", flush=True)
    if apart > 1e-4: failures.append(f"{name}: losses differ by {apart:.1e}")
    if abs(theirs[0] - theirs[-1]) < 1e-3: failures.append(f"{name}: nothing was learned, so nothing is shown")
    for other, losses in seen.items():
        if other[1] == kind and max(abs(a - b) / b for a, b in zip(mine, losses)) < 1e-4: failures.append(f"{name} and {other[0]} cannot be told apart")
    seen[name, kind] = theirs


for name, (train, make) in OPTIMIZERS.items(): compare(name, "llama", train, make)
adamw, peer = OPTIMIZERS["adamw"]
for name, (train, theirs, options) in SCHEDULES.items():
    compare(name, "llama", {**adamw, "warmup": WARMUP, **train}, peer, schedule=(theirs, options))
for kind in TARGETS: compare(f"label smoothing, {kind}", kind, adamw, peer, smoothing=0.1)
verdict(failures)
