"""The first mistake that pydantic finds in a file, told with line and nearest key."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from hanhua.core.errors import RecipeError
from hanhua.core.plain import plain_words


def explain(
    error: ValidationError, kind: type[BaseModel], path: Path, root: yaml.Node | None,
    given: set[str],
) -> RecipeError:  # fmt: skip
    """The first mistake as a message with line and nearest key.

    Args:
        error: what was found.
        kind: the model of the whole file.
        path: of the file.
        root: its nodes, for lines.
        given: dotted keys that came with --set.
    """
    first, parts = _first(error)
    dotted = ".".join(map(str, parts))
    line = _line(root, parts)
    from_set = any(
        dotted == key
        or dotted.startswith(key + ".")
        or (line is None and key.startswith(f"{dotted}."))
        for key in given
    )
    where = f"--set {dotted}" if from_set else f"{path}:{line}" if line else str(path)
    shown = first.get("input")
    found = f"{dotted}: {shown!r}" if not isinstance(shown, dict) else dotted or None
    return _wrong_key(error, kind, where) or _wrong_value(
        error, "The recipe does not hold", where, found
    )


def explain_section(error: ValidationError, kind: type[BaseModel], name: str) -> RecipeError:
    """The first mistake in a section that came from ``key=value`` alone.

    Args:
        error: what was found.
        kind: the section's model.
        name: of the section.
    """
    first, parts = _first(error)
    dotted = ".".join(map(str, parts))
    where = f"{name}.{dotted}" if dotted else name
    found = None if isinstance(first.get("input"), dict) else repr(first.get("input"))
    return _wrong_key(error, kind, f"--set {dotted}") or _wrong_value(
        error, "The setting does not hold", where, found
    )


def _first(error: ValidationError) -> tuple[ErrorDetails, list[int | str]]:
    """The mistake to tell, and its place."""
    # a misspelt key also leaves its right name missing: name the misspelling first
    first = min(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
    return first, [part for part in first["loc"] if not _is_union_tag(part)]


def _wrong_key(error: ValidationError, kind: type[BaseModel], where: str) -> RecipeError | None:
    """What to say of a key that is unknown or missing; None where the mistake is a value."""
    first, parts = _first(error)
    dotted = ".".join(map(str, parts))
    if first["type"] == "missing":
        return RecipeError(f"A key is missing{_more(error)}.", where=where, found=dotted,
                           fix="add it")  # fmt: skip
    if first["type"] != "extra_forbidden":
        return None
    known = list(_keys_at(kind, parts[:-1]))
    near = difflib.get_close_matches(str(parts[-1]), known, n=1, cutoff=0.5)
    fix = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
    return RecipeError(f"Unknown key{_more(error)}.", where=where, found=dotted, fix=fix)


def _wrong_value(error: ValidationError, what: str, where: str, found: str | None) -> RecipeError:
    message, mend = plain_words(_first(error)[0])
    return RecipeError(
        f"{what}{_more(error)}: {message}.", where=where, found=found,
        fix=mend or "see the key's meaning with `hanhua schema`",
    )  # fmt: skip


def _more(error: ValidationError) -> str:
    count = error.error_count() - 1
    return f" ({count} more after it)" if count else ""


def _is_union_tag(part: Any) -> bool:
    """Pydantic names the tried member of a union in the location; people need not see it."""
    return isinstance(part, str) and (part[:1].isupper() or "[" in part or part in _TYPES)


_TYPES = frozenset({
    "int", "float", "str", "bool", "none",
    "constrained-int", "constrained-float", "constrained-str",
})  # fmt: skip


def _line(node: yaml.Node | None, parts: Sequence[Any]) -> int | None:
    """Line of the deepest part of a location that is in the file."""
    line = None
    for part in parts:
        if isinstance(node, yaml.MappingNode):
            pairs = {key.value: (key, value) for key, value in node.value}
            if str(part) not in pairs:
                break
            key, node = pairs[str(part)]
            line = key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            if part >= len(node.value):
                break
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line


def _keys_at(model: type[BaseModel], parts: Sequence[Any]) -> Iterator[str]:
    """The keys known at a location, following sections and lists of sections."""
    models = [model]
    for part in parts:
        if isinstance(part, int):
            continue
        models = [
            inner for m in models if part in m.model_fields
            for inner in _models_in(m.model_fields[part].annotation)
        ]  # fmt: skip
    for m in models:
        yield from m.model_fields


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for arg in getattr(annotation, "__args__", ()) for m in _models_in(arg)]
