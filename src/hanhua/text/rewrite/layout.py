"""Two marks of how a page looked that are no part of what it says: letter-spacing, long rows.

Justified titles, PDF and OCR leave a space after every character (中 国 人 民), and writers fill
lines with 。。。。。。, !!!!!!!! and ----------. Both split what a tokenizer would join. But spaces
between Han characters may be meant, in poems, lists of names and text cut into words, and rows of
marks may be, in tables and code. So both steps act on the evident cases alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from operator import and_, itemgetter

HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff"
MARKS = "，。、；：？！…—·“”‘’（）《》〈〉「」『』【】〔〕"
_SPACED = re.compile(f" [{MARKS}]*[{HAN}][{MARKS}]* [{MARKS}]*[{HAN}][{MARKS}]* ")
_SINGLE = re.compile(f"[{MARKS}]*[{HAN}]?[{MARKS}]*")
_HAN_FOUND = re.compile(f"[{HAN}]")
_MIN_RUN = 4
_MIN_SINGLE_SHARE = 0.8
_COUNTERS = frozenset("一二三四五六七八九十百千零〇日甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳午未申酉戌亥"
                      "东南西北東左右上中下金木水火土")  # fmt: skip
"""Characters that stand in rows as numbers, days, directions and columns of tables."""

_SENTENCE_MARKS = "。！？!?，、；："
_DRAWING_MARKS = "~.=_*#+-"
_LONG_MARKS = "…—·．・～" + _DRAWING_MARKS
_LIMITS = dict.fromkeys(_SENTENCE_MARKS, 3) | dict.fromkeys(_LONG_MARKS, 6)
_RULE_CHARS = 200
_MAX_CODE_RUN = 10
ROW_MARKS = _SENTENCE_MARKS + _LONG_MARKS
_ANY_MARK = f"[{ROW_MARKS}]"
# A set in front, so that re skips to its next; then the cheap question before the dear one.
_REPEATED = re.compile(
    f"{_ANY_MARK}(?={_ANY_MARK})"
    f"(?:(?<=([{_SENTENCE_MARKS}]))\\1\\1\\1+|(?<=([{_LONG_MARKS}]))\\2{{6,}})"
)
_RULE_LINE = re.compile(r"[!-/:-@\[-`{-~ \t]*")
_DRAWN = re.compile(r"\||\+[-=]|[-=]\+")
_SYMBOL = re.compile(r"[!-/:-@\[-`{-~]")


def join_letter_spaced(text: str) -> str:
    """Join the lines that have a space after every Han character.

    A line is letter-spaced if four single Han characters or more follow each other with one space
    between them, if four of five of its stretches of Han are single characters (text that was cut
    into words has two of five), and if they are not all of the kind that is counted with (甲 乙 丙
    丁). Then the spaces between single characters go, and no others: 第一章 总 则 和 目 的 becomes
    第一章 总则和目的. Pairs (目 录, 张 三) stay: nobody can tell which is which.

    Args:
        text: normalised characters; spaces are ASCII.

    Returns:
        The text; unchanged in nearly every case.
    """
    if not _SPACED.search(text):
        return text
    lines = text.split("\n")
    return "\n".join([_joined(line) if _SPACED.search(line) else line for line in lines])


def shorten_repeats(text: str) -> str:
    """Shorten long runs of one mark.

    Of 。！？!?，、；： three are left, of …—·．・～ and of ~.=_*#+- six: so ……, —— and six dots,
    Markdown headings and fences, and the operators of every language stay as they are. ASCII marks
    draw as well as punctuate, so they stay where their length may have a meaning: in lines of
    nothing but ASCII punctuation (the rule of a table, a heading, a comment; cut at 200), in lines
    with ``|`` or the corner of a box, and in lines without Han where ten or fewer stand together
    (``-rw-------``) or touch a symbol (``b'------------'``, ``[==========>]``).

    Args:
        text: any string.

    Returns:
        The text; unchanged in most cases.
    """
    if not _REPEATED.search(text):
        return text
    lines = text.split("\n")
    return "\n".join([_shortened(line) if _REPEATED.search(line) else line for line in lines])


def _shortened(line: str) -> str:
    drawn = _DRAWN.search(line) or _RULE_LINE.fullmatch(line)
    code = not _HAN_FOUND.search(line)

    def shorten(match: re.Match[str]) -> str:
        run = match[0]
        kept = run[0] in _DRAWING_MARKS and (drawn or (code and _may_be_code(match)))
        return run[: _RULE_CHARS if kept else _LIMITS[run[0]]]

    return _REPEATED.sub(shorten, line)


def _may_be_code(match: re.Match[str]) -> bool:
    line, (first, last) = match.string, match.span()
    beside = line[max(0, first - 1) : first] + line[last : last + 1]
    return last - first <= _MAX_CODE_RUN or _SYMBOL.search(beside) is not None


def _joined(line: str) -> str:
    words = line.split(" ")
    single = [bool(word) and _SINGLE.fullmatch(word) is not None for word in words]
    han = [_HAN_FOUND.search(word) is not None for word in words]
    if sum(map(and_, single, han)) < _MIN_SINGLE_SHARE * sum(han):
        return line
    parts = []
    for is_single, group in groupby(zip(single, words, strict=True), itemgetter(0)):
        run = [word for _, word in group]
        parts.append(("" if is_single and _is_evident(run) else " ").join(run))
    return " ".join(parts)


def _is_evident(run: Sequence[str]) -> bool:
    """Whether single characters in a row are a text, not a few, and not a count."""
    han = _HAN_FOUND.findall("".join(run))
    return len(han) >= _MIN_RUN and not _COUNTERS.issuperset(han)
