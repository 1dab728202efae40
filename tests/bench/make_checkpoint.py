"""Writes a synthetic sharded LLaMA checkpoint of 3 billion parameters in bf16 (6 GB), for measuring how lean loading is.

    .deps/peers/bin/python tests/bench/make_checkpoint.py FOLDER [--layers 30] [--shard-gigabytes 2]

The shape is that of LLaMA 3.2 3B but for the vocabulary, that of the tiny tokenizer copied beside it. Weights are one
block of random numbers over and over: loading does not care, and writing takes seconds.
"""
import argparse
import json
import pathlib
import shutil
import struct

import numpy as np

HERE = pathlib.Path(__file__).parent
HIDDEN, INTERMEDIATE, HEADS, KV_HEADS, HEAD_DIM, VOCABULARY = 3072, 8192, 24, 8, 128, 512


def noise(values, scale):
    """Random bf16 numbers, as bytes."""
    floats = np.random.default_rng(1).normal(0, scale, values).astype(np.float32)
    return (floats.view(np.uint32) >> 16).astype(np.uint16).tobytes()


def tensors(layers):
    yield "model.embed_tokens.weight", (VOCABULARY, HIDDEN)
    for i in range(layers):
        layer = f"model.layers.{i}."
        yield layer + "input_layernorm.weight", (HIDDEN,)
        yield layer + "self_attn.q_proj.weight", (HEADS * HEAD_DIM, HIDDEN)
        yield layer + "self_attn.k_proj.weight", (KV_HEADS * HEAD_DIM, HIDDEN)
        yield layer + "self_attn.v_proj.weight", (KV_HEADS * HEAD_DIM, HIDDEN)
        yield layer + "self_attn.o_proj.weight", (HIDDEN, HEADS * HEAD_DIM)
        yield layer + "post_attention_layernorm.weight", (HIDDEN,)
        yield layer + "mlp.gate_proj.weight", (INTERMEDIATE, HIDDEN)
        yield layer + "mlp.up_proj.weight", (INTERMEDIATE, HIDDEN)
        yield layer + "mlp.down_proj.weight", (HIDDEN, INTERMEDIATE)
    yield "model.norm.weight", (HIDDEN,)


def size(shape):
    return 2 * int(np.prod(shape))


def shards(layers, limit):
    shard = []
    for name, shape in tensors(layers):
        if shard and sum(size(s) for _, s in shard) + size(shape) > limit:
            yield shard
            shard = []
        shard.append((name, shape))
    yield shard


def write(path, shard, block, ones):
    header, at = {}, 0
    for name, shape in shard:
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size(shape)]}
        at += size(shape)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, shape in shard:
            left = size(shape)
            while left:
                left -= file.write((ones if len(shape) == 1 else block)[:left])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--shard-gigabytes", type=float, default=2)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    block, ones = noise(1 << 22, 0.02), b"\x80\x3f" * HIDDEN
    parts = list(shards(options.layers, options.shard_gigabytes * 1e9))
    names, total = {}, 0
    for number, shard in enumerate(parts, 1):
        file = f"model-{number:05}-of-{len(parts):05}.safetensors"
        write(options.folder / file, shard, block, ones)
        names |= {name: file for name, _ in shard}
        total += sum(size(shape) for _, shape in shard)
    (options.folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": names}))
    (options.folder / "config.json").write_text(json.dumps(dict(
        architectures=["LlamaForCausalLM"], model_type="llama", vocab_size=VOCABULARY, hidden_size=HIDDEN, intermediate_size=INTERMEDIATE,
        num_hidden_layers=options.layers, num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, head_dim=HEAD_DIM,
        max_position_embeddings=2048, rms_norm_eps=1e-5, rope_theta=10000.0, hidden_act="silu", tie_word_embeddings=True, dtype="bfloat16",
        bos_token_id=1, eos_token_id=2), indent=1))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(HERE.parent / "golden/tiny_llama/plain" / name, options.folder)
    print(f"{total / 2e9:.2f} billion parameters, {total / 1e9:.2f} GB in {len(parts)} shards")


main()
