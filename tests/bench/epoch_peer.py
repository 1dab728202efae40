"""One epoch on question-answer rows with transformers.Trainer over peft and bitsandbytes, as most people set it up: the chat
template, targets on the answer alone, batches padded to their longest row.

    epoch_peer.py MODEL_DIR ROWS.jsonl [--batch 8] [--no-ckpt]

Prints one JSON object: rows, steps, real and padded tokens, seconds of training, peak RSS.
"""
import argparse
import json
import resource
import tempfile
import time

import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, DataCollatorForSeq2Seq, Trainer, TrainingArguments

parser = argparse.ArgumentParser()
parser.add_argument("model"), parser.add_argument("rows"), parser.add_argument("--batch", type=int, default=8)
parser.add_argument("--no-ckpt", action="store_true")
options = parser.parse_args()
torch.manual_seed(0)


def linear_seconds(dtype):
    x, w = torch.randn(512, 576, dtype=dtype), torch.randn(1536, 576, dtype=dtype)
    for _ in range(3):
        torch.nn.functional.linear(x, w)
    start = time.perf_counter()
    for _ in range(5):
        torch.nn.functional.linear(x, w)
    return time.perf_counter() - start


compute = min((torch.float32, torch.bfloat16), key=linear_seconds)  # whichever is faster here
tokenizer = AutoTokenizer.from_pretrained(options.model)
tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
data = []
for line in open(options.rows, encoding="utf-8"):
    row = json.loads(line)
    question = [{"role": "user", "content": row["prompt"]}]
    asked = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_dict=False)
    whole = tokenizer.apply_chat_template(question + [{"role": "assistant", "content": row["completion"]}], return_dict=False)
    data.append({"input_ids": whole, "attention_mask": [1] * len(whole), "labels": [-100] * len(asked) + whole[len(asked):]})
model = AutoModelForCausalLM.from_pretrained(
    options.model, device_map="cpu", dtype=compute,
    quantization_config=BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=compute))
model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=not options.no_ckpt)
model.config.use_cache = False
model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
padded = 0
collate = DataCollatorForSeq2Seq(tokenizer)


def counted(rows):
    global padded
    batch = collate(rows)
    padded += batch["input_ids"].numel()
    return batch


with tempfile.TemporaryDirectory() as folder:
    trainer = Trainer(model=model, train_dataset=data, data_collator=counted, args=TrainingArguments(
        folder, num_train_epochs=1, per_device_train_batch_size=options.batch, learning_rate=2e-4, logging_steps=1000, save_strategy="no",
        report_to=[], use_cpu=True, disable_tqdm=True))
    start = time.perf_counter()
    done = trainer.train()
    seconds = time.perf_counter() - start
print(json.dumps(dict(peer="transformers.Trainer", compute=str(compute), checkpointing=not options.no_ckpt, rows=len(data), steps=done.global_step,
                      tokens=sum(len(row["input_ids"]) for row in data), padded_tokens=padded, seconds=round(seconds, 2),
                      loss=round(done.training_loss, 4), peak_rss_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)))
