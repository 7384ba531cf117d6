"""What a study was made with: written beside its points, so that studies of sizes can be joined.

A joined law has one axis of shares, one of tokens and one of losses. They mean the same in two
studies only if the tokenizer, the texts, the held-out documents and the way of measuring are the
same. What may differ with the size, such as the learning rate, is written down and told.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hanhua.core.files import canonical_json, sha256_file, sha256_text
from hanhua.mix.config import MixConfig
from hanhua.model.config import BaseConfig
from hanhua.model.facts import base_facts, parameters
from hanhua.tokens.config import TokensConfig
from hanhua.train.config import TrainConfig

TOKENIZERS = ("tokenizer.json", "tokenizer.model")


def setting_of(
    model: Path, asked: Mapping[str, Any], tokens: TokensConfig, training: TrainConfig
) -> dict[str, Any]:
    """The setting of a study, as JSON values.

    Args:
        model: folder of a small run's model.
        asked: see :func:`asked_of`.
        tokens: the recipe's section.
        training: the recipe's section.
    """
    facts = base_facts(BaseConfig(model=str(model)))
    return {
        "parameters": facts.get("n_params"), "vocab_size": facts.get("vocab_size"),
        "tokenizer": tokenizer_of(model), **asked, "training": trained_by(tokens, training),
    }  # fmt: skip


def trained_by(tokens: TokensConfig, training: TrainConfig) -> dict[str, Any]:
    """What may differ between sizes, and is told where it does."""
    return {
        "learning_rate": training.learning_rate, "batch_tokens": training.batch_tokens,
        "seq_len_tokens": tokens.seq_len_tokens, "schedule": training.schedule,
        "trained": "adapters" if training.lora else "all weights",
    }  # fmt: skip


def asked_of(
    corpus: str, vocab: Mapping[str, Any] | None, others: Mapping[str, float], mix: MixConfig,
    base: BaseConfig,
) -> dict[str, Any]:  # fmt: skip
    """What a recipe alone says of it, before anything is made.

    Args:
        corpus: fingerprint of the texts.
        vocab: identity of the vocabulary's stage; None where there is none.
        others: shares of other languages than the two that are mixed.
        mix: the recipe's section.
        base: the recipe's section.
    """
    return {
        "corpus": corpus, "vocab": sha256_text(canonical_json(vocab)),
        "base_tokenizer": tokenizer_of(Path(base.tokenizer or base.model or "")),
        "held_out": {"docs": mix.docs, "max_chars_per_doc": mix.max_chars_per_doc},
        "small_runs": mix.schedule, "others": dict(sorted(others.items())),
    }  # fmt: skip


def tokenizer_of(place: Path) -> str | None:
    """Digest of a local model's tokenizer, or of the file itself; None where there is none."""
    files = [place, *(place / name for name in TOKENIZERS)]
    return next((sha256_file(path) for path in files if path.is_file()), None)


def size_of(base: BaseConfig, setting: Mapping[str, Any]) -> float | None:
    """Parameters of a recipe's model with the vocabulary of a study; None if not known.

    No weights are read: the shapes come from config.json.
    """
    facts = base_facts(base)
    if not facts or not facts.get("hidden_size"):
        return None
    return float(parameters(facts | {"vocab_size": setting["vocab_size"]}))
