"""The form of an answer: its language, how pure its script is, whether it repeats itself."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hanhua.text.languages.language import base_code, identify, scripts_of, weights
from hanhua.text.scripts import profile

PURE = 0.9
"""Less of the letters' weight in the language's own scripts, and more than 1 - PURE: the answer
mixes scripts. (With less than that it is in another language, but does not mix.)"""
NGRAM = 4
REPEATS = 0.3
"""More 4-grams than this that occurred before: the answer repeats itself."""
_UNIT = re.compile(r"[㐀-鿿豈-﫿]|[^\W\d_]+|\d+")


@dataclass(frozen=True, slots=True)
class Tongue:
    """The language of an answer.

    Args:
        tag: code, for Chinese with the variant where characters tell ("zh-Hans"); "other" where
            there are no letters.
        same: whether it is the language expected.
        purity: share of the letters' weight that is in that language's scripts, 0 without any.
    """

    tag: str
    same: bool
    purity: float


def tongue(answer: str, expected: str) -> Tongue:
    """Name an answer's language and hold it against the one expected.

    Args:
        answer: any text; a short one is named by its script.
        expected: a code such as zh, zh-Hant or en.
    """
    seen = profile(answer)
    found = identify(answer, seen, likely=base_code(expected))
    weight = weights(seen)
    total = sum(weight.values())
    own = sum(weight.get(script, 0.0) for script in scripts_of(expected))
    return Tongue(found.tag, found.code == base_code(expected), own / total if total else 0.0)


def repeated_share(text: str, n: int = NGRAM) -> float:
    """Share of n-grams that occurred before in the same text: 1 - unique / all; 0 for short ones.

    Units are Han characters, and words of other scripts. It is seq-rep-n of S. Welleck et al.,
    https://arxiv.org/abs/1908.04319, over units that do not depend on the tokenizer.
    """
    units = _UNIT.findall(text.lower())
    grams = list(zip(*(units[i:] for i in range(n)), strict=False))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
