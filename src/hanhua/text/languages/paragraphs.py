"""A page in several languages, parted into pieces of one language each.

Bilingual pages, translations under their originals, a foreign comment under an article: as one
document they are dropped whole or kept whole. Paragraphs are named one by one; those that say too
little (headings, figures, names, code) go with what stands before them. Nothing is lost: the
pieces in their order, as they are, make up the text.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby

from hanhua.text.languages.naming import Language, base_code, detect, identify, scripts_of, weights
from hanhua.text.scripts import Profile
from hanhua.text.scripts import profile as profile_of

_BLANK_LINE = re.compile(r"\n[^\S\n]*\n\s*")
_LINE_END = re.compile(r"\n+")
_MIN_WEIGHT = 5.0
"""Five Han characters or twenty Latin letters; what has less follows its neighbours."""
_PURE = 0.98
_OWN_SCRIPT = ("zh", "ja", "ko")


def split_by_language(
    text: str, profile: Profile, languages: Collection[str]
) -> list[tuple[Language, str]]:
    """Part a text into pieces of one language.

    Args:
        text: one document; paragraphs are what blank lines part, else lines.
        profile: its characters.
        languages: the codes that are looked for. A paragraph is only taken for another language
            if that is sure, and for ``code`` only if that is among them.

    Returns:
        (language, piece) in the text's order; no two neighbours have one code, and the pieces
        joined are the text. A text of one language is one piece.
    """
    if not text:
        return []
    whole = identify(text, profile)
    if whole.code in _OWN_SCRIPT and whole.share >= _PURE:
        return [(whole, text)]
    return [
        (_described(code, piece, profile if piece == text else profile_of(piece)), piece)
        for code, piece in pieces_of(text, whole.code, languages)
    ]


def pieces_of(text: str, otherwise: str, languages: Collection[str]) -> list[tuple[str, str]]:
    """The same of a text that is no one language's, with nothing but the codes.

    Args:
        text: one document, not empty.
        otherwise: the code where no paragraph says enough.
        languages: as above.
    """
    wanted = {base_code(language) for language in languages}
    units = list(_units(text))
    codes = _follow([_code(unit, profile, wanted) for unit, profile in units], otherwise)
    if len(set(codes)) == 1:
        return [(codes[0], text)]
    return [
        (code, "".join(unit for _, (unit, _) in group))
        for code, group in groupby(zip(codes, units, strict=True), key=lambda pair: pair[0])
    ]


def _units(text: str) -> Iterator[tuple[str, Profile]]:
    """Paragraphs with what parts them, a paragraph of several scripts by lines; and profiles."""
    paragraphs = list(_cut(text, _BLANK_LINE))
    for paragraph in paragraphs:
        profile = profile_of(paragraph)
        if len(paragraphs) == 1 or detect(profile) == "mixed":
            yield from ((line, profile_of(line)) for line in _cut(paragraph, _LINE_END))
        else:
            yield paragraph, profile


def _cut(text: str, separator: re.Pattern[str]) -> Iterator[str]:
    start = 0
    for found in separator.finditer(text):
        if found.start():
            yield text[start : found.end()]
            start = found.end()
    if start < len(text):
        yield text[start:]


def _code(unit: str, profile: Profile, wanted: Collection[str]) -> str | None:
    """The unit's language; None where it says too little."""
    if sum(weights(profile).values()) < _MIN_WEIGHT:
        return None
    found = identify(unit, profile)
    if found.code in wanted:
        return found.code
    known = found.sure and found.code not in ("mixed", "code", "other")
    return found.code if known else None


def _follow(codes: Sequence[str | None], otherwise: str) -> list[str]:
    """Fill the gaps: by what stands before, at the beginning by what comes first."""
    last = next((code for code in codes if code), otherwise)
    filled = []
    for code in codes:
        last = code or last
        filled.append(last)
    return filled


def _described(code: str, piece: str, profile: Profile) -> Language:
    """A piece's language with its variant and its scripts' share."""
    found = identify(piece, profile, likely=code)
    if found.code == code:
        return found
    there = weights(profile)
    share = sum(there.get(script, 0.0) for script in scripts_of(code))
    return Language(code, share=share / (sum(there.values()) or 1.0))
