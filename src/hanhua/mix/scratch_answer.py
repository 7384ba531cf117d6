"""The answer of ``hanhua study scratch`` as one JSON object, and as a few plain lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from hanhua.mix.curves import Overtaking, ahead, overtaking, tokens_to_reach
from hanhua.mix.laws import Floats
from hanhua.mix.plain import plain
from hanhua.mix.scratch import ARMS, LOCALISED, SCRATCH, Run

BOTH = "both"
"""The wish of both languages: the sum of their losses, each over the expanded base's."""
LEVEL = 0.9
LEVEL_GAP = 0.05
"""Of the loss: with one draw, curves nearer than this are not told apart. On the built-in walk the
paired gap of the target language moved by 3 to 6 % of the loss from draw to draw (standard
deviation, 3 draws, 10 to 80 steps)."""
STUDENT = (6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812, 1.796, 1.782,
           1.771, 1.761, 1.753)  # fmt: skip
"""95th percentiles of Student's t for 1, 2, … degrees of freedom: two-sided 90 % intervals of up
to 16 draws, which is the most that the command takes."""


def as_result(
    runs: Sequence[Run], target: str, source: str, compute: Mapping[str, Any], notes: Sequence[str]
) -> dict[str, Any]:
    """All that was measured and what it says, as JSON values.

    Args:
        runs: of both arms, each draw at each length.
        target: the language to gain.
        source: the language to keep.
        compute: what each arm took.
        notes: what a reader must know of how the arms differ.
    """
    languages = (target, source)
    base = {name: _start(runs, LOCALISED, name) for name in languages}
    draws, count = 1 + max(run.draw for run in runs), 1 + max(run.length for run in runs)
    tokens = np.array([np.mean([r.tokens for r in runs if r.length == i]) for i in range(count)])
    found = {
        "target": target, "source": source, "lengths": [round(t) for t in tokens], "seeds": draws,
        "level": LEVEL, "base": base,
        "languages": {
            name: _language(runs, tokens, draws, name, base) for name in (*languages, BOTH)
        },
        "moments": [
            {"arm": run.arm, "draw": run.draw, "length": run.length,
             "points": [[tokens, dict(losses)] for tokens, losses in run.moments]}
            for run in runs
        ],
        "compute": dict(compute), "notes": list(notes),
    }  # fmt: skip
    return {key: plain(value) for key, value in found.items()}


def _start(runs: Sequence[Run], arm: str, language: str) -> float:
    return float(np.mean([run.start[language] for run in runs if run.arm == arm]))


def _language(
    runs: Sequence[Run], tokens: Floats, draws: int, language: str, base: Mapping[str, float]
) -> dict[str, Any]:
    """One language's curves and what they say.

    ``lead_lost`` is where the localised arm overtakes one from scratch that was ahead before.
    """
    each = {arm: np.empty((draws, len(tokens))) for arm in ARMS}
    for run in runs:
        each[run.arm][run.draw, run.length] = _loss(run.losses, language, base)
    gaps = each[SCRATCH] - each[LOCALISED]
    local, scratch, gap = (x.mean(0) for x in (each[LOCALISED], each[SCRATCH], gaps))
    if draws > 1:
        half = STUDENT[draws - 2] * gaps.std(0, ddof=1) / np.sqrt(draws)
        spread = float(max(x.std(0, ddof=1).mean() for x in each.values()))
    else:
        half, spread = LEVEL_GAP * (local + scratch) / 2, 0.0
    where = overtaking(tokens, gap, half)
    lead, further = overtaking(tokens, -gap, half), None
    if where.kind == "beyond":
        further = asdict(ahead(tokens, local, scratch, spread / np.sqrt(draws), level=LEVEL))
    start = _loss({name: base[name] for name in base}, language, base)
    return {
        "points": [
            {"tokens": t, "localised": a, "scratch": b, "gap": g, "low": g - h, "high": g + h}
            for t, a, b, g, h in zip(tokens, local, scratch, gap, half, strict=True)
        ],
        "spread": spread if draws > 1 else None,
        "overtakes": asdict(where) | {"why": _why(where, draws), "extrapolated": further},
        "lead_lost": asdict(lead) if lead.kind == "within" else None,
        "equal_loss": [_equal(tokens, scratch, t, a) for t, a in zip(tokens, local, strict=True)],
        "start": {"loss": start, "scratch_tokens": tokens_to_reach(tokens, scratch, start),
                  "before_shortest": bool(scratch[0] <= start)},
    }  # fmt: skip


def _loss(losses: Mapping[str, float], language: str, base: Mapping[str, float]) -> float:
    if language != BOTH:
        return losses[language]
    return sum(losses[name] / base[name] for name in base)


