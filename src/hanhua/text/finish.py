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

from hanhua.text.document import Document
from hanhua.text.held_out import Guard

STAYS, COPY, HELD_OUT = 0, 1, 2
"""What becomes of a kept document."""

TASK = pa.schema([("part", pa.string()), ("fates", pa.binary())])
"""A part's file, and a byte (STAYS, COPY, HELD_OUT) for each of its kept documents."""

_COLUMNS = ("id", "text", "language", "source", "licence", "where")
FINISHED = pa.schema(
    [*[(name, pa.string()) for name in _COLUMNS], ("leak", pa.string()), ("fate", pa.uint8())]
)
"""A part's kept documents; ``leak`` says (JSON) which held-out document one holds, else null."""


def task(part: Path, fates: npt.NDArray[np.uint8]) -> pa.RecordBatch:
    """One part to be finished."""
    arrays = [pa.array([str(part)]), pa.array([fates.tobytes()], pa.binary())]
    return pa.RecordBatch.from_arrays(arrays, schema=TASK)


class Finisher:
    """Applies the fates, and the guard of the held-out text, to a part.

    Args:
        held_out: language -> documents; a training document that holds one must go.
    """

    def __init__(self, held_out: Mapping[str, Sequence[Document]]) -> None:
        self._guards = {language: Guard(found) for language, found in held_out.items() if found}

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """TASK in, FINISHED out."""
        part, fates = batch.column("part")[0].as_py(), batch.column("fates")[0].as_py()
        table = pq.read_table(part, columns=[*_COLUMNS, "reason"])
        table = table.filter(pc.is_null(table.column("reason")))
        leaks = [
            self._leak(text, language) if fate == STAYS else None
            for text, language, fate in zip(
                table.column("text").to_pylist(), table.column("language").to_pylist(), fates,
                strict=True,
            )
        ]  # fmt: skip
        table = table.select(_COLUMNS).append_column("leak", pa.array(leaks, pa.string()))
        fate = pa.array(np.frombuffer(fates, dtype=np.uint8))
        table = table.append_column("fate", fate).combine_chunks()
        batches = table.to_batches()
        return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=FINISHED)

    def _leak(self, text: str, language: str) -> str | None:
        guard = self._guards.get(language)
        drop = guard.check(text) if guard else None
        return json.dumps(drop.value, ensure_ascii=False) if drop else None
