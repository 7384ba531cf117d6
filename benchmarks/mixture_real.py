"""`hanhua mix` on a real small model, held against runs that its laws have not seen.

    python benchmarks/mixture_real.py RECIPE [--shares 0.2,0.5,0.8] [--tokens N] [--lengths 3]
        [--truth-shares 0.1,0.35,0.65,0.9] [--truth-tokens 2N] [--wish en+1%]
        [--set SECTION.KEY=VALUE] [--runs FOLDER] [--jobs 2] [--seeds 1]
        [--plot FILE.svg]
    python benchmarks/mixture_real.py --quick

The study is made as the command makes it. Then the same recipe is run at other shares, on more
tokens and on half of those, each on its own schedule to its end, and the laws' losses are held
against those measured: relative error, and how often 90 % intervals contain them. The share
recommended at the larger number of tokens is held against the best by straight lines between all
runs of that length, and its regret against 1:1, 4:1 and all Chinese. All runs are kept in the
folder and not made again. Prints tables, and one line of JSON last.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hanhua.cli.mix_study import measure
from hanhua.core.files import write_text
from hanhua.core.progress import default_progress
from hanhua.core.wish import Wish, parse_wish
from hanhua.demo.run import demo_recipe_path
from hanhua.mix.config import MixConfig
from hanhua.mix.fit import Fitted, fit
from hanhua.mix.points import Point, Study
from hanhua.mix.recommend import recommend
from hanhua.recipe import Recipe, load_recipe
from mixture_picture import picture

DEFAULTS = {"1:1": 0.5, "4:1": 0.8, "1:0": 1.0}


def main() -> None:
    options = _options()
    recipe = load_recipe(options.recipe, options.set)
    made = run_all(recipe, options, options.runs)
    study, truth = made
    fits = {language: fit(study, language, seed=recipe.seed) for language in study.base}
    rows = [row(fits[language], point, language) for point in truth for language in study.base]
    if options.plot:
        write_text(options.plot, picture(study, fits, truth))
    print("| tokens | share | language | measured | foretold | 90 % | off by |")
    print("|---|---|---|---|---|---|---|")
    for one in rows:
        print(f"| {one['tokens']:,.0f} | {one['share']:.2f} | {one['language']} "
              f"| {one['measured']:.4f} | {one['foretold']:.4f} "
              f"| {one['low']:.4f}–{one['high']:.4f} | {one['off']:+.1%} |")  # fmt: skip
    found = {
        "mean_error": float(np.mean([abs(one["off"]) for one in rows])),
        "covered": sum(one["low"] <= one["measured"] <= one["high"] for one in rows),
        "of": len(rows), "laws": {name: one.law for name, one in fits.items()},
        "held_out": {name: one.held_out_error for name, one in fits.items()},
    }  # fmt: skip
    most = max(point.tokens for point in truth)
    found |= judged(study, fits, [p for p in truth if p.tokens == most], options.wish, most)
    found["from_shorter"] = from_shorter(study, truth, recipe.seed, options.wish, most)
    print(json.dumps({"benchmark": "mixture_real", "rows": rows, **found}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", nargs="?", type=Path)
    parser.add_argument("--shares", type=numbers, default=(0.2, 0.5, 0.8))
    parser.add_argument("--tokens", type=int, help="of the longest small run")
    parser.add_argument("--lengths", type=int, default=3)
    parser.add_argument("--truth-shares", type=numbers, default=(0.1, 0.35, 0.65, 0.9))
    parser.add_argument("--truth-tokens", type=int, help="left out: twice the small run's")
    parser.add_argument("--wish", type=parse_wish, default=parse_wish("en+1%"))
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--seeds", type=int, default=1, help="of the study's runs")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg")
    parser.add_argument("--quick", action="store_true", help="the built-in model, a few steps")
    options = parser.parse_args()
    if options.quick:
        options.recipe, options.tokens, options.lengths = demo_recipe_path(), 65_536, 2
        options.shares, options.truth_shares = (0.2, 0.5, 0.8), (0.35,)
        options.runs = Path(tempfile.mkdtemp())
    if options.recipe is None or not options.tokens:
        parser.error("name a recipe, and the tokens of the longest small run")
    options.truth_tokens = options.truth_tokens or 2 * options.tokens
    return options


def numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


def run_all(
    recipe: Recipe, options: argparse.Namespace, runs: Path
) -> tuple[Study, list[Point]]:  # fmt: skip
    """The study, and what other shares measured at more tokens and at half of those."""
    config = MixConfig(
        tokens=options.tokens, lengths=options.lengths, jobs=options.jobs, seeds=options.seeds
    )
    progress = default_progress(False)
    study = measure(recipe, config, options.shares, runs, progress).study
    longer = MixConfig(tokens=options.truth_tokens, lengths=2, jobs=options.jobs)
    truth = measure(recipe, longer, options.truth_shares, runs, progress).study
    return study, list(truth.points)


def row(fitted: Fitted, point: Point, language: str) -> dict[str, Any]:
    """A loss measured and foretold."""
    foretold = float(fitted.predict(point.share, point.tokens))
    low, high = np.quantile(fitted.predict_draws(point.share, point.tokens), (0.05, 0.95))
    measured = point.losses[language]
    return {
        "tokens": point.tokens, "share": point.share, "language": language, "measured": measured,
        "foretold": foretold, "low": float(low), "high": float(high),
        "off": foretold / measured - 1,
    }  # fmt: skip


def from_shorter(
    study: Study, truth: Sequence[Point], seed: int, wish: Wish, tokens: float
) -> dict[str, Any]:
    """The same laws fitted without the longest runs: how far they carry."""
    longest = max(point.tokens for point in study.points)
    kept = tuple(point for point in study.points if point.tokens < 0.75 * longest)
    if len({point.tokens for point in kept}) < 2:
        return {}
    short = replace(study, points=kept)
    fits = {language: fit(short, language, seed=seed) for language in study.base}
    top = max(point.tokens for point in kept)
    rows = [row(fits[language], point, language) for point in truth for language in study.base]
    print(f"\nfitted without the longest runs (up to {top:,.0f} tokens):")
    print("| times as many tokens | n | mean error | in the 90 % interval |\n|---|---|---|---|")
    found = []
    for count in sorted({point.tokens for point in truth}):
        own = [one for one in rows if one["tokens"] == count]
        error = float(np.mean([abs(one["off"]) for one in own]))
        inside = sum(one["low"] <= one["measured"] <= one["high"] for one in own)
        found.append({"times": count / top, "n": len(own), "error": error, "covered": inside})
        print(f"| {count / top:.1f} | {len(own)} | {error:.1%} | {inside} |")
    answer = recommend(short, fits, wish, tokens)
    print(f"recommended {answer.share:.3f} ({answer.low:.3f}–{answer.high:.3f})")
    return {"by_times": found, "recommended": answer.share, "low": answer.low, "high": answer.high}


def judged(
    study: Study, fits: dict[str, Fitted], truth: Sequence[Point], wish: Wish, tokens: float
) -> dict[str, Any]:
    """The answer at these tokens against the best by straight lines between what was measured."""
    answer = recommend(study, fits, wish, tokens)
    shares = np.array([point.share for point in truth])
    order = np.argsort(shares)
    fine = np.linspace(shares.min(), shares.max(), 501)
    lines = {
        language: np.interp(
            fine, shares[order], np.array([p.losses[language] for p in truth])[order]
        )
        for language in study.base
    }
    good = lines[study.source] <= study.base[study.source] * (1 + wish.rise)
    cost = lines[study.target] if wish.kind == "part" else sum(
        lines[name] / study.base[name] for name in study.base
    )  # fmt: skip
    cost = np.where(good, cost, np.inf) if wish.kind == "part" and good.any() else cost
    best = float(fine[int(np.argmin(cost))])
    at = {
        name: {lang: float(np.interp(s, fine, lines[lang])) for lang in lines}
        for name, s in {"recommended": answer.share, "best": best, **DEFAULTS}.items()
    }
    print(f"\nwish {wish.text} at {tokens:,.0f} tokens: recommended {answer.share:.3f} "
          f"({answer.low:.3f}–{answer.high:.3f}), sure: {answer.sure}; best measured {best:.3f}; "
          f"base {study.base}")  # fmt: skip
    for name, losses in at.items():
        print(f"  {name:<12}" + "  ".join(f"{lang} {loss:.4f}" for lang, loss in losses.items()))
    return {"recommended": answer.share, "low": answer.low, "high": answer.high,
            "sure": answer.sure, "why": answer.why, "best": best, "losses_at": at}  # fmt: skip


if __name__ == "__main__":
    main()
