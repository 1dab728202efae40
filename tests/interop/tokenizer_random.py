"""Ids and decoded text of tokenizers of every kind against the libraries' on 100,000 random strings: every plane, marks,
unassigned code points, odd blanks, code, sequences of emoji, special tokens' spellings.

argv: as peers.py, the program being tokenize_lines. TEXTS in the environment changes the number of strings, KINDS (names
with commas between) chooses kinds."""
import os
import pathlib
import random
import struct
import subprocess
import sys
import unicodedata

PROGRAM, _, DEPS, WORK = (pathlib.Path(a) for a in sys.argv[1:5])
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "golden"))
import tokenizer as golden  # noqa: E402
import tokenizer_corpus as corpus  # noqa: E402

COUNT = int(os.environ.get("TEXTS", 100_000))
KINDS = set(filter(None, os.environ.get("KINDS", "").split(",")))
RANGES = [(1, 0x7F), (0x80, 0x24F), (0x250, 0x2FF), (0x300, 0x36F), (0x370, 0x5FF), (0x600, 0x8FF), (0x900, 0xDFF), (0xE00, 0x1FFF),
          (0x2000, 0x206F), (0x2070, 0x2BFF), (0x2E80, 0x33FF), (0x3400, 0x9FFF), (0xA000, 0xD7FF), (0xE000, 0xF8FF), (0xF900, 0xFFFF),
          (0x10000, 0x11FFF), (0x12000, 0x16FFF), (0x17000, 0x1EFFF), (0x1F000, 0x1FFFF), (0x20000, 0x323AF), (0x323B0, 0xE0FFF), (0xE0000, 0x10FFFF)]
MARKS = [c for c in range(0x300, 0x20000) if unicodedata.category(chr(c)).startswith("M")]


def any_character(r):
    while True:
        low, high = r.choice(RANGES)
        c = r.randint(low, high)
        if not 0xD800 <= c < 0xE000:
            return chr(c)


def text(r):
    kind = r.randrange(8)
    if kind == 0:
        return "".join(any_character(r) for _ in range(r.randint(1, 12)))
    if kind == 1:
        return "".join(r.choice("aeioucnsAZ1 \u00e9\u0131\u03c3\u03a3ß가ア字") + chr(r.choice(MARKS)) * r.randint(0, 2) for _ in range(r.randint(1, 8)))
    if kind == 2:
        low, high = r.choice(RANGES)
        return "".join(chr(c) for c in (r.randint(low, high) for _ in range(r.randint(1, 16))) if not 0xD800 <= c < 0xE000)
    if kind == 3:
        return "".join(r.choice(corpus.EMOJI + ["\u200d", "\ufe0f", "🏽", "🇩"]) for _ in range(r.randint(1, 5)))
    if kind == 4:
        parts = corpus.SPACES + corpus.SPECIAL + ["a", "word", "Ünï", "42", "!", "</s>", "<extra_id_1>", "[SEP]", "[UNK]", "▁", "<mask>"]
        return "".join(r.choice(parts) for _ in range(r.randint(1, 7)))
    return corpus.line(r)[: r.randint(1, 120)]


def compare(name, path, texts, encode, decode):
    packed, out = WORK / "texts.bin", WORK / "out.bin"
    packed.write_bytes(b"".join(struct.pack("<I", len(t)) + t for t in (x.encode() for x in texts)))
    done = subprocess.run([str(PROGRAM), str(path), str(packed), str(out)], capture_output=True, text=True)
    if done.returncode:
        return [f"{name}: {done.stderr.strip()}"]
    data, at, failures = out.read_bytes(), 0, []

    def take(unit):
        nonlocal at
        [count] = struct.unpack_from("<I", data, at)
        at += 4 + count * unit
        return data[at - count * unit: at]

    encoded = encode(texts)
    decoded = [decode(encoded, skip) for skip in (False, True)]
    for i, line in enumerate(texts):
        ids = take(4)
        ids = list(struct.unpack(f"<{len(ids) // 4}i", ids))
        ours = [take(1).decode(), take(1).decode()]
        if ids != encoded[i]:
            failures.append(f"{name}: {line!r}: ids {ids} instead of {encoded[i]}")
        elif ours != [decoded[0][i], decoded[1][i]]:
            failures.append(f"{name}: {line!r}: text {ours} instead of {[decoded[0][i], decoded[1][i]]}")
    print(f"{name}: {len(texts) - len(failures)} of {len(texts)} strings equal", flush=True)
    return failures[:5]


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    r = random.Random(20261123)
    texts = [text(r) for _ in range(COUNT)]
    failures = []
    for name, tokenizer in golden.pipelines(corpus.lines()[:: golden.EVERY]):
        if KINDS and name not in KINDS:
            continue
        folder = WORK / name
        folder.mkdir(exist_ok=True)
        (folder / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
        failures += compare(name, folder, texts, lambda x: [e.ids for e in tokenizer.encode_batch_fast(x)],
                            lambda ids, skip: tokenizer.decode_batch(ids, skip_special_tokens=skip))
    for name, folder, tokenizer in golden.folders(WORK, DEPS):
        if not KINDS or name in KINDS:
            failures += compare(name, folder, texts, lambda x: [tokenizer.encode(t) for t in x], lambda ids, skip: [
                tokenizer.decode(i, skip_special_tokens=skip, clean_up_tokenization_spaces=False) for i in ids])
    for failure in failures:
        print("FAILED:", failure)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
