"""Forgetting controls against one another: what each gains and loses at equal tokens, with spread.

    python benchmarks/forgetting.py RECIPE --tokens N [--seeds 3] [--replay 0.25] [--docs 100]
        [--set SECTION.KEY=VALUE] [--runs FOLDER] [--only NAME ...] [--jobs 1] [--plot FILE.svg]
    python benchmarks/forgetting.py --quick [--plot FILE.svg]

Every control is the same recipe with other values in ``tokens`` and ``pretrain``, trained on N
tokens from the same start (the base with its new rows); where the share of English is the same,
on the same rows. Beside plain training and three shares of replay, all controls stand at the
common share ``--replay``: freezing (new rows or both ends first, both ends only, LoRA with both
ends), lower rates, no re-warming, L2 towards the base, and an average of the steps. The models of
plain training and of the common share are also merged with the base, new rows as trained, which
costs no tokens. ``forgetting_controls.py`` has the list. Not in it: the chat vector, which needs a
chat model of the base; full training of some layers only, which a recipe cannot say.

A seed changes the choice and order of the rows and where adapters begin; corpus, vocabulary and
start are made once. Each saved model, trained or merged, is measured by one function on the same
held-out documents, in bits per byte. The spread is over seeds alone: other documents would add to
it. Equal are the tokens; freezing and adapters also take less time a token, see the CPU seconds.

All runs and measurements are kept in the folder NAME-forgetting, and a command that was killed
goes on. A control whose training runs away is left out and named. ``--jobs`` runs so many seeds
at once. Prints a table, and one line of JSON last; the picture is an SVG.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from forgetting_controls import CONTROLS, MERGE, QUICK, Control, chosen, sections
from forgetting_page import Row, places, table
from forgetting_picture import picture
from forgetting_runs import Lab, Losses, Ran, Seed, prepare
from hanhua.cli.runs import quiet_libraries
from hanhua.core.errors import HanhuaError, TrainingError
from hanhua.core.files import write_text
from hanhua.core.progress import Silent, default_progress, duration
from hanhua.demo.run import demo_recipe_path
from hanhua.mix.config import MixConfig
from hanhua.recipe import load_recipe

QUICK_SET = (
    *(f"corpus.sources.{number}.limit_docs=2000" for number in range(3)), "corpus.held_out_docs=40",
    "tokens.seq_len_tokens=256", "pretrain.batch_tokens=512", "machine.threads=1",
)  # fmt: skip


def main() -> None:
    options = _options()
    recipe = load_recipe(options.recipe, options.set)
    config = recipe.mix or MixConfig()
    if recipe.machine.threads:
        os.environ.setdefault("OMP_NUM_THREADS", str(recipe.machine.threads))
    quiet_libraries()
    lab = prepare(
        recipe, options.runs, default_progress(False), tokens=options.tokens,
        replay=options.replay, docs=options.docs or config.docs, chars=config.max_chars_per_doc,
    )  # fmt: skip
    controls = chosen(recipe, options.only)
    seeds = [recipe.seed + number for number in range(options.seeds)]
    start = Seed(lab, seeds[0], default_progress(False)).measured(
        lab.start.path.name, lab.start.path / "model"
    )
    merging = not options.only or MERGE in options.only
    found = run_all(lab, controls, seeds, merging, options.jobs)
    rows = as_rows(lab, controls, found, start)
    failed = sorted({one.name for one in controls} - {row.name for row in rows})
    print(table(rows, start, *lab.languages))
    if failed:
        print(f"\nLeft out, since training ran away: {', '.join(failed)}.")
    if options.plot and rows:
        write_text(options.plot, picture(rows, *lab.languages))
    print(json.dumps(_facts(lab, rows, start, seeds) | {"failed": failed}, sort_keys=True))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [one.name for one in CONTROLS] + [MERGE]
    parser.add_argument("recipe", nargs="?", type=Path)
    parser.add_argument("--tokens", type=int, help="of every run, all languages together")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--replay", type=float, default=0.25, help="the common share")
    parser.add_argument("--docs", type=int, help="held-out documents a language; else mix.docs")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--only", nargs="+", default=[], choices=names, metavar="NAME",
                        help=", ".join(names))  # fmt: skip
    parser.add_argument("--jobs", type=int, default=1, help="seeds at once")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg")
    parser.add_argument("--quick", action="store_true", help="the built-in model, a few steps")
    options = parser.parse_args()
    if options.quick:
        options.recipe, options.tokens, options.seeds = demo_recipe_path(), 8_192, 2
        options.docs, options.only = 20, list(QUICK)
        options.set = [*QUICK_SET, *options.set]
        options.runs = Path(tempfile.mkdtemp())
    if options.recipe is None or not options.tokens:
        parser.error("name a recipe, and the tokens of a run")
    if options.seeds < 1 or options.jobs < 1 or not 0 <= options.replay < 1:
        parser.error("--seeds and --jobs are 1 or more, --replay is from 0 to below 1")
    return options


def run_all(
    lab: Lab, controls: Sequence[Control], seeds: Sequence[int], merging: bool, jobs: int
) -> list[dict[str, Ran]]:
    """What each seed measured, by the controls' names."""
    one = partial(run_seed, lab, [control.name for control in controls], seeds, merging)
    if jobs == 1:
        return [one(seed) for seed in seeds]
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(one, seeds))


