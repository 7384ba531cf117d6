"""The figures that matter, gathered from the artifacts of a run into the ledger's ``summary``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hanhua.report.answers import answer_lines
from hanhua.report.headline import Change, change, exams
from hanhua.report.html import number, percent
from hanhua.report.run import Run, dig, language, listing, mapping, model, models, real

SAID: Mapping[str | None, str] = {
    "gained": "gained",
    "lost": "LOST",
    "even": "no evidence of a change",
}
"""A verdict in a terminal."""
STEERED = ("counted", "wish", "passes", "limit", "ended")
"""What is said of the shares where they were steered."""


def summarise(run_dir: Path, stages: Mapping[str, Any]) -> dict[str, Any]:
    """Gather the headline figures; what has not run is left out.

    Args:
        run_dir: the run folder, where the artifacts lie.
        stages: the ledger's stages by name, each with ``path`` and ``metrics``.

    Returns:
        ``bits_per_byte`` by model and language, ``drift``, ``tasks`` and ``answers`` by model,
        ``tokens_per_char`` and ``shares`` by language (with ``wish`` where it was steered).
    """
    run = Run(run_dir, {"stages": stages})
    scores = {
        name.removeprefix("eval-"): mapping(run.json(name, "scores.json"))
        for name in stages
        if name.startswith("eval-")
    }
    found: dict[str, Mapping[str, Any]] = {
        "bits_per_byte": {name: _bits(score) for name, score in scores.items()},
        "drift": {name: _drift(score) for name, score in scores.items()},
        "tasks": {name: _tasks(score) for name, score in scores.items()},
        "answers": {name: _answers(score) for name, score in scores.items()},
        "tokens_per_char": dict(mapping(run.metrics("vocab").get("tokens_per_char"))),
        "shares": _shares(run),
    }
    return {key: _filled(value) for key, value in found.items() if _filled(value)}


def _shares(run: Run) -> dict[str, Any]:
    """Asked for, and counted: in the rows, or in what was read of them where it was steered."""
    steer = mapping(run.metrics("pretrain").get("steer"))
    read = {key: steer[key] for key in STEERED if key in steer}
    return {**mapping(run.metrics("tokens").get("shares")), **read}


def _filled(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in value.items() if item}


def _bits(scores: Mapping[str, Any]) -> dict[str, Any]:
    return {code: _short(score) for code, score in mapping(scores.get("bits_per_byte")).items()}


def _drift(scores: Mapping[str, Any]) -> dict[str, Any]:
    return {place: _short(score) for place, score in mapping(scores.get("drift")).items()}


def _tasks(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [_short(task) for task in listing(scores.get("tasks"))]


def _answers(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [_short(score) for score in listing(dig(scores, "answers", "metrics"))]


def _short(score: Any) -> dict[str, Any]:
    """A score without its parts: those by source and by subject stay in scores.json."""
    return {k: v for k, v in mapping(score).items() if not k.startswith("by_") and v is not None}


def text_summary(ledger: Mapping[str, Any]) -> str:
    """The verdict for a terminal: a few lines of plain English."""
    summary = mapping(ledger.get("summary"))
    target, source = str(ledger.get("target") or "zh"), str(ledger.get("source") or "en")
    changes = [found for code in (target, source) if (found := change(summary, code))]
    lines = [_change_line(found) for found in changes]
    lines += [
        f"{e.name}: {SAID.get(e.judged, 'measured')}: {e.told} right (n = {e.n}, chance {e.chance})"
        for e in exams(summary)
    ]
    lines += answer_lines(summary)
    lines += [*_drift_line(summary, source), *_tokens_line(summary, target)]
    lines += _shares_line(summary, target, source)
    return "\n".join(lines) if lines else "nothing measured yet"


def _change_line(found: Change) -> str:
    old, new = number(found.before.get("value")), number(found.after.get("value"))
    name = str(language(found.code).en)
    said = SAID.get(found.judged, "measured")
    moved = percent(found.relative, signed=True)
    return f"{name}: {said}: {old} → {new} bits per byte ({moved}), base → {found.name}"


def _drift_line(summary: Mapping[str, Any], source: str) -> list[str]:
    found = mapping(summary.get("drift"))
    name = next((name for name in reversed(models(found)) if name != "base"), None)
    scores = mapping(found.get(name or ""))
    if not scores:
        return []
    parts = [f"{number(dig(scores, p, 'value'), 4)} ({p.replace('_', '-')})" for p in scores]
    who = f"{language(source).en} drift of {model(name or '').en}"
    return [f"{who}: {', '.join(parts)} bits per byte"]


def _tokens_line(summary: Mapping[str, Any], target: str) -> list[str]:
    old = real(dig(summary, "tokens_per_char", "before", target))
    new = real(dig(summary, "tokens_per_char", "after", target))
    if old is None or new is None:
        return []
    return [
        f"Tokens per character of {language(target).en} text: {number(old, 2)} → {number(new, 2)}"
    ]


def _steered(shares: Mapping[str, Any]) -> str:
    if "wish" not in shares:
        return ""
    if "ended" not in shares:  # an older run
        return f", steered to {shares['wish']}"
    kept = "kept" if shares["ended"] <= shares["limit"] else "missed"
    ended, limit = number(shares["ended"], 3), number(shares["limit"], 3)
    return (
        f", steered to {shares['wish']}: {kept}, {ended} bits per byte of watched text for {limit}"
    )


def _shares_line(summary: Mapping[str, Any], target: str, source: str) -> list[str]:
    counted = mapping(dig(summary, "shares", "counted"))
    if not counted:
        return []
    asked = mapping(dig(summary, "shares", "asked"))
    both = [
        " : ".join(percent(shares.get(code)) for code in (target, source))
        for shares in (counted, asked)
    ]
    steered = _steered(mapping(summary.get("shares")))
    return [f"Share of tokens {target} : {source}: {both[0]} counted, {both[1]} asked{steered}"]
