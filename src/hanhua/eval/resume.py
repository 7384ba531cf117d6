"""Items as they are finished: a killed evaluation goes on, and ends with the same bytes.

A journal is a file of JSON lines. Its first line says what was measured by what (a fingerprint of
model, items, prompts, settings); a journal of anything else is thrown away, so that stale items
are never mixed in. After it comes one line for each item, written and synced in the pieces in
which items are computed. The pieces are the same in every go, and a piece that is not whole is
computed again, so no number depends on where an earlier go was killed.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from hanhua.core.errors import HanhuaError, InputError, ModelError
from hanhua.core.files import canonical_json, sha256_text, storage_errors
from hanhua.core.progress import Bar, Progress

FORMAT = 1
ItemT = TypeVar("ItemT")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work(Generic[ItemT]):
    """Items to measure.

    Args:
        name: of the journal.
        items: in the order in which their rows are wanted.
        key: of an item; unique.
        content: all that decides an item's row besides the model, as text.
        pieces: places of the items that are computed together; each place once.
        compute: rows of some items, each with its ``id``; shows itself on the bar.
        means: settings that decide the rows, as JSON.
        unit: of the bar.
    """

    name: str
    items: Sequence[ItemT]
    key: Callable[[ItemT], str]
    content: Callable[[ItemT], str]
    pieces: Sequence[Sequence[int]]
    compute: Callable[[Sequence[ItemT], Progress], Sequence[Row]]
    means: Mapping[str, Any] = field(default_factory=dict)
    unit: str = "items"


@dataclass(frozen=True, slots=True)
class Journals:
    """Where finished items are kept.

    Args:
        folder: of the journals; None keeps nothing.
        identity: of the model and of how it computes; part of every fingerprint.
    """

    folder: Path | None
    identity: Mapping[str, Any]

    def measure(self, work: Work[ItemT], progress: Progress) -> list[Row]:
        """Rows of all items, those of an earlier go taken from its journal.

        An item that cannot be computed gets a row with its ``id`` and ``error``; it is tried
        again by the next go.

        Raises:
            InputError: when two items have one key: rows are told apart by it alone.
            ModelError: when no item could be computed.
        """
        keys = [work.key(item) for item in work.items]
        _refuse_doubled(work.name, keys)
        print_ = self.fingerprint(work)
        path = self.folder / f"{work.name}.jsonl" if self.folder else None
        done = _begin(path, print_) if path else {}
        total = len(keys)
        kept = sum(k in done and "error" not in done[k] for k in keys)
        with progress.bar(work.name, total, work.unit, done=kept) as bar:
            for piece in work.pieces:
                if all(keys[i] in done and "error" not in done[keys[i]] for i in piece):
                    continue
                rows = _compute(work, [work.items[i] for i in piece], bar)
                if path:
                    _append(path, rows)
                done |= {str(row["id"]): row for row in rows}
        found = [done[key] for key in keys]
        _refuse_if_all_failed(work.name, found)
        return found

    def fingerprint(self, work: Work[ItemT]) -> str:
        """64 hex digits of all that decides the rows."""
        items = sha256_text("\0".join(map(work.content, work.items)))
        return sha256_text(
            canonical_json([FORMAT, dict(self.identity), work.name, dict(work.means), items])
        )


def pieces_of(n: int, size: int) -> list[range]:
    """Places 0 … n-1 in pieces of `size`, the last one shorter."""
    return [range(start, min(start + size, n)) for start in range(0, n, size)]


def pieces_by(groups: Sequence[str], size: int) -> list[list[int]]:
    """Places of each group together (they share a prefix), in pieces of at most `size`."""
    by_group: dict[str, list[int]] = {}
    for i, group in enumerate(groups):
        by_group.setdefault(group, []).append(i)
    return [p[s : s + size] for p in by_group.values() for s in range(0, len(p), size)]


def _compute(work: Work[ItemT], items: Sequence[ItemT], bar: Bar) -> list[Row]:
    """Rows of a piece; where it fails as a whole, each item alone, those that fail named."""
    try:
        return list(work.compute(items, _Within(bar)))
    except HanhuaError:
        raise
    except Exception as error:  # of torch, transformers, a server: whatever one item meets
        if len(items) == 1:
            told = f"{type(error).__name__}: {error}"[:400]
            return [{"id": work.key(items[0]), "error": told}]
        return [row for item in items for row in _compute(work, [item], bar)]


def _refuse_doubled(name: str, keys: Sequence[str]) -> None:
    doubled = [key for key, n in Counter(keys).items() if n > 1]
    if doubled:
        raise InputError(
            "Two items have one id, so their rows could not be told apart.", where=name,
            found=", ".join(doubled[:5]), fix="give each item an id of its own",
        )  # fmt: skip


def _refuse_if_all_failed(name: str, rows: Sequence[Row]) -> None:
    errors = [row["error"] for row in rows if "error" in row]
    if rows and len(errors) == len(rows):
        raise ModelError(
            "Not one item could be measured.", where=name, found=errors[0],
            fix="mend what the first error says and run the same command again",
        )  # fmt: skip


def _begin(path: Path, print_: str) -> dict[str, Row]:
    """Items of a journal with this fingerprint; any other one starts anew. A torn end is cut."""
    head = json.dumps({"fingerprint": print_, "format": FORMAT}, sort_keys=True)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lines = path.read_bytes().split(b"\n")
        except OSError:
            lines = []
        if not lines or lines[0] != head.encode() or len(lines) < 2:
            _write(path, "wb", head + "\n")
            return {}
        found, size = {}, len(lines[0]) + 1
        for line in lines[1:-1]:
            row = _read(line)
            if row is None:
                break
            found[str(row["id"])] = row
            size += len(line) + 1
        os.truncate(path, size)
    return found


def _read(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and "id" in row else None


def _append(path: Path, rows: Sequence[Row]) -> None:
    lines = (json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)
    with storage_errors(path):
        _write(path, "ab", "".join(lines))


def _write(path: Path, mode: str, text: str) -> None:
    with path.open(mode) as file:
        file.write(text.encode("utf-8", "surrogatepass"))
        file.flush()
        os.fsync(file.fileno())


@dataclass(frozen=True, slots=True)
class _Within:
    """Progress of a piece: what it counts is counted on the bar of the whole."""

    outer: Bar

    @contextmanager
    def bar(self, title: str, total: float | None, unit: str, *, done: float = 0) -> Iterator[Bar]:
        """The outer bar."""
        yield self.outer

    def say(self, text: str) -> None:
        """Nothing: a piece has nothing to say."""
