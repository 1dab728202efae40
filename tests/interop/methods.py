"""20 steps of every way to fine-tune on tiny models of several families, here and with transformers + peft, or, of bottleneck
adapters, a reference of our own in PyTorch: each loss within 1e-4 in fp32, the trained tensors within 1e-3 of the update's norm;
saved files open in the peer and give our losses. Negative control: another learning rate. The text: reviews.py."""
import json
import subprocess

import torch
from peft import LoraConfig, PeftModel, PrefixTuningConfig, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file

from peers import TRAJECTORY, WORK, verdict
from reference_trajectory import steps as losses_of
from reviews import batches
from tiny_models import TASKS, tiny

STEPS, ROWS = 20, 4


def base(kind):
    """The same model each time."""
    return tiny(kind, WORK / f"methods-{kind}")


def save_own(folder, config, tensors):
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.detach().contiguous().clone() for k, v in tensors.items()}, folder / "adapter_model.safetensors", {"format": "pt"})
    (folder / "adapter_config.json").write_text(json.dumps(config))


class Bottleneck(torch.nn.Module):
    """The reference: behind a part of a block, or beside it."""

    def __init__(self, part, hidden, width, parallel):
        super().__init__()
        self.down, self.up, self.parallel = torch.nn.Linear(hidden, width), torch.nn.Linear(width, hidden), parallel
        torch.nn.init.normal_(self.up.weight, std=0.02)
        part.register_forward_hook(self.hook, with_kwargs=True)

    def hook(self, module, args, kwargs, result):
        y = result[0] if isinstance(result, tuple) else result
        x = (args[0] if args else kwargs["hidden_states"]) if self.parallel else y
        y = y + self.up(torch.relu(self.down(x)))
        return (y, *result[1:]) if isinstance(result, tuple) else y


def bottlenecks(kind, model, houlsby, parallel):
    """{our name: layer}; of BERT the parts end behind the dense layer, before the sum and norm."""
    blocks = {"llama": ("model.layers", lambda b: (b.self_attn, b.mlp)), "gpt2": ("transformer.h", lambda b: (b.attn, b.mlp)),
              "bert": ("bert.encoder.layer", lambda b: (b.attention.output.dense, b.output.dense))}
    path, parts = blocks[kind]
    layers = {}
    for i, block in enumerate(model.get_submodule(path)):
        attention, mlp = parts(block)
        if houlsby: layers[f"{path}.{i}.attention_adapter"] = Bottleneck(attention, 64, 8, parallel)
        layers[f"{path}.{i}.mlp_adapter"] = Bottleneck(mlp, 64, 8, parallel)
    return layers


def case_full(kind, freeze=()):
    model, folder = base(kind)
    frozen = {"embeddings": ("embed_tokens", "wte", "wpe"), "0-1": (".0.", ".1."), "norms": ("norm", "ln_")}
    for name, weight in model.named_parameters(): weight.requires_grad = not any(part in name for entry in freeze for part in frozen[entry])
    names = dict(model.named_parameters())
    config = {"peft_type": "FULL", "task_type": TASKS[kind], "base_model_name_or_path": "", "freeze": list(freeze)}
    save = lambda out: save_own(out, config, {k: v for k, v in names.items() if v.requires_grad})
    return folder, model, [w for w in names.values() if w.requires_grad], save, lambda path, fresh: (fresh.load_state_dict(load_file(path / "adapter_model.safetensors"), strict=False), fresh)[1]


def case_bitfit(kind):
    model, folder = base(kind)
    for name, weight in model.named_parameters(): weight.requires_grad = name.endswith(".bias") or name.startswith("classifier.")
    names = {k: v for k, v in model.named_parameters() if v.requires_grad}
    config = {"peft_type": "BITFIT", "task_type": TASKS[kind], "base_model_name_or_path": "", "modules_to_save": ["classifier"] if kind == "bert" else []}
    return folder, model, list(names.values()), lambda out: save_own(out, config, names), lambda path, fresh: (fresh.load_state_dict(load_file(path / "adapter_model.safetensors"), strict=False), fresh)[1]


