"""What benchmarks/training.py trains: shapes of models, kinds of data, and which engines."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Any

from peers.train_engines import OURS, PYTHON

SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
             "num_attention_heads": 4, "num_key_value_heads": 2},
    "15m": {"hidden_size": 288, "intermediate_size": 768, "num_hidden_layers": 6,
            "num_attention_heads": 6, "num_key_value_heads": 6},
    "1.1b": {"hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22,
             "num_attention_heads": 32, "num_key_value_heads": 4},
    "7b": {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
           "num_attention_heads": 32, "num_key_value_heads": 32},
}  # fmt: skip
"""LLaMA shapes: of llama2.c's stories15M, TinyLlama and Llama 2."""
SMALL = ("tiny", "15m")
"""Written to a folder once, with tied ends; larger ones every engine makes for itself."""
LORA = {"rank": 16, "alpha": 32.0}
ENGINES = {
    "chat": ("hanhua", "plain", "trl:bfd+micro1", "llamafactory:neat+micro1",
             "trainer:grouped+micro5"),
    "full": ("hanhua", "plain", "trainer:padded+micro2"),
}  # fmt: skip
"""Peers in the fastest of their settings on a CPU in fp32 (without recomputing, a step in parts
where that is faster); ``plain`` only where there is no peer."""
PEERS = ("trl", "llamafactory", "trainer")


@dataclass(frozen=True, slots=True)
class Case:
    """One model on one kind of data.

    Args:
        shape: a name in ``SHAPES``.
        vocab: ids.
        data: ``chat`` or ``full``.
        row_tokens: room in a packed row, limit of a document.
        batch_tokens: of an optimiser step, about.
        micro_tokens: of its parts, on CUDA.
        lora: adapters, or None.
    """

    shape: str
    vocab: int
    data: str
    row_tokens: int
    batch_tokens: int
    micro_tokens: int
    lora: dict[str, Any] | None

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.shape} {self.vocab} {self.data}{' lora' if self.lora else ''}"

    @property
    def small(self) -> bool:
        """Whether engines load it from a folder, and losses are held against a plain one."""
        return self.shape in SMALL

    @property
    def config(self) -> dict[str, Any]:
        """The model's configuration."""
        return {
            **SHAPES[self.shape], "vocab_size": self.vocab, "tie_word_embeddings": self.small,
            "max_position_embeddings": 4096, "bos_token_id": 1, "eos_token_id": 2,
        }  # fmt: skip

    def job(
        self, documents: list[list[int]], precision: str, device: str,
        turn_steps: int | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """What every engine is told."""
        mean = sum(map(len, documents)) / len(documents)
        turn_steps = turn_steps or (1 if device == "cpu" else 8)
        return {
            "shape": self.config, "lora": self.lora, "precision": precision, "device": device,
            "row_tokens": self.row_tokens, "batch_tokens": self.batch_tokens,
            "turn_tokens": int((turn_steps - 0.1) * self.batch_tokens), "learning_rate": 1e-4,
            "documents_a_step": max(round(self.batch_tokens / mean), 1),
            "micro_tokens": self.micro_tokens,
        }  # fmt: skip


def cases_of(options: argparse.Namespace) -> Iterator[Case]:
    """The cases that were asked for."""
    cuda = options.device == "cuda"
    data = options.data or (["full"] if cuda else ["chat"] if options.quick else ["chat", "full"])
    usual = [55_296] if cuda else [32_000] if options.quick else [32_000, 55_296]
    batch = 16_384 if cuda else 1024 if options.quick else 2048
    for shape in options.shape or (["1.1b", "7b"] if cuda else ["15m"]):
        for train in options.train or (["full", "lora"] if cuda else ["full"]):
            for vocab in options.vocab or usual:
                for kind in data:
                    rows = options.row_tokens or (4096 if cuda else {"chat": 1024}.get(kind, 512))
                    yield Case(
                        shape, vocab, kind, rows,
                        options.batch_tokens or batch,
                        options.micro_batch_tokens or (rows if shape == "7b" else 8192),
                        LORA if train == "lora" else None,
                    )  # fmt: skip


def engines_of(case: Case, options: argparse.Namespace, scripts: Set[str]) -> list[str]:
    """The engines of a case, as far as there is a Python for them."""
    names = options.engines or ENGINES[case.data]
    if options.device == "cuda" and not options.engines:
        parts = f"micro{max(case.micro_tokens // case.row_tokens, 1)}"
        again = "+recompute" if case.shape == "7b" and not case.lora else ""
        names = [f"hanhua:{parts}+compile", f"hanhua:{parts}{'+selective' if again else ''}"]
        names += [f"trainer:{mode}+{parts}{again}" for mode in ("padded", "padded+pure")]
        if case.shape == "7b" and case.lora:  # a frozen base in fp32 is nobody's setting
            names = [name for name in names if not name.startswith("trainer:padded+micro")]
    elif not options.engines and scripts & set(PEERS):
        names = [name for name in names if name != "plain"]
    return [name for name in names if name.partition(":")[0] in scripts]


def find_pythons(options: argparse.Namespace) -> tuple[dict[str, str], list[str]]:
    """Script -> interpreter, and what is left out for want of one."""
    found = dict.fromkeys(OURS, PYTHON)
    for name in PEERS if options.peers else ():
        for folder in (f"train-{name}", name):
            python = options.peers / folder / "bin" / "python"
            if python.exists():
                found.setdefault(name, str(python))
    found |= dict(entry.split("=", 1) for entry in options.peer)
    if "trl" in found:  # TRL's environment has Transformers' Trainer too
        found.setdefault("trainer", found["trl"])
    left_out = [f"{name}: no environment given (--peer {name}=PYTHON)" for name in PEERS
                if name not in found]  # fmt: skip
    return found, left_out
