"""The kernel of the corpus: a batch of raw records in, a batch of judged documents out.

Both are Arrow, and the kernel knows of no engine: the processes of one machine run it
(text/pool.py) and so does a cluster (text/cluster.py), and get the same bytes. A row that is
dropped stays, with its reason and the beginning of its text, so that whoever has all rows can
account for every document.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from hanhua.text.clean import Cleaned, Cleaner
from hanhua.text.copies.keys import KEY_BYTES
from hanhua.text.ledger import SAMPLE_CHARS
from hanhua.text.readers.read import Record

RAW = pa.schema(
    [
        ("number", pa.int32()),
        ("source", pa.string()),
        ("where", pa.string()),
        ("id", pa.string()),
        ("kind", pa.string()),
        ("text", pa.string()),
        ("problem", pa.string()),
        ("found", pa.string()),
        ("url", pa.string()),
        ("note", pa.string()),
    ]
)
"""Raw records: number of the source in the recipe, its name, then the fields of a Record."""

JUDGED = pa.schema(
    [
        ("number", pa.int32()),
        ("source", pa.string()),
        ("language", pa.string()),
        ("licence", pa.string()),
        ("where", pa.string()),
        ("id", pa.string()),
        ("first", pa.bool_()),
        ("reason", pa.string()),
        ("value", pa.string()),
        ("changes", pa.string()),
        ("items", pa.list_(pa.int32())),
        ("text", pa.string()),
        ("keys", pa.binary(KEY_BYTES)),
        ("lines", pa.binary()),
        ("log_odds", pa.float32()),
        ("passages", pa.binary()),
    ]
)
"""Judged documents: ``reason`` is null for what is kept, ``value`` is JSON, ``changes`` a JSON
object of what was mended, masked or taken out, ``items``
the evaluation questions that it holds, ``first`` marks the first piece of a record,
``log_odds`` is the quality score where one was asked for, ``passages`` the fingerprints."""

BATCH_RECORDS = 20_000


def raw_batches(
    records: Iterable[tuple[int, str, Record]], batch_chars: int
) -> Iterator[pa.RecordBatch]:
    """Gather records into batches, cut by their characters alone.

    Args:
        records: (number of the source, its name, record).
        batch_chars: a batch is full with so many.
    """
    rows: list[tuple[Any, ...]] = []
    chars = 0
    for number, source, record in records:
        rows.append((
            number, source, record.where, record.id, record.kind, _storable(record.text),
            record.problem, record.found, record.url, record.note,
        ))  # fmt: skip
        chars += len(record.text or "")
        if chars >= batch_chars or len(rows) >= BATCH_RECORDS:
            yield _batch(RAW, rows)
            rows, chars = [], 0
    if rows:
        yield _batch(RAW, rows)


def _storable(text: str | None) -> str | None:
    """Lone surrogates (JSON can hold them) have no UTF-8; normalisation drops them anyway."""
    if text is None or text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    return text


def _batch(schema: pa.Schema, rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
    arrays = [pa.array(c, type=f.type) for c, f in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def clean_batch(batch: pa.RecordBatch, cleaner: Cleaner) -> pa.RecordBatch:
    """Take every record of a batch through the rules.

    Args:
        batch: of the schema RAW.
        cleaner: the rules of the recipe.

    Returns:
        A batch of the schema JUDGED: one row for each document, in order.
    """
    with _uncollected():
        return _batch(JUDGED, list(_judge(batch, cleaner)))


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the search for cycles, of which there are none here and a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _judge(batch: pa.RecordBatch, cleaner: Cleaner) -> Iterator[tuple[Any, ...]]:
    columns = [batch.column(name).to_pylist() for name in ("number", "source", *Record._fields)]
    for number, source, *fields in zip(*columns, strict=True):
        record = Record(*fields)
        for piece, cleaned in enumerate(cleaner.clean(record, number, source)):
            yield _row(number, source, record, piece, cleaned)


def _row(number: int, source: str, record: Record, piece: int, found: Cleaned) -> tuple[Any, ...]:
    drop = found.drop
    return (
        number, source, found.language, found.licence, record.where,
        document_id(source, record, piece), piece == 0, drop.reason if drop else None,
        json.dumps(drop.value, ensure_ascii=False) if drop else None,
        json.dumps(found.changes, sort_keys=True) if found.changes else None, found.items,
        found.text[:SAMPLE_CHARS] if drop else found.text, found.keys, found.lines, found.log_odds,
        found.passages,
    )  # fmt: skip


def document_id(source: str, record: Record, piece: int) -> str:
    """A document's id: source, then the record's own id or where it stood, then the piece."""
    own = record.id or record.where
    name = own if own.startswith(f"{source}/") else f"{source}/{own}"
    return f"{name}#{piece}" if piece else name
