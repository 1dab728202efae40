"""Token ids of the embedded model's tokenizer against transformers', line by line of the corpus, and conversations
rendered by its chat template, character by character (as ids of the rendered text)."""
import json
import subprocess

from transformers import AutoTokenizer

from peers import GGUF, QLORA, WORK, expanded, verdict

theirs = AutoTokenizer.from_pretrained(expanded())
root = __file__.rsplit("/tests/", 1)[0]
rows = [json.loads(line) for name in ("banking-support", "banking-support-heldout")
        for line in open(f"{root}/resources/datasets/{name}.jsonl", encoding="utf-8")]
odd = ["", " ", "   two  spaces ", "tab\there", "naïve café – “quotes”", "数字と漢字とひらがな", "مرحبا بالعالم", "हिन्दी में", "e\u0301 combining",
       "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽", "def f(x):  return x**2  # code", "1234567890 3.14159 1e-10", "<|im_start|>user", "\u00a0\u2003\u3000 spaces",
       "URL: https://example.org/a?b=c&d=%20", "ALL CAPS and cAmElCaSe_snake", "…—–‑", "\u200b\ufeff zero width", "don't I'll we've"]
lines = [text.replace("\n", " ") for row in rows for text in (row["prompt"], row["completion"])] + odd
for a in range(0x20, 0x3000, 7):
    lines.append("".join(chr(c) for c in range(a, a + 7) if c not in (0x7f, 0x85, 0x2028, 0x2029)))
(WORK / "corpus.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
failures = []
out = subprocess.run([str(QLORA), "tokenize", str(GGUF), "--file", str(WORK / "corpus.txt"), "--json"], capture_output=True, text=True, check=True)
got = [json.loads(line)["ids"] for line in out.stdout.splitlines()]
if len(got) != len(lines): failures.append(f"{len(lines)} lines in, {len(got)} out")
wrong = [(line, g, theirs(line)["input_ids"]) for line, g in zip(lines, got) if g != theirs(line)["input_ids"]]
print(f"{len(lines) - len(wrong)} of {len(lines)} lines equal")
for line, ours, expected in wrong[:5]: failures.append(f"{line!r}: {ours} instead of {expected}")

chats = [[dict(role="user", content="Hello")], [dict(role="system", content="Be brief."), dict(role="user", content=" Hi there \n"),
         dict(role="assistant", content="Hello!"), dict(role="user", content="ありがとう 👍")]]
for chat in chats:
    (WORK / "chat.json").write_text(json.dumps(chat))
    for generation in (False, True):
        arguments = [str(QLORA), "tokenize", str(GGUF), "--chat", str(WORK / "chat.json"), "--json"] + ["--generation-prompt"] * generation
        ours = json.loads(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)["ids"]
        expected = theirs.apply_chat_template(chat, add_generation_prompt=generation, return_dict=False)
        if ours != expected: failures.append(f"chat {chat}: {ours} instead of {expected}")
verdict(failures)
