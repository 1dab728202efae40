#!/usr/bin/env python3
"""Writes tokenizer_corpus.json.z: 2,600 lines of text to tokenize, the same on every run.

One JSON array of strings, since lines hold line ends, NUL and other control characters; packed as Qt's qUncompress
takes it (a big-endian length, then a zlib stream). tokenizer.py runs this, too.
"""

import json
import pathlib
import random
import struct
import zlib

SEED = 20240917
HERE = pathlib.Path(__file__).parent

WORDS = {
    "english": "the of and to in is that for it as was with be by on not he this are or his from at which but have an "
    "had they you were their one all we can her has there been if more when will would who so no fine-tuning adapter "
    "don't I'm you've she'd we'll it's o'clock THEY'RE CAN'T model's 2nd A.I. e.g. naïve café résumé coöperate",
    "german": "die der und in zu den das nicht von sie ist des sich mit dem dass er es ein ich Straße Größe Übung Fußgängerübergänge",
    "french": "le de un être et à il avoir ne je son que se qui ce dans en du elle au pour pas où ça œuvre aïeul l'été",
    "russian": "и в не на я быть он с что а по это она этот к но мы как из у который то за свой весь год от так о для ты",
    "greek": "και το να του η της με που την από για είναι στο οι θα τον σε τα δεν μια ΑΒΓ άέήίόύώ",
    "turkish": "bir ve bu için İstanbul ılık ağaç şeker çocuk öğrenci IĞDIR",
    "arabic": "في من على إلى أن هذا كان التي الذي ما لا عن مع السَّلَامُ عَلَيْكُمْ ٱلْقُرْآن ١٢٣٤",
    "hebrew": "של את על הוא לא זה עם כל שָׁלוֹם בְּרֵאשִׁית",
    "hindi": "और के है में की से को पर यह था हिन्दी क्षत्रिय ज्ञान १२३ श्रृंखला",
    "bengali": "এবং একটি বাংলা ভাষা ক্ষুদ্র ৪৫৬",
    "tamil": "மற்றும் ஒரு தமிழ் மொழி க்ஷ",
    "thai": "และ เป็น ที่ ภาษาไทย น้ำ ๑๒๓",
    "chinese": "的 一 是 不 了 人 我 在 有 他 这 中 大 来 上 国 微调 语言模型 繁體字 龘 〇",
    "japanese": "これ は テスト です カタカナ ﾊﾝｶｸ が ぎ 日本語 〜 ー 「かぎ」 ㍿ ㌔",
    "korean": "그 이 저 것 수 나 우리 한국어 안녕하세요 ᄒᆞᆫ글 ㅋㅋㅋ",
    "other": "ქართული հայերեն ትግርኛ ខ្មែរ မြန်မာ བོད་ཡིག ᏣᎳᎩ ߒߞߏ 𐌰𐌱 𝔘𝔫𝔦 𝟙𝟚 ꯃꯩ ⠃⠗",
}
EMOJI = [
    "😀", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷", "❤️", "❤", "🧑🏿‍🚀", "1️⃣", "☃️", "🫠", "👁️‍🗨️", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "©️", "‼", "〰️", "🪿",
]
SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\r", "\u00a0", "\u2003", "\u3000", "\u200b", "\u2028", "\u2029", "\u0085",
          "\u1680", "\u202f", "\u180e", "\ufeff", "\u000b", "\u000c", "\u001c", "\u001f", "\u205f", " \n ", "\n\n\n", "\t\t"]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<s>", "</s>", "<unk>", "<|im_start|>user", "<repo_name>",
           "<|im_end", "|im_end|>", "<file_sep>", "<pad>", "[CLS]", "<0x41>", "<|begin_of_text|>", "<jupyter_code>"]
