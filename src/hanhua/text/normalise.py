"""Normalisation that keeps Chinese Chinese.

NFC, never NFKC: NFKC would turn ，：？！ into ASCII, …… into dots, ① into 1 and ㎡ into m2. Of the
compatibility forms only those are mapped that are never meant: full-width letters and digits,
the ideographic space, and radicals (⼾ ⺠) that PDF extraction leaves in place of characters.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt

from hanhua.text.scripts import code_points

_LINE_ENDS = ("\r\n", "\r", "\v", "\f", "\x85", "\u2028", "\u2029")
_INVISIBLE = (
    "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u180e\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\ufdd0-\ufdef\ud800-\udfff\U000e0001"
)
_MAPPED = "\xa0\u3000０-９Ａ-Ｚａ-ｚ\u2e80-\u2fd5"
_TOUCH = re.compile(f"[{_INVISIBLE}{_MAPPED}]")
# Joiners mean something in Arabic and Indic scripts and between emoji, and nothing elsewhere.
_JOINED = "\u0600-\u1cff\u2190-\u2bff\ufe0f\U0001f000-\U0001faff"
_JOINERS = re.compile(f"(?<![{_JOINED}])[\u200c\u200d]+|[\u200c\u200d]+(?![{_JOINED}\u200c\u200d])")
_INDENT = re.compile("^[ \t\xa0]*\u3000[ \t\xa0\u3000]*", re.MULTILINE)
_BLANK_LINES = re.compile("\n{3,}")

# Radicals that PDF text uses for whole characters: Unicode maps them to none (⼾ to 戶).
_PAIRS = (
    "⼾户⺒巳⺛旡⺝月⺠民⻁虎⻄西⻅见⻆角⻉贝⻋车⻑長⻓长⻔门⻘青⻙韦⻚页⻛风⻜飞⻝食⻢马⻣骨⻤鬼⻥鱼⻦鸟⻧卤⻨麦⻩黄"
    "⻪黾⻬齐⻮齿⻯竜⻰龙⻲亀"
)
_RADICALS = dict(zip(_PAIRS[::2], _PAIRS[1::2], strict=True))


@cache
def _touch_table() -> npt.NDArray[np.bool_]:
    """The code points that _TOUCH matches: asking the table is ten times faster."""
    found = [m.start() for m in _TOUCH.finditer("".join(map(chr, range(0x110000))))]
    table = np.zeros(0x110000, dtype=np.bool_)
    table[found] = True
    return table


def _replace(match: re.Match[str]) -> str:
    character = match[0]
    if character in "\xa0\u3000":
        return " "
    if "\u2e80" <= character <= "\u2fd5" or "０" <= character <= "ｚ":
        return _RADICALS.get(character) or unicodedata.normalize("NFKC", character)
    return ""


def normalise(text: str) -> str:
    """Bring a text to its one form. Pure, and does nothing to what it has done once.

    Line ends become newlines; control, zero-width and directional characters, lone surrogates and
    non-characters go; full-width letters and digits, the ideographic space and radicals are mapped;
    ideographic indents and spaces at line ends go; at most one empty line is left in a row.
    Punctuation, full-width or not, stays as it was written, and so does indentation with ASCII
    spaces, which is meaning in code.

    Args:
        text: any string, lone surrogates included.

    Returns:
        Text in NFC that encodes to UTF-8.
    """
    for mark in _LINE_ENDS:
        text = text.replace(mark, "\n")
    if "\u3000" in text:
        text = _INDENT.sub("", text)
    if _touch_table()[code_points(text)].any():
        text = _TOUCH.sub(_replace, text)
    if "\u200d" in text or "\u200c" in text:
        text = _JOINERS.sub("", text)
    text = unicodedata.normalize("NFC", text)
    text = "\n".join([line.rstrip() for line in text.split("\n")])
    return _BLANK_LINES.sub("\n\n", text).strip()
