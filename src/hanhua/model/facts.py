"""What a plan wants to know of the base before anything is loaded: shapes and parameters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hanhua.model.config import BaseConfig
from hanhua.vocab.cost import Cost


def base_facts(config: BaseConfig) -> dict[str, Any]:
    """Shapes of a local or scratch base; empty for a hub id that isn't here yet.

    Returns:
        hidden_size, layers, intermediate_size, heads, kv_heads, vocab_size, tied,
        context_tokens, n_params as far as they can be read from config.json.
    """
    if config.scratch is not None:
        raw = _from_scratch(config)
    else:
        path = Path(str(config.model)) / "config.json"
        if not path.is_file():
            return {}
        try:
            raw = _from_file(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError):
            return {}
    raw["n_params"] = parameters(raw)
    return raw


def rows_cost(folder: Path) -> Cost:
    """What a model pays for new rows; LLaMA-2-7B's shapes where no config.json tells."""
    facts = base_facts(BaseConfig(model=str(folder)))
    if not facts:
        return Cost()
    rows = facts["vocab_size"] * facts["hidden_size"] * (1 if facts["tied"] else 2)
    return Cost(facts["n_params"] - rows, facts["hidden_size"], facts["tied"], assumed=False)


def _from_scratch(config: BaseConfig) -> dict[str, Any]:
    scratch = config.scratch
    assert scratch is not None
    return {
        "hidden_size": scratch.hidden_size, "layers": scratch.layers, "heads": scratch.heads,
        "kv_heads": scratch.kv_heads, "intermediate_size": scratch.intermediate_size,
        "context_tokens": scratch.context_tokens, "tied": scratch.tie_embeddings,
        "vocab_size": 32000,
    }  # fmt: skip


def _from_file(data: dict[str, Any]) -> dict[str, Any]:
    heads = data.get("num_attention_heads") or data["n_head"]
    hidden = data.get("hidden_size") or data["n_embd"]
    return {
        "hidden_size": hidden,
        "layers": data.get("num_hidden_layers") or data["n_layer"],
        "heads": heads,
        "kv_heads": data.get("num_key_value_heads") or heads,
        "intermediate_size": data.get("intermediate_size") or 4 * hidden,
        "context_tokens": data.get("max_position_embeddings") or data.get("n_positions", 0),
        "tied": bool(data.get("tie_word_embeddings", False)),
        "vocab_size": data["vocab_size"],
    }


def parameters(facts: dict[str, Any]) -> int:
    """Parameters of a LLaMA of these shapes (others come close)."""
    hidden, heads = facts["hidden_size"], facts["heads"]
    kv = hidden * facts["kv_heads"] // heads
    layer = 2 * hidden * hidden + 2 * hidden * kv + 3 * hidden * facts["intermediate_size"]
    body = int(facts["layers"] * (layer + 2 * hidden) + hidden)
    return body + int(facts["vocab_size"] * hidden * (1 if facts["tied"] else 2))
