"""The compiled part, if it was built: what lies between a model's products, each in one pass.

Everything works without it, on PyTorch's operations. ``HANHUA_PURE=1`` leaves it aside.
"""

from __future__ import annotations

from typing import Any

from hanhua.core.compiled import compiled

USED = (
    "attend", "gate", "gate_back", "head", "head_room", "meet", "norm", "norm_back", "place",
    "rotate", "surprise", "tiles", "within", "within_grad",
)  # fmt: skip
"""What this version calls: a library without one of them is an older one."""
NATIVE: Any = compiled("hanhua.model._native", USED)
"""The module ``hanhua.model._native``, or None."""
