"""Writes bitsandbytes_golden.json: what bitsandbytes 0.50.2 computes on a CPU, one torch thread.

    .deps/peers/bin/python tests/golden/bitsandbytes_golden.py

Inputs are made from a hash of the element's number, the same here and in tests/kernels/golden.h; results are
stored as SHA-256 of their bytes (little endian), those of small arrays also in full, as hexadecimal.
"""
import hashlib
import json
import pathlib

import bitsandbytes
import bitsandbytes.functional as bnb
import numpy as np
import torch

from bitsandbytes_input import normal

torch.set_num_threads(1)


def describe(array, full=False):
    data = np.ascontiguousarray(array).tobytes()
    entry = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    if full:
        entry["hex"] = data.hex()
    return entry


def four_bit(code, shape, block, nested, seed, scale=1.0, values=None):
    n = int(np.prod(shape))
    x = normal(seed, n) * np.float32(scale) if values is None else np.array(values, np.float32)
    packed, state = bnb.quantize_4bit(
        torch.from_numpy(x).reshape(shape), blocksize=block, quant_type=code, compress_statistics=nested)
    out = bnb.dequantize_4bit(packed, state).numpy()
    full = n <= 66
    entry = {"code": code, "n": n, "block": block, "nested": nested, "seed": seed, "scale": scale,
             "packed": describe(packed.numpy(), full)}
    if values is not None:
        entry["input"] = x.tobytes().hex()
    if nested:
        entry["absmax_codes"] = describe(state.absmax.numpy(), full)
        entry["nested_absmax"] = describe(state.state2.absmax.numpy(), full)
        entry["offset"] = state.offset.numpy().tobytes().hex()
    else:
        entry["absmax"] = describe(state.absmax.numpy(), full)
    # Adding zero turns -0 into 0: for odd sizes bitsandbytes itself does not keep fp4's negative zero.
    entry["dequantized"] = describe(out + np.float32(0), full)
    return entry


def int8(rows, cols, seed):
    x = torch.from_numpy(normal(seed, rows * cols)).reshape(rows, cols)
    codes, absmax, _ = torch.ops.bitsandbytes.int8_vectorwise_quant(x)
    out = torch.ops.bitsandbytes.int8_vectorwise_dequant(codes, absmax)
    return {"rows": rows, "cols": cols, "seed": seed, "packed": describe(codes.numpy()),
            "absmax": describe(absmax.numpy()), "dequantized": describe(out.numpy())}


cases = []
seed = 1
for code in ("nf4", "fp4"):
    for nested in (False, True):
        for block in (32, 64, 128, 256, 512, 1024, 2048, 4096):
            for n in (block - 1, block, 3 * block + block // 2, 40 * block + 1):
                cases.append(four_bit(code, (n,), block, nested, seed, 2.0 ** (seed % 7 - 3)))
                seed += 1000003
        for shape in ((1,), (31,), (33,), (4097,), (192, 576), (576, 1536), (49152, 576)):
            cases.append(four_bit(code, shape, 64, nested, seed, 0.02))
            seed += 1000003

inf, nan = float("inf"), float("nan")
special = {
    "zeros": [0.0] * 64,
    "negative zeros": [-0.0] * 64,
    "constant": [0.25] * 64,
    "negative constant": [-0.25] * 64,
    "denormals": [1e-40, -1e-41, 0, 3e-45] * 16,
    "zeros in a partial block": [0.0] * 20,
    "denormals in a partial block": [1e-40, -1e-41, 0, 3e-45] * 5,
    "largest": [3.4e38, -3.4e38, 1.0, 1e38] * 16,
    "an infinity": [1.0, -inf, 2.0, 0.0] + [0.5] * 60,
    "an infinity in a partial block": [1.0, inf, 2.0, 0.0],
    "a NaN": [1.0, nan, 2.0, 0.0] + [0.5] * 60,
    "a NaN in a partial block": [1.0, nan, 2.0, 0.0],
    "the levels and the midpoints between them": None,
}
for code in ("nf4", "fp4"):
    levels = torch.sort(bnb.get_4bit_type(code, device="cpu"))[0]
    middle = (levels[1:] + levels[:-1]) / 2
    around = [torch.nextafter(middle, torch.full_like(middle, s)) for s in (-2.0, 2.0)]
    special["the levels and the midpoints between them"] = torch.cat([levels, middle, *around]).tolist()
    for name, values in special.items():
        cases.append(four_bit(code, (len(values),), 64, False, 0, 1.0, values) | {"name": name})

golden = {
    "bitsandbytes": bitsandbytes.__version__,
    "levels": {c: bnb.get_4bit_type(c, device="cpu").numpy().tobytes().hex() for c in ("nf4", "fp4")},
    "dynamic_map": {
        "with_sign": bnb.create_dynamic_map(True).numpy().tobytes().hex(),
        "without_sign": bnb.create_dynamic_map(False).numpy().tobytes().hex(),
    },
    "means": [{"n": n, "seed": 7 * n, "mean": torch.from_numpy(np.abs(normal(7 * n, n))).mean().numpy().tobytes().hex()}
              for n in (1, 2, 7, 8, 9, 31, 32, 33, 63, 64, 100, 511, 512, 513, 1000, 4097, 8191, 32768, 65537, 442368,
                        1000001, 4194304)],
    "four_bit": cases,
    "int8": [int8(r, c, 31 * r + c) for r, c in ((1, 1), (3, 31), (5, 33), (17, 576), (4, 4097))],
}
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(golden, indent=0) + "\n")
print(path, path.stat().st_size, "bytes,", len(cases), "four-bit cases")
