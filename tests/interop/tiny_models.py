"""Tiny models of several families, for comparisons of training."""
import torch
from transformers import (BertConfig, BertForSequenceClassification, Gemma2Config, Gemma2ForCausalLM, GPT2Config, GPT2LMHeadModel, LlamaConfig,
                          LlamaForCausalLM, T5Config, T5ForConditionalGeneration)

VOCABULARY = 259
TASKS = {"llama": "CAUSAL_LM", "gemma2": "CAUSAL_LM", "gpt2": "CAUSAL_LM", "t5": "SEQ_2_SEQ_LM", "bert": "SEQ_CLS"}
PLAIN = dict(num_attention_heads=4, num_hidden_layers=3, vocab_size=VOCABULARY, hidden_size=64, intermediate_size=128, max_position_embeddings=160,
             bos_token_id=1, eos_token_id=1, pad_token_id=0)


MAKE = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**PLAIN, num_key_value_heads=2)),
    "gemma2": lambda: Gemma2ForCausalLM(Gemma2Config(**PLAIN, num_key_value_heads=2, head_dim=16, query_pre_attn_scalar=16, sliding_window=32,
                                                     hidden_activation="gelu_pytorch_tanh", attn_implementation="eager")),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, n_positions=160, n_embd=64, n_layer=3, n_head=4, bos_token_id=1, eos_token_id=1)),
    "t5": lambda: T5ForConditionalGeneration(T5Config(vocab_size=VOCABULARY, d_model=64, d_kv=16, d_ff=128, num_layers=2, num_decoder_layers=3, num_heads=4,
                                                      feed_forward_proj="gated-gelu", decoder_start_token_id=0, tie_word_embeddings=False)),
    "bert": lambda: BertForSequenceClassification(BertConfig(vocab_size=VOCABULARY, hidden_size=64, num_hidden_layers=3, num_attention_heads=4,
                                                             intermediate_size=128, max_position_embeddings=160, num_labels=2)),
}


def tiny(kind, folder):
    """The same model each time, as large as trained ones, or nothing would be learned in 20 steps; biases and norms not trivial. Saved
    in the folder, where it is not yet."""
    torch.manual_seed(0)
    model = MAKE[kind]()
    for name, weight in model.named_parameters():
        # T5 does not divide its scores: with larger weights they saturate, and fp32 strays from fp64 in the reference itself.
        if weight.ndim > 1: torch.nn.init.normal_(weight, std=weight.shape[-1] ** -0.5 * (0.5 if kind == "t5" else 1))
        else: torch.nn.init.normal_(weight, mean=weight.detach().mean().item(), std=0.05)
    model.tie_weights()
    if not folder.exists(): model.save_pretrained(folder)
    return model.eval(), folder
