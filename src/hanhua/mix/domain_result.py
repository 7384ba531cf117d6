"""The answer about several sources: as one JSON object, as plain lines, and at a recipe's head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hanhua.mix.answer import _rounded
from hanhua.mix.domain_answer import DomainAnswer
from hanhua.mix.domain_study import DomainStudy
from hanhua.mix.domain_trust import LawCheck

LAW = "c + exp(t . w)"
EDGE = 0.01
"""Shares this near are one."""


def domain_result(
    study: DomainStudy, answer: DomainAnswer, *, wish: str, tokens: int, level: float,
    compute: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """All that was asked, measured, fitted and recommended, as JSON values.

    Args:
        study: what was measured.
        answer: the recommendation.
        wish: as written.
        tokens: of the run to come.
        level: of the intervals.
        compute: what the study took.
    """
    measured = max(run.tokens for run in study.runs)
    found = {
        "target": study.target, "source": study.source, "wish": wish, "tokens": tokens,
        "tokens_measured": measured, "shares": answer.shares, "level": level,
        "interval": {key: [answer.low[key], answer.high[key]] for key in study.keys},
        "own": {"shares": dict(study.own), "predicted": answer.own},
        "gain": dict(zip(("value", "low", "high"), answer.gain, strict=True)),
        "sure": answer.sure, "why": answer.why,
        "predicted": {
            name: {
                "loss": loss, "low": low, "high": high, "base": study.base[name],
                "change": loss / study.base[name] - 1,
            }
            for name, (loss, low, high) in answer.predicted.items()
        },
        "domains": _domains(study, answer),
        "measured": {
            "base": dict(study.base),
            "runs": [
                {"shares": dict(run.shares), "tokens": run.tokens, "losses": dict(run.losses)}
                for run in study.runs
            ],
        },
        "law": {name: _law(study, check) for name, check in answer.checks.items()},
        "compute": dict(compute), "notes": _notes(study, answer, tokens, measured),
    }  # fmt: skip
    return {key: _rounded(value) for key, value in found.items()}


def _law(study: DomainStudy, check: LawCheck) -> dict[str, Any]:
    return {
        "name": LAW, "floor": check.law.floor,
        "rates": dict(zip(study.keys, check.law.rates.tolist(), strict=True)),
        "held_out_error": check.error, "error_of_the_mean": check.mean_error,
        "rank_correlation": check.rank, "rank_by_chance": check.least_rank, "tells": check.tells,
    }  # fmt: skip


def _domains(study: DomainStudy, answer: DomainAnswer) -> dict[str, Any]:
    """What the laws foretell of each domain's own held-out text, for what it is worth."""
    import numpy as np

    recommended = np.array([[answer.shares[key] for key in study.keys]])
    return {
        name: {
            "loss": float(check.law.predict(recommended)[0]),
            "own": float(check.law.predict(study.own_shares)[0]),
            "base": study.base[name], "tells": check.tells,
        }
        for name, check in answer.checks.items() if "/" in name
    }  # fmt: skip


def _notes(study: DomainStudy, answer: DomainAnswer, tokens: int, measured: float) -> list[str]:
    found = [
        f"losses are those after {measured:,.0f} tokens; for {tokens:,} the order of mixtures is "
        "what may carry over, not the losses"
    ]
    most = dict(zip(study.keys, study.shares.max(0), strict=True))
    edge = [key for key in study.keys if answer.shares[key] > most[key] - EDGE]
    if edge:
        found.append(f"no mixture with more {', '.join(edge)} was run; more may be better still")
    return found


def domain_text(result: Mapping[str, Any]) -> str:
    """The answer in plain lines."""
    compute, gain = result["compute"], result["gain"]
    level = f"{result['level']:.0%} interval"
    wide = max(map(len, result["shares"]))
    lines = [f"recommended shares for the wish {result['wish']}, among those that were run:"]
    for key, share in result["shares"].items():
        low, high = result["interval"][key]
        own = result["own"]["shares"][key]
        lines.append(f"  {key:{wide}} {share:.3f}  [{low:.2f}, {high:.2f}], yours {own:.3g}")
    lines += [
        f"  {'the runs can tell' if result['sure'] else 'THE RUNS CANNOT TELL'}: {result['why']}",
        f"  gain over your shares {gain['value']:+.2%} of a loss, {level} {gain['low']:+.2%} to "
        f"{gain['high']:+.2%}",
        *(_line(name, result) for name in result["predicted"]),
        *(_domain_line(name, found) for name, found in result["domains"].items()),
        *(f"  note: {note}" for note in result["notes"]),
        f"  the study took {compute['runs']} small runs and {compute['tokens']:,} tokens: "
        f"{compute['of_large_run']:.0%} of the large run's",
    ]
    return "\n".join(lines)


def _line(name: str, result: Mapping[str, Any]) -> str:
    found, law = result["predicted"][name], result["law"][name]
    return (
        f"  {name}: {found['base']:.3f} → {found['loss']:.3f} bits per byte [{found['low']:.3f}, "
        f"{found['high']:.3f}], with your shares {result['own']['predicted'][name]:.3f}; runs left "
        f"out: off by {law['held_out_error']:.2%} (their mean {law['error_of_the_mean']:.2%}), "
        f"rank correlation {law['rank_correlation']:.2f}"
    )


def _domain_line(name: str, found: Mapping[str, Any]) -> str:
    tells = "" if found["tells"] else "; its law tells no more than the mean"
    return (
        f"  {name} by itself: {found['base']:.3f} → {found['loss']:.3f}, with your shares "
        f"{found['own']:.3f}{tells}"
    )


def domain_head(result: Mapping[str, Any]) -> str:
    """The comment at the head of the recipe."""
    shares = ", ".join(
        f"{key} {low:.2f} to {high:.2f}" for key, (low, high) in result["interval"].items()
    )
    return (
        f"# Written by hanhua mix --domains for the wish {result['wish']}: {shares} "
        f"({result['level']:.0%} intervals).\n"
        f"# {'The runs can tell.' if result['sure'] else 'The runs cannot tell:'} "
        f"{result['why']}\n" + "".join(f"# {note}\n" for note in result["notes"])
    )
