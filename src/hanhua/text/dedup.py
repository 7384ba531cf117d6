"""Exact duplicates, on a canonical form that ignores what copying changes.

Two texts are copies when their letters and digits agree after compatibility mapping and case
folding: re-wrapped, re-spaced, full-width and re-punctuated copies are found. About 100 bytes of
memory a document: 10 million documents need 1 GB.
"""

from __future__ import annotations

from hashlib import blake2b

from hanhua.text.scripts import CodePoints

KEY_BYTES = 16


def content_key(canonical: CodePoints) -> bytes:
    """A 128-bit key of a canonical text (``scripts.canonical``), the same on every machine."""
    return blake2b(canonical.astype("<u4", copy=False).tobytes(), digest_size=KEY_BYTES).digest()


class SeenKeys:
    """The keys met so far; of several copies the first in reading order is the one kept."""

    def __init__(self) -> None:
        self._keys: set[bytes] = set()

    def add(self, key: bytes) -> bool:
        """Remember a key; False when it was there already."""
        before = len(self._keys)
        self._keys.add(key)
        return len(self._keys) > before
