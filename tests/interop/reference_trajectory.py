"""The same training with transformers + peft: from ADAPTER on BATCHES, AdamW, clipping at 1, in fp32 or over bitsandbytes NF4
with double quantization, or either of them with everything computed in fp64 (fp64, nf4-fp64: over the weights that the codes
stand for). Saves the adapter in OUT/adapter, returns the losses."""
import pathlib

import torch
from peft import PeftConfig, PeftModel
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification, BitsAndBytesConfig

CLASSES = {"CAUSAL_LM": AutoModelForCausalLM, "SEQ_2_SEQ_LM": AutoModelForSeq2SeqLM, "SEQ_CLS": AutoModelForSequenceClassification}


def steps(model, weights, batches, learning_rate, optimizer=None, scheduler=None, loss_of=lambda result, labels: result.loss):
    """A step on every batch, clipped at 1, of AdamW at that rate where no other optimizer is given; the losses."""
    optimizer = optimizer or torch.optim.AdamW(weights, lr=learning_rate, weight_decay=0)
    losses = []
    for step in batches:
        inputs = {key: torch.tensor(value) for key, value in step.items()}
        loss = loss_of(model(**inputs), inputs["labels"])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        if scheduler: scheduler.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
    return losses


def run(model, adapter, batches, out, precision, learning_rate):
    nf4, wide = precision.startswith("nf4"), precision.endswith("fp64")
    quantization = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                                      bnb_4bit_compute_dtype=torch.float32) if nf4 else None
    dtype = torch.float64 if precision == "fp64" else torch.float32
    base = CLASSES[PeftConfig.from_pretrained(adapter).task_type].from_pretrained(model, dtype=dtype, device_map="cpu", quantization_config=quantization)
    for module in base.modules():  # on CPUs that have it, bitsandbytes would compute in bf16, and round each product to it
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    if nf4 and wide: base = base.dequantize()
    tuned = PeftModel.from_pretrained(base, adapter, is_trainable=True).eval()
    if wide: tuned = tuned.double()
    weights = [w for w in tuned.parameters() if w.requires_grad]
    losses = steps(tuned, weights, batches, learning_rate)
    out = pathlib.Path(out)
    tuned.save_pretrained(out / "adapter")
    return losses