CODE = [
    "def f(x, *args, **kwargs):\n    return {k: v for k, v in x.items() if v is not None}\n",
    "for (int i = 0; i < n; ++i) { sum += a[i] * b[i]; }",
    "SELECT name, COUNT(*) FROM users WHERE age >= 18 GROUP BY name HAVING COUNT(*) > 1;",
    "<div class=\"row\"><a href='#top'>&nbsp;&copy; 2024</a></div>",
    "\\begin{equation} E = mc^2 \\quad \\frac{\\partial L}{\\partial w_{ij}} \\end{equation}",
    "if [[ -f \"$HOME/.bashrc\" && $# -gt 0 ]]; then echo \"${1:-none}\" | sed 's/a\\/b/c/g' >> /dev/null 2>&1; fi",
    "{\"id\": 12345, \"values\": [1.5e-10, -0.25, null, true], \"nested\": {\"é\": \"\\u00e9\"}}",
    "const f = async (x) => { await fetch(`https://api/${x}?q=1&r=[]`); };",
    "0x7fffffff 0b1010 1_000_000 3.14159 1e-9 .5 5. 1,234,567.89 12:34:56 2024-01-31T23:59:59Z +49 (30) 123-456",
    "    \tmixed\t  indentation  \n\t\t    here   ",
    "#include <vector>\ntemplate <class T> struct S { T* p = nullptr; };  // ~S()\n",
    "@@ -1,4 +1,6 @@\n-old line\n+new line\n context",
]
URLS = ["https://example.org/a/b?x=1&y=%20z#frag", "user.name+tag@mail.example.com", "ftp://127.0.0.1:8080/", "C:\\Users\\x\\file.txt",
        "/usr/local/lib/python3.11", "www.münchen.de", "data:image/png;base64,iVBORw0KGgo="]
COMBINING = ["e\u0301", "n\u0303o", "a\u0308\u0304", "Z\u0351\u036b\u0343a\u0321l\u034eg\u0325o", "\u0301alone", "한", "\u1112\u1161\u11ab",
             "ﬁ ﬂ ﬀ", "ǆ ǅ Ǆ", "①②③ ½ ² ₃ Ⅷ ⅸ", "ſtraße ẞ", "A\u030a Å \u212b", "\u0958 \u0915\u093c"]


def random_unicode(r: random.Random, planes: int) -> str:
    limit = [0x250, 0x3000, 0x10000, 0x110000][planes]
    out = []
    while len(out) < r.randint(3, 24):
        c = r.randrange(1, limit)
        if not 0xD800 <= c < 0xE000:
            out.append(chr(c))
    return "".join(out)


def sentence(r: random.Random) -> str:
    language = r.choice(list(WORDS))
    words = [r.choice(WORDS[language].split()) for _ in range(r.randint(2, 14))]
    joined = " ".join(words)
    if r.random() < 0.3:
        joined = joined.capitalize()
    return joined + r.choice(["", ".", "!", "?", "...", " …", ";", ":", ' "', "'s", ")"])


def line(r: random.Random) -> str:
    kinds = [sentence, lambda r: r.choice(EMOJI), lambda r: r.choice(SPACES), lambda r: r.choice(SPECIAL),
             lambda r: r.choice(CODE), lambda r: r.choice(URLS), lambda r: r.choice(COMBINING),
             lambda r: str(r.randrange(10 ** r.randint(1, 20))), lambda r: random_unicode(r, r.randint(0, 3)),
             lambda r: r.choice("ab<>|_-=#*'\".,") * r.randint(1, 40), lambda r: r.choice(" \n\t") * r.randint(1, 70)]
    weights = [10, 3, 4, 2, 1, 1, 2, 2, 2, 1, 1]
    parts = [r.choices(kinds, weights)[0](r) for _ in range(r.randint(1, 4))]
    return r.choice(["", " ", " ", "\n"]).join(parts)


def lines() -> list[str]:
    r = random.Random(SEED)
    fixed = ["", " ", "  ", "\n", "\t", "\0", "a\0b", "\x01\x02\x7f", "\ufffd", "\U0010ffff", "\u00ad", "Hello, world!", " Hello"]
    fixed += EMOJI + SPACES + SPECIAL + CODE + URLS + COMBINING
    fixed += [" " * n for n in range(3, 40)] + ["\n" * n for n in range(2, 12)]
    fixed += [" " * n + "x" for n in range(1, 12)] + ["x" + " " * n for n in range(1, 12)]
    fixed += [f"{a}{b}" for a in SPECIAL[:6] for b in [" x", "x ", "\n", " ", "<|im_end|>"]]
    fixed += ["'s 'S 'T 're 'Re 'VE 'm 'LL 'd 'ſ", "we'Ll I'Ve", "don’t it’s", "' s", "''s"]
    return fixed + [line(r) for _ in range(2600 - len(fixed))]


def write_packed(path: pathlib.Path, value) -> None:
    data = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    path.write_bytes(struct.pack(">I", len(data)) + zlib.compress(data, 9))


def write() -> list[str]:
    all_lines = lines()
    write_packed(HERE / "tokenizer_corpus.json.z", all_lines)
    return all_lines


if __name__ == "__main__":
    print(len(write()), "lines")
