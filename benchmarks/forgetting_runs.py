"""The runs of benchmarks/forgetting.py: one shared start, a folder for each seed, all cached.

A recipe's seed is part of every fingerprint, also of its corpus and vocabulary, which must be the
same here. So a seed's walk has stages of its own for these two: they hand over the artifacts that
were made once, as hard links, and only rows and training know the seed.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from forgetting_controls import ALPHAS, MERGED, Control, sections
from hanhua.cli.mix_study import share_artifacts
from hanhua.core.artifact import RECORD, Artifact
from hanhua.core.config import Section
from hanhua.core.files import link_or_copy, read_json, write_json
from hanhua.core.progress import Progress, Silent
from hanhua.core.runner import run as run_walk
from hanhua.core.stage import Context, Node, Result, Stage
from hanhua.core.walk import Walk, plan
from hanhua.eval.bits_per_byte import choose, score_texts
from hanhua.eval.forward import CausalModel
from hanhua.mix.collect import check_corpus
from hanhua.model.load import read_config
from hanhua.model.merge import average, interpolated, merge, shared_tokens
from hanhua.recipe import Recipe
from hanhua.stages import pretrain, tokens
from hanhua.text.document import Document
from hanhua.text.shards import read_language

Losses = dict[str, float]
"""language -> bits per byte of the held-out documents together"""


@dataclass(frozen=True, slots=True)
class Lab:
    """What all runs share.

    Args:
        recipe: the user's.
        corpus, base, start: artifacts; start is the base with its new rows.
        folder: of all that is made here.
        tokens: of a run.
        replay: the common share of the source language.
        docs, chars: how much of the held-out text.
    """

    recipe: Recipe
    corpus: Artifact
    base: Artifact
    start: Artifact
    folder: Path
    tokens: int
    replay: float
    docs: int
    chars: int

    @property
    def languages(self) -> tuple[str, str]:
        """Target and source."""
        return self.recipe.target, self.recipe.source

    @property
    def hidden(self) -> int:
        """Width of the model."""
        return int(read_config(self.start.path / "model").hidden_size)

    def texts(self) -> dict[str, list[Document]]:
        """The documents that every model is measured on."""
        return {
            language: choose(
                list(read_language(self.corpus.path, language, "held_out")), self.docs, self.chars
            )
            for language in self.languages
        }


@dataclass(frozen=True, slots=True)
class Ran:
    """A model that was measured.

    Args:
        tokens: trained on, counted; padding not.
        cpu_seconds: of its training.
        losses: at its end.
    """

    tokens: int
    cpu_seconds: float
    losses: Losses


class Given(Section):
    """Stands for an artifact that was made elsewhere."""

    fingerprint: str


def prepare(
    recipe: Recipe, runs: Path, progress: Progress, *, tokens: int, replay: float, docs: int,
    chars: int,
) -> Lab:  # fmt: skip
    """Make what all runs share, or take it from the recipe's own run.

    Raises:
        HanhuaError: whatever a stage refuses.
    """
    folder = runs / f"{recipe.name}-forgetting"
    later = dict.fromkeys(("chatdata", "finetune", "eval", "export", "mix"))
    walk = recipe.model_copy(update={**later, "name": folder.name}).walk(runs)
    share_artifacts(recipe.walk(runs), walk.run_dir)
    last = "corpus" if recipe.vocab is None else "expand"
    stages = run_walk(walk, progress, until=last)["stages"]
    made = {name: Artifact.load(folder / entry["path"]) for name, entry in stages.items()}
    check_corpus(made["corpus"].path, recipe.target, recipe.source)
    start = made.get("expand", made["base"])
    return Lab(recipe, made["corpus"], made["base"], start, folder, tokens, replay, docs, chars)


class Seed:
    """The runs of one seed, and what was measured of them.

    Args:
        lab: what all share.
        seed: of rows, order and adapters.
        progress: where to show it.
    """

    def __init__(self, lab: Lab, seed: int, progress: Progress) -> None:
        self.lab, self.seed, self.progress = lab, seed, progress
        self.folder = lab.folder / f"seed-{seed}"
        self.scores = self.folder / f"scores-{lab.docs}-{lab.chars}.json"

    def walk(self, control: Control) -> Walk:
        """Of a control, in this seed's folder."""
        lab = self.lab
        rows, training = sections(
            lab.recipe, control, tokens=lab.tokens, replay=lab.replay, hidden=lab.hidden
        )
        model = lab.start.stage
        nodes = [
            _given(lab.corpus), _given(lab.start),
            Node(stage=tokens.STAGE, config=rows, inputs={"model": model, "corpus": "corpus"}),
            Node(stage=pretrain.STAGE, config=training,
                 inputs={"model": model, "tokens": "tokens"}),
        ]  # fmt: skip
        return Walk(
            name=lab.folder.name, nodes=nodes, seed=self.seed, target=lab.recipe.target,
            source=lab.recipe.source, machine=lab.recipe.machine, run_dir=self.folder,
        )  # fmt: skip

    def trained(self, control: Control) -> Artifact | None:
        """The model, if it was made."""
        step = plan(self.walk(control))[-1]
        return Artifact.load(step.path) if step.done else None

    def train(self, control: Control) -> Ran:
        """Make a model of a control, or find it, and measure it."""
        fresh = self.trained(control) is None
        stages = run_walk(self.walk(control), self.progress if fresh else Silent())["stages"]
        made = Artifact.load(self.folder / stages["pretrain"]["path"])
        return self._ran(made, self.measured(made.path.name, made.path / "model"))

    def merges(self, controls: Sequence[Control]) -> dict[str, Ran]:
        """Models between the base and those trained, by name."""
        found: dict[str, Ran] = {}
        for control in controls:
            made = self.trained(control) if control.name in MERGED else None
            if made is None:
                continue
            for alpha in ALPHAS:
                losses = self._merged(made, alpha)
                found[f"{control.name}+base-{alpha:g}"] = self._ran(made, losses)
        return found

    def _merged(self, made: Artifact, alpha: float) -> Losses:
        key = f"{made.path.name}+{alpha:g}"
        if key in self._known():
            return self.measured(key, Path())
        trained, base = made.path / "model", self.lab.base.path / "model"
        out = self.folder / ".merged"
        shutil.rmtree(out, ignore_errors=True)
        terms = interpolated(average([trained]), base, alpha, None)
        merge(terms, shared_tokens([trained, base]), out)
        losses = self.measured(key, out)
        shutil.rmtree(out)
        return losses

    def _ran(self, made: Artifact, losses: Losses) -> Ran:
        return Ran(int(made.counts["tokens"]), float(made.record["cpu_seconds"]), losses)

    def _known(self) -> dict[str, Losses]:
        return dict(read_json(self.scores)) if self.scores.exists() else {}

    def measured(self, key: str, model: Path) -> Losses:
        """Bits per byte of a model; once measured it is remembered under a key."""
        known = self._known()
        if key not in known:
            known[key] = losses_of(model, self.lab.texts(), self.lab.recipe, self.progress)
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(self.scores, known)
        return known[key]


