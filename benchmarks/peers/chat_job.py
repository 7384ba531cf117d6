"""What every engine of benchmarks/chatdata.py does: take a job, count a part's time, say it.

A job is a file of JSON: ``do`` (prepare, dump or train), ``files`` (name, path, kind and fields of
each), ``warm`` (a few conversations to begin with, so that imports are not counted), ``model`` (a
folder whose tokenizer has the chat template), ``row_tokens``, ``work`` and ``out``. An engine
prints one line of JSON last. Nothing of hanhua is imported: this file also runs in the environments
of the peers.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

JOB: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text()) if len(sys.argv) > 1 else {}
IGNORE = -100
OUT = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


class Parts:
    """CPU and wall seconds of the parts of a job."""

    def __init__(self) -> None:
        self.seconds: dict[str, dict[str, float]] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what happens inside."""
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        self.seconds[name] = {
            "cpu": round(time.process_time() - cpu, 3), "wall": round(time.perf_counter() - wall, 3)
        }  # fmt: skip


def tell(**line: Any) -> None:
    """The one line of an engine."""
    OUT.write(json.dumps(line) + "\n")
    OUT.flush()


def write_dump(encoded: Iterable[tuple[list[int], list[int]]]) -> None:
    """Ids and labels of each conversation, in order, for the comparison."""
    with open(JOB["out"], "w", encoding="utf-8") as file:
        for ids, labels in encoded:
            file.write(json.dumps([ids, labels]) + "\n")


def padding(rows: int, tokens: int, row_tokens: int) -> dict[str, Any]:
    """Rows, tokens in them, and the share of their room that holds none."""
    room = rows * row_tokens
    return {"rows": rows, "tokens": tokens, "padding": round(1 - tokens / room, 6)}
