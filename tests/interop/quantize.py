"""Folders that qlora quantize writes of the embedded model, opened by transformers with bitsandbytes: the same most likely
tokens and logits as ours, for nf4 (plain, searched, doubly quantized), fp4 and int8. Negative control: another level's."""
import shutil

import bitsandbytes.functional as bnb
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from peers import GGUF, WORK, qlora, verdict

TEXT = "The history of the small town by the river begins with a bridge, which was built when the old king was still alive."
failures = []


def dequantized(stored, module):
    """The fp32 matrix of a module, or None where it is stored plainly."""
    weight = stored[module + ".weight"]
    if module + ".SCB" in stored:
        return weight.float() * stored[module + ".SCB"][:, None] / 127
    parts = {k.removeprefix(module + ".weight."): v for k, v in stored.items() if k.startswith(module + ".weight.")}
    if not parts:
        return None
    state = bnb.QuantState.from_dict(parts, device=torch.device("cpu"))
    shape, state.shape, state.dtype = state.shape, (1, state.shape.numel()), torch.float32
    return bnb.dequantize_4bit(weight, state).reshape(shape)


def difference(a, b):
    return ((a - b).abs().max() / b.abs().max()).item()


ours = {}
for name, levels, options in (("plain", "fp32,bf16,int8,nf4,fp4", []), ("double", "nf4", ["--double-quantization"]), ("search", "nf4", ["--method", "search"])):
    out = WORK / ("quantized-" + name)
    shutil.rmtree(out, ignore_errors=True)
    qlora("quantize", GGUF, "--levels", levels, "--out", out, "--measured-tokens", 512, "--calibration-tokens", 512, *options)
    for level in levels.split(","):
        folder, label = out / level, f"{level} {name}"
        tokenizer = AutoTokenizer.from_pretrained(folder)
        ids = tokenizer(TEXT)["input_ids"]
        logits = WORK / "quantized.safetensors"
        qlora("logits", folder, "--ids", ",".join(map(str, ids)), "--out", logits)
        ours[label] = load_file(logits)["logits"]
        # As transformers opens it, whatever its products are rounded to on this processor.
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, device_map={"": "cpu"}).eval()
        layer = type(model.model.layers[0].mlp.up_proj).__name__
        with torch.inference_mode():
            opened = model(torch.tensor([ids])).logits[0].float()
        # And with its matrices dequantized by bitsandbytes, in fp32.
        stored = load_file(folder / "model.safetensors")
        plain = AutoModelForCausalLM.from_config(model.config.__class__.from_pretrained(folder), dtype=torch.float32)
        if hasattr(plain.config, "quantization_config"):
            del plain.config.quantization_config
        state = {}
        for key in plain.state_dict():
            if key == "lm_head.weight" and key not in stored:
                state[key] = stored["model.embed_tokens.weight"].float()
                continue
            matrix = dequantized(stored, key.removesuffix(".weight")) if key.endswith(".weight") else None
            state[key] = stored[key].float() if matrix is None else matrix
        plain.load_state_dict(state)
        with torch.inference_mode():
            exact = plain.eval()(torch.tensor([ids])).logits[0]
        near, opens = difference(ours[label], exact), difference(opened, exact)
        equal = (opened.argmax(-1) == ours[label].argmax(-1)).float().mean().item()
        print(f"{label}: {layer}; ours {near:.1e} from fp32, transformers {opens:.1e}, {equal:.0%} most likely tokens equal")
        if near > 2e-4: failures.append(f"{label}: difference {near:.2e} above 2e-4")
        if level != "fp32" and level != "bf16" and "Linear" == layer: failures.append(f"{label}: transformers opened it as a plain {layer}")
        # LLM.int8 rounds what a layer reads to 8 bit as well, which we do not.
        if opens > (0.25 if level == "int8" else 5e-2) or equal < (0.75 if level == "int8" else 0.9): failures.append(f"{label}: transformers gives other logits, {opens:.2e}, {equal:.0%} equal")
control = difference(ours["nf4 plain"], ours["fp4 plain"])
print(f"control, nf4 against fp4: {control:.1e}")
if control < 1e-2: failures.append("two levels are as near as one to itself: the comparison compares nothing")
verdict(failures)
