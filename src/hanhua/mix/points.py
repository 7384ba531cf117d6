"""What was measured: held-out losses of small runs, at several mixtures and token counts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hanhua.core.errors import StorageError
from hanhua.core.files import write_json


@dataclass(frozen=True, slots=True)
class Point:
    """A run at a moment.

    Args:
        run: its name.
        share: of the target language in the tokens trained on, counted, from 0 to 1.
        tokens: trained on so far.
        losses: language -> held-out loss (bits per byte, or nats a token: one unit a study).
        seed: of the documents' order, counted from the recipe's.
    """

    run: str
    share: float
    tokens: float
    losses: Mapping[str, float]
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Study:
    """All that was measured of one model on one corpus.

    Args:
        target: the language to gain, e.g. ``zh``.
        source: the language to keep, e.g. ``en``.
        base: losses before the first step.
        points: of all runs.
        setting: what another study must share to be joined with it
            (:mod:`hanhua.mix.setting`); empty in studies of an older hanhua.
    """

    target: str
    source: str
    base: Mapping[str, float]
    points: tuple[Point, ...]
    setting: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shares(self) -> tuple[float, ...]:
        """Mixtures that were run, in order."""
        return tuple(sorted({point.share for point in self.points}))

    @property
    def longest(self) -> float:
        """Most tokens that three mixtures were measured at, or all; what lies beyond is ahead."""
        shares: dict[float, set[float]] = {}
        for point in self.points:
            shares.setdefault(point.tokens, set()).add(point.share)
        enough = min(3, len(self.shares))
        many = [count for count, found in shares.items() if len(found) >= enough]
        return max(many or shares, default=0.0)

    def write(self, path: Path) -> None:
        """Write the study as JSON, whole or not at all."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> Study:
        """Read it back.

        Raises:
            StorageError: when the file is no study.
        """
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            points = tuple(Point(**point) for point in found.pop("points"))
            return cls(**found, points=points)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StorageError(
                "This is no study of mixtures.", where=path, found=error,
                fix="run `hanhua mix` again",
            ) from error  # fmt: skip
