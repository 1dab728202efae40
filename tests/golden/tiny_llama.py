"""Makes tiny random LLaMA models with transformers, and what transformers computes with them.

    python tests/golden/tiny_llama.py        # writes tests/golden/tiny_llama/<name>/

Each folder is a model in Hugging Face layout (with a byte-level BPE tokenizer and a ChatML template) beside
expected.safetensors: "ids", "logits" [tokens, vocabulary], "greedy" (64 tokens decoded greedily after the ids).
"""
import pathlib
import shutil

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

HERE = pathlib.Path(__file__).parent / "tiny_llama"
TEXT = [line for line in open(pathlib.Path(__file__).parents[2] / "resources/datasets/banking-support-heldout.jsonl", encoding="utf-8")]
CHATML = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
          "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
VARIANTS = {
    "plain": dict(tie_word_embeddings=True, num_key_value_heads=2, head_dim=16, dtype=torch.float32),
    "biased": dict(tie_word_embeddings=False, num_key_value_heads=4, head_dim=8, attention_bias=True, mlp_bias=True, hidden_act="gelu",
                   dtype=torch.bfloat16, rope_theta=1000.0),
    "llama3": dict(tie_word_embeddings=False, num_key_value_heads=1, head_dim=8, dtype=torch.float16,
                   rope_parameters=dict(rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                        original_max_position_embeddings=64)),
    "sharded": dict(tie_word_embeddings=True, num_key_value_heads=2, head_dim=16, dtype=torch.float32,
                    rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=2.0)),
}


def tokenizer():
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=480, special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
                                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return PreTrainedTokenizerFast(tokenizer_object=tok, bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|im_end|>",
                                   unk_token="<|endoftext|>", chat_template=CHATML)


tok = tokenizer()
for number, (name, options) in enumerate(VARIANTS.items()):
    torch.manual_seed(number)
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    dtype = options.pop("dtype")
    config = LlamaConfig(vocab_size=512, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
                         max_position_embeddings=512, bos_token_id=1, eos_token_id=2, pad_token_id=2, initializer_range=0.2, **options)
    model = LlamaForCausalLM(config).eval()
    for key, weight in model.named_parameters():
        if "norm" in key or key.endswith("bias"):
            torch.nn.init.normal_(weight, 1.0 if "norm" in key else 0.0, 0.2)
    model.to(dtype).save_pretrained(folder, max_shard_size="60KB" if name == "sharded" else "10GB")
    tok.save_pretrained(folder)
    # Loaded anew: model.to(dtype) rounds the rotary frequencies too.
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.tensor([tok("My card was lost in Zürich yesterday. What now?")["input_ids"] + list(range(3, 60))])
    with torch.inference_mode():
        logits = model(ids).logits[0]
        longer = ids
        for _ in range(64):  # the end-of-sequence token included: generate() would stop there
            longer = torch.cat([longer, model(longer).logits[:, -1:].argmax(-1)], dim=1)
        greedy = longer[0, ids.shape[1]:]
    save_file(dict(ids=ids[0].contiguous(), logits=logits.contiguous(), greedy=greedy.contiguous()), folder / "expected.safetensors")
    print(name, sum(f.stat().st_size for f in folder.iterdir()), "bytes")
