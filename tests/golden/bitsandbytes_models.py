"""Makes tiny random models quantized by bitsandbytes as transformers' save_pretrained writes them, and their logits.

    .deps/peers/bin/python tests/golden/bitsandbytes_models.py        # writes tests/golden/bitsandbytes/<name>/

Each folder is a checkpoint beside expected.safetensors: "ids" and "logits" [tokens, vocabulary]. The logits are those of
the plain model in fp32 with each quantized matrix dequantized to fp32: on a CPU with AVX-512-BF16 bitsandbytes itself
multiplies in bf16, with weights packed anew. What it stores is packed before that.
"""
import json
import pathlib
import shutil

import bitsandbytes.functional as bnb
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

HERE = pathlib.Path(__file__).parent / "bitsandbytes"


def four_bit(kind, double=False, **more):
    return dict(load_in_4bit=True, bnb_4bit_quant_type=kind, bnb_4bit_use_double_quant=double, **more)


# name: family, dtype of what stays plain, quantization, elements a block
VARIANTS = {
    "nf4": ("llama", torch.float32, four_bit("nf4"), 64),
    "nf4_double": ("llama", torch.bfloat16, four_bit("nf4", True), 64),
    "nf4_double_32": ("llama", torch.bfloat16, four_bit("nf4", True), 32),
    "fp4_256": ("llama", torch.float16, four_bit("fp4"), 256),
    "fp4_double": ("llama", torch.float32, four_bit("fp4", True), 64),
    "nf4_as_bf16": ("llama", torch.bfloat16, four_bit("nf4", bnb_4bit_quant_storage="bfloat16"), 64),
    "nf4_head": ("llama", torch.float32, four_bit("nf4", llm_int8_skip_modules=["down_proj"]), 64),
    "int8": ("llama", torch.float16, dict(load_in_8bit=True), 0),
    "nf4_gpt2": ("gpt2", torch.float32, four_bit("nf4", True), 64),
}


def plain_model(family):
    common = dict(bos_token_id=1, eos_token_id=2, pad_token_id=2, initializer_range=0.2, tie_word_embeddings=family == "gpt2")
    if family == "gpt2":
        return GPT2LMHeadModel(GPT2Config(vocab_size=96, n_positions=64, n_embd=32, n_layer=2, n_head=4, **common))
    return LlamaForCausalLM(LlamaConfig(vocab_size=96, hidden_size=64, intermediate_size=160, num_hidden_layers=2, num_attention_heads=4,
                                        num_key_value_heads=2, max_position_embeddings=64, **common))


def dequantized(stored, module):
    """The fp32 matrix of a module, or None where it is stored plainly."""
    weight = stored[module + ".weight"]
    if module + ".SCB" in stored:
        return weight.float() * stored[module + ".SCB"].float()[:, None] / 127
    prefix = module + ".weight."
    parts = {key.removeprefix(prefix): value for key, value in stored.items() if key.startswith(prefix)}
    if not parts:
        return None
    state = bnb.QuantState.from_dict(parts, device=torch.device("cpu"))
    # As one row: on a CPU bitsandbytes dequantizes matrices wrongly whose blocks reach over the end of a row.
    shape, state.shape, state.dtype = state.shape, (1, state.shape.numel()), torch.float32
    return bnb.dequantize_4bit(weight.view(torch.uint8), state).reshape(shape)


for number, (name, (family, dtype, options, block)) in enumerate(VARIANTS.items()):
    torch.manual_seed(number)
    folder, plain = HERE / name, HERE / (name + ".plain")
    shutil.rmtree(folder, ignore_errors=True)
    plain_model(family).to(dtype).save_pretrained(plain)
    quantization = BitsAndBytesConfig(**options)
    if block not in (0, 64):  # transformers has no setting for it
        import bitsandbytes.nn.modules as modules
        make = modules.Params4bit.__new__
        modules.Params4bit.__new__ = lambda cls, *a, blocksize=None, **k: make(cls, *a, blocksize=block, **k)
    model = AutoModelForCausalLM.from_pretrained(plain, dtype=dtype, quantization_config=quantization, device_map={"": "cpu"})
    model.save_pretrained(folder)
    if block not in (0, 64):
        modules.Params4bit.__new__ = make

    stored = load_file(folder / "model.safetensors")
    state = {}
    reference = AutoModelForCausalLM.from_pretrained(plain, dtype=torch.float32).eval()
    layers = 0
    for key, weight in reference.state_dict().items():
        if not key.endswith(".weight") or key not in stored:
            continue
        matrix = dequantized(stored, key.removesuffix(".weight"))
        if matrix is None:
            assert torch.equal(stored[key].float(), weight), key
            continue
        layers += 1
        matrix = matrix.t() if family == "gpt2" else matrix
        assert 0 < (matrix - weight).abs().max() < 0.4 * weight.abs().max(), key
        state[key] = matrix
    reference.load_state_dict(state, strict=False)
    ids = (torch.arange(40) * 29 + 7 * number) % 96
    with torch.inference_mode():
        logits = reference(ids[None]).logits[0]
    save_file(dict(ids=ids, logits=logits.contiguous()), folder / "expected.safetensors")
    shutil.rmtree(plain)
    blocks = {json.loads(bytes(value.tolist()))["blocksize"] for key, value in stored.items() if "quant_state" in key}
    assert blocks == ({block} if block else set()), blocks
    print(name, layers, "quantized layers,", sum(f.stat().st_size for f in folder.iterdir()), "bytes")
