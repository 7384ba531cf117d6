"""What is no text at all, or sells something: mark-up, code, encoded data, fillers, advertising.

C4 drops a page for one curly bracket and a line for the word JavaScript (Raffel et al. 2020,
https://arxiv.org/abs/1910.10683, section 2.2), and with them every tutorial. Here both count by
how much of a document they are, so that documentation with code in it stays.
"""

from __future__ import annotations

import re
from array import array

from hanhua.text.quality.facts import LONG_TOKEN_CHARS, Facts
from hanhua.text.quality.lexicon import terms_at

_TAG = re.compile(r"</?[A-Za-z!][^<>]{0,400}>")
_FEW_TAGS = 4
_CODE = "{};"
_FEW_CHARS = 200
_PROSE = 0.3
"""Particles among Han above which none of the advertisements was; half of prose has more."""
_FEW_TERMS = 3
"""Different terms of advertising that make a text an advertisement; one hit never does."""


def markup_share(facts: Facts) -> float | None:
    """Characters inside tags of HTML or XML, of all characters: pages that nobody extracted."""
    if "<" not in facts.text or facts.text.count("<") < _FEW_TAGS:
        return None
    return sum(map(len, _TAG.findall(facts.text))) / facts.chars


def code_symbol_share(facts: Facts) -> float | None:
    """Curly brackets and semicolons, of all but white space: scripts and style sheets.

    C4 drops from the first curly bracket on. Minified scripts have .07 to .10, of documentation
    one page in a hundred has .06.
    """
    if "{" not in facts.text and ";" not in facts.text:
        return 0.0
    return sum(map(facts.text.count, _CODE)) / max(facts.visible, 1)


def long_token_share(facts: Facts) -> float | None:
    """Stretches of over 30 characters, Latin letters and digits throughout, of all characters.

    Base64, hashes, keys, minified code. Addresses fall into shorter stretches at their points and
    slashes; German compounds of over 30 letters are rare.
    """
    if facts.chars < _FEW_CHARS:
        return None
    if facts.token_chars <= LONG_TOKEN_CHARS:
        return 0.0
    return facts.long_token_chars / facts.sample_chars


def unbroken_share(facts: Facts) -> float | None:
    """Characters in stretches of over 120 letters without punctuation, space or line break.

    A Chinese sentence of that length does not occur outside keyword strings and text whose
    punctuation was lost.
    """
    if facts.chars < _FEW_CHARS:
        return None
    return facts.unbroken_chars / facts.sample_chars


def placeholder_share(facts: Facts) -> float | None:
    """Passages of "lorem ipsum", each taken for 100 characters, of all characters.

    C4 drops a page at the first; a page about typesetting may name it.
    """
    if "orem ipsum" not in facts.text:
        return None
    return min(100 * facts.text.lower().count("lorem ipsum") / facts.chars, 1.0)


def advertising_share(facts: Facts) -> float | None:
    """Characters in terms of advertising, of all characters; 0 under three different terms.

    Not asked where particles show connected prose: what strings terms together has few.

    ChineseWebText drops from one sensitive word in every two lines on (Chen et al. 2023,
    https://arxiv.org/abs/2311.01149, section 3.2). The list is in text/quality/lexicon.py.
    """
    if facts.ad_beginnings < _FEW_TERMS or facts.particle_share > _PROSE:
        return 0.0
    found = terms_at(facts.sample, array("I", facts.ad_bytes))
    return sum(map(len, found)) / facts.sample_chars if len(set(found)) >= _FEW_TERMS else 0.0
