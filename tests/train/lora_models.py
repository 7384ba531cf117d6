"""One tiny random model of every family that LoRA is tried on, and a short run of it."""

from __future__ import annotations

import torch
import transformers
from tiny_models import VOCAB, make_llama

from hanhua.core.config import Machine
from hanhua.core.progress import Silent
from hanhua.model.config import LoraConfig
from hanhua.model.lora import adapters
from hanhua.train.config import TrainConfig
from hanhua.train.loop import train

_COMMON = {
    "vocab_size": VOCAB, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128,
    "initializer_range": 0.2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
_GPT2 = {
    "vocab_size": VOCAB, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128,
    "initializer_range": 0.2, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0,
    "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
_FAMILIES = {
    "mistral": ("Mistral", _COMMON),
    "qwen2": ("Qwen2", _COMMON),
    "qwen3": ("Qwen3", {**_COMMON, "head_dim": 8, "tie_word_embeddings": True}),
    "gemma": ("Gemma", {**_COMMON, "head_dim": 8}),
    "phi": ("Phi", {**_COMMON, "num_key_value_heads": 4}),
    "gpt2": ("GPT2", _GPT2),
    "gpt_neox": ("GPTNeoX", {k: v for k, v in _COMMON.items() if k != "num_key_value_heads"}),
}
FAMILIES = ("llama", *_FAMILIES)


def make_model(family: str):
    """The model of a family; biases and norms are not at their neutral start."""
    if family == "llama":
        return make_llama()
    name, values = _FAMILIES[family]
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**values)
    head = "LMHeadModel" if name == "GPT2" else "ForCausalLM"
    model = getattr(transformers, f"{name}{head}")(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.05)
    return model.eval()


def run(model, rows, work, *, old_rows=None, lora=None, **values):
    values = {"precision": "fp32", "learning_rate": 1e-2, "batch_tokens": 256, **values}
    section = TrainConfig(lora=lora or LoraConfig(rank=4), **values)
    return train(
        model, rows, section, work=work, seed=3, old_rows=old_rows, progress=Silent(),
        machine=Machine(device="cpu", threads=1),
    )  # fmt: skip


def stir(model, scale=0.05):
    """Adapters that do something, as after training."""
    torch.manual_seed(5)
    with torch.no_grad():
        for _, _, adapter in adapters(model):
            adapter.B.normal_(0, scale)
            if adapter.magnitude is not None:
                adapter.magnitude.mul_(1 + 0.1 * torch.rand_like(adapter.magnitude))
