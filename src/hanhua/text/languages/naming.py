"""Which language a text is in: its script first, and only what scripts cannot say by other means.

Shares of scripts part Chinese, Japanese and Korean from the rest at no cost, for the profile of a
document is counted anyhow. What is left is asked for in the order of its price: Chinese or
Japanese and simplified or traditional by what each Han character rules out (``han``), program
code by the shape of its lines (``code_lines``), languages of one alphabet by their little words
and a small model (``alphabets``). Accuracy and speed: benchmarks/language.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from hanhua.text.languages import alphabets, code_lines
from hanhua.text.languages.han import HanCounts, count_han
from hanhua.text.scripts import FIRST_SCRIPT, SCRIPTS, Profile
from hanhua.text.scripts import profile as profile_of

# One Han character carries about as much as one syllable or four letters, so four letters of an
# alphabet weigh as much: a Chinese page with code in it stays a Chinese page.
_WEIGHT = {"han": 1.0, "kana": 0.7, "hangul": 1.0}
_LETTER_WEIGHT = 0.25
_WEIGHT_OF = [_WEIGHT.get(script, _LETTER_WEIGHT) for script in SCRIPTS]

_OWN_SCRIPTS = {"zh": ("han",), "ja": ("kana", "han"), "ko": ("hangul", "han"),
                "el": ("greek",), "he": ("hebrew",), "bn": ("bengali",), "ta": ("tamil",),
                "te": ("telugu",), "th": ("thai",), "lo": ("lao",), "km": ("khmer",),
                "my": ("myanmar",), "bo": ("tibetan",), "ka": ("georgian",),
                "hy": ("armenian",), "am": ("ethiopic",),
                "mn": ("cyrillic", "mongolian")}  # fmt: skip
_NAMES = {"latin": "en", "cyrillic": "ru", "greek": "el", "arabic": "ar", "hebrew": "he",
          "devanagari": "hi", "bengali": "bn", "tamil": "ta", "telugu": "te", "thai": "th",
          "lao": "lo", "khmer": "km", "myanmar": "my", "tibetan": "bo", "georgian": "ka",
          "armenian": "hy", "ethiopic": "am", "mongolian": "mn"}  # fmt: skip

_CLEAR = 0.7
_KANA_SHARE = 0.1

_ONE = {"yue": "zh", "nb": "no", "nn": "no", "bs": "hr", "fil": "tl", "iw": "he", "in": "id"}
"""Codes whose texts are named by another code."""


class Language(NamedTuple):
    """What a text is written in.

    Args:
        code: ``zh``, ``ja``, ``ko``, ``en``, ``fr`` …; ``code`` for program code, ``mixed`` where
            no language has 70 % of the weight, ``other`` without letters we know.
        variant: ``Hans`` or ``Hant`` for Chinese whose characters tell; else empty.
        share: the language's weight in all letters' (a Han character weighs four Latin letters);
            of ``code`` the share of lines, of ``mixed`` that of the largest language or alphabet.
        sure: whether the evidence is enough to refuse a text by it; a few Latin letters are not.
    """

    code: str
    variant: str = ""
    share: float = 1.0
    sure: bool = True

    @property
    def tag(self) -> str:
        """The code and, for Chinese, the variant: ``zh-Hans``."""
        return f"{self.code}-{self.variant}" if self.variant else self.code


def base_code(language: str) -> str:
    """The code that texts of a declared language are named by: ``zh`` for zh-Hant and yue."""
    base = re.split("[-_]", language.lower())[0]
    return _ONE.get(base, base)


def weights(profile: Profile) -> dict[str, float]:
    """Each script's weight in a text, in Han characters; scripts that do not occur are left out."""
    counts = profile.counts[FIRST_SCRIPT:]
    return {SCRIPTS[i]: n * _WEIGHT_OF[i] for i, n in enumerate(counts) if n}


def scripts_of(language: str) -> tuple[str, ...]:
    """The scripts a language is written in; empty for a language this module does not know."""
    base = base_code(language)
    known = alphabets.LANGUAGES_OF.items()
    return _OWN_SCRIPTS.get(base) or tuple(script for script, of in known if base in of)


def detect(profile: Profile) -> str:
    """Name a text's language by its script.

    Returns:
        "zh", "ja", "ko"; "en" for Latin script and the commonest language of any other script;
        "mixed" when no language has 70 % of the weight; "other" without letters we know.
    """
    return _detect(weights(profile))


def _detect(found: Mapping[str, float]) -> str:
    total = sum(found.values())
    if not total:
        return "other"
    han, kana, hangul = (found.get(s, 0.0) for s in ("han", "kana", "hangul"))
    shares = {_NAMES[s]: w for s, w in found.items() if s in _NAMES}
    shares["zh" if kana < _KANA_SHARE * (han + kana) else "ja"] = han + kana
    if hangul:
        shares["ko"] = hangul
    language = max(shares, key=lambda name: shares[name])
    return language if shares[language] >= _CLEAR * total else "mixed"


def identify(text: str, profile: Profile, *, likely: str = "") -> Language:
    """Name a text's language.

    Args:
        text: a document, a paragraph or a few words.
        profile: its characters.
        likely: the code of the language that the text is expected in. It takes what could as
            well be another: 東京, which else is Chinese, and a few Latin letters, else English.
    """
    found = weights(profile)
    total = sum(found.values())
    if not total:
        return Language("other", share=0.0)
    han = found.get("han", 0.0)
    if han >= _CLEAR * total and "kana" not in found:
        return _han_only(text, han, han / total, likely)
    if han < _CLEAR * total and code_lines.may_be_code(profile):
        parts = code_lines.part(text)
        if parts.mostly_code:
            return Language("code", share=parts.code_share)
        if rest := weights(profile_of(parts.prose)):
            text, found, total = parts.prose, rest, sum(rest.values())
    return _identify(text, found, total, likely)


def _han_only(text: str, han: float, share: float, likely: str) -> Language:
    """Most pages of a Chinese corpus, at the least price."""
    counts = count_han(text)
    if counts.japanese_share(int(han), 0, likely):
        return Language("ja", share=share)
    return Language("zh", counts.variant, share)


def _identify(text: str, found: Mapping[str, float], total: float, likely: str) -> Language:
    shares, han = _shares(text, found, likely)
    name = max(shares, key=lambda name: shares[name])
    share = shares[name] / total
    if share < _CLEAR:
        return Language("mixed", share=share)
    if name in alphabets.LANGUAGES_OF:
        guess = alphabets.guess(text, name, likely)
        return Language(guess.code, share=share, sure=guess.sure)
    return Language(name, han.variant if name == "zh" else "", share)


def _shares(
    text: str, found: Mapping[str, float], likely: str
) -> tuple[dict[str, float], HanCounts]:
    """Weights by language, or by alphabet where a script has several languages."""
    shares = {
        script if script in alphabets.LANGUAGES_OF else _NAMES[script]: weight
        for script, weight in found.items()
        if script not in _WEIGHT
    }
    han, kana = found.get("han", 0.0), found.get("kana", 0.0)
    counts = count_han(text) if han else HanCounts(0, 0, 0)
    japanese = counts.japanese_share(int(han), round(kana / _WEIGHT["kana"]), likely) * han
    shares |= {"zh": han - japanese, "ja": japanese + kana, "ko": found.get("hangul", 0.0)}
    return shares, counts
