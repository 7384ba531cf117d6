"""``hanhua mix --domains``: small runs at mixtures of all sources, a law, a recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hanhua.cli.mix_answer import only_large
from hanhua.cli.mix_budget import PART_HELD, answer_within
from hanhua.cli.mix_domains_answer import write_domains
from hanhua.cli.mix_study import make_one, share_artifacts, small_recipe
from hanhua.cli.runs import quiet_libraries
from hanhua.core.errors import RecipeError, UsageError

if TYPE_CHECKING:
    from hanhua.core.progress import Progress
    from hanhua.core.walk import Walk
    from hanhua.mix.config import MixConfig
    from hanhua.mix.domain_study import DomainRun, DomainStudy
    from hanhua.mix.proxy import Small
    from hanhua.recipe import Recipe

FEWEST_RUNS = 5
"""A law needs four, and one is left out in turn."""
TOLERANCE = 0.1
"""Each of many sources misses its share by a part of a document; laws know the counted shares."""


@dataclass(frozen=True, slots=True)
class Start:
    """What all small runs share.

    Args:
        corpus: the artifact of the texts.
        model: the model's folder before the first step.
        held: about how many tokens of each share the corpus holds.
        budget: tokens of a small run.
        walk: of the first small run.
    """

    corpus: Path
    model: Path
    held: Mapping[str, float]
    budget: int
    walk: Walk


def mix_domains(
    recipe: Recipe, config: MixConfig, runs: Path, progress: Progress
) -> dict[str, Any]:
    """Measure, fit, recommend, and write all of it; the answer, with the paths of its files.

    Args:
        recipe: the user's, with corpus, tokens and pretrain.
        config: its ``mix`` section.
        runs: folder that holds the runs; the small ones go to ``NAME-mix`` in it.
        progress: where to show it.

    Raises:
        RecipeError: when there are too few sources to mix.
        UsageError: for too few runs, or a wish about a language that is not measured.
        HanhuaError: whatever a stage refuses; finished runs stay.
    """
    from hanhua.core.wish import parse_wish
    from hanhua.mix.domain_answer import recommend_shares
    from hanhua.mix.domain_result import domain_result
    from hanhua.train.schedule import run_tokens

    assert recipe.tokens is not None
    assert recipe.pretrain is not None
    wish = parse_wish(config.wish)
    start, mixtures = prepare_domains(recipe, config, runs, progress)
    study = measure_domains(recipe, config, mixtures, start, runs, progress)
    share_artifacts(start.walk, recipe.walk(runs).run_dir)
    answer = recommend_shares(study, wish, level=config.level, seed=recipe.seed)

    def ask(recipe: Recipe) -> dict[str, Any]:  # this law has one answer for any budget
        assert recipe.tokens is not None
        assert recipe.pretrain is not None
        large = run_tokens(recipe.pretrain, recipe.tokens.budget_tokens)
        tokens = round(sum(run.tokens for run in study.runs))
        compute = {"runs": len(study.runs), "tokens": tokens, "of_large_run": tokens / large}
        return domain_result(
            study, answer, wish=wish.text, tokens=large, level=config.level, compute=compute
        )

    recipe, result, notes = answer_within(recipe, start.held, ask)
    result["notes"] += [*_left_aside(config), *only_large(recipe), *notes]
    return write_domains(recipe, study, result, runs)


OF_TWO = (
    "lengths", "ahead", "ahead_runs", "schedule", "moments", "seeds", "repeats", "learning_rates",
    "refine",
)  # fmt: skip
"""Keys that only a mixture of two languages goes by."""


def _left_aside(config: MixConfig) -> Iterator[str]:
    keys = [f"mix.{key}" for key in OF_TWO if key in config.model_fields_set]
    if keys:
        yield f"{', '.join(keys)}: of two languages; a mixture of domains is run once, to its end"


def prepare_domains(
    recipe: Recipe, config: MixConfig, runs: Path, progress: Progress
) -> tuple[Start, list[dict[str, float]]]:
    """Make what all small runs share; with it the mixtures to run, the recipe's own first.

    Args:
        recipe: the user's, with corpus, tokens and pretrain.
        config: its ``mix`` section.
        runs: folder that holds the runs.
        progress: where to show it.

    Raises:
        RecipeError: when there are too few sources to mix, or too little text.
        UsageError: for too few runs.
        HanhuaError: whatever a stage refuses.
    """
    assert recipe.tokens is not None
    count, first = _runs(recipe, config), _small(recipe, config, recipe.tokens.shares)
    quiet_libraries()
    start = _start(recipe, first, runs, progress)
    return start, _mixtures(recipe, count, start.budget, start.held)


def refuse_domains(recipe: Recipe) -> None:
    """Refuse a mixture of two languages where shares are those of domains.

    Raises:
        RecipeError: naming the way to mix them.
    """
    from hanhua.text.domains import has_domains

    assert recipe.tokens is not None
    if has_domains(recipe.tokens.shares):
        raise RecipeError(
            "These shares are of domains, and this would mix two languages.",
            where="tokens.shares", found=", ".join(recipe.tokens.shares),
            fix="call hanhua mix --domains, or set mix.domains: true",
        )  # fmt: skip


def _runs(recipe: Recipe, config: MixConfig) -> int:
    """How many small runs: as asked, or two a source; refused where that tells nothing."""
    from hanhua.mix.domains import RUNS_A_SOURCE

    assert recipe.tokens is not None
    sources = sum(share > 0 for share in recipe.tokens.shares.values())
    if sources < 2:
        raise RecipeError(
            "There is nothing to mix.", where="tokens.shares",
            found=", ".join(recipe.tokens.shares),
            fix="name two or more languages or domains, e.g. {zh/news: 0.4, zh/web: 0.3, en: 0.3}",
        )  # fmt: skip
    if config.shares:
        raise UsageError(
            "Shares to try are those of two languages; mixtures of domains are planned.",
            where="mix.shares or --shares", found=list(config.shares), fix="leave them out",
        )  # fmt: skip
    least = max(sources + 2, FEWEST_RUNS)
    enough = max(RUNS_A_SOURCE * sources, least)
    asked = config.runs if "runs" in config.model_fields_set else enough
    if asked < least:
        raise UsageError(
            f"A law of {sources} sources needs {least} runs or more.",
            where="mix.runs or --ratios", found=asked, fix=f"ask for {enough}",
        )  # fmt: skip
    return asked


def _mixtures(
    recipe: Recipe, count: int, budget: int, held: Mapping[str, float]
) -> list[dict[str, float]]:
    """The mixtures to run, all of which the corpus can fill."""
    from hanhua.mix.domain_study import plan_mixtures

    assert recipe.tokens is not None
    most = {key: PART_HELD * recipe.tokens.max_epochs * n / budget for key, n in held.items()}
    found = plan_mixtures(recipe.tokens.shares, count, seed=recipe.seed, most=most)
    if len(found) < count:
        raise RecipeError(
            "The corpus has too little text for other mixtures than the recipe's.",
            where="corpus.sources",
            found=", ".join(f"{key} {n:,.0f} tokens" for key, n in held.items()),
            fix="lower mix.tokens, raise tokens.max_epochs, or add text",
        )  # fmt: skip
    return found


def _small(recipe: Recipe, config: MixConfig, shares: Mapping[str, float]) -> Small:
    """A small run at a mixture: the recipe's schedule to its end, at one length."""
    from hanhua.mix.proxy import small_runs
    from hanhua.tokens.mixture import by_language

    assert recipe.tokens is not None
    assert recipe.pretrain is not None
    one_length = config.model_copy(update={"lengths": 1, "schedule": "own"})
    languages = {recipe.target: 0.0, **by_language({"asked": shares})["asked"]}
    (one,) = small_runs(recipe.tokens, recipe.pretrain, one_length, languages, recipe.target)
    update = {"shares": dict(shares), "tolerance": max(one.tokens.tolerance, TOLERANCE)}
    return replace(one, tokens=one.tokens.model_copy(update=update))


