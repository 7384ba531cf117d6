"""`hanhua mix` on a real small model, held against runs that its laws have not seen.

    python benchmarks/mixture_real.py RECIPE [--shares 0.2,0.5,0.8] [--tokens N] [--lengths 3]
        [--ahead 2] [--ahead-runs 2] [--repeats 2] [--docs 200] [--truth-shares 0.1,0.35,0.65,0.9]
        [--truth-tokens 2N] [--truth-seeds 3,4] [--all-target] [--wishes best,en+4%]
        [--set SECTION.KEY=VALUE] [--runs FOLDER] [--jobs 2] [--plot FILE.svg]
    python benchmarks/mixture_real.py --quick

The study is made as the command makes it. Then the same recipe is run at other shares, in other
orders of the documents (``--truth-seeds``; none of them is the study's), each on its own schedule
to its end: in all orders on more tokens, in the first also on half of those; with ``--all-target``
also once on the target language alone. The laws' losses are held against those measured: relative
error, and how often intervals of 50, 80 and 90 % contain a run. The share recommended at the
larger number of tokens is held against the best of a parabola through all orders' runs, with its
own interval; regret is the sum of losses above the best one. All runs are kept in the folder and
not made again. Prints tables, and one line of JSON last.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hanhua.cli.mix_study import make_all, measure, runs_of_share
from hanhua.core.files import write_text
from hanhua.core.progress import default_progress
from hanhua.core.wish import Wish, parse_wish
from hanhua.demo.run import demo_recipe_path
from hanhua.mix.config import MixConfig
from hanhua.mix.fit import fit
from hanhua.mix.fitted import Fitted
from hanhua.mix.foretell import of_a_run
from hanhua.mix.points import Point, Study
from hanhua.mix.recommend import recommend
from hanhua.recipe import Recipe, load_recipe
from mixture_picture import picture
from mixture_truth import Curve, best_of, curve, regret

DEFAULTS = {"1:1": 0.5, "4:1": 0.8}
LEVELS = (0.5, 0.8, 0.9)


def main() -> None:
    options = _options()
    recipe = load_recipe(options.recipe, options.set)
    study, truth, took = run_all(recipe, options)
    fits = {language: fit(study, language, seed=recipe.seed) for language in study.base}
    all_target = [point for point in truth if point.share > 0.999]
    truth = [point for point in truth if point.share <= 0.999]
    if options.plot:
        write_text(options.plot, picture(study, fits, truth))
    rows = [row(fits[language], point, language) for point in truth for language in study.base]
    print_rows(rows)
    most = max(point.tokens for point in truth)
    longest = [point for point in truth if point.tokens == most]
    found = {
        "by_tokens": [summed(rows, count) for count in sorted({one["tokens"] for one in rows})],
        "laws": {name: one.law for name, one in fits.items()},
        "held_out": {name: one.held_out_error for name, one in fits.items()},
        "seed_spread": {name: one.seed_spread for name, one in fits.items()},
        "study_tokens": took, "large_tokens": most,
    }  # fmt: skip
    print(
        f"\nthe study read {took:,} tokens, {took / most:.1f} times the longer run's {most:,.0f}; "
        f"laws {found['laws']}, held-out error {found['held_out']}, "
        f"seeds {found['seed_spread']}"
    )
    if len(longest) >= 4:
        curves = {name: curve(longest, name) for name in study.base}
        found["truth"] = {
            name: {"scatter": one.scatter, "apart": one.apart} for name, one in curves.items()
        }
        print(f"truth: scatter about the parabola, and orders apart: {found['truth']}")
        found["wishes"] = [
            judged(study, fits, curves, wish, most, all_target) for wish in options.wishes
        ]
    print(json.dumps({"benchmark": "mixture_real", "rows": rows, **found}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", nargs="?", type=Path)
    parser.add_argument("--shares", type=numbers, default=(0.2, 0.5, 0.8))
    parser.add_argument("--tokens", type=int, help="of the longest small run")
    parser.add_argument("--lengths", type=int, default=3)
    parser.add_argument("--ahead", type=float, default=2.0, help="times --tokens; 1: not")
    parser.add_argument("--ahead-runs", type=int, default=2, help="1: of the middle share")
    parser.add_argument("--repeats", type=int, default=2, help="of the middle share's longest run")
    parser.add_argument("--docs", type=int, default=200, help="held out of each language")
    parser.add_argument("--truth-shares", type=numbers, default=(0.1, 0.35, 0.65, 0.9))
    parser.add_argument("--truth-tokens", type=int, help="left out: twice the small run's")
    parser.add_argument("--truth-seeds", type=numbers, default=(3.0,))
    parser.add_argument("--all-target", action="store_true", help="also the share of 1")
    parser.add_argument("--wishes", type=wishes, default=wishes("best,en+1%"))
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg")
    parser.add_argument("--quick", action="store_true", help="the built-in model, a few steps")
    options = parser.parse_args()
    if options.quick:
        options.recipe, options.tokens, options.lengths = demo_recipe_path(), 20 * 512, 2
        options.shares, options.truth_shares = (0.2, 0.5, 0.8), (0.35,)
        options.repeats, options.docs, options.runs = 0, 4, Path(tempfile.mkdtemp())
        options.set = [*options.set, "pretrain.batch_tokens=512"]
    if options.recipe is None or not options.tokens:
        parser.error("name a recipe, and the tokens of the longest small run")
    options.truth_tokens = options.truth_tokens or 2 * options.tokens
    return options


def numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


def wishes(text: str) -> list[Wish]:
    return [parse_wish(part) for part in text.split(",")]


def run_all(
    recipe: Recipe, options: argparse.Namespace
) -> tuple[Study, list[Point], int]:  # fmt: skip
    """The study, what other shares measured, and tokens that the study read."""
    config = MixConfig(
        tokens=options.tokens, lengths=options.lengths, jobs=options.jobs,
        repeats=options.repeats, docs=options.docs, ahead=options.ahead,
        ahead_runs=options.ahead_runs,
    )  # fmt: skip
    progress = default_progress(False)
    found = measure(recipe, config, options.shares, options.runs, progress)
    longer = config.model_copy(update={"tokens": options.truth_tokens, "lengths": 2})
    seeds = [int(seed) for seed in options.truth_seeds]
    small = [
        one for number, seed in enumerate(seeds) for share in options.truth_shares
        for one in runs_of_share(recipe, longer, share, seed)[1 if number else 0 :]
    ]  # fmt: skip
    if options.all_target:
        small.append(runs_of_share(recipe, longer, 1.0, seeds[0])[-1])
    truth = make_all(recipe, longer, small, options.runs, progress).study
    return found.study, list(truth.points), int(found.compute(recipe)["tokens"])


def row(fitted: Fitted, point: Point, language: str) -> dict[str, Any]:
    """A loss measured and foretold, and whether intervals of a run contain it."""
    foretold = float(fitted.predict(point.share, point.tokens))
    drawn, measured = of_a_run(fitted, point.share, point.tokens), point.losses[language]
    ends = {level: np.quantile(drawn, ((1 - level) / 2, (1 + level) / 2)) for level in LEVELS}
    return {
        "tokens": point.tokens, "share": point.share, "seed": point.seed, "language": language,
        "measured": measured, "foretold": foretold, "off": foretold / measured - 1,
        "low": float(ends[0.9][0]), "high": float(ends[0.9][1]),
        "inside": {f"{level:.0%}": bool(a <= measured <= b) for level, (a, b) in ends.items()},
    }  # fmt: skip


def print_rows(rows: Sequence[dict[str, Any]]) -> None:
    print("| tokens | share | order | language | measured | foretold | 90 % | off by |")
    print("|---|---|---|---|---|---|---|---|")
    for one in rows:
        print(f"| {one['tokens']:,.0f} | {one['share']:.2f} | +{one['seed']} | {one['language']} "
              f"| {one['measured']:.4f} | {one['foretold']:.4f} "
              f"| {one['low']:.4f}–{one['high']:.4f} | {one['off']:+.2%} |")  # fmt: skip


def summed(rows: Sequence[dict[str, Any]], tokens: float) -> dict[str, Any]:
    """Errors and coverage of one length."""
    own = [one for one in rows if one["tokens"] == tokens]
    found: dict[str, Any] = {"tokens": tokens, "n": len(own)}
    for language in sorted({one["language"] for one in own}):
        off = [abs(one["off"]) for one in own if one["language"] == language]
        found[language] = {"mean_error": float(np.mean(off)), "worst": max(off)}
    found["mean_error"] = float(np.mean([abs(one["off"]) for one in own]))
    found["inside"] = {
        level: sum(one["inside"][level] for one in own) for level in own[0]["inside"]
    }
    print(f"\n{tokens:,.0f} tokens: mean error {found['mean_error']:.2%}, of {len(own)} losses "
          f"inside {found['inside']}, " + ", ".join(
              f"{name} {found[name]['mean_error']:.2%} (worst {found[name]['worst']:.2%})"
              for name in sorted({one["language"] for one in own})))  # fmt: skip
    return found


def judged(
    study: Study, fits: dict[str, Fitted], curves: dict[str, Curve], wish: Wish, tokens: float,
    all_target: Sequence[Point],
) -> dict[str, Any]:  # fmt: skip
    """The answer at these tokens against the best that was measured, and the defaults."""
    answer, best = recommend(study, fits, wish, tokens), best_of(study, curves, wish)
    grid = curves[study.target].grid
    at = {}
    for name, share in {"best": best.share, "recommended": answer.share, **DEFAULTS}.items():
        mean, low, high = regret(study, curves, best.share, share)
        losses = {one: float(np.interp(share, grid, curves[one].mean)) for one in study.base}
        at[name] = {"share": share, "losses": losses, "regret": mean, "low": low, "high": high}
    for point in all_target:
        totals = [
            sum(losses[one] / study.base[one] for one in study.base)
            for losses in (point.losses, at["best"]["losses"])
        ]
        more = totals[0] / totals[1] - 1
        at["1:0"] = {"share": 1.0, "losses": dict(point.losses), "regret": more}
    print(
        f"\nwish {wish.text}: recommended {answer.share:.3f} ({answer.low:.3f}–{answer.high:.3f}), "
        f"flat {answer.flat[0]:.2f}–{answer.flat[1]:.2f}, sure: {answer.sure} {answer.why}\n"
        f"best measured {best.share:.3f} ({best.low:.3f}–{best.high:.3f}), met: {best.met}"
    )
    for name, one in at.items():
        print(
            f"  {name:<12}{one['share']:.3f}  {one['losses']}  sum {one['regret']:+.3%} "
            f"({one.get('low', np.nan):+.3%}–{one.get('high', np.nan):+.3%})"
        )
    return {
        "wish": wish.text, "recommended": answer.share, "low": answer.low, "high": answer.high,
        "flat": answer.flat, "sure": answer.sure, "why": answer.why, "best": best.share,
        "best_low": best.low, "best_high": best.high, "best_met": best.met, "at": at,
    }  # fmt: skip


if __name__ == "__main__":
    main()
