"""Gained, lost, or no evidence either way: one rule for every claim about a model.

A claim is one paired difference (a task's accuracy, a language's bits per byte). There is evidence
where its 95 % interval leaves zero out and its p, Holm-corrected over all claims made together,
is at most 5 %. Where there is none, the smallest change that this n could have shown stands
beside it: no evidence is no proof of no change.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hanhua.eval.many import ALPHA, holm, smallest_mean, smallest_share

Verdict = Literal["gained", "lost", "even"]

WORDS: Mapping[Verdict | None, str] = {
    "gained": "gained", "lost": "lost", "even": "no evidence either way", None: "not tested",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What is asked of one paired difference.

    Args:
        name: task, or "bits_per_byte/" and language.
        language: that it speaks of.
        unit: "accuracy", "bits per byte" (less is better) or "share" of answers.
        difference: new minus old as JSON: value, low, high, p, n, stderr, and for accuracy
            gained and lost; None: nothing was compared.
        at_chance: whether neither model is clear of guessing.
        better: of a share, whether more or less of it is wanted.
    """

    name: str
    language: str
    unit: Literal["accuracy", "bits per byte", "share"]
    difference: Mapping[str, Any] | None
    at_chance: bool = False
    better: Literal["higher", "lower"] = "higher"


def settle(claims: Sequence[Claim]) -> list[dict[str, Any]]:
    """The verdicts on one family of claims.

    Returns:
        rows of claim, language, unit, difference (with ``p_holm`` and ``smallest``, the smallest
        change that n could have shown with 80 % power), ``verdict`` and ``at_chance``.
    """
    tested = [c for c in claims if c.difference and _number(c.difference.get("p")) is not None]
    corrected = dict(
        zip(map(id, tested), holm([c.difference["p"] for c in tested if c.difference]), strict=True)
    )
    rows = []
    for claim in claims:
        found = dict(claim.difference) if claim.difference else None
        if found and id(claim) in corrected:
            found["p_holm"] = corrected[id(claim)]
            found["smallest"] = smallest(found, ALPHA / len(tested))
        verdict = judge(found, _higher_is_better(claim)) if found else None
        rows.append({
            "claim": claim.name, "language": claim.language, "unit": claim.unit,
            "difference": found, "at_chance": claim.at_chance,
            "verdict": "even" if claim.at_chance and verdict else verdict,
        })  # fmt: skip
    return rows


def _higher_is_better(claim: Claim) -> bool:
    return claim.unit != "bits per byte" and claim.better == "higher"


def smallest(difference: Mapping[str, Any], alpha: float = ALPHA) -> float | None:
    """Smallest change that a difference's n could have shown, in its unit; None: not known."""
    n, stderr = _number(difference.get("n")), _number(difference.get("stderr"))
    if "gained" in difference and n:
        changed = int(difference["gained"]) + int(difference["lost"])
        clustered = stderr if difference.get("clusters") else None
        return float(f"{smallest_share(int(n), changed, alpha, clustered):.9g}")
    return float(f"{smallest_mean(stderr, int(n), alpha):.9g}") if stderr and n else None


def judge(difference: Mapping[str, Any], higher_is_better: bool) -> Verdict | None:
    """What a paired difference (new minus old) with its 95 % interval says.

    There is evidence where the interval leaves zero out and the test, where there is one, agrees.

    Args:
        difference: ``low``, ``high`` and, where tested, ``p_holm`` or ``p``.
        higher_is_better: True for accuracy, False for bits.

    Returns:
        None where there is no interval.
    """
    low, high = _number(difference.get("low")), _number(difference.get("high"))
    if low is None or high is None:
        return None
    p = _number(difference.get("p_holm", difference.get("p")))
    if low <= 0 <= high or (p or 0.0) > ALPHA:
        return "even"
    return "gained" if (low > 0) == higher_is_better else "lost"


def at_chance(task: Mapping[str, Any]) -> bool:
    """Whether neither of the two compared models is clear of guessing.

    A model that guesses by letter moves many points when its favourite letter changes, and a
    paired test sees that; there is nothing to gain or lose in it.

    Args:
        task: ``accuracy``, ``chance``, ``stderr`` and the paired ``difference``.
    """
    moved = (task.get("difference") or {}).get("value")
    new, value, chance, stderr = (
        _number(x) for x in (task.get("accuracy"), moved, task.get("chance"), task.get("stderr"))
    )
    if new is None or value is None or chance is None or stderr is None:
        return False
    return max(new, new - value) <= chance + 1.96 * stderr


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)