def _start(recipe: Recipe, first: Small, runs: Path, progress: Progress) -> Start:
    """Make what all small runs share, or take it from the recipe's own run."""
    from hanhua.core.runner import run as run_walk
    from hanhua.mix.collect import check_corpus
    from hanhua.mix.domain_corpus import held_tokens
    from hanhua.model.load import load_tokenizer

    assert recipe.tokens is not None
    walk = small_recipe(recipe, first).walk(runs)
    share_artifacts(recipe.walk(runs), walk.run_dir)
    stages = run_walk(walk, progress, until="corpus")["stages"]
    corpus, last = walk.run_dir / stages["corpus"]["path"], "base"
    check_corpus(corpus, recipe.target, recipe.source)
    if recipe.vocab is not None:
        stages, last = run_walk(walk, progress, until="expand")["stages"], "expand"
    model = walk.run_dir / stages[last]["path"] / "model"
    held = held_tokens(corpus, recipe.tokens.shares, load_tokenizer(model))
    return Start(corpus, model, held, first.budget, walk)


def measure_domains(
    recipe: Recipe, config: MixConfig, mixtures: Sequence[Mapping[str, float]], start: Start,
    runs: Path, progress: Progress,
) -> DomainStudy:  # fmt: skip
    """Make the small runs, each unless it is there, and read them.

    Args:
        recipe: the user's.
        config: its ``mix`` section.
        mixtures: shares of each key, a run each.
        start: what they share.
        runs: folder that holds the runs.
        progress: a line a run.

    Raises:
        HanhuaError: whatever a stage refuses; finished runs stay.
    """
    from hanhua.cli.mix_jobs import Job, make_apart
    from hanhua.mix.domain_study import DomainStudy

    assert recipe.tokens is not None
    own = {key: share for key, share in recipe.tokens.shares.items() if share > 0}
    small = [_small(recipe, config, shares) for shares in mixtures]
    titles = [
        ", ".join(f"{key} {share:.1%}" for key, share in shares.items()) for shares in mixtures
    ]
    if config.jobs > 1:
        jobs = [
            Job(small_recipe(recipe, one), title, one.budget)
            for one, title in zip(small, titles, strict=True)
        ]
        make_apart(jobs, runs, config.jobs, progress)
    base: dict[str, float] = {}
    found: list[DomainRun] = []
    for number, (one, title) in enumerate(zip(small, titles, strict=True), start=1):
        progress.say(f"small run {number} of {len(small)}: {title}")
        before, run = _run_one(recipe, config, one, start, runs, progress)
        base = base or before
        found.append(replace(run, shares={key: run.shares[key] for key in own}))
    return DomainStudy(recipe.target, recipe.source, tuple(own), own, base, tuple(found))


