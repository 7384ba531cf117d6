"""The second kernel: copies and held-out text leave a part, and what held-out text leaks into.

A task is one row: the part's file and what is to become of each of its kept documents. So it is a
batch like any other, and runs where the first kernel ran.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hanhua.text.contamination.held_out import Guard
from hanhua.text.copies.cut import Cutter
from hanhua.text.copies.repeated import Keys, remove_lines
from hanhua.text.document import Document

STAYS, COPY, HELD_OUT, LOW = 0, 1, 2, 3
"""What becomes of a kept document; LOW: its score is not among the best."""

TASK = pa.schema([("part", pa.string()), ("start", pa.int64()), ("fates", pa.binary())])
"""A part's file, the number of its first kept document, and a byte (STAYS, COPY, HELD_OUT, LOW)
for each of its kept documents."""

_COLUMNS = ("id", "text", "language", "source", "licence", "where")
FINISHED = pa.schema(
    [
        *[(name, pa.string()) for name in _COLUMNS],
        ("fate", pa.uint8()),
        ("removed", pa.int32()),
        ("cut", pa.int32()),
        ("leak", pa.string()),
    ]
)
"""A part's kept documents; ``removed`` counts the repeated lines that went, ``cut`` the characters
of repeated passages, ``leak`` says (JSON) which held-out document one holds, else null."""


def task(part: Path, start: int, fates: npt.NDArray[np.uint8]) -> pa.RecordBatch:
    """One part to be finished."""
    columns = [[str(part)], [start], [fates.tobytes()]]
    arrays = [pa.array(c, type=f.type) for c, f in zip(columns, TASK, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=TASK)


@dataclass(frozen=True, slots=True)
class Repeats:
    """What goes from documents because others have it too.

    Args:
        lines: keys of the lines that go from all documents, ascending.
        passages: cuts what better documents have.
    """

    lines: Keys | None = None
    passages: Cutter | None = None

    @property
    def looks(self) -> bool:
        """Whether anything is looked for."""
        return self.lines is not None or self.passages is not None

    def without_lines(self, text: str) -> tuple[str, int]:
        """A text without repeated lines, and how many went."""
        return (text, 0) if self.lines is None else remove_lines(text, self.lines)

    def without_passages(self, text: str, number: int) -> tuple[str | None, int]:
        """A text without repeated passages and lines, and how many characters of passages went.

        Args:
            text: with its repeated lines, as its fingerprints were taken.
            number: the document's.

        Returns:
            None and 0 where it has none.
        """
        left, cut = (text, 0) if self.passages is None else self.passages.cut(text, number)
        return (self.without_lines(left)[0], cut) if cut else (None, 0)


class Finisher:
    """Applies to a part the fates, what repeats, and the guard of the held-out text.

    Args:
        held_out: language -> documents; a training document that holds one must go.
        repeats: lines and passages that go.
    """

    def __init__(self, held_out: Mapping[str, Sequence[Document]], repeats: Repeats) -> None:
        self._guards = {language: Guard(found) for language, found in held_out.items() if found}
        self._repeats = repeats

    @property
    def idle(self) -> bool:
        """Whether there is nothing to look for: no held-out text, no lines, no passages."""
        return not (self._guards or self._repeats.looks)

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """TASK in, FINISHED out."""
        part, start, fates = (batch.column(name)[0].as_py() for name in TASK.names)
        table = pq.read_table(part, columns=[*_COLUMNS, "reason"])
        table = table.filter(pc.is_null(table.column("reason")))
        columns = {name: table.column(name).to_pylist() for name in _COLUMNS}
        removed, cut = [0] * len(fates), [0] * len(fates)
        leaks: list[str | None] = [None] * len(fates)
        for row, (fate, language) in enumerate(zip(fates, columns["language"], strict=True)):
            if fate == STAYS:
                whole = columns["text"][row]
                text, removed[row] = self._repeats.without_lines(whole)
                leaks[row] = self._leak(text, language)
                if leaks[row] is None:
                    left, cut[row] = self._repeats.without_passages(whole, start + row)
                    text = text if left is None else left
                columns["text"][row] = text
        arrays = [*columns.values(), list(fates), removed, cut, leaks]
        return pa.RecordBatch.from_arrays(
            [pa.array(a, type=f.type) for a, f in zip(arrays, FINISHED, strict=True)],
            schema=FINISHED,
        )

    def _leak(self, text: str, language: str) -> str | None:
        guard = self._guards.get(language)
        drop = guard.check(text) if guard else None
        return json.dumps(drop.value, ensure_ascii=False) if drop else None
