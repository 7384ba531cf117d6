"""What a plan wants to know of the base before anything is loaded: shapes and parameters."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hanhua.core.config import is_hub_id
from hanhua.model.config import BaseConfig
from hanhua.model.experts import WIDE_QK_NORM, Experts, experts_of, has_experts
from hanhua.model.known import known_facts
from hanhua.model.shapes import BIASED, QK_NORM, TIED, UNGATED, Shapes
from hanhua.vocab.cost import Cost


def base_facts(config: BaseConfig) -> dict[str, Any]:
    """Shapes of a local or scratch base, or of a well-known one on a hub; else empty.

    Returns:
        hidden_size, layers, intermediate_size, heads, kv_heads, head_dim, vocab_size, tied,
        context_tokens, n_params, n_active_params and what else :class:`Shapes` wants, as far as
        they can be read from config.json; nothing of a mixture of experts of an unknown kind.
    """
    raw = _from_scratch(config) if config.scratch is not None else _from_model(str(config.model))
    if raw:
        raw["n_params"], raw["n_active_params"] = parameters(raw), active_parameters(raw)
    if raw and config.context is not None:
        raw["context_tokens"] = config.context.tokens
    return raw


def why_unknown(config: BaseConfig) -> str:
    """Why :func:`base_facts` knows nothing of a base, and what to do if anything can be done."""
    data = _read(str(config.model)) or {}
    if has_experts(data):
        return (
            f"{config.model} is a mixture of experts of a kind that plans don't count "
            f"({data.get('model_type')}), so its parameters, memory and time are not known "
            "beforehand"
        )
    return (
        f"the shapes of {config.model} are not known here: for parameters, memory and time name a "
        "folder with its config.json as base.model"
    )


def _from_model(reference: str) -> dict[str, Any]:
    data = _read(reference)
    if data is None:
        return known_facts(reference) if is_hub_id(reference) else {}
    try:
        return _from_file(data)
    except (KeyError, TypeError, AttributeError):
        return {}


def _read(reference: str) -> dict[str, Any] | None:
    """A folder's config.json; empty where it cannot be read, None where there is none."""
    path = Path(reference) / "config.json"
    if not path.is_file():
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def is_mixture(config: BaseConfig) -> bool:
    """Whether a base is known to be a mixture of experts: by its config.json, or a table."""
    reference = str(config.model)
    return has_experts(_read(reference) or {}) or bool(known_facts(reference).get("experts"))


def rows_cost(folder: Path) -> Cost:
    """What a model pays for new rows; LLaMA-2-7B's shapes where no config.json tells."""
    facts = base_facts(BaseConfig(model=str(folder)))
    if not facts:
        return Cost()
    rows = facts["vocab_size"] * facts["hidden_size"] * (1 if facts["tied"] else 2)
    return Cost(facts["n_active_params"] - rows, facts["hidden_size"], facts["tied"], assumed=False)


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
    experts = experts_of(data)
    heads = data.get("num_attention_heads") or data["n_head"]
    hidden = data.get("hidden_size") or data["n_embd"]
    kind = str(data.get("model_type"))
    inner = data.get("intermediate_size") or data.get("n_inner") or 4 * hidden
    return {
        "hidden_size": hidden,
        "layers": data.get("num_hidden_layers") or data["n_layer"],
        "heads": heads,
        "kv_heads": data.get("num_key_value_heads") or heads,
        "head_dim": data.get("head_dim") or hidden // heads,
        "intermediate_size": inner[0] if isinstance(inner, list) else inner,
        "context_tokens": data.get("max_position_embeddings") or data.get("n_positions", 0),
        "tied": bool(data.get("tie_word_embeddings", kind in TIED)),
        "vocab_size": data["vocab_size"],
        "gated": kind not in UNGATED,
        "attention_bias": kind in BIASED or bool(data.get("attention_bias")),
        "qk_norm": kind in QK_NORM,
        **({} if experts is None else _of_mixture(kind, experts)),
    }


def _of_mixture(kind: str, experts: Experts) -> dict[str, Any]:
    return {
        "experts": asdict(experts), "wide_qk_norm": kind in WIDE_QK_NORM,
        "sinks": kind == "gpt_oss",
    }  # fmt: skip


def active_parameters(facts: dict[str, Any]) -> int:
    """Parameters that a token meets: of a dense model all."""
    shapes = Shapes.of(facts)
    assert shapes is not None, facts
    return shapes.active_parameters


def parameters(facts: dict[str, Any]) -> int:
    """Parameters of a LLaMA of these shapes (others come close)."""
    shapes = Shapes.of(facts)
    assert shapes is not None, facts
    return shapes.parameters