def _run_one(
    recipe: Recipe, config: MixConfig, one: Small, start: Start, runs: Path, progress: Progress
) -> tuple[dict[str, float], DomainRun]:
    """Make one small run unless it is there: losses before the first step, and at the end."""
    from hanhua.core.artifact import Artifact
    from hanhua.mix.collect import read_run
    from hanhua.mix.domain_study import DomainRun

    made = make_one(small_recipe(recipe, one).walk(runs), progress)
    if not made.fresh:
        progress.say("      done before")
    pretrain = made.pretrain
    before, points = read_run(
        made.tokens, pretrain, one.training, recipe.target, recipe.source, machine=recipe.machine
    )
    metrics = Artifact.load(made.tokens).metrics
    counted = metrics.get("domains", metrics["shares"])["counted"]
    losses = {**points[-1].losses, **_by_domain(recipe, config, start, pretrain / "model")}
    base = {**before, **_by_domain(recipe, config, start, start.model)}
    return base, DomainRun(counted, points[-1].tokens, losses)


def _by_domain(recipe: Recipe, config: MixConfig, start: Start, model: Path) -> dict[str, float]:
    """Each domain's held-out bits per byte, measured once and kept beside the small runs."""
    from hanhua.mix.domain_corpus import domain_texts, kept_losses
    from hanhua.train.parallel import device_of

    assert recipe.tokens is not None
    docs, chars = config.docs, config.max_chars_per_doc
    texts = domain_texts(start.corpus, recipe.tokens.shares, docs, chars)
    name = f"{model.parent.name}-{docs}-{chars}.json"
    return kept_losses(model.parent.parent / "domain-losses" / name, model, texts,
                       device_of(recipe.machine))  # fmt: skip
