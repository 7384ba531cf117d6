"""Quality rules, each a pure function that answers None (keep) or a Drop.

The rules are those of Gopher (Rae et al. 2021, https://arxiv.org/abs/2112.11446, table A1) and
FineWeb 2 (Penedo et al. 2025, https://arxiv.org/abs/2506.20920), restated for text without
spaces: shares of characters in place of words. With its English defaults Gopher's filter keeps
1.5 % of decent Chinese pages.
"""

from __future__ import annotations

from collections.abc import Iterator

from hanhua.text.scripts import BROKEN, DIGIT, SYMBOL, Profile
from hanhua.text.thresholds import QualityConfig
from hanhua.text.verdict import Drop

# UTF-8 read as GBK and back leaves 锟斤拷; memory never written, read as GBK, is 烫烫烫 and 屯屯屯.
_MOJIBAKE = ("锟斤拷", "烫烫烫", "屯屯屯", "ï¿½")

_FUNCTION_WORDS = frozenset("the be to of and that have with is in a i you for it".split())
_MIN_LETTERS = 100
"""Shares of function words say nothing about texts shorter than this."""
_SAMPLE_CHARS = 4_000
"""Words are counted in a text's beginning only; characters everywhere."""


def check_length(profile: Profile, min_chars: int) -> Drop | None:
    """Drop what is too short to be a text."""
    return Drop("too_short", profile.chars) if profile.chars < min_chars else None


def check_replacements(text: str, profile: Profile, max_share: float | None) -> Drop | None:
    """Drop text that a wrong encoding destroyed: U+FFFD, private-use glyphs, 锟斤拷.

    It cannot be mended, and a model learns to write it.
    """
    if max_share is None:
        return None
    broken = profile.kind(BROKEN) + sum(len(mark) * text.count(mark) for mark in _MOJIBAKE)
    return _above("mojibake", broken / max(profile.chars, 1), max_share)


def check_duplicate_lines(text: str, max_share: float | None) -> Drop | None:
    """Drop text that repeats its own lines; the share is by characters, first copies not counted.

    Gopher drops from .20 of the characters or .30 of the lines, FineWeb 2 for cmn_Hani from .287
    of the lines.
    """
    if max_share is None:
        return None
    lines = [line for line in text.split("\n") if line]
    unique = set(lines)
    if len(unique) == len(lines):
        return None
    total = sum(map(len, lines))
    repeated = total - sum(map(len, unique))
    return _above("duplicate_lines", repeated / max(total, 1), max_share)


def check_symbols(profile: Profile, max_share: float | None) -> Drop | None:
    """Drop rows of punctuation and symbols; Chinese prose has .10 to .20, code about .30."""
    if max_share is None:
        return None
    return _above("symbols", profile.kind(SYMBOL) / max(profile.visible, 1), max_share)


def check_digits(profile: Profile, max_share: float | None) -> Drop | None:
    """Drop tables of figures, which have no language."""
    if max_share is None:
        return None
    return _above("digits", profile.kind(DIGIT) / max(profile.visible, 1), max_share)


def check_function_words(
    text: str, profile: Profile, language: str, min_share: float | None
) -> Drop | None:
    """Drop text without the little words every sentence needs: keyword lists, text decoded wrongly.

    Gopher asks for two of eight English words. For Chinese the share of the commonest 180 function
    characters (simplified and traditional, classical ones too) among Han; prose has .20 to .40,
    UTF-8 read as GBK (鎴戜滑) below .02. For English the share of 15 words among letters / 5.
    Other languages are not checked.
    """
    if min_share is None or profile.letters < _MIN_LETTERS:
        return None
    if language.startswith("zh"):
        share = profile.function_han / max(profile.of("han"), 1)
    elif language.startswith("en"):
        head = text[:_SAMPLE_CHARS]
        latin = profile.of("latin") * len(head) / len(text)
        share = sum(word in _FUNCTION_WORDS for word in head.lower().split()) / max(latin / 5, 1)
    else:
        return None
    return Drop("function_words", round(share, 4)) if share < min_share else None


def check_quality(
    text: str, profile: Profile, language: str, thresholds: QualityConfig
) -> Drop | None:
    """Apply the rules in order; the first that refuses is the reason."""
    return next((drop for drop in _verdicts(text, profile, language, thresholds) if drop), None)


def _verdicts(
    text: str, profile: Profile, language: str, limits: QualityConfig
) -> Iterator[Drop | None]:
    yield check_replacements(text, profile, limits.max_replacement_share)
    yield check_symbols(profile, limits.max_symbol_share)
    yield check_digits(profile, limits.max_digit_share)
    yield check_duplicate_lines(text, limits.max_duplicate_line_share)
    yield check_function_words(text, profile, language, limits.min_function_word_share)


def _above(reason: str, share: float, limit: float) -> Drop | None:
    return Drop(reason, round(share, 4)) if share > limit else None
