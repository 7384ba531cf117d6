"""The answer as one JSON object and as a few plain lines; both say when the runs cannot tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from hanhua.mix.foretell import FLAT
from hanhua.mix.plain import short
from hanhua.mix.points import Study

if TYPE_CHECKING:
    from hanhua.mix.fit_size import JointFit
    from hanhua.mix.fitted import Fitted
    from hanhua.mix.join import Joined
    from hanhua.mix.rates import AtRate
    from hanhua.mix.recommend import Answer
    from hanhua.mix.size_answer import OfSize

DIGITS = 6
DRAWN = 41
"""Places on a drawn curve."""
FINE = 0.01
"""A flat range narrower than this is none."""


def as_result(
    study: Study, fits: Mapping[str, Fitted], answer: Answer, *, wish: str, tokens: int,
    level: float, shares: Mapping[str, float], compute: Mapping[str, Any],
    at_rates: tuple[float, Sequence[AtRate]] = (0.0, ()),
) -> dict[str, Any]:  # fmt: skip
    """All that was asked, measured, fitted and recommended, as JSON values.

    Args:
        study: what was measured.
        fits: by language.
        answer: the recommendation.
        wish: as written.
        tokens: of the run to come.
        level: of the intervals.
        shares: recommended, of all languages.
        compute: what the study took.
        at_rates: tokens of the runs at other learning rates, and what was found at each.
    """
    languages = (study.target, study.source)
    found = {
        "target": study.target, "source": study.source, "wish": wish, "tokens": tokens,
        "shares": dict(shares), "interval": [answer.low, answer.high], "level": level,
        "flat": list(answer.flat), "flat_within": FLAT, "sure": answer.sure, "why": answer.why.en,
        "why_zh": answer.why.zh,
        "predicted": {name: _predicted(study, answer, name) for name in languages},
        "measured": {"base": dict(study.base), "points": [_point(p) for p in study.points]},
        "law": {
            name: {"name": fits[name].law, "held_out_error": fits[name].held_out_error,
                   "ahead": _ahead(study, fits[name])}
            for name in languages
        },
        "seed_spread": {name: fits[name].seed_spread or None for name in languages},
        "cost_of_a_point": answer.cost_of_a_point,
        "by_tokens": [list(row) for row in answer.by_tokens],
        "pareto": [list(row) for row in answer.pareto],
        "curves": {name: _curves(study, fits[name], tokens) for name in languages},
        "compute": dict(compute),
    }  # fmt: skip
    rates = [_at_rate(row, at_rates[0]) for row in at_rates[1]]
    return {key: _rounded(value) for key, value in found.items()} | {"by_learning_rate": rates}


def sizes_result(
    joined: Joined, fits: Mapping[str, JointFit], size: float, rows: Sequence[OfSize]
) -> dict[str, Any]:
    """The sizes of an answer that was read from studies of several, as JSON values.

    Args:
        joined: the studies.
        fits: by language.
        size: parameters of the recipe's model.
        rows: the answer at each size.
    """
    own = next(row for row in rows if row.parameters == size)
    return {
        "parameters": size, "measured": own.measured,
        "size_error": {name: _rounded(fit.size_error) for name, fit in fits.items()},
        "rows": [_rounded(asdict(row)) for row in rows],
        "studies": [
            {"parameters": one, "folder": str(joined.folders[one]), "base": dict(study.base),
             "points": [_rounded(_point(point)) for point in study.points]}
            for one, study in joined.studies.items()
        ],
    }  # fmt: skip


def _ahead(study: Study, fitted: Fitted) -> dict[str, Any] | None:
    """The runs that go further than the others: by how much the law was off there."""
    if fitted.ahead is None:
        return None
    tokens = max(point.tokens for point in study.points)
    shares = fitted.ahead.shares.tolist()
    return {"tokens": tokens, "shares": shares, "off": fitted.off_ahead()}


def _at_rate(row: AtRate, tokens: float) -> dict[str, Any]:
    found = {
        "tokens": tokens, "share": row.share, "met": row.met,
        "points": [{"share": p.share, "losses": dict(p.losses)} for p in row.points],
    }  # fmt: skip
    return {"learning_rate": row.learning_rate} | {k: _rounded(v) for k, v in found.items()}


def _predicted(study: Study, answer: Answer, language: str) -> dict[str, float]:
    loss, base = answer.predicted[language], study.base[language]
    low, high = answer.predicted_low[language], answer.predicted_high[language]
    return {"loss": loss, "low": low, "high": high, "base": base, "change": loss / base - 1}


def _point(point: Any) -> dict[str, Any]:
    return {
        "run": point.run, "share": point.share, "tokens": point.tokens,
        "losses": dict(point.losses),
    }  # fmt: skip


def _curves(study: Study, fitted: Fitted, tokens: int) -> list[dict[str, Any]]:
    """The law over shares, at each measured length and at the length of the run to come."""
    shares = np.linspace(study.shares[0], study.shares[-1], DRAWN)
    lengths = sorted({point.tokens for point in study.points})
    if len(lengths) > 3:  # many moments: first, middle, last
        lengths = [lengths[0], lengths[len(lengths) // 2], lengths[-1]]
    return [
        {"tokens": count, "points": np.stack([shares, fitted.predict(shares, count)], 1).tolist()}
        for count in [*lengths, *([float(tokens)] if tokens > lengths[-1] else [])]
    ]


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(inner) for inner in value]
    return round(value, DIGITS) if isinstance(value, float) else value


def text(result: Mapping[str, Any]) -> str:
    """The answer in plain lines."""
    target, source = result["target"], result["source"]
    low, high = result["interval"]
    names = ":".join(result["shares"])
    shares = " : ".join(f"{share:.3g}" for share in result["shares"].values())
    lines = [
        f"recommended {names} = {shares}, for the wish {result['wish']} and "
        f"{result['tokens']:,} tokens",
        f"  share of {target}: {result['level']:.0%} interval {low:.2f} to {high:.2f}",
        _flat(result),
        f"  {'the runs can tell' if result['sure'] else 'THE RUNS CANNOT TELL'}: {result['why']}",
        *(_line(name, result) for name in (target, source)),
        f"  one more point of {target} costs {source} {_cost(result)}",
        "  with other budgets: " + ", ".join(_budget(row) for row in result["by_tokens"]),
        *_sizes(result),
        *_rates(result),
        *_seeds(result),
        *(f"  note: {note}" for note in result.get("notes", ())),
        _took(result),
    ]
    return "\n".join(lines)


def _took(result: Mapping[str, Any]) -> str:
    compute = result["compute"]
    what = "the studies" if "sizes" in result else "the study"
    of = " arithmetic" if "sizes" in result else ""
    return (
        f"  {what} took {compute['runs']} small runs and {compute['tokens']:,} tokens: "
        f"{compute['of_large_run']:.0%} of the large run's{of}"
    )


def _sizes(result: Mapping[str, Any]) -> list[str]:
    """How share and price move with the size of the model."""
    if "sizes" not in result:
        return []
    target, source, sizes = result["target"], result["source"], result["sizes"]
    errors = [
        f"{name} {error:.1%}" for name, error in sizes["size_error"].items() if error is not None
    ]
    lines = [f"  by model size, {target} share, and what one more point of it costs {source}:"]
    lines += [
        f"    {short(row['parameters']):>6} {'measured' if row['measured'] else 'foretold'}  "
        f"{row['share']:.2f} [{row['low']:.2f}, {row['high']:.2f}]  {row['price']:+.3%} "
        f"[{row['price_low']:+.3%}, {row['price_high']:+.3%}]" for row in sizes["rows"]
    ]  # fmt: skip
    if errors:
        lines.append(f"    the law, without the largest size, misses it by {', '.join(errors)}")
    if not sizes["measured"]:
        lines.append("    the base's losses at this size are foretold from the other sizes' too")
    return lines


def _line(language: str, result: Mapping[str, Any]) -> str:
    found, law = result["predicted"][language], result["law"][language]
    return (
        f"  {language}: {found['base']:.3f} → {found['loss']:.3f} bits per byte "
        f"[{found['low']:.3f}, {found['high']:.3f}], {found['change']:+.1%}; law {law['name']}, "
        f"off by {law['held_out_error']:.1%} where it was not fitted{_set_right(law['ahead'])}"
    )


def _set_right(ahead: Mapping[str, Any] | None) -> str:
    if ahead is None:
        return ""
    off = " and ".join(f"{part:+.1%}" for part in ahead["off"])
    return f", by {off} at {ahead['tokens']:,.0f} tokens, which is set right"


def _rates(result: Mapping[str, Any]) -> list[str]:
    rows = result["by_learning_rate"]
    if not rows:
        return []
    each = ", ".join(
        f"{row['learning_rate']:g} → {row['share']:.2f}{_unmet(row['met'])}" for row in rows
    )
    return [f"  by learning rate, at the small runs' {rows[0]['tokens']:,.0f} tokens: {each}"]


def _seeds(result: Mapping[str, Any]) -> list[str]:
    found = {name: spread for name, spread in result["seed_spread"].items() if spread}
    each = ", ".join(f"{name} {spread:.2%}" for name, spread in found.items())
    return [f"  seeds of one mixture lie apart by {each} of the base's loss"] if found else []


def _flat(result: Mapping[str, Any]) -> str:
    low, high = result["flat"]
    what = "the sum" if result["wish"].lower() == "best" else "both losses"
    if high - low < FINE:
        lost = "the sum" if what == "the sum" else "a loss"
        return f"  a share off by {FINE:.2f} already costs {result['flat_within']:.1%} of {lost}"
    within = f"stay within {result['flat_within']:.1%}" if what == "both losses" else (
        f"stays within {result['flat_within']:.1%} of the best"
    )  # fmt: skip
    return f"  from {low:.2f} to {high:.2f} {what} {within}"


def _cost(result: Mapping[str, Any]) -> str:
    cost, base = result["cost_of_a_point"], result["predicted"][result["source"]]["base"]
    return f"{cost:.4f} bits per byte ({cost / base:+.2%})"


def _budget(row: list[Any]) -> str:
    tokens, share, low, high, met = row
    return f"{tokens:,.0f} tokens {share:.2f} [{low:.2f}, {high:.2f}]{_unmet(met)}"


def _unmet(met: bool) -> str:
    return "" if met else " (nearest; the wish is not met)"
