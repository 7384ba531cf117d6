"""What was measured of mixtures of more than two sources, and which mixtures to measure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hanhua.core.errors import StorageError
from hanhua.core.files import write_json
from hanhua.mix.laws import Floats

POOL = 8192
REACH = 0.5
"""How far from the recipe's share towards all a mixture may go: nobody trains on one source, and
far from every answer a law need not hold."""
LEAST = 0.005
"""Of any source in a mixture that is run."""
DIGITS = 3
"""Of a share that is asked for."""


@dataclass(frozen=True, slots=True)
class DomainRun:
    """One small run at its end.

    Args:
        shares: of each source, counted in the rows as written.
        tokens: trained on.
        losses: held-out bits per byte of each language, and of domains by themselves (``zh/news``).
    """

    shares: Mapping[str, float]
    tokens: float
    losses: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class DomainStudy:
    """All that was measured of one model on one corpus.

    Args:
        target: the language to gain.
        source: the language to keep.
        keys: of the shares, in the recipe's order.
        own: the recipe's shares.
        base: losses before the first step.
        runs: the first is of the recipe's own shares.
    """

    target: str
    source: str
    keys: tuple[str, ...]
    own: Mapping[str, float]
    base: Mapping[str, float]
    runs: tuple[DomainRun, ...]

    @property
    def shares(self) -> Floats:
        """``[runs, keys]`` as counted."""
        return np.array([[run.shares[key] for key in self.keys] for run in self.runs])

    @property
    def own_shares(self) -> Floats:
        """``[1, keys]`` the recipe's."""
        return np.array([[self.own[key] for key in self.keys]])

    def losses(self, name: str) -> Floats:
        """``[runs]`` of a language or domain."""
        return np.array([run.losses[name] for run in self.runs])

    def write(self, path: Path) -> None:
        """Write the study as JSON, whole or not at all."""
        write_json(path, asdict(self), sort_keys=False)

    @classmethod
    def read(cls, path: Path) -> DomainStudy:
        """Read it back.

        Raises:
            StorageError: when the file is no such study.
        """
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            runs = tuple(DomainRun(**run) for run in found.pop("runs"))
            return cls(**{**found, "keys": tuple(found["keys"])}, runs=runs)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StorageError(
                "This is no study of domains.", where=path, found=error,
                fix="run `hanhua mix --domains` again",
            ) from error  # fmt: skip


def plan_mixtures(
    shares: Mapping[str, float], runs: int, *, seed: int, most: Mapping[str, float] | None = None
) -> list[dict[str, float]]:
    """Mixtures to run: the recipe's own, then each as far as it gets from those before it.

    They are chosen from a Dirichlet distribution about the recipe's shares (as RegMix draws them,
    arXiv 2407.01492), none more than half-way from its share to all. More runs begin with the same
    mixtures, so that fewer are never run in vain.

    Args:
        shares: the recipe's; a source with a share of 0 keeps it.
        runs: how many.
        seed: of the draws.
        most: what a source can fill at most; left out: all.

    Returns:
        Shares of each key, which sum to 1.
    """
    keys = [key for key, share in shares.items() if share > 0]
    own = np.array([shares[key] for key in keys])
    limits = np.minimum(own + REACH * (1 - own), [(most or {}).get(key, 1.0) for key in keys])
    rng = np.random.default_rng((seed, 2))
    pool = rng.dirichlet(len(keys) * own, POOL)
    pool = np.maximum(pool, np.minimum(LEAST, own))
    pool = pool / pool.sum(1, keepdims=True)
    pool = pool[(pool <= limits).all(1)]
    chosen = [own]
    distance = np.linalg.norm(pool - own, axis=1)
    while len(chosen) < runs and len(pool):
        chosen.append(pool[int(distance.argmax())])
        distance = np.minimum(distance, np.linalg.norm(pool - chosen[-1], axis=1))
    zeros = dict.fromkeys(shares, 0.0)
    rows = [dict(shares), *(zeros | rounded(keys, row) for row in chosen[1:])]
    return [{key: row[key] for key in shares} for row in rows]


def rounded(keys: Sequence[str], shares: Floats) -> dict[str, float]:
    """Shares to three digits that sum to 1: the largest takes what rounding leaves."""
    parts = np.round(np.asarray(shares, float), DIGITS)
    parts[int(parts.argmax())] += 1 - parts.sum()
    return {key: round(float(part), DIGITS) for key, part in zip(keys, parts, strict=True)}
