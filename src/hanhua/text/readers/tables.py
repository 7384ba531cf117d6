"""Readers of Parquet and Arrow, row by row as mappings.

What cannot be read costs its row where it can be told apart, else its row group.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hanhua.core.errors import InputError
from hanhua.text.readers.values import Broken, Task, Values

_ARROW_END = b"\xff\xff\xff\xff\0\0\0\0"
_BATCH_BYTES = 1 << 24
_MOST_ROWS = 4096


def read_parquet(task: Task) -> Values:
    """Rows of a Parquet file; a damaged row group costs its rows.

    Raises:
        InputError: when the file is no whole Parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(task.path) as file:
            columns = _columns(file.schema_arrow.names, task.options.columns)
            row = 0
            for group in range(file.num_row_groups):
                for value in _group_values(file, group, columns):
                    row += 1
                    yield f"{task.path.name}:{row}", value
                task.tell(task.path.stat().st_size * (group + 1) // file.num_row_groups)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(task.path, "Parquet", error) from error


def _unreadable(path: Path, kind: str, error: Exception) -> InputError:
    missing = isinstance(error, FileNotFoundError)
    return InputError(
        "This file cannot be opened." if missing else f"This {kind} file cannot be read.",
        where=path, found=error,
        fix="mend the path" if missing else "fetch it again, or set `on_error: skip`",
    )  # fmt: skip


def _columns(names: Sequence[str], wanted: frozenset[str] | None) -> list[str]:
    """The columns to read: those wanted, and those that a wanted ``a.b`` is inside of."""
    if wanted is None:
        return list(names)
    outer = {name.split(".")[0] for name in wanted}
    return [name for name in names if name in wanted or name in outer] or list(names)


def _group_values(file: Any, group: int, columns: list[str]) -> Iterator[Any]:
    import pyarrow as pa

    facts = file.metadata.row_group(group)
    size = facts.total_byte_size // max(facts.num_rows, 1) + 1
    rows, given = max(1, min(_MOST_ROWS, _BATCH_BYTES // size)), 0
    try:
        for batch in file.iter_batches(batch_size=rows, row_groups=[group], columns=columns):
            for value in batch_values(batch):
                given += 1
                yield value
    except (pa.ArrowException, OSError) as error:
        broken = Broken("broken_row_group", f"row group {group + 1}: {error}")
        yield from [broken] * (facts.num_rows - given)


def batch_values(batch: Any) -> list[Any]:
    """The rows of a pyarrow batch or table; one with bytes that are no text is broken."""
    try:
        found: list[Any] = batch.to_pylist()
        return found
    except UnicodeDecodeError as error:
        if batch.num_rows == 1:
            return [Broken("broken_encoding", str(error))]
    middle = batch.num_rows // 2
    return [*batch_values(batch.slice(0, middle)), *batch_values(batch.slice(middle))]


def read_arrow(task: Task) -> Values:
    """Rows of an Arrow file or stream, such as the datasets library saves.

    Raises:
        InputError: when the file is no whole Arrow file.
    """
    import pyarrow as pa

    row = 0
    try:
        with pa.memory_map(str(task.path)) as source:
            for batch in _arrow_batches(source):
                batch = batch.select(_columns(batch.schema.names, task.options.columns))
                for start in range(0, batch.num_rows, _MOST_ROWS):
                    for value in batch_values(batch.slice(start, _MOST_ROWS)):
                        row += 1
                        yield f"{task.path.name}:{row}", value
                task.tell(source.tell())
    except (pa.ArrowException, OSError, EOFError) as error:
        raise _unreadable(task.path, "Arrow", error) from error


def _arrow_batches(source: Any) -> Iterator[Any]:
    import pyarrow as pa

    if source.read(6) == b"ARROW1":
        file = pa.ipc.open_file(source)
        yield from (file.get_batch(number) for number in range(file.num_record_batches))
        return
    source.seek(0)
    yield from pa.ipc.open_stream(source)
    source.seek(-len(_ARROW_END), 2)
    if source.read() != _ARROW_END:
        raise EOFError("it was cut off")
