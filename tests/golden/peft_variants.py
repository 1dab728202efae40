"""Makes adapters of more kinds with PEFT on tests/golden/tiny_llama/biased: DoRA, ranks and alphas by pattern, layers left out, and
modules trained whole.

    python tests/golden/peft_variants.py      # writes tests/golden/peft_variants/<name>

Each folder is a PEFT adapter beside expected.safetensors: "ids", "logits", "loss" (the mean over the ids after the first), and
"gradient.<name>" of every tensor of the adapter's file.
"""
import pathlib
import shutil

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

HERE = pathlib.Path(__file__).parent
BASE = HERE / "tiny_llama/biased"
CASES = {
    "dora": dict(target_modules="all-linear", use_dora=True),
    "dora_rslora": dict(target_modules=["q_proj", "down_proj"], use_dora=True, use_rslora=True),
    "patterns": dict(target_modules=["q_proj", "up_proj", "down_proj"], rank_pattern={"q_proj": 2, r"layers\.1\.mlp\.up_proj": 6},
                     alpha_pattern={"down_proj": 20, "layers.0.*": 5}),
    "layers": dict(target_modules=["q_proj", "v_proj", "down_proj"], layers_to_transform=[1], exclude_modules=["v_proj"]),
    "head": dict(target_modules=["q_proj"], modules_to_save=["lm_head"]),
    "embedding": dict(target_modules=["v_proj"], modules_to_save=["embed_tokens"]),
    "dora_whole_layer": dict(target_modules=["o_proj"], use_dora=True, modules_to_save=["gate_proj", "lm_head"]),
}

shutil.rmtree(HERE / "peft_variants", ignore_errors=True)
for number, (name, options) in enumerate(CASES.items()):
    torch.manual_seed(200 + number)
    folder = HERE / "peft_variants" / name
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32),
                           LoraConfig(r=4, lora_alpha=12, task_type="CAUSAL_LM", **options))
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if "lora_B" in key:
                weight.normal_(0, 0.1)
            elif "magnitude" in key:
                weight.mul_(1 + 0.2 * torch.randn_like(weight))
            elif "modules_to_save" in key:
                weight.add_(0.05 * torch.randn_like(weight))
    model.save_pretrained(folder)
    ids = torch.arange(3, 15).unsqueeze(0) * 7
    out = model.eval()(ids, labels=ids)
    out.loss.backward()
    expected = dict(ids=ids[0], logits=out.logits[0].detach(), loss=out.loss.detach().reshape(1))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.copy_(weight.grad)
    expected |= {"gradient." + key: value for key, value in get_peft_model_state_dict(model).items()}
    save_file({key: value.contiguous() for key, value in expected.items()}, folder / "expected.safetensors")
    (folder / "README.md").unlink()
    config = folder / "adapter_config.json"
    config.write_text(config.read_text().replace(str(BASE), "tiny_llama/biased"))  # no path of the machine that made it
    print(name, len(expected) - 3, "tensors, loss", out.loss.item())
