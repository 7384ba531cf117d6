"""The shape of a text's lines: where they end, how long they are, how they begin.

Menus, link lists and tables of contents are many short lines without punctuation. So are some
verse, some titles and some recipes: hence wide limits, and shares that look at two things at once.
Lines are those that are not empty; a text of fewer than twelve has no shape.
"""

from __future__ import annotations

from hanhua.text.quality.facts import Facts

_FEW_LINES = 12


def line_end_share(facts: Facts) -> float | None:
    """Lines that end in punctuation, of all lines.

    FineWeb drops up to .12 (Penedo et al. 2024, https://arxiv.org/abs/2406.17557, section 3.6),
    FineWeb 2 for cmn_Hani up to .106 (configs/cmn_Hani.yml); C4 keeps no other line (Raffel et al.
    2020, https://arxiv.org/abs/1910.10683, section 2.2). Here commas count too, since verse and
    hard-wrapped prose end their lines so.
    """
    if facts.filled_lines < _FEW_LINES:
        return None
    return facts.ended_lines / facts.filled_lines


def short_line_share(facts: Facts) -> float | None:
    """Lines that are short and do not end in punctuation, of all lines.

    FineWeb drops from .67 of lines under 30 characters on, ended or not; verse, dialogue and
    ingredients are such lines too, so here only those count that no punctuation ends.
    """
    if facts.filled_lines < _FEW_LINES:
        return None
    return facts.short_lines / facts.filled_lines


def bullet_line_share(facts: Facts) -> float | None:
    """Lines that begin with a bullet, of all lines; Gopher and MAP-CC drop from .90 on."""
    if facts.filled_lines < _FEW_LINES:
        return None
    return facts.bullet_lines / facts.filled_lines


def ellipsis_line_share(facts: Facts) -> float | None:
    """Lines that end in an ellipsis, a page number behind it or not, of all lines.

    Gopher drops from .30 on: such pages are lists of teasers, and tables of contents with leaders.
    A closing quote is not looked through: dialogue that trails off is no teaser.
    """
    if facts.filled_lines < _FEW_LINES:
        return None
    return facts.ellipsis_lines / facts.filled_lines


def newline_share(facts: Facts) -> float | None:
    """Line breaks, of all characters.

    FineWeb 2 for cmn_Hani drops from .178 line breaks a word of jieba's on, about .11 a character.
    """
    if facts.filled_lines < _FEW_LINES:
        return None
    return (facts.lines - 1) / facts.chars


def mean_line_chars(facts: Facts) -> float | None:
    """Characters of a line that no punctuation ends, the mean.

    ChineseWebText drops texts whose lines have under 10 characters in the mean (Chen et al. 2023,
    https://arxiv.org/abs/2311.01149, section 3.2), verse among them; ended lines are left out here.
    """
    if facts.open_lines < _FEW_LINES:
        return None
    return facts.open_line_chars / facts.open_lines


def longest_line_chars(facts: Facts) -> float | None:
    """Characters of the longest line, for those who know how long theirs may be."""
    return float(facts.longest_line)
