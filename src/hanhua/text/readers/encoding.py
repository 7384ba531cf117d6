"""Which encoding some bytes are in, told by which one makes the most natural text of them.

A codec that decodes without an error proves little: nearly all bytes are valid GB18030. What a
wrong codec never makes is text in which common characters, the small words of the language and
its punctuation stand as often as people write them. So every candidate decodes a sample and is
scored by what comes out, and the best one wins if it is good enough. Japanese and Korean are
among the candidates because they would else be read as rare Chinese.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hanhua.core.errors import InputError
from hanhua.text.scripts import code_points, is_function_han

ENOUGH_BYTES = 1 << 16
"""So much of a sample is scored."""

_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"),
         (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
         (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_FAMILIES = {
    "gb18030": "zh", "big5hkscs": "zh", "cp932": "ja", "euc_jp": "ja", "cp949": "ko",
    "utf-16-le": "wide", "utf-16-be": "wide",
}  # fmt: skip
_WIDE = ("utf-16-le", "utf-16-be")
_WIDER = {
    "ascii": "utf-8", "utf-8-sig": "utf-8", "gb2312": "gb18030", "gbk": "gb18030",
    "big5": "big5hkscs", "cp950": "big5hkscs", "shift_jis": "cp932", "euc_kr": "cp949",
    "iso8859-1": "cp1252",
}  # fmt: skip
_FUNCTION_HANGUL = "이다는을의에가로고하지은도를한어서기사니라리나요자그해시있것수들과대으면인만"
_GOOD = 0.5
_GOOD_LINE = 0.8
_GOOD_WESTERN = 0.25
_ODD, _RARE = -8, -3
_BROKEN = -16
_FULL = 4.0
"""Scores are kept in quarters, so that a table is a byte per code point."""


def widest(name: str) -> str:
    """The codec that reads all that ``name`` should: gb18030 for gb2312, cp1252 for latin-1.

    Raises:
        LookupError: when Python has no text codec of that name.
    """
    found = codecs.lookup(name).name
    "".encode(found)  # base64 and its kind are codecs, but not of text
    return _WIDER.get(found, found)


def find_encoding(sample: bytes, where: Path | None = None) -> str:
    """Tell apart utf-8, utf-16, utf-32, gb18030, big5hkscs, cp932, euc_jp, cp949 and cp1252.

    A byte order mark decides; then UTF-8 if the bytes are (nearly) that; then the East Asian
    encoding that makes the most natural text; then cp1252 for Western text. What is mostly ASCII
    and none of these is UTF-8 with damage: it costs the lines that it is in.

    Args:
        sample: the beginning of a file, or of what in it is not ASCII.
        where: named in the error.

    Returns:
        A Python codec name.

    Raises:
        InputError: when the bytes are no text in any of these.
    """
    marked = next((name for mark, name in _BOMS if sample.startswith(mark)), None)
    found = marked or _guess(sample)
    if found is None:
        raise InputError(
            "This file is no text in an encoding we know.", where=where, found=repr(sample[:24]),
            fix="set the source's `encoding` (`hanhua corpus --encoding`), take the file out, or "
            "set `on_error: skip` (`--set on_error=skip`)",
        )  # fmt: skip
    return found


def _guess(sample: bytes) -> str | None:
    zeros = sample.count(0)  # half of each space and line end, if characters have two bytes
    wrong = 1.0 if zeros > len(sample) // 10 else _not_utf8(sample)
    if wrong <= 0.02 or (wrong < 1.0 and _most_lines_are_utf8(sample)):
        return "utf-8"
    western = 0.0 if zeros else _western(sample)
    best, score = _best(sample, _WIDE if zeros else _FAMILIES)
    if score >= max(_GOOD, western):
        return best
    for name, plane in zip(_WIDE, (sample[1::2], sample[::2]), strict=True):
        if plane.count(0) > 0.8 * len(plane):
            return name
    if wrong < 0.2:
        return "utf-8"
    if not zeros and sum(byte < 0x80 for byte in sample) > len(sample) / 2:
        return "cp1252" if western >= _GOOD_WESTERN else "utf-8"
    return None


def rescue(line: bytes, encoding: str) -> str | None:
    """Decode one line that is not in its file's encoding, if it is clearly in another one.

    Args:
        line: bytes that do not decode.
        encoding: the file's encoding.

    Returns:
        The text, or None when no encoding makes good text of all of it.
    """
    if encoding != "utf-8" and (text := as_utf8(line)) is not None:
        return text
    if _western(line) >= _GOOD_LINE:
        return line.decode("cp1252", "replace")
    best, score = _best(line, [n for n in _FAMILIES if n not in _WIDE and n != encoding])
    if score < _GOOD_LINE:
        return None
    try:
        return line.decode(best)
    except UnicodeDecodeError:
        return None


def as_utf8(line: bytes) -> str | None:
    """A line as UTF-8, if it is that beyond doubt: whole, with three characters past ASCII."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if len(line) - len(text) >= 6 else None


