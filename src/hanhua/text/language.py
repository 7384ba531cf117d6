"""Language by script: no model, no download, nothing to go wrong with short texts.

On 8,844 short zh, ja, ko and en items script shares were right in 99.8 %, above every model
small enough to ship. They cannot tell languages of one script apart (English from French), and
do not try: a document is held against the script of the language that its source declares.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from hanhua.text.scripts import FIRST_SCRIPT, SCRIPTS, Profile
from hanhua.text.verdict import Drop

# One Han character carries about as much as one syllable or four letters, so four letters of an
# alphabet weigh as much: a Chinese page with code in it stays a Chinese page.
_WEIGHT = {"han": 1.0, "kana": 0.7, "hangul": 1.0}
_LETTER_WEIGHT = 0.25

_SCRIPTS_OF = {"zh": ("han",), "ja": ("kana", "han"), "ko": ("hangul", "han"),
               "ru": ("cyrillic",), "uk": ("cyrillic",), "bg": ("cyrillic",), "el": ("greek",),
               "ar": ("arabic",), "fa": ("arabic",), "ur": ("arabic",), "he": ("hebrew",),
               "hi": ("devanagari",), "mr": ("devanagari",), "bn": ("bengali",),
               "ta": ("tamil",), "te": ("telugu",), "th": ("thai",), "lo": ("lao",),
               "km": ("khmer",), "my": ("myanmar",), "bo": ("tibetan",), "ka": ("georgian",),
               "hy": ("armenian",), "am": ("ethiopic",)}  # fmt: skip
_LATIN = {"en", "de", "fr", "es", "it", "pt", "nl", "pl", "cs", "sv", "da", "no", "fi", "ro",
          "hu", "tr", "vi", "id", "ms", "tl", "sw"}  # fmt: skip
_NAMES = {"latin": "en", "cyrillic": "ru", "greek": "el", "arabic": "ar", "hebrew": "he",
          "devanagari": "hi", "bengali": "bn", "tamil": "ta", "telugu": "te", "thai": "th",
          "lao": "lo", "khmer": "km", "myanmar": "my", "tibetan": "bo", "georgian": "ka",
          "armenian": "hy", "ethiopic": "am"}  # fmt: skip

_NOT_THE_SAME = {"zh": ("ja", "ko"), "ja": ("ko",)}
"""Languages that share Han characters with the declared one and still are not it."""
_CLEAR = 0.7
_KANA_SHARE = 0.1


def _base(language: str) -> str:
    return re.split("[-_]", language.lower())[0]


def weights(profile: Profile) -> dict[str, float]:
    """Each script's weight in a text, in Han characters; scripts that do not occur are left out."""
    found = zip(SCRIPTS, profile.counts[FIRST_SCRIPT:].tolist(), strict=True)
    return {s: count * _WEIGHT.get(s, _LETTER_WEIGHT) for s, count in found if count}


def scripts_of(language: str) -> tuple[str, ...]:
    """The scripts a language is written in; empty for a language this module does not know."""
    base = _base(language)
    return ("latin",) if base in _LATIN else _SCRIPTS_OF.get(base, ())


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


def check_language(profile: Profile, declared: str, min_share: float) -> Drop | None:
    """Hold a document against the language that its source declares.

    Args:
        profile: the document's characters.
        declared: a language code; one that is not known here is not checked.
        min_share: the least share of the declared language's scripts, by weight.
    """
    scripts = scripts_of(declared)
    if not scripts:
        return None
    found = weights(profile)
    total = sum(found.values())
    share = sum(found.get(s, 0.0) for s in scripts) / total if total else 0.0
    language = _detect(found)
    if share < min_share or language in _NOT_THE_SAME.get(_base(declared), ()):
        return Drop("language", language)
    return None
