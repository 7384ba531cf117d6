"""Figures of tools that were measured before: a peer need not run again when hanhua changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from peers.measure import Usage


class Done:
    """Figures by name, in a file.

    Args:
        folder: where the file is; None: nothing is remembered.
        keep: take the figures of peers that are there; those of hanhua never.
    """

    def __init__(self, folder: Path | None, keep: bool) -> None:
        self.path = folder / "figures.json" if folder else None
        self.keep = keep
        exists = self.path is not None and self.path.exists()
        self.known = json.loads(self.path.read_text()) if self.path and exists else {}

    def figures(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What is remembered of a name, or else what ``make`` finds."""
        if not (self.keep and name in self.known and "hanhua" not in name):
            self.known[name] = make()
            if self.path:
                self.path.write_text(json.dumps(self.known, ensure_ascii=False, indent=1))
        found: dict[str, Any] = self.known[name]
        return found


def figures(usages: Sequence[Usage], megabytes: float) -> dict[str, Any]:
    """The run of median CPU time."""
    usage = sorted(usages, key=lambda usage: usage.cpu)[len(usages) // 2]
    return {
        "cpu_seconds": round(usage.cpu, 2), "wall_seconds": round(usage.wall, 1),
        "mb_per_cpu_second": round(megabytes / usage.cpu, 2), "rss_mb": usage.rss_mb,
        "runs": [round(usage.cpu, 2) for usage in usages],
    }  # fmt: skip
