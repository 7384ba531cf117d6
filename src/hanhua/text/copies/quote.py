"""The kernel that quotes shared passages from the documents in which they are best.

It runs between the two others, over the parts that have such documents, in Arrow batches as they
do. What it gives is as large as the shared text, not as the corpus.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hanhua.text.copies.fingerprints import (
    Hashes,
    PassageSize,
    Places,
    weights_before,
    winnow,
)
from hanhua.text.copies.minhash import canonical_points
from hanhua.text.scripts import CodePoints

ASKED = np.dtype([("row", "<i8"), ("turn", "<i8"), ("hash", "<u8"), ("slot", "<i8")])
"""The ``turn``-th place of a fingerprint in a part's ``row``-th kept document."""

QUOTE_TASK = pa.schema([("part", pa.string()), ("asked", pa.binary())])
"""A part's file and records of ASKED, by row."""

QUOTED = pa.schema([("slots", pa.binary()), ("offsets", pa.binary()), ("text", pa.large_binary())])
"""int64 slots, int64 places in the text, uint32 text with a 0 after each stretch; one row."""


def quote_task(part: str, asked: npt.NDArray[np.void]) -> pa.RecordBatch:
    """What is wanted of one part."""
    arrays = [pa.array([part]), pa.array([asked.tobytes()], pa.binary())]
    return pa.RecordBatch.from_arrays(arrays, schema=QUOTE_TASK)


def quoted(batch: pa.RecordBatch) -> tuple[Places, Places, CodePoints]:
    """Slots, offsets and text of a batch of the schema QUOTED."""
    slots, offsets, text = (batch.column(name)[0].as_py() for name in QUOTED.names)
    return np.frombuffer(slots, "<i8"), np.frombuffer(offsets, "<i8"), np.frombuffer(text, "<u4")


class Quoter:
    """Quotes the surroundings of fingerprints.

    Args:
        size: of a passage.
        variants: traditional characters are compared as simplified ones.
    """

    def __init__(self, size: PassageSize, variants: bool) -> None:
        self._size, self._variants = size, variants

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """QUOTE_TASK in, QUOTED out."""
        asked = np.frombuffer(batch.column("asked")[0].as_py(), dtype=ASKED)
        table = pq.read_table(batch.column("part")[0].as_py(), columns=["text", "reason"])
        texts = table.filter(pc.is_null(table.column("reason"))).column("text")
        stretches, offsets, chars = [], [], 0
        for rows in np.split(asked, np.nonzero(np.diff(asked["row"]))[0] + 1):
            if len(rows):
                points = canonical_points(texts[int(rows["row"][0])].as_py(), self._variants)
                text, where = quote(points, rows["hash"], rows["turn"], self._size)
                stretches.append(text)
                offsets.append(where + chars)
                chars += len(text)
        found = (asked["slot"], _join(offsets, "<i8"), _join(stretches, "<u4"))
        arrays = [pa.array([a.tobytes()], f.type) for a, f in zip(found, QUOTED, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=QUOTED)


def _join(arrays: list[npt.NDArray[Any]], dtype: str) -> npt.NDArray[Any]:
    return np.concatenate([np.zeros(0, dtype), *arrays]).astype(dtype)


def around(before: Places, places: Places, size: PassageSize) -> tuple[Places, Places]:
    """Where all least passages that contain the runs at these places begin and end.

    Args:
        before: ``weights_before`` of the text.
        places: of runs.
        size: of a passage.
    """
    reach = size.weight + 2  # a passage that must weigh 300 weighs 302 at most
    starts = np.searchsorted(before, before[places + size.run_chars] - reach)
    ends = np.searchsorted(before, before[places] + reach, side="right") - 1
    return starts.astype(np.int64), ends.astype(np.int64)


def quote(
    points: CodePoints, hashes: Hashes, turns: Places, size: PassageSize
) -> tuple[CodePoints, Places]:
    """The text around some fingerprints of a document.

    Args:
        points: the document as it is compared.
        hashes: fingerprints that it has.
        turns: which of its places of each is meant, from 0.
        size: of a passage.

    Returns:
        The stretches of text, a 0 after each, and where in them each fingerprint is.
    """
    found, places = winnow(points, size)
    order = np.argsort(found, kind="stable")
    places = places[order][np.searchsorted(found[order], hashes) + turns]
    starts, ends = around(weights_before(points), places, size)
    by_place = np.argsort(places, kind="stable")
    starts, ends = starts[by_place], ends[by_place]
    fresh = np.ones(len(starts), dtype=np.bool_)
    fresh[1:] = starts[1:] > ends[:-1]
    firsts = np.nonzero(fresh)[0]
    begins, stops = starts[firsts], ends[np.append(firsts[1:], len(ends)) - 1]
    lengths = stops - begins + 1
    offsets = np.empty(len(places), dtype=np.int64)
    shift = np.cumsum(lengths) - lengths - begins
    offsets[by_place] = places[by_place] + shift[np.cumsum(fresh) - 1]
    stretches = [np.append(points[a:b], 0) for a, b in zip(begins, stops, strict=True)]
    return _join(stretches, "<u4"), offsets
