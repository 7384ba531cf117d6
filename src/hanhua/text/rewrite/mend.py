"""Mends text that was decoded with the wrong codec, where nothing was lost on the way.

Most of the damage in Chinese collections is one of five: UTF-8 read as Latin-1 or Windows-1252
(æˆ‘ä»¬), UTF-8 read as GBK (鎴戜滑), GBK or Big5 read as Latin-1 (ÎÒÃÇ, §Ú­Ì), GBK read as Big5
(扂蠅). Each can be undone by encoding with the codec that was used and decoding with the one that
was meant, and each repair has to prove itself: every character makes the way and back, the Chinese
that comes out is made of common characters, function characters among them, and next to nothing of
the damage is left. A text that can be mended in part only stays whole as it was, so that the
quality rules can still see what it is; so does what is beyond repair (锟斤拷, 烫烫烫, U+FFFD).

The first kind goes to ftfy (https://github.com/rspeer/python-ftfy), which knows European languages,
but only the stretches of a line that can be its business: left alone it would turn ，“”￥ into
ASCII. It reads 0.6 MB/s. So a pattern looks for tell-tale pairs first, at 300 MB/s, and nearly all
texts go no further. Run before normalise(), which drops the control characters that are bytes here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from hanhua.text.rewrite.signs import ALL, SUSPECT
from hanhua.text.scripts import is_function_han, is_han

MENDINGS = ("utf8_as_latin1", "utf8_as_gbk", "gbk_as_latin1", "big5_as_latin1", "gbk_as_big5")
"""What mend() may answer: what the text was, and what it was read as."""

_UPPER = "".join(bytes([byte]).decode("cp1252", "ignore") for byte in range(0x80, 0xA0))
"""The characters of Windows-1252 where Latin-1 has control characters."""
_BYTES = {ord(character): character.encode("cp1252")[0] for character in _UPPER}
TAILS = f"\x80-\xbf{_UPPER}"
_TAIL = f"[{TAILS}]"
_TELLS_GBK = "锛銆鈥鐨涓鏄鍦浜鏈鎴杩澶浠鍥鏉鍒"
"""The first two bytes of ，。“的不是在人有我这大他国来到, read as GBK."""
_TELLS_BIG5 = "ㄛ﹝岆珨婓衄腔祥迵笢"
"""，。是一在有的不与中, written as GBK and read as Big5."""
TELLS = _TELLS_GBK + _TELLS_BIG5
_SUSPECT = re.compile(
    f"[\xa1\xaa\xb0-\xf7{_TELLS_GBK}{_TELLS_BIG5}]"
    f"(?:(?<=[\xc2-\xdf]){_TAIL}|(?<=[\xe0-\xef]){_TAIL}{_TAIL}|(?<=[\xf0-\xf4]){_TAIL}{{3}}"
    f"|(?<=[\xb0-\xf7])[\xa1-\xfe][\xa1-\xf7][\xa1-\xfe]|(?<=\xa1)[AC\xa3]|(?<=\xaa)\xba"
    f"|(?<=[{_TELLS_GBK}{_TELLS_BIG5}]))"
)
_STRETCH = re.compile(f"[\x00-\x09\x0b-\xff{_UPPER}]+")
_SPLIT_UTF8 = re.compile(f"[\xc2-\xf4]{_TAIL}")
_PAIRS = re.compile("[\xa1-\xf9][\xa1-\xfe]")
_LEFT = 0.1
"""The share of the damage that may be left, and of the characters that may be uncommon."""
_MIN_FUNCTION_SHARE = 0.08
"""Chinese prose has .20 to .40, headings .10, text decoded wrongly .02 and less."""
_MIN_FUNCTION_HAN = (4, 2)
"""Function characters that a repair must bring out: of some lines; of the whole text, which is no
example of wrong decoding in a text about it."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """One way to read Chinese wrongly.

    Args:
        encode: back to bytes; raises UnicodeEncodeError where a line was not read that way.
        meant: the codec of those bytes.
        damage: matches what such text is full of and sound text is not.
    """

    name: str
    encode: Callable[[str], bytes]
    meant: str
    damage: re.Pattern[str]


def _latin_bytes(line: str) -> bytes:
    """Latin-1 and Windows-1252 as browsers mix them."""
    return line.translate(_BYTES).encode("latin-1")


def _gb18030_bytes(line: str) -> bytes:
    """GBK as Windows has it: 0x80 is the euro sign, so that UTF-8's 一 became 涓€."""
    return b"\x80".join(part.encode("gb18030") for part in line.split("€"))


def _big5_bytes(line: str) -> bytes:
    return line.encode("big5hkscs")


_READINGS = (
    _Reading("utf8_as_latin1", _latin_bytes, "utf-8", _SPLIT_UTF8),
    _Reading("utf8_as_gbk", _gb18030_bytes, "utf-8", re.compile(f"[{_TELLS_GBK}]")),
    _Reading("gbk_as_latin1", _latin_bytes, "gb18030", _PAIRS),
    _Reading("big5_as_latin1", _latin_bytes, "big5hkscs", _PAIRS),
    _Reading("gbk_as_big5", _big5_bytes, "gb18030", re.compile(f"[{_TELLS_BIG5}]")),
)


