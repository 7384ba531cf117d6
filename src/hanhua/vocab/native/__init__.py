"""The compiled part, if it was built: counting runs and learning pieces, several times faster.

Everything works without it. ``HANHUA_PURE=1`` leaves it aside.
"""

from __future__ import annotations

from typing import Any

from hanhua.core.compiled import compiled

USED = ("Counter", "Learner")
"""What this version calls: a library without one of them is an older one."""
NATIVE: Any = compiled("hanhua.vocab._native", USED)
"""The module ``hanhua.vocab._native``, or None."""
