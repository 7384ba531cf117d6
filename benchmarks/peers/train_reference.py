"""What the engines are held against: a plain loss, the machine's matrix products, FLOPs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def write_model(folder: Path, shape: Mapping[str, Any]) -> Any:
    """A model with random weights and a tokenizer that has its ids, for engines to load.

    The weights are as wide as those of a trained model (PyTorch's 0.02 leaves attention nearly
    uniform at this size, and a document that sees its neighbour would hardly show in the loss).
    """
    from tokenizers import Tokenizer, models

    disable_progress_bar()
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**shape, initializer_range=0.06))
    model.save_pretrained(folder)
    words = {"<unk>": 0, "<s>": 1, "</s>": 2}
    words |= {f"t{i}": i for i in range(3, shape["vocab_size"])}
    PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<unk>")), bos_token="<s>",
        eos_token="</s>", unk_token="<unk>", pad_token="<unk>",
    ).save_pretrained(folder)  # fmt: skip
    return model


@torch.no_grad()
def plain_loss(model: Any, documents: Iterable[list[int]]) -> float:
    """Mean cross-entropy in fp32, one document at a time, as one computes it on paper."""
    total, n = 0.0, 0
    for ids in documents:
        logits = model(torch.tensor([ids]), use_cache=False).logits[0, :-1]
        total += float(F.cross_entropy(logits, torch.tensor(ids[1:]), reduction="sum").double())
        n += len(ids) - 1
    return total / n


def matmul_limit(shape: Mapping[str, Any], precision: str, device: str) -> float:
    """FLOP/s of one core (or the GPU): the best of the products that training is made of.

    These are a tile of logits, its gradient with the head, and the MLP's first product.
    """
    hidden, vocab = shape["hidden_size"], shape["vocab_size"]
    few, many = (512, 2048) if device == "cpu" else (4096, 8192)
    sizes = [(few, hidden, vocab), (few, vocab, hidden)]
    sizes += [(many, hidden, shape["intermediate_size"])] * 2
    best = max(_product(*size, precision, device) for size in sizes)
    if device != "cpu":  # the engines need all of it
        torch.cuda.empty_cache()
    return best


def _product(m: int, k: int, n: int, precision: str, device: str) -> float:
    """FLOP/s of a product ``[m, k] @ [k, n]``: the best of three."""
    a = torch.randn(m, k, device=device, dtype=DTYPES[precision])
    b = torch.randn(k, n, device=device, dtype=DTYPES[precision])
    out = torch.empty(m, n, device=device, dtype=DTYPES[precision])
    seconds = []
    for _ in range(3):
        start = _clock(device)
        torch.mm(a, b, out=out)
        seconds.append(_clock(device) - start)
    return 2 * m * k * n / min(seconds)


def _clock(device: str) -> float:
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def flops_per_target(
    shape: Mapping[str, Any], documents: list[list[int]], lora: Mapping[str, Any] | None
) -> float:
    """Matrix products of a trained token, forward and backward; attention causal, in documents.

    6 FLOPs a weight and token; 4 where a weight is frozen (LoRA's own are not counted). Nothing is
    counted twice that an engine computes again.
    """
    hidden, layers = shape["hidden_size"], shape["num_hidden_layers"]
    kv = shape["num_key_value_heads"] / shape["num_attention_heads"]
    body = layers * ((2 + 2 * kv) * hidden**2 + 3 * hidden * shape["intermediate_size"])
    lengths = np.array([len(ids) for ids in documents], float)
    tokens, targets = lengths.sum(), (lengths - 1).sum()
    attention = 12 * layers * hidden * float((lengths**2).sum()) / 2
    per_weight = 4 if lora else 6
    weights = per_weight * (body * tokens + shape["vocab_size"] * hidden * targets)
    return float((weights + attention) / targets)