def case_peft(kind, options):
    model, folder = base(kind)
    torch.manual_seed(1)
    tuned = get_peft_model(model, options).eval()
    if not isinstance(options, LoraConfig):
        with torch.no_grad():
            for name, weight in tuned.named_parameters():
                if "prompt_encoder" in name: weight.mul_(0.3)
    return folder, tuned, [w for w in tuned.parameters() if w.requires_grad], lambda out: tuned.save_pretrained(out), lambda path, fresh: PeftModel.from_pretrained(fresh, path).eval()


def case_bottleneck(kind, houlsby, parallel):
    model, folder = base(kind)
    model.requires_grad_(False)
    torch.manual_seed(1)
    layers = bottlenecks(kind, model, houlsby, parallel)
    names = {f"{name}.{part}": weight for name, layer in layers.items() for part, weight in layer.named_parameters()}
    config = {"peft_type": "BOTTLENECK", "task_type": TASKS[kind], "base_model_name_or_path": "", "placement": "houlsby" if houlsby else "pfeiffer",
              "reduction_factor": 8, "parallel": parallel}
    if kind == "bert":
        for name, weight in model.classifier.named_parameters(prefix="classifier"): names[name] = weight.requires_grad_(True)
        config["modules_to_save"] = ["classifier"]

    def reopen(path, fresh):
        stored = load_file(path / "adapter_model.safetensors")
        for name, layer in bottlenecks(kind, fresh, houlsby, parallel).items():
            layer.load_state_dict({k[len(name) + 1:]: v for k, v in stored.items() if k.startswith(name + ".")})
        fresh.load_state_dict({k: v for k, v in stored.items() if k.startswith("classifier.")}, strict=False)
        return fresh
    return folder, model, list(names.values()), lambda out: save_own(out, config, names), reopen


def prompt(kind): return PromptTuningConfig(task_type=TASKS[kind], num_virtual_tokens=6, **({"num_transformer_submodules": 1} if kind == "t5" else {}))
def prefix(kind): return PrefixTuningConfig(task_type=TASKS[kind], num_virtual_tokens=5)
def lora(kind, **more): return LoraConfig(task_type=TASKS[kind], r=8, lora_alpha=16, target_modules={"gpt2": ["c_attn", "c_proj", "c_fc"], "bert": ["query", "value"]}.get(kind, "all-linear"), **more)


CASES = {
    **{f"full {kind}": lambda kind=kind: case_full(kind) for kind in TASKS},
    "full llama, blocks 0-1 and embeddings frozen": lambda: case_full("llama", ("embeddings", "0-1")),
    "full gpt2, norms frozen": lambda: case_full("gpt2", ("norms",)),
    **{f"bitfit {kind}": lambda kind=kind: case_bitfit(kind) for kind in ("gpt2", "bert")},
    **{f"prompt {kind}": lambda kind=kind: case_peft(kind, prompt(kind)) for kind in TASKS},
    **{f"prefix {kind}": lambda kind=kind: case_peft(kind, prefix(kind)) for kind in ("llama", "gpt2", "gemma2")},
    **{f"lora {kind}": lambda kind=kind: case_peft(kind, lora(kind)) for kind in ("llama", "bert")},
    "rslora llama": lambda: case_peft("llama", lora("llama", use_rslora=True)),
    "dora llama": lambda: case_peft("llama", lora("llama", use_dora=True)),
    **{f"{'houlsby' if houlsby else 'pfeiffer'}{', parallel,' if parallel else ''} {kind}": lambda kind=kind, h=houlsby, p=parallel: case_bottleneck(kind, h, p)
       for kind in ("llama", "gpt2", "bert") for houlsby in (True, False) for parallel in ((True, False) if kind != "bert" else (False,))},
}
RATE, failures = 1e-3, []


def ours(folder, start, steps, out, rate):
    (WORK / "methods-batches.json").write_text(json.dumps(steps))
    subprocess.run([TRAJECTORY, folder, start, WORK / "methods-batches.json", out, "fp32", str(rate)], check=True)
    return json.loads((out / "losses.json").read_text())


