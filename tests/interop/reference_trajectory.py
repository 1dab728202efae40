"""The same training with transformers + peft: from ADAPTER on BATCHES, AdamW, clipping at 1, in fp32 or over bitsandbytes NF4
with double quantization. Saves the adapter in OUT/adapter, returns the losses. `exact`, for decoders alone: over the same numbers in
fp64, which transformers leaves in its norms and its loss; the latter's fp32 sum over a vocabulary is off by 2e-6 to 5e-6 of the loss,
depending on the processor's vectors."""
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


def exact_norm(norm):
    return lambda x: norm.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + norm.variance_epsilon)


def exact_loss(result, labels):
    return torch.nn.functional.cross_entropy(result.logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())


def run(model, adapter, batches, out, precision, learning_rate, exact=False):
    quantization = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                                      bnb_4bit_compute_dtype=torch.float32) if precision == "nf4" else None
    base = CLASSES[PeftConfig.from_pretrained(adapter).task_type].from_pretrained(model, dtype=torch.float32, device_map="cpu", quantization_config=quantization)
    if exact and quantization: base = base.dequantize()
    for module in base.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):  # bitsandbytes would compute in bf16, and round each product to it
            module.support_avx512bf16_for_cpu = False
        if exact and hasattr(module, "variance_epsilon"):
            module.forward = exact_norm(module)
    tuned = PeftModel.from_pretrained(base, adapter, is_trainable=True).eval()
    if exact: tuned = tuned.double()
    weights = [w for w in tuned.parameters() if w.requires_grad]
    losses = steps(tuned, weights, batches, learning_rate, **({"loss_of": exact_loss} if exact else {}))
    out = pathlib.Path(out)
    tuned.save_pretrained(out / "adapter")
    return losses
