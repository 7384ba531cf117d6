"""The name under which a model takes its key-value cache, which changed with transformers 5.24."""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import Any


def cached(model: Any, cache: Any) -> dict[str, Any]:
    """The keyword argument that hands a model its cache: ``cache``, once ``past_key_values``.

    Args:
        model: a causal LM or its body.
        cache: of transformers; None: the model makes one.
    """
    return {_keyword(type(model)): cache, "use_cache": True}  # type: ignore[arg-type]


@lru_cache(maxsize=64)
def _keyword(kind: type) -> str:
    parameters = inspect.signature(kind.forward).parameters  # type: ignore[attr-defined]
    return "cache" if "cache" in parameters else "past_key_values"
