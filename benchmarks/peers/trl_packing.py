"""TRL's packing of documents of given lengths; run by the peer's own Python.

    python trl_packing.py JOBS.json

A job is a file of lengths (.npy), the room in a row, and TRL's strategy. Prints a line of JSON, a
list: rows, pieces, tokens kept, documents that fit into a row and were cut all the same, CPU
seconds of ``pack_dataset`` (with one column of ids, in memory, all else default).
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import trl


def main() -> None:
    datasets.disable_progress_bars()
    pack(np.full(10, 5), 16, "bfd")  # what is imported when first used is not counted
    jobs = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print(json.dumps([pack(np.load(path), room, strategy) for path, room, strategy in jobs]))


def pack(lengths: np.ndarray, room: int, strategy: str) -> dict[str, object]:
    ids = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)  # a token names its document
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    column = pa.ListArray.from_arrays(pa.array(offsets), pa.array(ids))
    data = datasets.Dataset(pa.table({"input_ids": column}))
    start = time.process_time()
    packed = trl.pack_dataset(data, room, strategy, map_kwargs={"keep_in_memory": True})
    seconds = time.process_time() - start
    table = packed.data.table.combine_chunks()
    segments = table["seq_lengths"].combine_chunks().flatten().to_numpy()
    tokens = table["input_ids"].combine_chunks().flatten().to_numpy()
    documents = tokens[np.cumsum(segments) - segments]
    short = documents[lengths[documents] <= room]
    return {
        "rows": len(packed), "pieces": len(segments), "kept_tokens": int(segments.sum()),
        "short_cut": int((np.bincount(short, minlength=1) > 1).sum()), "cpu_seconds": seconds,
        "version": trl.__version__,
    }  # fmt: skip


if __name__ == "__main__":
    main()
