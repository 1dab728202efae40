"""The peers' half of interop_test.cpp: reads what the program wrote, or writes what it shall read."""

import json
import sys

import torch
from safetensors import safe_open
from safetensors.torch import save_file


def describe(path):
    """Each tensor of the file as name -> [type, shape, sum of its bytes], and the metadata, as JSON."""
    with safe_open(path, "pt") as file:
        tensors = {}
        for name in file.keys():
            tensor = file.get_tensor(name)
            octets = tensor.contiguous().reshape(-1).view(torch.uint8)
            tensors[name] = [str(tensor.dtype).removeprefix("torch."), list(tensor.shape), int(octets.sum(dtype=torch.int64))]
        return {"metadata": file.metadata() or {}, "tensors": tensors}


def write(path):
    generator = torch.Generator().manual_seed(1)
    tensors = {f"layer.{i}.{kind}": torch.randn(i, 3, generator=generator).to(getattr(torch, kind))
               for i in range(4) for kind in ["float32", "bfloat16", "float16", "int64", "uint8", "float8_e4m3fn"]}
    save_file(tensors, path, {"format": "pt", "note": "\u00fc\n"})


if __name__ == "__main__":
    action, path = sys.argv[1:]
    if action == "write":
        write(path)
    print(json.dumps(describe(path)))
