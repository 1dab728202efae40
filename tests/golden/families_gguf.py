"""Writes models of families.py as GGUF files, with the keys, names and orders of llama.cpp's converter.

    python tests/golden/families_gguf.py [name ...]     # writes tests/golden/families/<name>/model.gguf

The tensors are those of the folder, in its dtype (vectors, norms and learned positions in F32), and so is what is expected:
expected.safetensors beside it. Only llama/model.gguf is Q8_0; gguf_expected.safetensors has its "logits", from the
weights as they dequantize. Each is read back here tensor by tensor into the folder's model, and by transformers but for UNKNOWN:
with config.json where its reader passes over keys that matter (a window, a soft-cap, a rope's scaling, the decoder's layers), without
for ALONE (Mistral's is "llama" to it too).

What the format leaves out, and a reader must know: the norm weights of Gemma are stored plus one. llama's query and key rows are
reordered for interleaved rotation. The activation follows from the architecture. Gemma 3 has a window on all but each sixth layer,
Gemma 2 on each second from the first. The scale of Gemma's scores is by head_dim, but for the 27B models. T5's feed-forward is gated
where there is ffn_gate (tanh-gelu, else relu); its head is tied and scaled where there is no output.weight; distances end at 128.

The tokenizers are tiny: byte-level BPE ("gpt2") without most bytes, sentencepiece-like BPE ("llama") without byte pieces, WordPiece
("bert"), Unigram ("t5"). Ids past their words are [PAD<id>], unused, as the converter fills up.
"""
import math
import pathlib
import sys

import gguf
import torch
from gguf import GGMLQuantizationType as Type
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoConfig
from transformers.utils import logging

import families

HERE = families.HERE
ARCHITECTURES = {"gpt2": "GPT2", "llama": "LLAMA", "mistral": "LLAMA", "qwen2": "QWEN2", "qwen3": "QWEN3", "phi3": "PHI3", "gemma": "GEMMA",
                 "gemma2": "GEMMA2", "gemma3_text": "GEMMA3", "bert": "BERT", "roberta": "BERT", "t5": "T5"}
NAMES = ["gpt2", "llama", "llama_biased", "llama_linear", "llama_yarn", "llama_llama3", "mistral_full", "qwen2", "qwen3", "phi3",
         "phi3_longrope", "gemma", "gemma2", "gemma3", "bert", "roberta_classify", "t5", "t5_gated"]
ALONE = ["llama", "mistral_full", "qwen2"]
UNKNOWN = ["gemma", "bert", "roberta_classify"]
FILE_TYPES = {Type.F32: gguf.LlamaFileType.ALL_F32, Type.F16: gguf.LlamaFileType.MOSTLY_F16, Type.BF16: gguf.LlamaFileType.MOSTLY_BF16,
              Type.Q8_0: gguf.LlamaFileType.MOSTLY_Q8_0}
STORED = {torch.float32: Type.F32, torch.float16: Type.F16, torch.bfloat16: Type.BF16}
LETTERS = [chr(c) for c in [*range(ord("a"), ord("z") + 1), *range(ord("A"), ord("Z") + 1), *range(ord("0"), ord("9") + 1)]] + list(".,!?'-")
PAIRS = ["h e", "i n", "e r", "a n", "o n", "r e", "a t", "e n", "i s", "o r", "e s", "n d", "o u", "in g", "t h", "th e"]


def byte_level(size, special):
    """Tokens, types, merges."""
    pairs = PAIRS + ["\u0120 t", "\u0120 a", "\u0120t he"]
    tokens = special + ["\u0120", "\u010a"] + LETTERS + [pair.replace(" ", "") for pair in pairs]
    types = [3] * len(special) + [1] * (len(tokens) - len(special))
    return fill_up(tokens, types, size), pairs


def sentencepiece(size, special, unknown):
    """Tokens, types; the score of a token is minus its rank, singles behind the pairs."""
    tokens = special + [pair.replace(" ", "") for pair in PAIRS] + ["\u2581"] + LETTERS
    types = [2 if token == unknown else 3 for token in special] + [1] * (len(tokens) - len(special))
    return fill_up(tokens, types, size)


def fill_up(tokens, types, size):
    assert len(tokens) <= size, len(tokens)
    missing = range(len(tokens), size)
    return tokens + [f"[PAD{i}]" for i in missing], types + [5] * len(missing)


