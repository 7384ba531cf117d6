"""Is more compression better? Bits per byte after equal compute, for each kind of piece and none.

Runs a recipe up to the measured pretrained model, once for each arm and seed, in one run folder
(what arms share is made once). Every arm gets the same training FLOPs: tokens are fewer where the
head is larger. Bits per byte does not depend on the tokenizer.

    python benchmarks/patterns.py [--quick] [--recipe R] [--add N ...] [--seeds S ...] [--tokens B]

Prints a table, and one line of JSON last.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hanhua.core.progress import Silent, default_progress
from hanhua.core.runner import run
from hanhua.model.facts import base_facts
from hanhua.recipe import load_recipe

ROOT = Path(__file__).parents[1]
PATTERNS = ("punct_letters", "letters_marks", "letters")


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        runs = options.runs or Path(folder)
        found = []
        for add in options.add:
            for pattern in PATTERNS if add else ("none",):
                for seed in options.seeds:
                    found.append(arm(options, runs, add, pattern, seed))
                    print(json.dumps(found[-1]), flush=True)
    print(table(found))
    print(json.dumps({"arms": found}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the built-in tiny model, few steps")
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "stories-zh.yaml")
    parser.add_argument("--add", type=int, nargs="+", help="pieces; 0: no expansion")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--tokens", type=int, help="training tokens of the unexpanded model")
    parser.add_argument("--runs", type=Path, help="keep the run folder here")
    options = parser.parse_args()
    if options.quick:
        options.recipe = ROOT / "src" / "hanhua" / "demo" / "data" / "demo.yaml"
    options.add = options.add or ([0, 512] if options.quick else [0, 4096])
    options.seeds = options.seeds or ([1] if options.quick else [1, 2])
    options.tokens = options.tokens or (40_000 if options.quick else 1_000_000)
    return options


def arm(
    options: argparse.Namespace, runs: Path, add: int, pattern: str, seed: int
) -> dict[str, Any]:
    base = base_facts(load_recipe(options.recipe).base)
    hidden = base["hidden_size"]
    body = base["n_params"] - base["vocab_size"] * hidden * (1 if base["tied"] else 2)
    cost = (body + (base["vocab_size"] + add) * hidden) / (body + base["vocab_size"] * hidden)
    tokens = round(options.tokens / cost)
    overrides = [f"tokens.budget_tokens={tokens}", f"seed={seed}", "finetune=null",
                 "chatdata=null", "export=null", "eval.tasks=[]", "eval.drift=null",
                 "eval.prompts={}"]  # fmt: skip
    if add:
        overrides += [f"vocab.add={add}", f"vocab.pattern={pattern}", "vocab.guard=none"]
    else:
        overrides += ["vocab=null", "expand=null", "pretrain.phases=[{train: all}]"]
    recipe = load_recipe(options.recipe, overrides)
    progress = Silent() if options.quick else default_progress()
    ledger = run(recipe.walk(runs), progress, until="eval-pretrain")
    bits = ledger["stages"]["eval-pretrain"]["metrics"]["bits_per_byte"]
    vocab = ledger["stages"].get("vocab", {}).get("metrics", {})
    return {
        "add": add, "pattern": pattern, "seed": seed, "tokens": tokens,
        "zh": bits["zh"]["value"], "en": bits["en"]["value"], "n_zh": bits["zh"]["n_docs"],
        "tokens_per_char": vocab.get("tokens_per_char", {}).get("after", {}).get("zh"),
    }  # fmt: skip


def table(found: Sequence[dict[str, Any]]) -> str:
    lines = ["| pieces | pattern | tokens / char | zh bits/byte, mean (each seed) | en | n |",
             "|-|-|-|-|-|-|"]  # fmt: skip
    for key in dict.fromkeys((row["add"], row["pattern"]) for row in found):
        rows = [row for row in found if (row["add"], row["pattern"]) == key]
        zh, en = ([row[code] for row in rows] for code in ("zh", "en"))
        each = ", ".join(f"{value:.4f}" for value in zh)
        rate = rows[0]["tokens_per_char"]
        lines.append(
            f"| {key[0]:,} | {key[1]} | {rate or '–'} | {statistics.mean(zh):.4f} ({each}) | "
            f"{statistics.mean(en):.4f} | {rows[0]['n_zh']} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
