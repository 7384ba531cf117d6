"""The second kernel: copies and held-out text leave a part, and what held-out text leaks into.

A task is one row: the part's file and what is to become of each of its kept documents. So it is a
batch like any other, and runs where the first kernel ran.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hanhua.text.contamination.held_out import Guard
from hanhua.text.copies.repeated import Keys, remove_lines
from hanhua.text.document import Document

STAYS, COPY, HELD_OUT = 0, 1, 2
"""What becomes of a kept document."""

TASK = pa.schema([("part", pa.string()), ("fates", pa.binary())])
"""A part's file, and a byte (STAYS, COPY, HELD_OUT) for each of its kept documents."""

_COLUMNS = ("id", "text", "language", "source", "licence", "where")
FINISHED = pa.schema(
    [
        *[(name, pa.string()) for name in _COLUMNS],
        ("fate", pa.uint8()),
        ("removed", pa.int32()),
        ("leak", pa.string()),
    ]
)
"""A part's kept documents; ``removed`` counts the repeated lines that went, ``leak`` says (JSON)
which held-out document one holds, else null."""


def task(part: Path, fates: npt.NDArray[np.uint8]) -> pa.RecordBatch:
    """One part to be finished."""
    arrays = [pa.array([str(part)]), pa.array([fates.tobytes()], pa.binary())]
    return pa.RecordBatch.from_arrays(arrays, schema=TASK)


class Finisher:
    """Applies the fates, the repeated lines and the guard of the held-out text to a part.

    Args:
        held_out: language -> documents; a training document that holds one must go.
        repeated: keys of the lines that go from all documents, ascending.
    """

    def __init__(
        self, held_out: Mapping[str, Sequence[Document]], repeated: Keys | None = None
    ) -> None:
        self._guards = {language: Guard(found) for language, found in held_out.items() if found}
        self._repeated = repeated

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """TASK in, FINISHED out."""
        part, fates = batch.column("part")[0].as_py(), batch.column("fates")[0].as_py()
        table = pq.read_table(part, columns=[*_COLUMNS, "reason"])
        table = table.filter(pc.is_null(table.column("reason")))
        columns = {name: table.column(name).to_pylist() for name in _COLUMNS}
        removed = [0] * len(fates)
        leaks: list[str | None] = [None] * len(fates)
        for row, (fate, language) in enumerate(zip(fates, columns["language"], strict=True)):
            if fate == STAYS:
                text, removed[row] = self._without_repeated(columns["text"][row])
                columns["text"][row], leaks[row] = text, self._leak(text, language)
        arrays = [*columns.values(), list(fates), removed, leaks]
        return pa.RecordBatch.from_arrays(
            [pa.array(a, type=f.type) for a, f in zip(arrays, FINISHED, strict=True)],
            schema=FINISHED,
        )

    def _without_repeated(self, text: str) -> tuple[str, int]:
        return (text, 0) if self._repeated is None else remove_lines(text, self._repeated)

    def _leak(self, text: str, language: str) -> str | None:
        guard = self._guards.get(language)
        drop = guard.check(text) if guard else None
        return json.dumps(drop.value, ensure_ascii=False) if drop else None