def mend(text: str, seen: int = ALL) -> tuple[str, str]:
    """Undo a wrong decoding, line by line, if what comes out makes sense. Pure.

    Args:
        text: any string, before normalise().
        seen: the signs that it gave, if it was looked at; see signs.py.

    Returns:
        The text and one of MENDINGS, or several joined by ``+``; sound text comes back as it was,
        with an empty string.
    """
    if not seen & SUSPECT or not _SUSPECT.search(text):
        return text, ""
    kinds: dict[str, None] = {}
    for reading in _READINGS:
        found = _reread(text, reading)
        if found != text:
            text = found
            kinds[reading.name] = None
    # The rest of that kind: lines that are damaged in part, and languages other than Chinese.
    found = _with_ftfy(text)
    if found != text:
        kinds[MENDINGS[0]] = None
    return found, "+".join(kinds)


def _with_ftfy(text: str) -> str:
    """UTF-8 that was read as Latin-1 or Windows-1252."""
    if not _SPLIT_UTF8.search(text):
        return text
    from ftfy import TextFixerConfig, fix_encoding

    # Exact steps only: with its other ones ftfy guesses lost bytes and writes U+FFFD.
    config = TextFixerConfig(
        restore_byte_a0=False, replace_lossy_sequences=False, fix_c1_controls=False
    )

    def repair(match: re.Match[str]) -> str:
        if not _SPLIT_UTF8.search(match[0]):
            return match[0]
        fixed = fix_encoding(match[0], config)
        return match[0] if "\ufffd" in fixed else fixed

    return _if_whole(text, _STRETCH.sub(repair, text), _SPLIT_UTF8)


def _reread(text: str, reading: _Reading) -> str:
    """Read the lines again that were read wrongly, if together they are Chinese."""
    if not reading.damage.search(text):
        return text
    lines = text.split("\n")
    places = [place for place, line in enumerate(lines) if not line.isascii()]
    # A line that is full of it shows soonest that it was read as it was meant.
    damaged = [lines[place] for place in places if reading.damage.search(lines[place])]
    if not any(_again(line, reading) for line in damaged):
        return text
    again = {place: _again(lines[place], reading) for place in places}
    again = {place: line for place, line in again.items() if line}
    sure = {place: line for place, line in again.items() if _is_sure(line, reading)}
    needed = _MIN_FUNCTION_HAN[len(sure) == len(places)]
    before = "".join(lines[place] for place in sure)
    if not _makes_sense(before, "".join(sure.values()), needed):
        return text
    # Names and rare words (尤袤) have no common characters: what most of the text is, they are.
    believed = again if 2 * len(before) >= sum(len(lines[place]) for place in places) else sure
    mended = "\n".join(believed.get(place, line) for place, line in enumerate(lines))
    return _if_whole(text, mended, reading.damage)


def _again(line: str, reading: _Reading) -> str:
    """A line as it was meant; empty unless each character makes the way there and back."""
    try:
        raw = reading.encode(line)
        meant = raw.decode(reading.meant)
        return meant if meant.encode(reading.meant) == raw else ""
    except UnicodeError:
        return ""


def _is_sure(line: str, reading: _Reading) -> bool:
    """Bytes not meant as UTF-8 hardly ever are it; anything can be GBK, but not common in it."""
    han = [character for character in line if is_han(character)]
    common = sum(character in _common() for character in han)
    return reading.meant == "utf-8" or common >= (1 - _LEFT) * len(han)


def _makes_sense(before: str, after: str, needed: int) -> bool:
    """Whether re-read lines are Chinese, and more so than they were."""
    han = sum(map(is_han, after))
    function_before = sum(map(is_function_han, before))
    function_after = sum(map(is_function_han, after))
    enough = function_after >= max(needed, _MIN_FUNCTION_SHARE * han)
    return enough and function_after > 4 * function_before


def _if_whole(before: str, after: str, damage: re.Pattern[str]) -> str:
    """The mended text if little damage is left, else the text as it was."""
    left, found = len(damage.findall(after)), len(damage.findall(before))
    return after if left <= _LEFT * found else before


@cache
def _common() -> frozenset[str]:
    """The first levels of GB 2312 and Big5: 99.5 % of modern text, simplified and traditional."""
    gb2312 = bytes(
        b for row in range(0xB0, 0xD8) for cell in range(0xA1, 0xFF) for b in (row, cell)
    )
    cells = (*range(0x40, 0x7F), *range(0xA1, 0xFF))
    big5 = bytes(b for row in range(0xA4, 0xC7) for cell in cells for b in (row, cell))
    return frozenset(gb2312.decode("gb2312", "ignore") + big5.decode("big5", "ignore"))