def _not_utf8(sample: bytes) -> float:
    """What does not decode as UTF-8, by what is not ASCII: a few damaged records stay a few."""
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(sample)
    wrong = text.count("\ufffd")
    return wrong / (len(text) - len(text.encode("ascii", "ignore"))) if wrong else 0.0


def _western(sample: bytes) -> float:
    """The same for cp1252: letters with accents stand alone among ASCII and quotation marks."""
    codes = np.frombuffer(sample, dtype=np.uint8)
    found = codes >= 0x80
    if not found.any() or 2 * int(found.sum()) > len(codes):
        return 0.0
    scores, is_quote = _western_tables()
    letters = np.concatenate(([False], found & ~is_quote[codes], [False]))
    beside = (letters[:-2].astype(np.int8) + letters[2:]) * ~is_quote[codes]
    seen = np.select([beside == 0, beside == 1], [scores[codes], _RARE], _ODD)
    return float(seen[found].mean()) / _FULL


@cache
def _western_tables() -> tuple[npt.NDArray[np.int8], npt.NDArray[np.bool_]]:
    """What a byte that stands alone speaks for cp1252, and which are marks beside letters."""
    scores, is_quote = np.zeros(256, dtype=np.int8), np.zeros(256, dtype=np.bool_)
    is_quote[list("‘’“”–—…«»\xa0€™".encode("cp1252"))] = True
    scores[0xC0:0xFE], scores[is_quote] = 6, 5
    scores[list("£§©®°·½¼¡".encode("cp1252"))] = 3
    scores[[0x81, 0x8D, 0x8F, 0x90, 0x9D]] = _BROKEN
    return scores, is_quote


def _telling_lines(sample: bytes) -> list[bytes]:
    return [line for line in sample.split(b"\n") if not line.isascii()]


def _most_lines_are_utf8(sample: bytes) -> bool:
    """Whether lines in other encodings are few; a line of those is hardly ever UTF-8."""
    good, lines = 0, _telling_lines(sample)
    for line in lines:
        try:
            line.decode("utf-8")
            good += 1
        except UnicodeDecodeError:
            pass
    return 2 * good > len(lines)


def _best(sample: bytes, names: Iterable[str]) -> tuple[str, float]:
    """The best of some encodings and its score, seen over what is not ASCII."""
    whole, lines = sample[:ENOUGH_BYTES], b"\n".join(_telling_lines(sample))[:ENOUGH_BYTES]
    scores = {n: _naturalness(whole if n in _WIDE else lines, n) for n in names}
    best = max(scores, key=lambda name: scores[name])
    return best, scores[best]


def _naturalness(sample: bytes, encoding: str) -> float:
    """Mean score of the characters past ASCII: about 1.5 for text, below 0 for a wrong codec."""
    points = code_points(sample.decode(encoding, "replace"))
    if encoding not in _WIDE:
        points = points[points >= 0x80]
    else:
        points = points[(points >= 0x80) | (points < 0x20)]
    if not len(points):
        return 0.0
    return float(_table(_FAMILIES[encoding]).take(points).mean()) / _FULL


@cache
def _table(family: str) -> npt.NDArray[np.int8]:
    """What each code point speaks for or against a family of encodings, in quarters."""
    table = np.full(0x110000, _ODD, dtype=np.int8)
    table[0x4E00:0xA000] = _RARE
    table[0x3000:0x3020] = table[0xFF00:0xFF60] = table[0x2010:0x2027] = 4
    table[[0x09, 0x0A, 0x0D]] = 0
    table[0xFFFD] = table[0xE000:0xF900] = _BROKEN
    if family in ("zh", "wide"):
        for encoding, rows, score in (("big5", (0xA4, 0xC6), 1), ("gb2312", (0xB0, 0xD7), 4)):
            table[_rows(encoding, *rows)] = score
        table[[code for code in range(0x4E00, 0xA000) if is_function_han(chr(code))]] = 16
    if family in ("ja", "wide"):
        kanji = _rows("euc_jp", 0xB0, 0xCF)
        table[kanji] = np.maximum(table[kanji], 2)
        table[0x3041:0x30FF] = 4
        table[0x3041:0x3097] = 14 if family == "ja" else 4
    if family in ("ko", "wide"):
        table[_rows("euc_kr", 0xB0, 0xC8)] = 3
        table[[ord(character) for character in _FUNCTION_HANGUL]] = 12
    return table


def _rows(encoding: str, first: int, last: int) -> list[int]:
    """The characters of some rows of a character set: its common ones stand first."""
    pairs = (bytes((a, b)) for a in range(first, last + 1) for b in range(0x40, 0xFF))
    text = "".join(pair.decode(encoding, "ignore") for pair in pairs)
    return [ord(character) for character in text if character > "\x7f"]
