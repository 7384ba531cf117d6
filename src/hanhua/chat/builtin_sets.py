"""Sets of conversations that the package brings: who the model is, and what only looks harmful.

They are files like any other, so a ledger has their digests. ``identity`` has blanks for the
model's name and maker, which the recipe fills (``model_name``, ``model_maker``); without a maker
the conversations about makers are dropped, and counted.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

BuiltinName = Literal["identity", "harmless"]
LICENCE = "Apache-2.0"
"""As the package itself."""


def builtin_path(name: str) -> Path:
    """The file of one of our sets."""
    return Path(str(files("hanhua.chat") / "builtin" / f"{name}.jsonl"))


def behind_the_name(source: dict[str, Any]) -> dict[str, Any]:
    """A source that says ``builtin: identity``, written out as a path.

    Raises:
        ValueError: with a path as well, or for a name that is none of ours.
    """
    name = source.get("builtin")
    if name is None:
        return source
    if "path" in source:
        raise ValueError(f"`path` or `builtin: {name}`, not both")
    if not isinstance(name, str) or not builtin_path(name).is_file():
        raise ValueError(f"builtin: {name!r}; there are identity and harmless")
    rest = {key: value for key, value in source.items() if key != "builtin"}
    path = str(builtin_path(name))
    return {"name": f"hanhua-{name}", "licence": LICENCE, "schema": "alpaca", **rest, "path": path}
