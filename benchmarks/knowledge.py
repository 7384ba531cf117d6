"""Facts as text, as instructions, or mixed: `hanhua study knowledge` on small models.

    python benchmarks/knowledge.py [RECIPE] [--model FOLDER] [--facts FILE] [--tokens N] [--seeds 3]
        [--learning-rate R] [--set SECTION.KEY=VALUE] [--runs FOLDER]
    python benchmarks/knowledge.py --quick

RECIPE left out: the built-in walk, with invented facts about people of its stories. With another
recipe (for example recipes/stories-zh.yaml, where HANHUA_DATA names the shared data) the facts are
about people with invented names. --model studies a model in place of the one that the recipe
makes. Finished runs are kept in the folder and not made again. Prints what the command prints, the
recall of facts by the language that they were told in, and one line of JSON last.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from hanhua.cli.study_knowledge import run_study
from hanhua.cli.study_knowledge_asked import Asked
from hanhua.demo.knowledge import invented_facts
from hanhua.demo.run import demo_recipe_path
from hanhua.mix.knowledge_file import as_line
from hanhua.mix.knowledge_text import columns, find, text
from hanhua.recipe import load_recipe

QUICK = ("vocab=null", "expand=null", "tokens.budget_tokens=20000", "mix.docs=5")


def main() -> None:
    options = _options()
    asked = Asked(
        options.facts, options.model, options.tokens, 0.5, options.seeds, options.learning_rate
    )
    recipe = load_recipe(options.recipe, options.set)
    found = run_study(recipe, asked, options.runs, quiet=False)
    print(text(found))
    print(f"\n{directions(found)}")
    found["benchmark"] = "knowledge"
    print(json.dumps(found, ensure_ascii=False))


def directions(found: dict[str, Any]) -> str:
    """Recall of each arm by the language of injection, asked in the other one, as Markdown."""
    asked = [column for column in columns(found) if column[1] == "other"]
    lines = ["| told in | facts told as | " + " | ".join(column[3] for column in asked) + " |",
             "|" + "---|" * (len(asked) + 2)]  # fmt: skip
    for told in (found["target"], found["source"]):
        for arm in found["arms"]:
            cells = [find(found["recall"], arm=arm, form=form, language=where, wording=wording,
                          told_in=told) for form, where, wording, _ in asked]  # fmt: skip
            shown = [f"{c['accuracy']:.0%} [{c['low']:.0%}, {c['high']:.0%}]" for c in cells if c]
            lines.append(f"| {told} | {arm} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", nargs="?", type=Path, default=demo_recipe_path())
    parser.add_argument("--model", help="to study in place of the recipe's")
    parser.add_argument("--facts", type=Path, help="left out: invented")
    parser.add_argument("--tokens", type=int, help="learnt in a run; left out: 1,000 a fact")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--quick", action="store_true", help="the built-in base, a few steps")
    options = parser.parse_args()
    if options.quick:
        options.recipe, options.set, options.seeds = demo_recipe_path(), list(QUICK), 1
        options.tokens, options.model = 2048, str(demo_recipe_path().parent / "tiny-en")
        options.runs = Path(tempfile.mkdtemp())
        options.facts = options.runs / "facts.jsonl"
        options.facts.write_text("".join(map(as_line, invented_facts(3, 17))), encoding="utf-8")
    return options


if __name__ == "__main__":
    main()
