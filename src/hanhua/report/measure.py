"""Every measure of the last model against the base, one row each, in its own relative unit.

Better always counts upwards: bits per byte as the share of the base's bits that are saved, what is
a share (right answers, refusals) in points. What the page draws, report.json holds too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hanhua.report.answers import SAYS
from hanhua.report.headline import change
from hanhua.report.html import Words
from hanhua.report.run import Run, dig, listing, mapping, models, real
from hanhua.report.verdict import Verdict, judge, judge_choice

POINTS = "points"
PER_CENT = "per cent of the base's bits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What one measure says of the change from the base to the last model.

    Args:
        name: of the measure, in words.
        key: of the measure, for machines.
        code: the language that it speaks of.
        model: the last model that has it.
        unit: `POINTS` or `PER_CENT`.
        value: of the change, better above zero; low, high: its 95 % interval, where there is one.
        n: items compared.
        judged: the verdict.
    """

    name: Words | str
    key: str
    code: str
    model: str
    unit: str
    value: float
    low: float | None
    high: float | None
    n: int | None
    judged: Verdict | None


def measures(run: Run) -> list[Measure]:
    """All rows: by language in the page's order, and within one the largest gain first."""
    found = [*_bits(run), *_tasks(run), *_answers(run)]
    codes = run.languages(one.code for one in found)
    return sorted(found, key=lambda one: (codes.index(one.code), -one.value, one.key))


def _bits(run: Run) -> Iterator[Measure]:
    for code in dict.fromkeys([*run.pair, *mapping(dig(run.summary, "bits_per_byte", "base"))]):
        found = change(run.summary, code)
        base = real(found.before.get("value")) if found else None
        if not found or not base or found.relative is None:
            continue
        paired = mapping(found.after.get("difference"))
        low, high = _turned(paired, -100 / base)
        n = real(paired.get("n")) or real(found.after.get("n_docs"))
        yield Measure(
            name=Words("bits per byte", "比特/字节"), key=f"bits_per_byte/{code}", code=code,
            model=found.name, unit=PER_CENT, value=-100 * found.relative, low=low, high=high,
            n=int(n) if n else None, judged=found.judged,
        )  # fmt: skip


def _tasks(run: Run) -> Iterator[Measure]:
    for name, task in _last(run, "tasks"):
        paired = mapping(task.get("difference"))
        shown = str(task.get("name") or task.get("task"))
        yield _points(shown, shown, name, task, paired, 100, judge_choice(task))


def _answers(run: Run) -> Iterator[Measure]:
    for name, score in _last(run, "answers"):
        paired, metric = mapping(score.get("difference")), str(score.get("metric"))
        higher = score.get("better") == "higher"
        yield _points(
            SAYS.get(metric, metric), f"{score.get('set')}/{metric}", name, score, paired,
            100 if higher else -100, judge(paired, higher),
        )  # fmt: skip


def _last(run: Run, what: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The last model's scores that were compared with the base."""
    found = mapping(run.summary.get(what))
    names = models(found)
    for score in map(mapping, listing(found.get(names[-1])) if names else ()):
        if real(dig(score, "difference", "value")) is not None:
            yield names[-1], score


def _points(
    name: Words | str, key: str, model: str, score: Mapping[str, Any], paired: Mapping[str, Any],
    scale: float, judged: Verdict | None,
) -> Measure:  # fmt: skip
    low, high = _turned(paired, scale)
    n = real(paired.get("n")) or real(score.get("n"))
    return Measure(
        name=name, key=key, code=str(score.get("language")), model=model, unit=POINTS,
        value=scale * (real(paired.get("value")) or 0.0), low=low, high=high,
        n=int(n) if n else None, judged=judged,
    )  # fmt: skip


def _turned(paired: Mapping[str, Any], scale: float) -> tuple[float | None, float | None]:
    """An interval times a number, its ends in order."""
    low, high = real(paired.get("low")), real(paired.get("high"))
    if low is None or high is None:
        return None, None
    first, second = sorted((low * scale, high * scale))
    return first, second
