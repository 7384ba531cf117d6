"""How should new rows start? Bits per byte at several steps of equal training, for each method.

Runs a recipe up to its vocabulary, then for each method and seed expands the base, trains it on the
same rows (70 % target language) and measures held-out text of both languages on the way. The
optimiser begins anew behind each measurement, for all methods alike.

    python benchmarks/initialisation.py [--quick] [--methods mean omp ...] [--seeds 1 2]
                                        [--at 0 100 1000] [--step-tokens 1024]

Prints a table, and one line of JSON last.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from hanhua.core.progress import Silent
from hanhua.core.runner import plan, run
from hanhua.model.auxiliary import Texts
from hanhua.model.load import load_model, load_tokenizer
from hanhua.recipe import Recipe, load_recipe
from hanhua.train import pick_init
from hanhua.train.pick_init import Expansion

ROOT = Path(__file__).parents[1]
METHODS = ("mean", "weighted", "random", "similar", "omp", "distill")


def main() -> None:
    options = _options()
    pick_init.STEP_TOKENS = options.step_tokens
    recipe = load_recipe(options.recipe, ["vocab.guard=none"])
    found = []
    with tempfile.TemporaryDirectory() as folder:
        runs = options.runs or Path(folder)
        run(recipe.walk(runs), Silent(), until="vocab")
        for seed in options.seeds:
            for method in options.methods:
                found.append(one(recipe, runs, method, seed, options))
                print(json.dumps(found[-1]), flush=True)
    print(table(found, options.at))
    print(json.dumps({"step_tokens": options.step_tokens, "rows": found}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the built-in tiny model, few steps")
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "stories-zh.yaml")
    parser.add_argument("--methods", nargs="+", choices=METHODS)
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--at", type=int, nargs="+", help="steps to measure at")
    parser.add_argument("--step-tokens", type=int, default=1024)
    parser.add_argument("--docs", type=int, default=40, help="held-out documents a language")
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--runs", type=Path, help="keep the run folder here")
    options = parser.parse_args()
    if options.quick:
        options.recipe = ROOT / "src" / "hanhua" / "demo" / "data" / "demo.yaml"
        options.docs = 10
    options.methods = options.methods or (["mean", "random"] if options.quick else list(METHODS))
    options.seeds = options.seeds or ([1] if options.quick else [1, 2])
    options.at = sorted({0, *(options.at or ([0, 5] if options.quick else [0, 100, 1000]))})
    return options


def one(
    recipe: Recipe, runs: Path, method: str, seed: int, options: argparse.Namespace
) -> dict[str, Any]:
    """A method with a seed: expand, then train and measure."""
    paths = {step.name: step.path for step in plan(recipe.walk(runs), "vocab")}
    head = "mean" if method == "distill" else method
    config = (recipe.expand or pick_init.ExpandConfig()).model_copy(
        update={"input": method, "output": head, "auto_steps": options.at[-1]}
    )
    with tempfile.TemporaryDirectory() as folder:
        task = Expansion(
            base=paths["base"] / "model", vocab=paths["vocab"], out=Path(folder) / "model",
            work=Path(folder), config=config, seed=seed, machine=recipe.machine,
            texts=Texts(paths["corpus"], recipe.target, recipe.source, config.text_chars),
            progress=Silent(),
        )  # fmt: skip
        start = time.process_time()
        rows = task.expand(task.out, config, None)
        seconds = time.process_time() - start
        bits = measure(task, options)
    return {"method": method, "seed": seed, "cpu_seconds": round(seconds, 1), "bits": bits,
            "new_rows": rows["new_rows"]}  # fmt: skip


def measure(task: Expansion, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Bits per byte by step and language."""
    torch.manual_seed(task.seed)
    model, tokenizer = load_model(task.out), load_tokenizer(task.out)
    steps, documents = pick_init.trial_batches(task), task.held_out(options.docs)
    micro = task.machine.micro_batch_tokens
    found, done = {}, 0
    for at in options.at:
        if at > done:
            pick_init._train(model, steps[done:at], options.learning_rate, micro)
            done = at
        found[str(at)] = pick_init._bits(model, tokenizer, documents)
    return found


def table(found: Sequence[dict[str, Any]], at: Sequence[int]) -> str:
    codes = list(found[0]["bits"]["0"])
    columns = [(step, code) for code in codes for step in at]
    head = " | ".join(f"{code} at {step}" for step, code in columns)
    lines = [f"| method | {head} | seeds |", "|-" * (len(columns) + 2) + "|"]
    for method in dict.fromkeys(row["method"] for row in found):
        rows = [row for row in found if row["method"] == method]
        cells = []
        for step, code in columns:
            values = [row["bits"][str(step)][code] for row in rows]
            spread = f" ({min(values):.3f}–{max(values):.3f})" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.3f}{spread}")
        lines.append(f"| {method} | " + " | ".join(cells) + f" | {len(rows)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
