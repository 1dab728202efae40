"""Makes tests/golden/formats/: small files as the peers write them.

Needs torch, safetensors, gguf and numpy; the tests read only what this leaves behind.
"""

import pathlib

import gguf
import numpy as np
import safetensors.torch
import torch

folder = pathlib.Path(__file__).parent / "formats"
folder.mkdir(exist_ok=True)

# Every type, every one with the bytes 0 to 7 (in as many elements as they make), given in no particular order.
types = [
    "bool", "uint8", "int8", "float8_e5m2", "float8_e4m3fn", "float8_e8m0fnu", "float8_e4m3fnuz", "float8_e5m2fnuz",
    "int16", "uint16", "float16", "bfloat16", "int32", "uint32", "float32", "complex64", "float64", "int64", "uint64",
    "float4_e2m1fn_x2",
]
octets = torch.arange(8, dtype=torch.uint8)
tensors = {f"{kind}.{i % 3}": (octets % 2).bool() if kind == "bool" else octets.clone().view(getattr(torch, kind))
           for i, kind in enumerate(types)}
tensors["matrix"] = torch.arange(6, dtype=torch.float32).reshape(2, 3)
tensors["scalar"] = torch.tensor(2.5)
tensors["none"] = torch.zeros(0, 4)
tensors["n\u00e4me \"quoted\"\n"] = torch.tensor([1, 2], dtype=torch.int32)
safetensors.torch.save_file(tensors, folder / "types.safetensors", {"format": "pt"})

writer = gguf.GGUFWriter(folder / "values.gguf", "llama")
writer.add_name("A t\u00efny m\u00f6del")
for kind, value in [("uint8", 200), ("int8", -100), ("uint16", 60000), ("int16", -30000), ("uint32", 4000000000),
                    ("int32", -2000000000), ("uint64", 2**63 + 1), ("int64", -2**62), ("float32", 0.5),
                    ("float64", 1e300)]:
    getattr(writer, f"add_{kind}")(f"test.{kind}", value)
writer.add_bool("test.true", True)
writer.add_bool("test.false", False)
writer.add_array("test.integers", [1, -2, 3])
writer.add_array("test.numbers", [0.5, -1.5])
writer.add_array("test.flags", [True, False])
writer.add_token_list(["a", "", "\u00fc", "<0x0A>"])
ramp = np.linspace(-1, 1, 64, dtype=np.float32).reshape(2, 32)
writer.add_tensor("ramp.f32", ramp)
writer.add_tensor("ramp.f16", ramp.astype(np.float16))
for kind in ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "BF16"]:
    number = gguf.GGMLQuantizationType[kind]
    writer.add_tensor(f"ramp.{kind.lower()}", gguf.quants.quantize(ramp, number), raw_dtype=number)
writer.add_tensor("row", np.arange(3, dtype=np.int32))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()

np.save(folder / "matrix.npy", np.arange(6, dtype=np.float32).reshape(2, 3))
np.save(folder / "row.npy", np.array([1, -2, 3], dtype=np.int64))
np.save(folder / "scalar.npy", np.array(2.5))
np.save(folder / "fortran.npy", np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)))
