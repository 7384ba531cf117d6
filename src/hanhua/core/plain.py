"""What is wrong with a value, in plain words instead of pydantic's."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

_WANTED = {
    "int": "a whole number is wanted",
    "float": "a number is wanted",
    "string": "text is wanted",
    "bool": "true or false is wanted",
    "tuple": "a list is wanted, e.g. [a, b]",
    "list": "a list is wanted, e.g. [a, b]",
    "dict": "keys with values are wanted, e.g. {key: value}",
    "mapping": "keys with values are wanted, e.g. {key: value}",
    "model": "keys with values are wanted, e.g. {key: value}",
    "finite": "a number that is not infinite is wanted",
}
"""By the first part of the kind of mistake, as in ``int_type``, ``int_parsing``, ``model_type``."""

_BOUNDS = {
    "greater_than": ("it must be more than {}", "gt"),
    "greater_than_equal": ("it must be at least {}", "ge"),
    "less_than": ("it must be less than {}", "lt"),
    "less_than_equal": ("it must be at most {}", "le"),
    "string_too_short": ("it must have at least {} characters", "min_length"),
    "string_too_long": ("it must have at most {} characters", "max_length"),
    "too_short": ("it must have at least {} entries", "min_length"),
    "too_long": ("it must have at most {} entries", "max_length"),
}
_PATTERNS = {
    r"^[\w.-]+$": "only letters, digits, dots, hyphens and underscores may be in it",
    "^hf:.": "it must begin with hf: (a data set of Hugging Face)",
}


def plain_words(error: Mapping[str, Any]) -> tuple[str, str | None]:
    """A mistake in words, and what to do where that is known.

    Args:
        error: one of ``ValidationError.errors()``.

    Returns:
        The words, without a full stop; a kind that has none here keeps pydantic's.
    """
    kind, facts = str(error["type"]), error.get("ctx") or {}
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        bound = facts.get(key)
        found = words.format(f"{bound:g}" if isinstance(bound, float) else bound)
        return re.sub(r"\b1 (entrie|character)s$", _singular, found), None
    if kind == "literal_error":
        return _choice(str(facts.get("expected", "")), error.get("input"))
    if kind == "string_pattern_mismatch":
        pattern = str(facts.get("pattern"))
        return _PATTERNS.get(pattern, f"it does not have the form {pattern}"), None
    wanted = _WANTED.get(kind.partition("_")[0])
    if wanted and kind.endswith(("_type", "_parsing", "_from_float", "_number")):
        return wanted, None
    return str(error["msg"]).removeprefix("Value error, ").removesuffix("."), None


def _singular(found: re.Match[str]) -> str:
    return "1 entry" if found[1] == "entrie" else f"1 {found[1]}"


def _choice(expected: str, given: object) -> tuple[str, str | None]:
    """Of one that is allowed alone, of several the nearest."""
    known = re.findall(r"'([^']+)'", expected) or [expected]
    if len(known) == 1:
        return f"only {known[0]} is known here", f"set it to {known[0]}, or leave it out"
    near = difflib.get_close_matches(str(given), known, n=1, cutoff=0.7)
    fix = f"did you mean {near[0]!r}?" if near else None
    return f"it is none of {', '.join(known)}", fix
