"""Makes adapters with PEFT on tests/golden/tiny_llama/plain, what they compute, and a short training trajectory.

    python tests/golden/peft_adapter.py      # writes tests/golden/peft_adapter/{standard,rslora}

Each folder is a PEFT adapter beside expected.safetensors: "ids", "logits"; and trajectory.json: 20 steps of AdamW from
this adapter on random batches, with the losses, and the adapter that results in after/.
"""
import json
import pathlib
import shutil

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

HERE = pathlib.Path(__file__).parent
BASE = HERE / "tiny_llama/plain"

for number, (name, options) in enumerate({"standard": dict(target_modules="all-linear"),
                                          "rslora": dict(target_modules=["q_proj", "down_proj"], use_rslora=True)}.items()):
    torch.manual_seed(100 + number)
    folder = HERE / "peft_adapter" / name
    shutil.rmtree(folder, ignore_errors=True)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32),
                           LoraConfig(r=4, lora_alpha=12, task_type="CAUSAL_LM", **options))
    for key, weight in model.named_parameters():
        if "lora_B" in key:
            torch.nn.init.normal_(weight, 0, 0.1)
    model.save_pretrained(folder)
    ids = torch.arange(3, 43).unsqueeze(0)
    with torch.inference_mode():
        logits = model.eval()(ids).logits[0]
    save_file(dict(ids=ids[0].contiguous(), logits=logits.contiguous()), folder / "expected.safetensors")
    weights = [w for w in model.parameters() if w.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-2, weight_decay=0.01)
    batches, losses = [], []
    for _ in range(20):
        batch = torch.randint(3, 300, (3, 12))
        labels = batch.clone()
        labels[:, :4] = -100
        labels[1, 9:] = -100
        batches.append(dict(input_ids=batch.tolist(), labels=labels.tolist()))
        loss = model(input_ids=batch, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
    model.save_pretrained(folder / "after")
    (folder / "trajectory.json").write_text(json.dumps(dict(learning_rate=1e-2, weight_decay=0.01, clip=1.0, batches=batches, losses=losses)))
    for readme in folder.rglob("README.md"):
        readme.unlink()
    for config in folder.rglob("adapter_config.json"):  # no path of the machine that made it
        config.write_text(config.read_text().replace(str(BASE), "tiny_llama/plain"))
    print(name, losses[0], losses[-1])
