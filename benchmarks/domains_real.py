"""`hanhua mix --domains` on a real small model, held against mixtures that its laws have not seen.

    python benchmarks/domains_real.py RECIPE [--tokens N] [--ratios 20] [--truth 8] [--docs 20]
        [--wish best] [--set SECTION.KEY=VALUE] [--runs FOLDER] [--jobs 2]
    python benchmarks/domains_real.py --quick

The study is made as the command makes it, for the domains that the recipe's ``tokens.shares``
names. Then other mixtures, drawn by another seed, and the recommended one are run on as many
tokens. Of each language and domain: how far the laws are off, beside the mean of the study's
losses as a foretelling, and whether they order the mixtures (Spearman). Of the recommendation:
what was measured there, at the recipe's own shares, and at the best mixture that was run at all.
All runs are kept in the folder and not made again. Prints tables, and one line of JSON last.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from hanhua.cli.mix_domains import measure_domains, prepare_domains
from hanhua.core.progress import default_progress
from hanhua.core.wish import parse_wish
from hanhua.demo.run import demo_recipe_path
from hanhua.mix.config import MixConfig
from hanhua.mix.domain_answer import DomainAnswer, recommend_shares
from hanhua.mix.domain_study import DomainStudy, plan_mixtures
from hanhua.recipe import Recipe, load_recipe

QUICK = ("pretrain.batch_tokens=512", "machine.threads=1")


def main() -> None:
    options = _options()
    recipe = load_recipe(options.recipe, options.set)
    study, truth, answer = run_all(recipe, options)
    rows = [row(answer, study, truth, name) for name in study.base]
    print_rows(rows, len(truth.runs) - 1)
    judged = recommended(study, truth, answer)
    print(json.dumps({
        "benchmark": "domains_real", "quick": options.quick, "wish": options.wish,
        "tokens": max(run.tokens for run in study.runs), "runs": len(study.runs),
        "laws": rows, "recommended": judged,
    }))  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", nargs="?", type=Path)
    parser.add_argument("--tokens", type=int, help="of a small run")
    parser.add_argument("--ratios", type=int, help="mixtures; left out: two a source")
    parser.add_argument("--truth", type=int, default=8, help="other mixtures")
    parser.add_argument("--docs", type=int, default=20, help="held out of each domain")
    parser.add_argument("--wish", default="best")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--quick", action="store_true", help="the built-in model, a few steps")
    options = parser.parse_args()
    if options.quick:
        options.recipe, options.tokens, options.ratios = demo_recipe_path(), 10 * 512, 6
        options.truth, options.docs, options.runs = 2, 4, Path(tempfile.mkdtemp())
        options.set = [*QUICK, *options.set]
    if options.recipe is None or not options.tokens:
        parser.error("name a recipe, and the tokens of a small run")
    return options


def run_all(
    recipe: Recipe, options: argparse.Namespace
) -> tuple[DomainStudy, DomainStudy, DomainAnswer]:
    """The study, other mixtures with the recommended one last, and the answer."""
    assert recipe.tokens is not None
    asked = {"tokens": options.tokens, "docs": options.docs, "jobs": options.jobs}
    asked |= {"wish": options.wish} | ({"runs": options.ratios} if options.ratios else {})
    config, progress = MixConfig(**asked), default_progress(False)
    start, planned = prepare_domains(recipe, config, options.runs, progress)
    study = measure_domains(recipe, config, planned, start, options.runs, progress)
    answer = recommend_shares(study, parse_wish(config.wish), level=config.level, seed=recipe.seed)
    most = {key: recipe.tokens.max_epochs * n / start.budget for key, n in start.held.items()}
    others = plan_mixtures(recipe.tokens.shares, options.truth + 1, seed=recipe.seed + 1, most=most)
    zeros = dict.fromkeys(recipe.tokens.shares, 0.0)
    others = [*others[1:], zeros | answer.shares]
    return study, measure_domains(recipe, config, others, start, options.runs, progress), answer


def row(answer: DomainAnswer, study: DomainStudy, truth: DomainStudy, name: str) -> dict[str, Any]:
    """How far a law is off on mixtures that it has not seen, and whether it orders them."""
    measured, foretold = truth.losses(name), answer.checks[name].law.predict(truth.shares)
    mean = float(study.losses(name).mean())
    return {
        "name": name, "base": study.base[name], "mean": float(measured.mean()),
        "spread": float(measured.std(ddof=1)),
        "error": float(np.mean(np.abs(foretold / measured - 1))),
        "worst": float(np.max(np.abs(foretold / measured - 1))),
        "error_of_the_mean": float(np.mean(np.abs(mean / measured - 1))),
        "rank": float(np.corrcoef(ranks(measured), ranks(foretold))[0, 1]),
        "said_error": answer.checks[name].error, "said_tells": answer.checks[name].tells,
    }  # fmt: skip


def ranks(values: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(values)).astype(float)


def print_rows(rows: list[dict[str, Any]], others: int) -> None:
    print(f"{others} other mixtures and the recommended one\n")
    print("| held-out text | before | measured, mean ± sd | law off by | worst | the mean off by "
          "| rank | said off by |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    for one in rows:
        print(f"| {one['name']} | {one['base']:.3f} | {one['mean']:.3f} ± {one['spread']:.3f} "
              f"| {one['error']:.2%} | {one['worst']:.2%} | {one['error_of_the_mean']:.2%} "
              f"| {one['rank']:.2f} | {one['said_error']:.2%} |")  # fmt: skip


def recommended(study: DomainStudy, truth: DomainStudy, answer: DomainAnswer) -> dict[str, Any]:
    """The sum of both languages' losses, as parts of the base's, where it matters."""
    names = (study.target, study.source)

    def summed(one: DomainStudy) -> np.ndarray:
        return np.mean([one.losses(name) / one.base[name] for name in names], axis=0)

    before, after = summed(study), summed(truth)
    everything = np.concatenate([before, after])
    found = {
        "shares": answer.shares, "sure": answer.sure, "why": answer.why,
        "gain_foretold": answer.gain, "gain_measured": float(before[0] - after[-1]),
        "own": float(before[0]), "recommended": float(after[-1]),
        "best_run": float(everything.min()),
        "better_than": float(np.mean(everything[:-1] >= after[-1])),
        "losses": {name: float(truth.losses(name)[-1]) for name in names},
        "own_losses": {name: float(study.losses(name)[0]) for name in names},
    }  # fmt: skip
    gain, low, high = answer.gain
    print(f"\nrecommended {answer.shares}\nsure: {answer.sure} {answer.why}")
    print(f"gain over the recipe's own shares: {found['gain_measured']:+.3%} of a loss, foretold "
          f"{gain:+.3%} ({low:+.3%} to {high:+.3%}); better than {found['better_than']:.0%} of "
          f"{len(everything) - 1} more; {found['losses']}, own {found['own_losses']}")  # fmt: skip
    return found


if __name__ == "__main__":
    main()
