"""How often intervals of `hanhua mix` hold the truth, on studies made up from known losses.

    python benchmarks/mixture_cover.py [--studies 40] [--truths powers,logarithms]
        [--noise 0.002] [--ahead 2] [--ahead-runs 2] [--shares 0.1,0.3,0.5,0.7,0.9]
    python benchmarks/mixture_cover.py --quick

A study is made as the command makes it: five shares at three lengths, the longest of the middle
share twice more in other orders of the documents, and two shares once for twice as long (`--ahead
1`: none, `--ahead-runs 1`: the middle one). Losses are a truth's, scattered by so much from run to
run, and by as much from order to order. *powers* are a power law of what was read of a language
and a level that settles, near to some of the laws; *logarithms* are none of them. For each wish, at
the longest length and at two and four times it: how often the share's interval holds the best
share, how far the share is off, how wide the interval is, how often the command says that the runs
can tell, and how often intervals of one run's losses hold the truth. Prints a table, and one line
of JSON last.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from hanhua.core.wish import parse_wish
from hanhua.mix.fit import fit
from hanhua.mix.points import Point, Study
from hanhua.mix.proxy import further
from hanhua.mix.recommend import recommend

BASE = {"zh": 2.5, "en": 1.0}
LENGTHS = (5e4, 1e5, 2e5)
TIMES = (1, 2, 4)
GRID = np.linspace(0.1, 0.9, 801)
Truth = Callable[[Any, float], dict[str, Any]]


def powers(share: Any, tokens: float) -> dict[str, Any]:
    """Chinese by a power of what was read of it; English settles at a level of its share."""
    kept = 0.05 * (1 + (1 - share) * tokens / 1e5) ** -0.3
    lost = 0.08 * share**2 * -np.expm1(-tokens / 1e5)
    return {"zh": 1 + 1.5 * (1 + share * tokens / 1e5) ** -0.45, "en": 0.95 + kept + lost}


def logarithms(share: Any, tokens: float) -> dict[str, Any]:
    """Both by logarithms."""
    gained = 1.6 / (1 + 0.35 * np.log1p(3e-5 * share * tokens))
    lost = 0.05 * np.log1p(tokens / 2e4) * share**1.5
    return {"zh": 0.9 + gained, "en": 1 + lost - 0.004 * np.log1p((1 - share) * tokens / 1e4)}


TRUTHS: dict[str, Truth] = {"powers": powers, "logarithms": logarithms}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--truths", default="powers,logarithms")
    parser.add_argument("--noise", type=float, default=0.002, help="as a part of the loss")
    parser.add_argument("--ahead", type=float, default=2.0)
    parser.add_argument("--ahead-runs", type=int, default=2)
    parser.add_argument("--shares", default="0.1,0.3,0.5,0.7,0.9")
    parser.add_argument("--wishes", default="best,en+1%,en+3%")
    parser.add_argument("--quick", action="store_true", help="two studies, one wish")
    options = parser.parse_args()
    if options.quick:
        options.studies, options.wishes, options.truths = 2, "best", "logarithms"
    shares = [float(share) for share in options.shares.split(",")]
    print("| truth | wish | times | true share | held | off | width | can tell | held if so "
          "| zh held | en held |\n|---|---|---|---|---|---|---|---|---|---|---|")  # fmt: skip
    rows = []
    for name in options.truths.split(","):
        made = [
            study(TRUTHS[name], shares, options.noise, options.ahead, options.ahead_runs, seed)
            for seed in range(options.studies)
        ]
        for row in judged(name, made, options.wishes.split(",")):
            rows.append(row)
            print(line(row), flush=True)
    held = float(np.mean([row["held"] for row in rows]))
    print(json.dumps({
        "benchmark": "mixture_cover", "quick": options.quick, "studies": options.studies,
        "noise": options.noise, "ahead": options.ahead,
        "ahead_runs": options.ahead_runs, "held": held, "rows": rows,
    }))  # fmt: skip


def study(
    truth: Truth, shares: Sequence[float], noise: float, ahead: float, ahead_runs: int, seed: int
) -> Study:
    """One study; everything in it by the seed."""
    rng = np.random.default_rng(seed)
    of_order = rng.normal(0, noise, (3, 2))
    middle = shares[len(shares) // 2]
    runs = [(share, tokens, 0) for share in shares for tokens in LENGTHS]
    runs += [(middle, LENGTHS[-1], order) for order in (1, 2)]
    far = further(shares, ahead_runs) if ahead > 1 else []
    runs += [(one, ahead * LENGTHS[-1], 0) for one in far]
    points = []
    for share, tokens, order in runs:
        scatter = dict(zip(BASE, of_order[order] + rng.normal(0, noise, 2), strict=True))
        losses = {k: float(x * (1 + scatter[k])) for k, x in truth(share, tokens).items()}
        name = f"zh-{share:.3f}" + (f"+{order}" if order else "")
        points.append(Point(name, share, tokens, losses, order))
    return Study("zh", "en", BASE, tuple(points))


def judged(name: str, made: Sequence[Study], wishes: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A row for each wish and length."""
    fits = [{k: fit(one, k, seed=17) for k in BASE} for one in made]
    for wish in wishes:
        for times in TIMES:
            tokens = times * LENGTHS[-1]
            true = best(TRUTHS[name](GRID, tokens), wish)
            if true is None:
                continue
            cells = [
                cell(one, own, wish, tokens, true, TRUTHS[name])
                for one, own in zip(made, fits, strict=True)
            ]
            held, off, width, sure, zh, en = np.array(cells, float).T
            if_so = float(held[sure > 0].mean()) if sure.any() else None
            yield {
                "truth": name, "wish": wish, "times": times, "share": true, "n": len(made),
                "held": held.mean(), "off": off.mean(), "width": width.mean(),
                "can_tell": sure.mean(), "held_if_so": if_so,
                "zh_held": zh.mean(), "en_held": en.mean(),
            }  # fmt: skip


def best(losses: dict[str, Any], wish: str) -> float | None:
    """The share that the truth asks for; None where none meets the wish."""
    if wish == "best":
        return float(GRID[np.argmin(losses["zh"] / BASE["zh"] + losses["en"] / BASE["en"])])
    kept = losses["en"] <= parse_wish(wish).limit(BASE)
    return float(GRID[np.argmin(np.where(kept, losses["zh"], np.inf))]) if kept.any() else None


def cell(
    one: Study, fits: dict[str, Any], wish: str, tokens: float, true: float, truth: Truth
) -> tuple[float, ...]:
    answer = recommend(one, fits, parse_wish(wish), tokens)
    losses = truth(answer.share, tokens)
    held = [answer.predicted_low[k] <= losses[k] <= answer.predicted_high[k] for k in BASE]
    step = GRID[1] - GRID[0]
    return (
        answer.low - step <= true <= answer.high + step, abs(answer.share - true),
        answer.high - answer.low, answer.sure, *held,
    )  # fmt: skip


def line(row: dict[str, Any]) -> str:
    so = "" if row["held_if_so"] is None else f"{row['held_if_so']:.0%}"
    return (
        f"| {row['truth']} | {row['wish']} | {row['times']} | {row['share']:.2f} "
        f"| {row['held']:.0%} | {row['off']:.3f} | {row['width']:.2f} | {row['can_tell']:.0%} "
        f"| {so} | {row['zh_held']:.0%} | {row['en_held']:.0%} |"
    )


if __name__ == "__main__":
    main()