def check(name, kind, folder, theirs, mine, start, reference, saved):
    loss = max(abs(a - b) / b for a, b in zip(mine, theirs))
    line = f"{name}: {theirs[0]:.4f} -> {theirs[-1]:.4f}, losses within {loss:.1e}"
    if start is not None:
        a, b, s = (load_file(x / "adapter_model.safetensors") for x in (saved, reference, start))
        if a.keys() != b.keys(): failures.append(f"{name}: other tensors: {sorted(a.keys() ^ b.keys())[:4]}")
        # Adding the same to all keys changes no attention: their biases get a gradient of rounding alone, which AdamW makes large.
        a, b, s = (torch.cat([x[k].double().flatten()[:64 if "c_attn.bias" in k else None] for k in sorted(a.keys() & b.keys()) if "key.bias" not in k]) for x in (a, b, s))
        apart = ((a - b).norm() / (b - s).norm()).item()
        line += f", tensors within {apart:.1e} of the update"
        if apart > 5e-3: failures.append(f"{name}: tensors differ by {apart:.1e}")
    print(line, flush=True)
    if loss > 1e-4: failures.append(f"{name}: losses differ by {loss:.1e}")
    if abs(theirs[0] - theirs[-1]) < 1e-3: failures.append(f"{name}: nothing was learned, so nothing is shown")


def travels(name, kind, saved, reopen, steps, folder):
    """What we saved, opened in the peer: its loss on the first batch is that of our next step."""
    model = reopen(saved, base(kind)[0])
    with torch.no_grad(): loss = model(**{key: torch.tensor(value) for key, value in steps[0].items()}).loss.item()
    mine = ours(folder, saved, steps[:1], WORK / "methods-next", RATE)[0]
    if abs(mine - loss) / loss > 1e-4: failures.append(f"{name}: opened in the peer it gives {loss:.6f}, here {mine:.6f}")


for name, make in CASES.items():
    kind = name.split()[1].rstrip(",") if name.split()[1].rstrip(",") in TASKS else name.split()[-1]
    folder, model, weights, save, reopen = make()
    start, reference, out = (WORK / f"methods-{part}" for part in ("start", "reference", "ours"))
    for path in (start, reference, out): subprocess.run(["rm", "-rf", path], check=True)
    steps = batches(kind, STEPS, ROWS, 80, first_too=False)  # PEFT would have a prompt tell the first token
    save(start)
    theirs = losses_of(model, weights, steps, RATE)
    save(reference)
    mine = ours(folder, start, steps, out, RATE)
    check(name, kind, folder, theirs, mine, start, reference, out / "adapter")
    travels(name, kind, out / "adapter", reopen, steps, folder)
    if name in ("full llama", "prompt llama"):
        wrong = ours(folder, start, steps, WORK / "methods-wrong", RATE * 1.05)
        if max(abs(a - b) / b for a, b in zip(wrong, theirs)) < 1e-4: failures.append(f"{name}: another learning rate passes too")

# PiSSA begins by itself, as PEFT's does, up to the signs of singular vectors.
for kind in ("llama", "gpt2"):
    folder, model, weights, save, reopen = case_peft(kind, lora(kind, init_lora_weights="pissa"))
    steps, out = batches(kind, STEPS, ROWS, 80, first_too=False), WORK / "methods-ours"
    recipe = WORK / "methods-pissa.json"
    recipe.write_text(json.dumps({"model": str(folder), "precision": "fp32", "data": {"train": "none.jsonl"},
                                  "method": {"rank": 8, "alpha": 16, "start": "pissa", **({"target_modules": ["c_attn", "c_proj", "c_fc"]} if kind == "gpt2" else {})}}))
    theirs = losses_of(model, weights, steps, RATE)
    mine = ours(folder, recipe, steps, out, RATE)
    check(f"pissa {kind}", kind, folder, theirs, mine, None, None, None)
    travels(f"pissa {kind}", kind, out / "adapter", reopen, steps, folder)
verdict(failures)