def run_seed(
    lab: Lab, names: Sequence[str], seeds: Sequence[int], merging: bool, seed: int
) -> dict[str, Ran]:
    """Train all controls of one seed, then merge; says what is left and for how long."""
    controls = [one for one in CONTROLS if one.name in names]  # functions don't cross processes
    progress = default_progress(False)
    quiet_libraries()
    runs = Seed(lab, seed, progress)
    found: dict[str, Ran] = {}
    for control in controls:
        if runs.trained(control) is None:
            progress.say(f"\nseed {seed}, {control.name}: {_left(lab, controls, seeds)}")
        try:
            found[control.name] = runs.train(control)
        except TrainingError as error:
            progress.say(f"{control.name} is left out: {error}")
    return found | (runs.merges(controls) if merging else {})


def _left(lab: Lab, controls: Sequence[Control], seeds: Sequence[int]) -> str:
    """How many runs of all seeds are left, and how long by the mean of those made."""
    made = [Seed(lab, seed, Silent()).trained(one) for seed in seeds for one in controls]
    spent = [float(one.record["seconds"]) for one in made if one is not None]
    ahead = len(made) - len(spent)
    about = f", about {duration(float(np.mean(spent)) * ahead)} of training" if spent else ""
    return f"{ahead} of {len(made)} runs left, {lab.tokens:,} tokens each{about}"


def as_rows(
    lab: Lab, controls: Sequence[Control], found: Sequence[Mapping[str, Ran]], start: Losses
) -> list[Row]:
    """A row for each control and each merged model."""
    target, source = lab.languages
    titles = {one.name: one for one in controls}
    rows = []
    for name in found[0]:
        ran = [seed[name] for seed in found if name in seed]
        if len(ran) < len(found):
            continue
        parent, _, alpha = name.partition("+base-")
        control = titles[parent]
        kept = lab.replay if control.replay is None else control.replay
        settings = _settings(lab, control)
        said = control.title(kept, source, settings) + (f", merged {alpha}" if alpha else "")
        rows.append(Row(
            name, said, "merged" if alpha else control.family,
            np.array([float(one.tokens) for one in ran]),
            np.array([one.cpu_seconds for one in ran]),
            np.array([one.losses[target] for one in ran]),
            np.array([100 * (one.losses[source] / start[source] - 1) for one in ran]),
            settings | ({"merged": float(alpha)} if alpha else {}),
        ))  # fmt: skip
    return rows


def _settings(lab: Lab, control: Control) -> dict[str, Any]:
    """What the control set, as in a recipe."""
    rows, training = sections(
        lab.recipe, control, tokens=lab.tokens, replay=lab.replay, hidden=lab.hidden
    )
    said = training.model_dump(mode="json")
    keys = (
        "learning_rate",
        "schedule",
        "warmup_share",
        "phases",
        "lora",
        "pull_to_base",
        "average",
    )
    return {"shares": dict(rows.shares), **{key: said[key] for key in keys}}


def _facts(lab: Lab, rows: Sequence[Row], start: Losses, seeds: Sequence[int]) -> dict[str, Any]:
    marks = {"●": "on", "≈": "near", "": "off"}
    found = [
        row.facts() | {"front": marks[place]} for row, place in zip(rows, places(rows), strict=True)
    ]
    return {
        "benchmark": "forgetting", "recipe": lab.recipe.name, "tokens": lab.tokens,
        "replay": lab.replay, "seeds": list(seeds), "docs": lab.docs, "start": start,
        "target": lab.recipe.target, "source": lab.recipe.source, "controls": found,
    }  # fmt: skip


if __name__ == "__main__":
    try:
        main()
    except HanhuaError as error:
        sys.exit(str(error))