def losses_of(
    folder: Path, texts: Mapping[str, Sequence[Document]], recipe: Recipe, progress: Progress
) -> Losses:
    """Bits per byte by language, in fp32, whatever the training's arithmetic."""
    torch.set_num_threads(recipe.machine.threads or torch.get_num_threads())
    cuda = torch.cuda.is_available() and recipe.machine.device != "cpu"
    model = CausalModel.load(folder, "cuda" if cuda else "cpu")
    found = {}
    for language, documents in texts.items():
        scores = score_texts(model, documents, progress)
        bits = sum(one.nats for one in scores) / math.log(2)
        found[language] = bits / sum(one.n_bytes for one in scores)
    return found


def _given(artifact: Artifact) -> Node:
    """A stage that hands over an artifact."""
    stage = Stage(
        name=artifact.stage, version=1, title="made before", run=partial(_hand_over, artifact)
    )
    return Node(stage=stage, config=Given(fingerprint=artifact.fingerprint), inputs={})


def _hand_over(artifact: Artifact, context: Context[Any]) -> Result:
    shutil.copytree(
        artifact.path, context.out, copy_function=link_or_copy, dirs_exist_ok=True,
        ignore=lambda folder, names: {RECORD} if Path(folder) == artifact.path else set(),
    )  # fmt: skip
    return Result(counts=artifact.counts, metrics=artifact.metrics)
