"""Steering the mixture to a wish: where it ends, and how far off its projections were on the way.

    python benchmarks/steering.py RECIPE --wish en+5% [--share 0.8] [--low 0.2] [--high 0.8]
        [--passes 2] [--wait 0.15] [--tokens N] [--seeds 3] [--moments 60] [--set SECTION.KEY=VALUE]
        [--runs FOLDER]
    python benchmarks/steering.py --quick

The recipe's walk is made up to ``pretrain`` with this share of the target language: once as it
is, and once steered from it between the bounds. Both are measured on the same held-out documents.
A projection is the middle of those made when a part of the run was behind; beside it stands the
loss measured then, which is what one would go by without. A seed changes the whole walk, also its
corpus and vocabulary. Runs are kept in the folder and not made again. Prints tables, and one line
of JSON last.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hanhua.cli.runs import quiet_libraries
from hanhua.core.progress import default_progress
from hanhua.core.runner import run
from hanhua.core.wish import parse_wish
from hanhua.demo.run import demo_recipe_path
from hanhua.recipe import Recipe, load_recipe
from hanhua.train.config import SteerConfig

PARTS = (0.5, 0.6, 0.7, 0.8, 0.9)
Lines = Sequence[Mapping[str, Any]]


def main() -> None:
    options = _options()
    quiet_libraries()
    found = []
    for number in range(options.seeds):
        settings = [*options.set, *asked(options, number)]
        plain = load_recipe(options.recipe, settings)
        bounds = (
            f"{{wish: {options.wish}, low: {options.low}, high: {options.high}, "
            f"max_passes: {options.passes}, wait_share: {options.wait}}}"
        )
        steered = load_recipe(options.recipe, [*settings, f"pretrain.steer={bounds}"])
        found.append({
            "seed": plain.seed,
            "plain": ends(walk(plain, options.runs), plain),
            "steered": ends(walk(steered, options.runs), steered),
            "projected": projected(walk(steered, options.runs), plain.target, plain.source),
        })  # fmt: skip
        tell(found[-1], options.wish)
    print(json.dumps({
        "benchmark": "steering", "quick": options.quick, "wish": options.wish,
        "share": options.share, "bounds": [options.low, options.high], "seeds": found,
        "projection": by_part(found),
    }, sort_keys=True))  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", nargs="?", type=Path)
    parser.add_argument("--wish", default="en+5%")
    parser.add_argument("--share", type=float, default=0.8, help="of the target language")
    parser.add_argument("--low", type=float, default=0.2)
    parser.add_argument("--high", type=float, default=0.8)
    parser.add_argument("--passes", type=float, default=2.0, help="over a language's rows")
    parser.add_argument("--wait", type=float, default=0.15, help="part that is only measured")
    parser.add_argument("--tokens", type=int, help="of the run; left out: the recipe's")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--moments", type=int, default=60, help="measurements of a run")
    parser.add_argument("--docs", type=int, default=50, help="held-out documents of a language")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--quick", action="store_true", help="the built-in model, a few steps")
    options = parser.parse_args()
    if options.quick:
        options.recipe, options.tokens = demo_recipe_path(), 24_576
        options.moments, options.docs = 8, 10
        options.runs = Path(tempfile.mkdtemp())
    if options.recipe is None:
        parser.error("name a recipe")
    parse_wish(options.wish)
    return options


def asked(options: argparse.Namespace, number: int) -> list[str]:
    """The recipe's changes for a seed."""
    recipe = load_recipe(options.recipe, options.set)
    assert recipe.tokens is not None
    assert recipe.pretrain is not None
    tokens = options.tokens or recipe.tokens.budget_tokens
    every = max(round(tokens / recipe.pretrain.batch_tokens / options.moments), 1)
    shares = f"{{{recipe.target}: {options.share}, {recipe.source}: {1 - options.share:.6g}}}"
    steer = SteerConfig(wish=options.wish, low=options.low, high=options.high, wait_share=0.0)
    spare = steer.spare(
        {recipe.target: options.share, recipe.source: 1 - options.share},
        recipe.target, recipe.source,
    )  # fmt: skip
    return [
        f"seed={recipe.seed + number}", f"name={recipe.name}-steering-{recipe.seed + number}",
        f"tokens.budget_tokens={tokens}", f"tokens.shares={shares}", "tokens.tolerance=0.05",
        f"tokens.spare={json.dumps(spare)}",  # of both, so that they read the same rows
        f"pretrain.watch={{every_steps: {every}, docs: {options.docs}}}", "pretrain.guard=null",
    ]  # fmt: skip


def walk(recipe: Recipe, runs: Path) -> list[dict[str, Any]]:
    """The log of a run, made now or before."""
    stages = run(recipe.walk(runs), default_progress(False), until="pretrain")["stages"]
    log = runs / recipe.name / stages["pretrain"]["path"] / "log.jsonl"
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def ends(lines: Lines, recipe: Recipe) -> dict[str, Any]:
    """Losses at the end and their change, and the share that was trained on."""
    start, end = lines[0]["held_out_start"], lines[-1]["held_out"]
    shares = [one["steer"]["shares"][recipe.target] for one in lines if "steer" in one]
    return {
        "losses": end, "change": {name: end[name] / start[name] - 1 for name in end},
        "last_share": shares[-1] if shares else None,
    }  # fmt: skip


def projected(lines: Lines, target: str, source: str) -> list[dict[str, Any]]:
    """How far off the end a projection was, and the loss measured then."""
    told = [one for one in lines if one.get("steer", {}).get("projected")]
    end, found = lines[-1]["held_out"], []
    for part in PARTS:
        near = min(told, key=lambda one: abs(one["step"] / len(lines) - part), default=None)
        for name in (target, source) if near else ():
            middle, low, high = near["steer"]["projected"][name]
            found.append({
                "part": part, "language": name, "off": middle / end[name] - 1,
                "within": low <= end[name] <= high,
                "off_if_as_now": near["held_out"][name] / end[name] - 1,
            })  # fmt: skip
    return found


def by_part(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Mean sizes over seeds and languages."""
    rows = [row for one in found for row in one["projected"]]
    return [
        {
            "part": part, "n": len(own),
            "off": float(np.mean([abs(row["off"]) for row in own])),
            "off_if_as_now": float(np.mean([abs(row["off_if_as_now"]) for row in own])),
            "within": float(np.mean([row["within"] for row in own])),
        }
        for part in PARTS if (own := [row for row in rows if row["part"] == part])
    ]  # fmt: skip


def tell(found: Mapping[str, Any], wish: str) -> None:
    """The tables of a seed."""
    print(f"\nseed {found['seed']}, wish {wish}")
    for name in ("plain", "steered"):
        one = found[name]
        told = ", ".join(
            f"{code} {loss:.4f} ({one['change'][code]:+.1%})"
            for code, loss in one["losses"].items()
        )
        print(
            f"  {name:<8} {told}"
            + (f", last share {one['last_share']:.2f}" if one["last_share"] else "")
        )
    print("| behind | language | projected off by | loss then off by |\n|---|---|---|---|")
    for row in found["projected"]:
        print(f"| {row['part']:.0%} | {row['language']} | {row['off']:+.1%} "
              f"| {row['off_if_as_now']:+.1%} |")  # fmt: skip


if __name__ == "__main__":
    main()
