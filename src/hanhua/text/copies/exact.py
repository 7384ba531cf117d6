"""The key by which two texts are exact copies: of a form that ignores what copying changes.

Two texts are copies when their letters and digits agree after compatibility mapping, case folding
and, unless switched off, the mapping of traditional characters to simplified ones: re-wrapped,
re-spaced, full-width and re-punctuated copies are found. Near copies are the matter of near.py.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np

from hanhua.text.scripts import CodePoints

KEY_BYTES = 16


def content_key(canonical: CodePoints) -> bytes:
    """A 128-bit key of ``minhash.canonical_points``, the same on every machine.

    Characters are hashed in the one, two or four bytes that the largest of them needs: what is
    hashed costs by its bytes, and texts that are equal have the same largest one.
    """
    largest = int(np.maximum.reduce(canonical, initial=0))
    width = "<u1" if largest < 1 << 8 else "<u2" if largest < 1 << 16 else "<u4"
    points = canonical.astype(width, copy=False)
    return blake2b(points.data, digest_size=KEY_BYTES, person=width.encode()).digest()
