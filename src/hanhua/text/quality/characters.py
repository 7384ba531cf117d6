"""Which characters and words a text is made of: broken, rare, symbols, digits, the little words.

English rules count words between spaces; Chinese has none, so shares of characters take their
place. With its English defaults Gopher's filter keeps 1.5 % of decent Chinese pages.
"""

from __future__ import annotations

from hanhua.text.quality.facts import Facts

# UTF-8 read as GBK and back leaves 锟斤拷; memory never written, read as GBK, is 烫烫烫 and 屯屯屯.
_MOJIBAKE = ("锟斤拷", "烫烫烫", "屯屯屯", "ï¿½")

_FEW_LETTERS = 100
"""Shares of function words say nothing about texts shorter than this."""
_FEW_CHARS = 200
_FEW_WORDS = 50
_PROSE = 0.2


def broken_share(facts: Facts) -> float | None:
    """Characters that a wrong encoding left: U+FFFD, private-use glyphs, 锟斤拷.

    They cannot be mended, and a model learns to write them. The published Chinese pipelines drop
    garbled pages too (WuDaoCorpora, Yuan et al. 2021, https://doi.org/10.1016/j.aiopen.2021.06.001)
    without saying from where on.
    """
    broken = facts.broken
    for mark in _MOJIBAKE:
        if mark[0] in facts.text:
            broken += len(mark) * facts.text.count(mark)
    return broken / max(facts.chars, 1)


def rare_han_share(facts: Facts) -> float | None:
    """Han characters that neither GB 2312 nor Big 5 has, of all Han.

    Decent text of either script stays below .04; UTF-8 read as GBK (鎴戜滑) has .13 to .30. Not
    asked where particles show connected prose.
    """
    if facts.letters < _FEW_LETTERS or facts.particle_share > _PROSE:
        return None
    return facts.rare_han / max(facts.units, 1) if facts.unspaced else None


def symbol_share(facts: Facts) -> float | None:
    """Punctuation and symbols, of all but white space; Chinese prose has .10 to .20, code .30.

    Gopher drops from one # or ellipsis in ten words on; this is the wider rule.
    """
    return facts.symbols / max(facts.visible, 1)


def punctuation_share(facts: Facts) -> float | None:
    """Punctuation, symbols and line breaks, of all characters: the least a text of sentences has.

    MAP-CC drops what has none at all (Du et al. 2024, https://arxiv.org/abs/2404.04167).
    """
    if facts.chars < _FEW_CHARS:
        return None
    return (facts.symbols + facts.lines - 1) / facts.chars


def digit_share(facts: Facts) -> float | None:
    """Digits, of all but white space; MAP-CC drops from .30 of what is no punctuation on."""
    return facts.digits / max(facts.visible, 1)


def function_word_share(facts: Facts) -> float | None:
    """The little words that every sentence needs; keyword lists and wrong decoding lack them.

    Gopher asks for two of eight English words, FineWeb 2 for two of its 22 for cmn_Hani. Here the
    share counts. For Chinese that of about 180 particles (flags.py; simplified, traditional,
    classical) among Han: prose has .10 to .45, lists of headlines .05, keyword lists and UTF-8
    read as GBK below .04. For English that of 27 words among all words: .15 to .40. None for
    other languages.
    """
    if facts.letters < _FEW_LETTERS:
        return None
    if facts.language == "zh":
        return facts.particle_share
    if facts.language == "en" and facts.words:
        return facts.function_words / facts.words
    return None


def mean_stretch_chars(facts: Facts) -> float | None:
    """Letters and digits between two pauses, the mean; menus have 2 or 3, prose 4 to 12.

    Takes the place of Gopher's mean word length (3 to 10) in languages without spaces.
    """
    if facts.chars < _FEW_CHARS:
        return None
    return (facts.sample_chars - facts.breaks) / max(facts.stretches, 1)


def mean_word_chars(facts: Facts) -> float | None:
    """Characters of a word, the mean, with its punctuation; Gopher keeps 3 to 10. Spaced text only.

    Spelt-out text (k e y w o r d) falls below, file listings and minified code above.
    """
    if facts.unspaced or facts.chars < _FEW_CHARS:
        return None
    return (facts.sample_chars - facts.blanks) / max(facts.words, 1)


def lettered_word_share(facts: Facts) -> float | None:
    """Words with a letter among their first two characters, of all words. Spaced text only.

    Gopher keeps from .80 of words with a letter anywhere.
    """
    if facts.unspaced or facts.words < _FEW_WORDS:
        return None
    return facts.lettered_words / facts.words
