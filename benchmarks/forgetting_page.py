"""What benchmarks/forgetting.py prints and draws: rows, the front, a table, a picture.

*Front.* A control is on it when no other has both losses at or below its own, by means over seeds.
One that is off it is *near* when no other is better in both languages by more than two standard
errors of the paired difference: with so few seeds that is "cannot be told apart", and no test.
The start itself is left out of this; it has nothing of the target.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

ERRORS = 2.0
"""Standard errors."""
ON, NEAR = "●", "≈"

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Row:
    """A control over its seeds.

    Args:
        name: for ``--only``.
        title: for people.
        family: gives the colour.
        tokens: trained on, of each seed.
        cpu_seconds: of each seed's training.
        target: bits per byte, of each seed.
        change: of the source's bits per byte from the start's, in percent, of each seed.
        settings: what the control set.
    """

    name: str
    title: str
    family: str
    tokens: Values
    cpu_seconds: Values
    target: Values
    change: Values
    settings: Mapping[str, Any] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """For the line of JSON."""
        found: dict[str, Any] = {
            "name": self.name, "title": self.title, "n": len(self.target),
            "settings": self.settings,
        }  # fmt: skip
        for key in ("target", "change"):
            values = getattr(self, key)
            found[key] = {
                "mean": round(float(values.mean()), 6), "sd": spread(values),
                "seeds": [round(float(value), 6) for value in values],
            }  # fmt: skip
        for key in ("tokens", "cpu_seconds"):
            found[key] = round(float(getattr(self, key).mean()), 1)
        return found


def spread(values: Values) -> float | None:
    """Standard deviation over seeds; None of one."""
    return round(float(values.std(ddof=1)), 6) if len(values) > 1 else None


def places(rows: Sequence[Row]) -> list[str]:
    """Of each row: on the front, near it, or neither (empty)."""
    found = []
    for row in rows:
        above = [other for other in rows if other is not row and _dominates(other, row)]
        sure = any(_surely(other, row) for other in above)
        known = len(row.target) > 1
        found.append(ON if not above else NEAR if known and not sure else "")
    return found


def _dominates(other: Row, row: Row) -> bool:
    gaps = [float(np.mean(mine - theirs)) for theirs, mine in _pairs(other, row)]
    return min(gaps) >= 0 and max(gaps) > 0


def _surely(other: Row, row: Row) -> bool:
    """Whether it is better in both languages by more than the errors."""
    for theirs, mine in _pairs(other, row):
        gap = mine - theirs
        error = gap.std(ddof=1) / math.sqrt(len(gap)) if len(gap) > 1 else 0.0
        if gap.mean() <= ERRORS * error:
            return False
    return True


def _pairs(other: Row, row: Row) -> list[tuple[Values, Values]]:
    """Both measures of both, by seed."""
    return [(other.target, row.target), (other.change, row.change)]


def table(rows: Sequence[Row], start: Mapping[str, float], target: str, source: str) -> str:
    """The rows in Markdown."""
    lines = [
        f"| control | tokens | {target}, bits per byte | {source}, change | front | CPU s | n |",
        "|---|---|---|---|---|---|---|",
        f"| start (base with its new rows) | 0 | {start[target]:.4f} "
        f"| {start[source]:.4f} bits per byte | | | |",
    ]
    for row, place in zip(rows, places(rows), strict=True):
        lines.append(
            f"| {row.title} | {row.tokens.mean():,.0f} | {_shown(row.target, '.4f')} "
            f"| {_shown(row.change, '+.2f')} % | {place} | {row.cpu_seconds.mean():,.0f} "
            f"| {len(row.target)} |"
        )
    lines.append(
        f"\n± is the standard deviation over seeds. {ON} on the front by means; {NEAR} off it, but "
        "nothing is better in both languages by more than two standard errors (paired by seed). "
        "A merged model costs no tokens beyond those of the model it is made of."
    )
    return "\n".join(lines)


def _shown(values: Values, form: str) -> str:
    sd = spread(values)
    digits = form.lstrip("+")
    return f"{values.mean():{form}}" + ("" if sd is None else f" ± {sd:{digits}}")
