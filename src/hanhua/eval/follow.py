"""Instructions that a program can check, in Chinese and English: the checks.

The idea is IFEval's (J. Zhou et al., https://arxiv.org/abs/2311.07911); checks and prompts are our
own, so scores do not compare with IFEval's. An empty answer follows nothing. Some checks ("no
comma") are met by chance: only the difference between two models on the same prompts says much.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from hanhua.eval.answers_form import tongue

_ITEM = re.compile(
    r"^\s*(?:[-*•·]|\d+\s*[.、)）．:：]|[一二三四五六七八九十]+、)\s*\S", re.MULTILINE
)
_SENTENCE_END = re.compile(r"(?:[。！？!?…]+|\.(?=\s|$))[\"”’』」)）]*")
_FENCE = re.compile(r"^```(?:json)?\s*\n(.*?)\n?```$", re.DOTALL)
_COMMAS = re.compile("[,，、]")

Check = Callable[[str, Any], bool]


def n_chars(text: str) -> int:
    """Characters without white space: how lengths are counted in Chinese."""
    return len("".join(text.split()))


def n_words(text: str) -> int:
    """Words between white space."""
    return len(text.split())


def n_sentences(text: str) -> int:
    """Sentences by their end marks; a last one without a mark counts."""
    parts = _SENTENCE_END.split(text.strip())
    return sum(bool(part.strip()) for part in parts)


def n_paragraphs(text: str) -> int:
    """Blocks between empty lines."""
    return sum(bool(part.strip()) for part in re.split(r"\n\s*\n", text))


def _json(text: str, keys: Any) -> bool:
    """Only JSON, maybe in a code fence; an object with these keys where keys are asked for."""
    fenced = _FENCE.match(text)
    try:
        value = json.loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError):
        return False
    if not isinstance(value, (dict, list)):
        return False
    return not keys or (isinstance(value, dict) and set(keys) <= set(value))


def _upper(text: str, _: Any) -> bool:
    return any(c.isalpha() for c in text) and text == text.upper()


def _lower(text: str, _: Any) -> bool:
    return any(c.isalpha() for c in text) and text == text.lower()


def _times(text: str, wanted: Any) -> bool:
    word, least = wanted
    return text.lower().count(str(word).lower()) >= int(least)


CHECKS: Mapping[str, Check] = {
    "max_chars": lambda text, n: n_chars(text) <= n,
    "min_chars": lambda text, n: n_chars(text) >= n,
    "max_words": lambda text, n: n_words(text) <= n,
    "min_words": lambda text, n: n_words(text) >= n,
    "sentences": lambda text, n: n_sentences(text) == n,
    "paragraphs": lambda text, n: n_paragraphs(text) == n,
    "items": lambda text, n: len(_ITEM.findall(text)) == n,
    "no_comma": lambda text, _: not _COMMAS.search(text),
    "no_digits": lambda text, _: not re.search(r"\d", text),
    "contains": lambda text, words: all(w.lower() in text.lower() for w in words),
    "avoids": lambda text, words: not any(w.lower() in text.lower() for w in words),
    "times": _times,
    "starts": lambda text, begin: text.startswith(begin),
    "ends": lambda text, end: text.endswith(end),
    "one_of": lambda text, options: text.rstrip("。.!！") in options,
    "json": _json,
    "lowercase": _lower,
    "uppercase": _upper,
    "quoted": lambda text, _: len(text) > 2 and text[0] in "\"“「『" and text[-1] in "\"”」』",
    "language": lambda text, code: (t := tongue(text, code)).same and t.purity >= 0.8,
}  # fmt: skip
"""Every check by name: the answer without white space at its ends, and the check's argument."""


def follow(answer: str, checks: Mapping[str, Any]) -> dict[str, bool]:
    """Hold an answer against its instructions.

    Args:
        answer: the model's text.
        checks: name of a check -> its argument.

    Returns:
        name -> whether it is met; all False for an empty answer.
    """
    text = answer.strip()
    return {name: bool(text) and CHECKS[name](text, wanted) for name, wanted in checks.items()}