def add_tokenizer(writer, family, config, name):
    size = config["vocab_size"]
    if family in ("gpt2", "qwen2", "qwen3", "roberta") or name == "llama_llama3":
        special = (["<s>", "<pad>", "</s>", "<unk>", "<mask>"] if family == "roberta" else ["<|endoftext|>"] if family == "gpt2"
                   else ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
        (tokens, types), merges = byte_level(size, special)
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre({"gpt2": "gpt-2", "roberta": "roberta-bpe", "llama": "llama-bpe"}.get(family, "qwen2"))
        writer.add_token_list(tokens)
        writer.add_token_types(types)
        if family == "roberta":
            writer.add_token_type_count(config["type_vocab_size"])
        writer.add_token_merges(merges)
    elif family == "bert":
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        tokens = special + ["\u2581" + letter for letter in LETTERS[:26]] + LETTERS[:26] + ["\u2581the", "\u2581and", "ing", "er", "s's"]
        tokens, types = fill_up(tokens, [3] * len(special) + [1] * (len(tokens) - len(special)), size)
        writer.add_token_type_count(config["type_vocab_size"])
        writer.add_tokenizer_model("bert")
        writer.add_tokenizer_pre("default")
        writer.add_token_list(tokens)
        writer.add_token_types(types)
    else:
        special, unknown = {"t5": (["<pad>", "</s>", "<unk>"], "<unk>"), "gemma": (["<pad>", "<eos>", "<bos>", "<unk>"], "<unk>")}.get(
            family.removesuffix("_text").rstrip("23") if family.startswith("gemma") else family, (["<unk>", "<s>", "</s>"], "<unk>"))
        tokens, types = sentencepiece(size, special, unknown)
        writer.add_tokenizer_model("t5" if family == "t5" else "llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_list(tokens)
        writer.add_token_scores([0.0 if t in (2, 3) else -10000.0 if t == 5 else -float(i) for i, t in enumerate(types)])
        writer.add_token_types(types)
        if family == "t5":
            writer.add_add_space_prefix(True)
            writer.add_remove_extra_whitespaces(True)
        elif family.startswith("gemma"):
            writer.add_add_space_prefix(False)
    if family == "bert":
        ids = dict(unk=1, sep=3, pad=0, mask=4)
    elif family == "roberta":
        ids = dict(bos=0, eos=2, unk=3, sep=2, pad=1, mask=4)
    else:
        ids = {key: config.get(f"{key}_token_id") for key in ("bos", "eos", "pad")}
    for key, value in ids.items():
        if value is not None:
            getattr(writer, f"add_{key}_token_id")(value)


def add_rope_scaling(writer, rope):
    kind = rope["rope_type"]
    if kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    elif kind == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    else:
        assert kind in ("default", "llama3"), kind


def add_decoder_keys(writer, family, config):
    """LLaMA, Mistral, Qwen, Gemma 3."""
    assert config.get("hidden_act", "silu") == "silu"
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    ropes = config["rope_parameters"]
    add_rope_scaling(writer, ropes.get("full_attention", ropes))
    writer.add_rope_freq_base(ropes.get("full_attention", ropes)["rope_theta"])
    if local := ropes.get("sliding_attention"):
        writer.add_rope_freq_base_swa(local["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    if config.get("head_dim") is not None:
        writer.add_key_length(config["head_dim"])
        writer.add_value_length(config["head_dim"])
    if family in ("llama", "mistral"):
        writer.add_vocab_size(config["vocab_size"])
        writer.add_rope_dimension_count(config["head_dim"])
    if family == "gemma3_text":
        assert config["query_pre_attn_scalar"] == config["head_dim"] and config["final_logit_softcapping"] is None
        writer.add_sliding_window(config["sliding_window"])


def add_gemma_keys(writer, family, config):
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    if family == "gemma2":
        assert config["query_pre_attn_scalar"] == config["head_dim"]
        writer.add_attn_logit_softcapping(config["attn_logit_softcapping"])
        writer.add_final_logit_softcapping(config["final_logit_softcapping"])
        writer.add_sliding_window(config["sliding_window"])


def add_phi3_keys(writer, config):
    rope, original = config["rope_parameters"], config["original_max_position_embeddings"]
    width = int(rope.get("partial_rotary_factor", 1.0) * config["hidden_size"]) // config["num_attention_heads"]
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_rope_scaling_orig_ctx_len(original)
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(width)
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_sliding_window(config["sliding_window"] or 0)
    if "long_factor" in rope:
        scale = config["max_position_embeddings"] / original
        writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(scale) / math.log(original)) if scale > 1 else 1.0)


def add_gpt2_keys(writer, config):
    assert config["n_inner"] is None  # the converter writes four times the width
    writer.add_block_count(config["n_layer"])
    writer.add_context_length(config["n_positions"])
    writer.add_embedding_length(config["n_embd"])
    writer.add_feed_forward_length(4 * config["n_embd"])
    writer.add_head_count(config["n_head"])
    writer.add_layer_norm_eps(config["layer_norm_epsilon"])


def add_bert_keys(writer, family, config):
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"] - position_offset(family, config))
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    if family == "roberta":
        writer.add_classifier_output_labels(list(config["id2label"].values()))


def add_t5_keys(writer, config):
    writer.add_context_length(512)
    writer.add_embedding_length(config["d_model"])
    writer.add_feed_forward_length(config["d_ff"])
    writer.add_block_count(config["num_layers"])
    writer.add_decoder_block_count(config["num_decoder_layers"])
    writer.add_head_count(config["num_heads"])
    writer.add_key_length(config["d_kv"])
    writer.add_value_length(config["d_kv"])
    writer.add_layer_norm_eps(config["layer_norm_epsilon"])
    writer.add_relative_attn_buckets_count(config["relative_attention_num_buckets"])
    writer.add_layer_norm_rms_eps(config["layer_norm_epsilon"])
    writer.add_decoder_start_token_id(config["decoder_start_token_id"])


def add_keys(writer, family, config, file_type):
    if family == "gpt2":
        add_gpt2_keys(writer, config)
    elif family == "phi3":
        add_phi3_keys(writer, config)
    elif family in ("gemma", "gemma2"):
        add_gemma_keys(writer, family, config)
    elif family in ("bert", "roberta"):
        add_bert_keys(writer, family, config)
    elif family == "t5":
        add_t5_keys(writer, config)
    else:
        add_decoder_keys(writer, family, config)
    writer.add_file_type(file_type)


def position_offset(family, config):
    return config["pad_token_id"] + 1 if family == "roberta" else 0


def interleaved(rows, heads):
    """Rows of each head from two halves to pairs."""
    return rows.reshape(heads, 2, -1, *rows.shape[1:]).transpose(1, 2).reshape(rows.shape)


def halves(rows, heads):
    return rows.reshape(heads, -1, 2, *rows.shape[1:]).transpose(1, 2).reshape(rows.shape)


def left_out(name, family):
    return (name.endswith((".attn.bias", ".attn.masked_bias", "position_ids")) or name.startswith("pooler.")
            or family.startswith("gemma") and name == "lm_head.weight")


def changed(name, weight, family, config, back=False):
    """As the file has it; `back`: as the folder has it."""
    if family in ("llama", "mistral"):
        turn = halves if back else interleaved
        if ".q_proj." in name:
            return turn(weight, config["num_attention_heads"])
        if ".k_proj." in name:
            return turn(weight, config["num_key_value_heads"])
    if family.startswith("gemma") and name.endswith("norm.weight"):
        return weight - 1 if back else weight + 1
    if family == "gpt2" and name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")):
        return weight.T
    return weight


def extra_tensors(family, config):
    rope = config.get("rope_parameters") or {}
    if family == "llama" and rope["rope_type"] == "llama3":
        width, factor, original = config["head_dim"], rope["factor"], rope["original_max_position_embeddings"]
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        factors = []
        for frequency in 1.0 / (rope["rope_theta"] ** (torch.arange(0, width, 2, dtype=torch.float32) / width)):
            turns = original * frequency.item() / (2 * math.pi)
            smooth = min(max((turns - low) / (high - low), 0.0), 1.0)
            factors.append(1 / ((1 - smooth) / factor + smooth))
        yield "rope_freqs.weight", torch.tensor(factors)
    if family == "phi3" and "long_factor" in rope:
        yield "rope_factors_long.weight", torch.tensor(rope["long_factor"])
        yield "rope_factors_short.weight", torch.tensor(rope["short_factor"])


def folder_tensors(folder):
    for path in sorted(folder.glob("model*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in file.keys():
                yield name, file.get_tensor(name)


def names_in_file(family, config):
    layers = config.get("num_hidden_layers") or config.get("n_layer") or config["num_layers"]
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[ARCHITECTURES[family]], layers)

    def name_in_file(name):
        found = names.get_name(name.removeprefix("roberta."), try_suffixes=(".weight", ".bias"))
        assert found, name
        return found
    return name_in_file


def write(name):
    folder, given = HERE / name, families.VARIANTS[name]
    family, config = given["family"], AutoConfig.from_pretrained(HERE / name).to_dict()
    wanted = Type.Q8_0 if name == "llama" else STORED[given["dtype"]]
    architecture = gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH[ARCHITECTURES[family]]]
    writer = gguf.GGUFWriter(folder / "model.gguf", architecture)
    name_in_file, count = names_in_file(family, config), 0
    tensors = [*extra_tensors(family, config)]
    for key, weight in folder_tensors(folder):
        if not left_out(key, family):
            if key == "roberta.embeddings.position_embeddings.weight":
                weight = weight[position_offset(family, config):]
            tensors.append((name_in_file(key), changed(key, weight.float(), family, config)))
    for key, weight in tensors:
        vector = weight.ndim < 2 or key.endswith("_norm.weight") or key in ("position_embd.weight", "token_types.weight")
        kind = Type.F32 if vector or not key.endswith(".weight") else wanted
        writer.add_tensor(key, gguf.quants.quantize(weight.contiguous().numpy(), kind), raw_dtype=kind)
        count += weight.numel()
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(name)
    writer.add_size_label(gguf.size_label(count, 0, 0, 0))
    add_keys(writer, family, config, FILE_TYPES[wanted])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    add_tokenizer(writer, family, config, name)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def check_rope(model, family, config):
    """The written factors are what transformers turns by."""
    for name, factors in extra_tensors(family, config):
        rotary, rope = model.model.rotary_emb, config["rope_parameters"]
        width = 2 * len(factors)
        if name != "rope_factors_long.weight":
            plain = 1.0 / rope["rope_theta"] ** (torch.arange(0, width, 2) / width)
            assert torch.allclose(plain / factors, rotary.inv_freq, rtol=1e-6), (plain / factors, rotary.inv_freq)


def read_back(name):
    """The folder's model with the file's weights: what it computes."""
    folder, given = HERE / name, families.VARIANTS[name]
    family, task, config = given["family"], given["task"], AutoConfig.from_pretrained(HERE / name).to_dict()
    stored = {t.name: torch.from_numpy(gguf.quants.dequantize(t.data, t.tensor_type).copy())
              for t in gguf.GGUFReader(folder / "model.gguf").tensors}
    name_in_file, weights = names_in_file(family, config), {}
    for key, weight in folder_tensors(folder):
        if left_out(key, family):
            continue
        found = changed(key, stored.pop(name_in_file(key)), family, config, back=True)
        if key == "roberta.embeddings.position_embeddings.weight":
            found = torch.cat([weight[:position_offset(family, config)].float(), found])
        assert found.shape == weight.shape, key
        weights[key if family != "gpt2" else f"transformer.{key}"] = found
    for key, weight in extra_tensors(family, config):
        assert torch.equal(stored.pop(key), weight)
    assert not stored, list(stored)
    model = families.load(folder, task)
    check_rope(model, family, config)
    own = dict(model.named_parameters())
    with torch.no_grad():
        for key, weight in weights.items():
            own[key].copy_(weight)
    expected = load_file(folder / "expected.safetensors")
    inputs = {given: expected[key][None] for key, given in (("ids", "input_ids"), ("decoder_ids", "decoder_input_ids"),
                                                            ("attention_mask", "attention_mask"), ("token_type_ids", "token_type_ids"))
              if key in expected}
    return families.compute(model, inputs, task), expected, inputs


def check(name):
    output = "hidden.last" if name == "bert" else "logits"
    got, expected, inputs = read_back(name)
    if name == "llama":  # quantized: near, and what is expected of it is its own
        save_file({output: got[output]}, HERE / name / "gguf_expected.safetensors")
        assert 1e-3 < (got[output] - expected[output]).abs().max() < 0.2
        expected = {output: got[output]}
    difference = (got[output] - expected[output]).abs().max().item()
    assert difference < 5e-6, (name, difference)
    result = f"differs by {difference:.1e}"
    if name in UNKNOWN:
        return result
    task = families.CLASSES[families.VARIANTS[name]["task"]]
    for config in [AutoConfig.from_pretrained(HERE / name)] * (name != "mistral_full") + [None] * (name in ALONE):
        model = task.from_pretrained(HERE / name, gguf_file="model.gguf", dtype=torch.float32, attn_implementation="eager",
                                     **(dict(config=config) if config else {})).eval()
        with torch.inference_mode():
            difference = (model(**inputs).logits[0] - expected[output]).abs().max().item()
        assert difference < 1e-4, (name, difference)
        result += f", read by transformers {'with config.json' if config else 'alone'} by {difference:.1e}"
    return result


def main(names):
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    for name in names or NAMES:
        write(name)
        print(f"{name:20} {(HERE / name / 'model.gguf').stat().st_size // 1024:4} KiB  {check(name)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