def _equal(tokens: Floats, scratch: Floats, at: float, loss: float) -> dict[str, Any]:
    """The tokens that scratch needs to come to a loss of the localised arm.

    ``bound`` is ``more`` where it did not come to it, and then the ratio is the least that it can
    be; ``less`` where its shortest run was there already.
    """
    found = tokens_to_reach(tokens, scratch, loss)
    bound = "more" if found is None else "less" if loss > scratch[0] else None
    ratio = (tokens[-1] if found is None else found) / at
    return {"tokens": at, "loss": loss, "scratch_tokens": found, "ratio": ratio, "bound": bound}


def _why(found: Overtaking, draws: int) -> str:
    """Why the answer can be told, or not."""
    how = (
        f"{draws} draws, {LEVEL:.0%} intervals of the paired gap" if draws > 1
        else f"one draw, so its luck is not known: gaps under {LEVEL_GAP:.0%} of the loss count as "
        "none"
    )  # fmt: skip
    if found.sure:
        return how
    return f"the curves lie too near each other where it matters ({how})"


def text(result: Mapping[str, Any]) -> str:
    """The answer in plain lines."""
    lengths = result["lengths"]
    lines = [
        f"scratch or continue: {len(lengths)} lengths, {lengths[0]:,} to {lengths[-1]:,} tokens, "
        f"n={result['seeds']} {'draw' if result['seeds'] == 1 else 'draws'}"
    ]
    for name, found in result["languages"].items():
        last, start = found["points"][-1], found["start"]["loss"]
        unit = "relative losses, summed" if name == BOTH else "bits per byte"
        lines.append(
            f"  {name}: localised {start:.3f} → {last['localised']:.3f}, scratch "
            f"{last['scratch']:.3f} {unit}"
        )
        lines.append(f"    {overtakes_text(found['overtakes'], lengths)}")
        if found["lead_lost"] is not None:
            lines.append(f"    {_lead_text(found['lead_lost'])}")
        lines.append(f"    {equal_text(telling(found['equal_loss']))}")
    lines += [f"  note: {note}" for note in result["notes"]]
    return "\n".join([*lines, f"  {_compute_text(result['compute'])}"])


def overtakes_text(found: Mapping[str, Any], lengths: Sequence[int]) -> str:
    """Where scratch overtakes, in a sentence."""
    if found["kind"] == "within":
        ends = [
            f"before {lengths[0]:,}" if found["low"] is None else f"{found['low']:,.0f}",
            f"beyond {lengths[-1]:,}" if found["high"] is None else f"{found['high']:,.0f}",
        ]
        said = f"scratch overtakes at {found['tokens']:,.0f} tokens [{ends[0]}, {ends[1]}]"
    elif found["kind"] == "before":
        said = f"scratch is ahead from the shortest run on ({lengths[0]:,} tokens)"
    else:
        said = f"scratch does not overtake within what was run ({lengths[-1]:,} tokens)"
    if not found["sure"]:
        said = f"CANNOT TELL: {said}"
    return f"{said}; {found['why']}{_further(found['extrapolated'])}"


def _lead_text(found: Mapping[str, Any]) -> str:
    """Up to where scratch was ahead, in a sentence."""
    if found["sure"]:
        return f"in shorter runs it was ahead, up to about {found['tokens']:,.0f} tokens"
    return f"it may have been ahead in shorter runs, up to about {found['tokens']:,.0f} tokens"


def _further(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    if found["tokens"] is None:
        return f"; extrapolated: no figure, {found['why']}"
    high = "open" if found["high"] is None else f"{found['high']:,.0f}"
    low = "open" if found["low"] is None else f"{found['low']:,.0f}"
    return f"; EXTRAPOLATED, not measured: {found['tokens']:,.0f} [{low}, {high}], {found['why']}"


def telling(found: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The length whose equal-loss ratio says most.

    The longest that has a figure; else the shortest, whose bound is the widest.
    """
    exact = [one for one in found if one["bound"] is None]
    return exact[-1] if exact else found[0] if found[0]["bound"] == "more" else found[-1]


def equal_text(found: Mapping[str, Any]) -> str:
    """How many tokens scratch needs for the same loss, in a sentence."""
    sign = {"more": "more than ", "less": "at most ", None: ""}[found["bound"]]
    return (
        f"for the localised model's loss at {found['tokens']:,.0f} tokens scratch needs {sign}"
        f"{found['ratio']:.2f} times as many"
    )


def _compute_text(compute: Mapping[str, Any]) -> str:
    parts = []
    for arm in ARMS:
        found = compute[arm]
        flops = "" if found["flops"] is None else f", {found['flops']:.3g} FLOPs"
        parts.append(f"{arm} {found['tokens']:,} tokens{flops}, {found['seconds']:,.0f} s")
    return "; ".join(parts)
