"""Long documents in pieces, cut where a reader would pause."""

from __future__ import annotations

from collections.abc import Iterator

_PAUSES = (("\n\n",), ("\n",), ("。", "！", "？", ". ", "! ", "? "), (" ", "，", "；"))


def split_text(text: str, max_chars: int) -> Iterator[str]:
    """Cut a text into pieces of at most ``max_chars``.

    A cut falls after the last empty line in the second half of a piece, else after the last line
    end, sentence end or space there, else at ``max_chars``. The pieces joined are the text.
    """
    start = 0
    while len(text) - start > max_chars:
        cut = _cut(text, start + max_chars // 2, start + max_chars)
        yield text[start:cut]
        start = cut
    yield text[start:]


def _cut(text: str, low: int, high: int) -> int:
    for marks in _PAUSES:
        places = [(text.rfind(mark, low, high), mark) for mark in marks]
        place, mark = max(places)
        if place >= 0:
            return place + len(mark)
    return high
