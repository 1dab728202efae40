"""A Flan-T5-like, a GPT-2-like and a BERT-like tiny model, 200 steps of LoRA on real text, here and with transformers + peft:
each loss within 1e-4 in fp32, the adapter within 1e-3 of the update's norm. Negative control: another learning rate.

The text: reviews.py."""
import json
import subprocess

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import (BertConfig, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel, T5Config,
                          T5ForConditionalGeneration)

from peers import TRAJECTORY, WORK, verdict
from reference_trajectory import run
from reviews import batches

STEPS, ROWS, RATE, VOCABULARY = 200, 4, 1e-3, 259


def models():
    torch.manual_seed(0)
    t5 = T5ForConditionalGeneration(T5Config(vocab_size=VOCABULARY, d_model=64, d_kv=16, d_ff=128, num_layers=2, num_decoder_layers=3,
                                             num_heads=4, feed_forward_proj="gated-gelu", decoder_start_token_id=0, tie_word_embeddings=False))
    yield "t5", t5, "SEQ_2_SEQ_LM", ["q", "k", "v", "o", "wi_0", "wi_1", "wo"]
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, n_positions=128, n_embd=64, n_layer=3, n_head=4, bos_token_id=1, eos_token_id=1))
    yield "gpt2", gpt2, "CAUSAL_LM", ["c_attn", "c_proj", "c_fc"]
    bert = BertForSequenceClassification(BertConfig(vocab_size=VOCABULARY, hidden_size=64, num_hidden_layers=3, num_attention_heads=4,
                                                    intermediate_size=128, max_position_embeddings=128, num_labels=2))
    yield "bert", bert, "SEQ_CLS", ["query", "key", "value", "dense"]


failures = []
for kind, model, task, targets in models():
    folder, start = WORK / f"tiny-{kind}", WORK / f"tiny-{kind}-start"
    for name, weight in model.named_parameters():  # as large as trained ones, or nothing would be learned in 200 steps
        if weight.ndim > 1: torch.nn.init.normal_(weight, std=weight.shape[-1] ** -0.5)
    model.save_pretrained(folder)
    get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules=targets, task_type=task,
                                     fan_in_fan_out=kind == "gpt2")).save_pretrained(start)
    steps = batches(kind, STEPS, ROWS, 120)
    given, reference = WORK / f"tiny-{kind}.json", WORK / f"tiny-{kind}-reference"
    given.write_text(json.dumps(steps))
    losses = run(folder, start, steps, reference, "fp32", RATE)

    def ours(rate):
        out = WORK / f"tiny-{kind}-ours"
        subprocess.run([TRAJECTORY, folder, start, given, out, "fp32", str(rate)], check=True)
        got = json.loads((out / "losses.json").read_text())
        a, b, s = (load_file(f / "adapter_model.safetensors") for f in (out / "adapter", reference / "adapter", start))
        assert a.keys() == b.keys(), a.keys() ^ b.keys()
        a, b, s = (torch.cat([x[k].double().flatten() for k in sorted(x)]) for x in (a, b, s))
        return max(abs(x - y) / y for x, y in zip(got, losses, strict=True)), ((a - b).norm() / (b - s).norm()).item()

    loss, adapter = ours(RATE)
    wrong_loss, wrong_adapter = ours(1.05 * RATE)
    first, last = sum(losses[:20]) / 20, sum(losses[-20:]) / 20
    print(f"{kind}: {STEPS} steps, loss {first:.4f} -> {last:.4f}, losses within {loss:.1e}, adapter within {adapter:.1e} of the update; "
          f"at 1.05 times the rate {wrong_loss:.1e} and {wrong_adapter:.1e}")
    if last > first: failures.append(f"{kind}: nothing was learned")
    if loss > 1e-4: failures.append(f"{kind}: losses differ by {loss:.1e}, bar 1e-4")
    if adapter > 1e-3: failures.append(f"{kind}: the adapter differs by {adapter:.1e}, bar 1e-3")
    if wrong_loss < 1e-4 or wrong_adapter < 1e-3: failures.append(f"{kind}: another learning rate passes too")
verdict(failures)
