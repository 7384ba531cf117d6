"""Thresholds of the quality rules and of line cleaning, per language, as the recipe gives them."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from hanhua.core.config import Section, Share

Limit: TypeAlias = Share | Literal["auto"] | None
"""A share; ``auto``: what default_thresholds has for the document's language; null: rule off."""
Length: TypeAlias = Annotated[float, Field(ge=0.0)] | Literal["auto"] | None


LineKind: TypeAlias = Literal[
    "navigation", "share", "copyright", "credit", "more", "account", "menu"
]
"""What a line of boilerplate is; the forms are in text/quality/boilerplate_forms.py."""


class QualityConfig(Section):
    """Thresholds of the quality rules for one language; null switches a rule off.

    The defaults are wide: they drop what is broken, not what is plain. ``auto`` stands for the
    language's own default, see default_thresholds; published values and their sources are given
    with the rules, in text/quality/characters.py, line_shape.py, repetition.py and junk.py.
    """

    min_language_share: Annotated[
        Share | None,
        Field(description="letters in the language's own script, of all letters, by weight"),
    ] = 0.3
    max_replacement_share: Annotated[
        Limit,
        Field(description="U+FFFD, private-use and mojibake characters, of all characters"),
    ] = "auto"
    max_rare_han_share: Annotated[
        Limit, Field(description="Han outside GB 2312 and Big 5, of all Han")
    ] = "auto"
    max_symbol_share: Annotated[
        Limit, Field(description="punctuation and symbols, of all but white space")
    ] = "auto"
    min_punctuation_share: Annotated[
        Limit, Field(description="punctuation, symbols and line breaks, of all characters")
    ] = "auto"
    max_digit_share: Annotated[
        Limit, Field(description="digits, of all characters but white space")
    ] = "auto"
    max_markup_share: Annotated[
        Limit, Field(description="characters inside HTML or XML tags, of all characters")
    ] = "auto"
    max_code_symbol_share: Annotated[
        Limit, Field(description="the characters { } ; of all but white space")
    ] = "auto"
    max_long_token_share: Annotated[
        Limit,
        Field(description="over 30 Latin letters or digits in a row, of all but white space"),
    ] = "auto"
    max_unbroken_share: Annotated[
        Limit, Field(description="stretches of over 120 letters without pause, of all characters")
    ] = "auto"
    max_placeholder_share: Annotated[
        Limit, Field(description="passages of lorem ipsum, 100 characters each, of all characters")
    ] = "auto"
    max_advertising_share: Annotated[
        Limit,
        Field(description="terms of advertising, of all characters; three different ones at least"),
    ] = "auto"
    max_duplicate_line_share: Annotated[
        Limit, Field(description="characters in repeated lines, of all characters")
    ] = "auto"
    max_duplicate_paragraph_share: Annotated[
        Limit, Field(description="repeated paragraphs, of all paragraphs")
    ] = "auto"
    max_top_pair_share: Annotated[
        Limit, Field(description="the commonest pair of characters (zh) or words, of all of them")
    ] = "auto"
    max_top_quad_share: Annotated[
        Limit, Field(description="the commonest four characters (zh) or words, of all of them")
    ] = "auto"
    max_repeated_gram_share: Annotated[
        Limit, Field(description="repeated n-grams of 8 characters (zh) or 5 words, of all n-grams")
    ] = "auto"
    min_mean_stretch_chars: Annotated[
        Length, Field(description="mean length of what stands between punctuation and spaces")
    ] = "auto"
    min_line_end_share: Annotated[
        Limit, Field(description="lines that end in punctuation, of all lines")
    ] = "auto"
    max_short_line_share: Annotated[
        Limit, Field(description="short lines without punctuation at the end, of all lines")
    ] = "auto"
    max_bullet_line_share: Annotated[
        Limit, Field(description="lines that begin with a bullet, of all lines")
    ] = "auto"
    max_ellipsis_line_share: Annotated[
        Limit, Field(description="lines that end in an ellipsis, of all lines")
    ] = "auto"
    max_newline_share: Annotated[Limit, Field(description="line breaks, of all characters")] = (
        "auto"
    )
    min_mean_line_chars: Annotated[
        Length, Field(description="mean length of the lines that no punctuation ends")
    ] = "auto"
    max_line_chars: Annotated[Length, Field(description="length of the longest line")] = "auto"
    min_function_word_share: Annotated[
        Limit,
        Field(description="particles among Han (zh), function words among words (en)"),
    ] = "auto"
    min_mean_word_chars: Annotated[
        Length, Field(description="mean length of words between spaces")
    ] = "auto"
    max_mean_word_chars: Annotated[
        Length, Field(description="mean length of words between spaces")
    ] = "auto"
    min_lettered_word_share: Annotated[
        Limit, Field(description="words with a letter in them, of all words between spaces")
    ] = "auto"
    boilerplate_lines: Annotated[
        tuple[LineKind, ...],
        Field(strict=False, description="kinds of lines that are removed from documents"),
    ] = ("navigation", "share", "copyright", "credit", "more", "account", "menu")
    max_boilerplate_line_chars: Annotated[
        int, Field(gt=0, description="a longer line is never boilerplate")
    ] = 120
    min_menu_lines: Annotated[
        int, Field(ge=2, description="so many very short lines in a row may be a menu")
    ] = 4


_NEUTRAL: dict[str, float] = {
    "max_replacement_share": 0.005,
    "max_symbol_share": 0.4,
    "max_digit_share": 0.4,
    "max_markup_share": 0.15,
    "max_code_symbol_share": 0.07,
    "max_long_token_share": 0.3,
    "max_placeholder_share": 0.1,
    "max_duplicate_line_share": 0.3,
    "max_duplicate_paragraph_share": 0.5,
    "max_top_quad_share": 0.25,
    "max_repeated_gram_share": 0.45,
    "max_bullet_line_share": 0.9,
    "max_ellipsis_line_share": 0.3,
}
_OWN: dict[str, dict[str, float]] = {
    "zh": {
        "max_rare_han_share": 0.1,
        "min_punctuation_share": 0.02,
        "max_unbroken_share": 0.3,
        "max_advertising_share": 0.05,
        "min_mean_stretch_chars": 3.0,
        "max_short_line_share": 0.8,
        "max_newline_share": 0.15,
        "min_function_word_share": 0.045,
    },
    "en": {
        "min_punctuation_share": 0.01,
        "max_unbroken_share": 0.3,
        "max_short_line_share": 0.8,
        "max_newline_share": 0.1,
        "min_function_word_share": 0.08,
        "min_mean_word_chars": 3.0,
        "max_mean_word_chars": 10.0,
        "min_lettered_word_share": 0.7,
    },
}
"""Where a language's rules differ from those for any script."""


@cache
def default_thresholds(language: str) -> QualityConfig:
    """The thresholds that ``auto`` stands for in one language.

    Args:
        language: a code such as ``zh`` or ``zh-Hant``; one without rules of its own gets those
            that hold for any script, the others are off.

    Returns:
        Every rule with its number, or None where it is off.
    """
    base = language.replace("_", "-").partition("-")[0].lower()
    numbers = _NEUTRAL | _OWN.get(base, {})
    automatic = [
        name for name, field in QualityConfig.model_fields.items() if field.default == "auto"
    ]
    return QualityConfig.model_validate({name: numbers.get(name) for name in automatic})
