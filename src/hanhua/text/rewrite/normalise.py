"""Normalisation that keeps Chinese Chinese.

NFC, never NFKC: NFKC would turn ，：？！ into ASCII, …… into dots, ① into 1 and ㎡ into m2. Of the
compatibility forms only those are mapped that are never meant: full-width letters and digits,
the ideographic space, and radicals (⼾ ⺠) that PDF extraction leaves in place of characters.

Most texts need nothing done to most of them, so one pattern looks for any character that a step
might touch, and each step that is left asks for its sign first. Clean Chinese pages pass at 95 to
145 MB per CPU-second, 1.3 to 1.7 times what doing every step costs, and reviews of 200 bytes at 94,
four times.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from hanhua.text.rewrite.layout import join_letter_spaced, shorten_repeats
from hanhua.text.rewrite.signs import ALL, CHARACTERS, LINE_ENDS, REPEATED, SPACED

_LINE_ENDS = ("\r\n", "\r", "\v", "\f", "\x85", "\u2028", "\u2029")
_INVISIBLE = (
    "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u180e\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\ufdd0-\ufdef\ud800-\udfff\U000e0001"
)
# What the Symbol and Wingdings fonts of office documents leave for bullets, as private-use points.
_BULLETS = dict(zip("\uf0b7\uf06c\uf06e\uf0a7\uf0d8\uf0fc", "•●■▪➢✓", strict=True))
_MAPPED = f"\xa0\u3000０-９Ａ-Ｚａ-ｚ\u2e80-\u2fd5{''.join(_BULLETS)}"
_TOUCH = re.compile(f"[{_INVISIBLE}{_MAPPED}]")
# Joiners mean something in Arabic and Indic scripts and between emoji, and nothing elsewhere.
_JOINED = "\u0600-\u1cff\u2190-\u2bff\ufe0f\U0001f000-\U0001faff"
_JOINERS = re.compile(f"(?<![{_JOINED}])[\u200c\u200d]+|[\u200c\u200d]+(?![{_JOINED}\u200c\u200d])")
_INDENT = re.compile("^[ \t\xa0]*\u3000[ \t\xa0\u3000]*", re.MULTILINE)
_BLANK_LINES = re.compile("\n{3,}")

# Characters that no step on single characters touches, that are no white space but the plain three
# and that are in NFC whatever stands beside them: Latin, Greek, Cyrillic, punctuation, symbols,
# kana, Han, Hangul syllables, emoji. Whatever else there is takes the long way, and no harm done.
USUAL = (
    "\t\n -~\xa1-\xac\xae-\u02ff\u0391-\u03a1\u03a3-\u03c9\u0400-\u0482\u2010-\u2027\u2030-\u205e"
    "\u2070-\u209c\u20a0-\u20c0\u2100-\u2125\u2127-\u2129\u212c-\u2328\u232b-\u2adb\u2add-\u2bff\u3001-\u3029"
    "\u3030-\u3098\u309b-\u312f\u3190-\u9fff\uac00-\ud7a3\ufe0f\ufe30-\ufe6b\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40"
    "\uff5b-\uff9f\uffe0-\uffee\U0001f000-\U0001faff\U00020000-\U0002f7ff"
)
_NEEDED = CHARACTERS | LINE_ENDS | REPEATED | SPACED
_UNUSUAL = re.compile(f"[^{USUAL}]")

# Radicals that PDF text uses for whole characters: Unicode maps them to none (⼾ to 戶).
_PAIRS = (
    "⼾户⺒巳⺛旡⺝月⺠民⻁虎⻄西⻅见⻆角⻉贝⻋车⻑長⻓长⻔门⻘青⻙韦⻚页⻛风⻜飞⻝食⻢马⻣骨⻤鬼⻥鱼⻦鸟⻧卤⻨麦⻩黄"
    "⻪黾⻬齐⻮齿⻯竜⻰龙⻲亀"
)
_RADICALS = dict(zip(_PAIRS[::2], _PAIRS[1::2], strict=True))


def _replace(match: re.Match[str]) -> str:
    return _mapped(match[0])


@cache
def _mapped(character: str) -> str:
    if character in "\xa0\u3000":
        return " "
    if "\u2e80" <= character <= "\u2fd5" or "０" <= character <= "ｚ":
        return _RADICALS.get(character) or unicodedata.normalize("NFKC", character)
    return _BULLETS.get(character, "")


def normalise(text: str, seen: int = ALL) -> str:
    """Bring a text to its one form. Pure, and does nothing to what it has done once.

    Characters: line ends become newlines; control, zero-width and directional characters, lone
    surrogates and non-characters go; radicals and the bullets of office fonts are mapped; the rest
    is NFC. Full-width letters and digits become ASCII (１２３ and 123 are one number, and in a
    vocabulary they should be one piece); full-width punctuation and symbols stay as written, for
    they are how Chinese is punctuated. The ideographic space becomes a plain one.

    Lines: ideographic indents and spaces at line ends go, indentation with ASCII spaces stays: it
    is meaning in code. At most one empty line is left in a row. Lines that were evidently set with
    a space after every character are joined, other spaces between Han characters stay
    (join_letter_spaced); long runs of one mark are shortened (shorten_repeats).

    Args:
        text: any string, lone surrogates included.
        seen: the signs that it gave, if it was looked at; see signs.py.

    Returns:
        Text in NFC that encodes to UTF-8.
    """
    if not seen & _NEEDED:
        return text.strip()
    unusual = bool(seen & CHARACTERS) and _UNUSUAL.search(text) is not None
    if unusual:
        text = _characters(text)
    if unusual or " \n" in text or "\t\n" in text:
        text = "\n".join([line.rstrip() for line in text.split("\n")])
    if "\n\n\n" in text:
        text = _BLANK_LINES.sub("\n\n", text)
    if seen & (SPACED | CHARACTERS):
        text = join_letter_spaced(text)
    if seen & (REPEATED | CHARACTERS):
        text = shorten_repeats(text)
    return text.strip()


def _characters(text: str) -> str:
    """Every step that looks at characters and not at lines."""
    for mark in _LINE_ENDS:
        text = text.replace(mark, "\n")
    if "\u3000" in text:
        text = _INDENT.sub("", text)
    text = _TOUCH.sub(_replace, text)
    if "\u200d" in text or "\u200c" in text:
        text = _JOINERS.sub("", text)
    return unicodedata.normalize("NFC", text)
