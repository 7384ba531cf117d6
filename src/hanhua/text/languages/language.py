"""Languages of documents: named, held against what their source declares, parted where mixed.

The way in to what stands beside it: ``naming`` says which language a text is in, ``paragraphs``
parts a page in several, and here a document is refused that is not in the declared one.
"""

from __future__ import annotations

import re

from hanhua.text.languages.naming import (
    Language,
    base_code,
    detect,
    identify,
    scripts_of,
    weights,
)
from hanhua.text.languages.paragraphs import pieces_of, split_by_language
from hanhua.text.scripts import Profile
from hanhua.text.verdict import Drop

__all__ = [
    "Language", "base_code", "check_language", "detect", "identify", "pieces_of", "scripts_of",
    "split_by_language", "weights",
]  # fmt: skip

_NOT_THE_SAME = {"zh": ("ja", "ko"), "ja": ("ko",)}
"""Languages that share Han characters with the declared one and still are not it."""
_UNDECIDED = ("mixed", "code", "other")
_CLOSE = ({"da", "no"}, {"id", "ms"}, {"hr", "sr"})
"""Languages so close that a text of one is not refused as the other."""
_VARIANT_OF = {"hans": "Hans", "cn": "Hans", "sg": "Hans", "hant": "Hant", "tw": "Hant",
               "hk": "Hant", "mo": "Hant"}  # fmt: skip


def check_language(
    profile: Profile, declared: str, min_share: float, *, text: str | None = None
) -> Drop | None:
    """Hold a document against the language that its source declares.

    Args:
        profile: the document's characters.
        declared: a language code; one that is not known here is not checked. ``zh`` takes both
            variants, ``zh-Hans`` (zh-CN, zh-SG) and ``zh-Hant`` (zh-TW, zh-HK) one.
        min_share: the least share of the declared language's scripts, by weight.
        text: the document; without it only its script is checked. Program code passes for any
            language whose script it has enough of.
    """
    scripts = scripts_of(declared)
    if not scripts:
        return None
    found = weights(profile)
    total = sum(found.values())
    share = sum(found.get(s, 0.0) for s in scripts) / total if total else 0.0
    if text is not None:
        seen = identify(text, profile, likely=base_code(declared))
        if _contradicts(seen, declared):
            return Drop("language", seen.tag)
        named = "mixed" if seen.code == base_code(declared) else seen.tag
        return Drop("language", named) if share < min_share else None
    language = detect(profile)
    if share < min_share or language in _NOT_THE_SAME.get(base_code(declared), ()):
        return Drop("language", language)
    return None


def _contradicts(found: Language, declared: str) -> bool:
    """Whether a text is surely another language, or the other way of writing Chinese."""
    base = base_code(declared)
    if found.code == base:
        parts = re.split("[-_]", declared.lower())
        asked = {_VARIANT_OF[part] for part in parts if part in _VARIANT_OF}
        return bool(found.variant and asked - {found.variant})
    close = any(base in group and found.code in group for group in _CLOSE)
    return found.sure and not close and found.code not in _UNDECIDED
