"""Passages that several documents share, kept in the best one and cut out of the others.

Four steps, none of which holds more than a part of the corpus: the first kernel takes
fingerprints (copies/fingerprints.py); those that stand in several documents are found by sorting
(copies/shared.py); a kernel of its own quotes the text around them from the best documents
(copies/quote.py) into a book on disk (copies/book.py); the last kernel looks up what its documents
have of it, and cuts (copies/cut.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hanhua.text.collect import Part
from hanhua.text.copies.book import BookWriter
from hanhua.text.copies.buckets import Buckets, Records
from hanhua.text.copies.cut import Cutter
from hanhua.text.copies.fingerprints import PassageSize
from hanhua.text.copies.quote import ASKED, Quoter, quote_task, quoted
from hanhua.text.copies.shared import WANTED, FingerprintFile, Flags
from hanhua.text.pool import Kernel

Run: TypeAlias = Callable[[Iterable[pa.RecordBatch], Kernel, str], Iterator[Path]]
"""Takes batches through a kernel into the files of a folder."""

_WANTED_BYTES = 100


def find_passages(
    file: FingerprintFile, parts: Sequence[Part], ranks: Records, alive: Flags, held: Iterable[int],
    *, size: PassageSize, variants: bool, folder: Path, run: Run, budget_bytes: int,
) -> Cutter:  # fmt: skip
    """Write the book of shared passages.

    Args:
        file: fingerprints of all documents, closed.
        parts: of judged documents.
        ranks: of all documents, RANK.
        alive: which documents stay.
        held: numbers of those that are held out.
        size: of a passage.
        variants: traditional characters are compared as simplified ones.
        folder: to write in, on a disk that all workers see.
        run: runs a kernel over batches.
        budget_bytes: memory for sorting.

    Returns:
        What cuts documents by the book.
    """
    held_out = np.zeros(len(alive), dtype=np.bool_)
    held_out[list(held)] = True
    wanted = Buckets(folder / "wanted", WANTED, "document", len(alive).bit_length())
    with closing(BookWriter(folder / "book")) as book:
        with closing(wanted):
            file.find_shared(ranks, alive, held_out, book, wanted, budget_bytes)
        tasks = _tasks(parts, wanted.ranges(budget_bytes, _WANTED_BYTES))
        for path in run(tasks, Quoter(size, variants), "quoted"):
            for batch in pq.ParquetFile(path).iter_batches():
                book.quote(*quoted(batch))
            path.unlink()
    return Cutter(folder / "book", size, variants)


def _tasks(parts: Sequence[Part], wanted: Iterator[Records]) -> Iterator[pa.RecordBatch]:
    """What is wanted of each part of which something is."""
    rest = np.zeros(0, dtype=WANTED)
    waiting = deque(parts)
    for records in wanted:
        order = np.argsort(records["document"], kind="stable")
        rest = np.concatenate([rest, records[order]])
        # A document's records come together, but a part's may go on in the next range.
        last = int(rest["document"][-1]) if len(rest) else -1
        while waiting and waiting[0].numbers.stop <= last:
            mine, rest = _split(waiting[0], rest)
            yield from _task(waiting.popleft(), mine)
    for part in waiting:
        mine, rest = _split(part, rest)
        yield from _task(part, mine)


def _split(part: Part, records: Records) -> tuple[Records, Records]:
    end = int(np.searchsorted(records["document"], part.numbers.stop))
    return records[:end], records[end:]


def _task(part: Part, mine: npt.NDArray[np.void]) -> Iterator[pa.RecordBatch]:
    if not len(mine):
        return
    asked = np.empty(len(mine), dtype=ASKED)
    asked["row"] = mine["document"].astype(np.int64) - part.start
    for name in ("turn", "hash", "slot"):
        asked[name] = mine[name]
    yield quote_task(str(part.path), asked)
