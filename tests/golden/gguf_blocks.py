"""Writes gguf_blocks.json: what gguf-py (`gguf.quants.dequantize`), numpy and torch make of packed blocks and halves.

    .deps/peers/bin/python tests/golden/gguf_blocks.py

Blocks are bytes from the hash of bitsandbytes_input.py, their f16 scales kept finite; results are SHA-256 of fp32 bytes.
"""
import hashlib
import json
import pathlib

import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize

from bitsandbytes_input import hash64, normal


def sha256(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


# The offsets of the f16 numbers in a block.
halves = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
blocks = []
for seed, name in enumerate(halves, 1):
    size, size_bytes = GGML_QUANT_SIZES[Type[name]]
    count = 100
    data = (hash64(seed, count * size_bytes) & np.uint64(255)).astype(np.uint8).reshape(count, size_bytes)
    for at in halves[name]:
        data[:, at + 1] &= 0xBF
    out = dequantize(data, Type[name]).astype(np.float32)
    blocks.append({"format": name, "seed": seed, "blocks": count, "elements": size, "block_bytes": size_bytes,
                   "halves": halves[name], "sha256": sha256(out), "first": out.reshape(-1)[:8].tobytes().hex()})

every = np.arange(65536, dtype=np.uint16)
numbers = every[(every & 0x7C00) != 0x7C00]
x = normal(99, 100000) * np.exp2((hash64(98, 100000) % np.uint64(50)).astype(np.float32) - 28)
with np.errstate(over="ignore"):
    halved = x.astype(np.float16)
golden = {
    "blocks": blocks,
    "f16_to_f32": sha256(numbers.view(np.float16).astype(np.float32)),
    "f32_seed": 99, "exponent_seed": 98, "f32_count": len(x),
    "f32_to_f16": sha256(halved),
    "f32_to_bf16": sha256(torch.from_numpy(x).bfloat16().view(torch.int16).numpy()),
}
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(golden, indent=1) + "\n")
print(path, path.stat().st_size, "bytes")
