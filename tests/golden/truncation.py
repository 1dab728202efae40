"""Writes truncation.json: rows as transformers encodes them with truncation, by a tokenizer that puts [CLS] and [SEP] around a text
(BERT's kind) and one that closes it with </s> (T5's kind).

    python tests/golden/truncation.py

Each entry holds tokenizer.json and tokenizer_config.json, and rows: text, max_length, ids, and how many ids there are without
truncation.
"""
import json
import pathlib

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

HERE = pathlib.Path(__file__).parent
ROWS = (HERE.parents[1] / "resources/datasets/banking-support-heldout.jsonl").read_text(encoding="utf-8").splitlines()
TEXT = [json.loads(row)["prompt"] for row in ROWS] + ["summarize: a text, translate it into German:"]
TEXTS = ["a", "My card is lost.", TEXT[0], "Zürich, 12:30 — the café's card reader said “declined” twice!", "supercalifragilistic " * 9,
         "one two three", "  blanks   in\tbetween \n and around  ", "中文和emoji🙂"]


def bert():
    tok = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tok.normalizer = normalizers.BertNormalizer(lowercase=True)
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tok.decoder = decoders.WordPiece()
    tok.train_from_iterator(TEXT, trainers.WordPieceTrainer(vocab_size=260, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    tok.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", [("[CLS]", 2), ("[SEP]", 3)])
    return tok, dict(cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]", unk_token="[UNK]", mask_token="[MASK]")


def t5():
    tok = Tokenizer(models.Unigram())
    tok.normalizer = normalizers.NFKC()
    tok.pre_tokenizer = pre_tokenizers.Metaspace()
    tok.decoder = decoders.Metaspace()
    tok.train_from_iterator(TEXT, trainers.UnigramTrainer(vocab_size=200, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>"))
    tok.post_processor = processors.TemplateProcessing("$A </s>", "$A </s> $B </s>", [("</s>", 1)])
    return tok, dict(eos_token="</s>", pad_token="<pad>", unk_token="<unk>")


golden = {}
for name, (tok, specials) in dict(bert=bert(), t5=t5()).items():
    peer = PreTrainedTokenizerFast(tokenizer_object=tok, **specials)
    rows = [dict(text=text, max_length=length, ids=peer(text, truncation=True, max_length=length)["input_ids"],
                 full_length=len(peer(text)["input_ids"]))
            for text in TEXTS for length in (2, 3, 4, 9, 16, 64)]
    golden[name] = dict(tokenizer=json.loads(tok.to_str()), config=dict(tokenizer_class="PreTrainedTokenizerFast", **specials), rows=rows)
    print(name, len(rows), "rows,", sum(r["full_length"] > r["max_length"] for r in rows), "cut")
(HERE / "truncation.json").write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":"), sort_keys=True) + "\n", encoding="utf-8")
