"""The proof that a GGUF file is the model: ids, logits and greedy answers, held against the folder.

Two readers look at the file. Ours unpacks the weights into transformers, which is always there;
where llama.cpp is on the machine it encodes the same lines and answers the same prompts itself.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from hanhua.core.errors import ArtifactError
from hanhua.export.gguf_read import check_vocab, load_gguf
from hanhua.export.huggingface import (
    GREEDY_TEXTS,
    GREEDY_TOKENS,
    HARD_TEXTS,
    compared_texts,
    greedy_tokens,
)
from hanhua.export.llama_cpp import LlamaCpp
from hanhua.model.load import load_model, load_tokenizer

ROUNDING = {"f32": 0.0, "f16": 2**-11, "bf16": 2**-8}
"""Largest relative error that rounding to a type makes in a weight; blocks have no such bound."""


@torch.inference_mode()
def prove_gguf(folder: Path, path: Path, kind: str, llama: LlamaCpp) -> dict[str, Any]:
    """Compare a GGUF file with the model folder it was made from.

    Args:
        folder: the model.
        path: the file.
        kind: its type; weights in f32, f16 and bf16 may only differ by rounding.
        llama: llama.cpp, where it is.

    Returns:
        ``tokens_compared`` (of the vocabulary), ``weights_relative_error`` and
        ``logits_relative_error`` (norms), ``argmax_same`` (share of positions), ``greedy_same`` of
        ``greedy_tokens``; with llama.cpp also ``llama_cpp``: its version, ``lines_same`` of
        ``lines``, ``greedy_same``.

    Raises:
        ArtifactError: when tokenizer, ids or weights differ.
    """
    found: dict[str, Any] = {"tokens_compared": check_vocab(path, folder)}
    tokenizer, source = load_tokenizer(folder), load_model(folder)
    file = load_gguf(path, folder).model
    found["weights_relative_error"] = error = _weights(source, file)
    if error > ROUNDING.get(kind, float("inf")):
        raise _differs("weights", path, f"a relative error of {error:.3g}")
    found |= _logits(source, file, tokenizer)
    room = int(source.config.max_position_embeddings)
    prompts = [tokenizer(text)["input_ids"] for text in GREEDY_TEXTS]
    counts = [min(GREEDY_TOKENS, room - len(ids)) for ids in prompts]
    ours = [greedy_tokens(source, ids, n) for ids, n in zip(prompts, counts, strict=True)]
    theirs = [greedy_tokens(file, ids, n) for ids, n in zip(prompts, counts, strict=True)]
    found |= {"greedy_tokens": sum(counts), "greedy_same": _same(ours, theirs)}
    if llama.python is not None:
        texts = compared_texts(tokenizer)
        answer = llama.answers(
            path, texts, list(zip(prompts, counts, strict=True)), n_ctx=min(room, 512)
        )
        expected = [list(tokenizer(text)["input_ids"]) for text in texts]
        wrong = [t for t, a, b in zip(texts, answer["ids"], expected, strict=True) if a != b]
        if wrong:
            raise _differs("token ids in llama.cpp", path, repr(wrong[0][:80]))
        found["llama_cpp"] = {
            "version": answer["version"], "lines": len(texts), "lines_same": len(texts),
            "greedy_same": _same(ours, answer["greedy"]),
        }  # fmt: skip
    return found


def _weights(source: Any, file: Any) -> float:
    """Norm of the difference of all weights over their own."""
    theirs = dict(file.named_parameters())
    error = size = 0.0
    for name, weight in source.named_parameters():
        error += float((theirs[name] - weight).double().square().sum())
        size += float(weight.double().square().sum())
    return math.sqrt(error / size)


def _logits(source: Any, file: Any, tokenizer: Any) -> dict[str, float]:
    """Relative error over all positions of the hard lines, and how often the likeliest agrees."""
    room = int(source.config.max_position_embeddings)
    error = size = same = positions = 0.0
    for text in HARD_TEXTS:
        ids = torch.tensor([tokenizer(text)["input_ids"][:room]])
        if not ids.numel():
            continue
        a, b = source(ids).logits.double(), file(ids).logits.double()
        error += float((a - b).square().sum())
        size += float(a.square().sum())
        same += float((a.argmax(-1) == b.argmax(-1)).sum())
        positions += ids.numel()
    return {"logits_relative_error": (error / size) ** 0.5, "argmax_same": same / positions}


def _same(ours: list[list[int]], theirs: list[list[int]]) -> int:
    """Tokens until the first that differs, over all prompts."""
    total = 0
    for a, b in zip(ours, theirs, strict=True):
        until = next((i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y), len(a))
        total += until
    return total


def _differs(what: str, path: Path, found: str) -> ArtifactError:
    return ArtifactError(
        f"The GGUF file is not the same model: its {what} differ.", where=path.name,
        found=found[:300], fix="report this as a bug; nothing was exported",
    )  # fmt: skip
