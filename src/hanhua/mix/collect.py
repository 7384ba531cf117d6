"""What a small run measured: from its artifacts to points."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hanhua.core.artifact import Artifact
from hanhua.core.config import Machine
from hanhua.core.errors import ArtifactError, RecipeError
from hanhua.mix.points import Point
from hanhua.mix.saved import HERE, saved_losses
from hanhua.text.shards import language_files
from hanhua.tokens.source import read_groups
from hanhua.train.config import OptimConfig
from hanhua.train.schedule import lay_out


def check_corpus(corpus: Path, target: str, source: str) -> None:
    """Refuse a corpus that lacks one of the languages, in training or held out.

    Raises:
        RecipeError: naming the language and what to add.
    """
    for language in (target, source):
        if not language_files(corpus, language, "train"):
            raise RecipeError(
                f"A mixture needs two languages, and the corpus has no {language} text.",
                where="corpus.sources", found=f"no {language}",
                fix=f"add a {language} source to corpus.sources",
            )  # fmt: skip
        if not language_files(corpus, language, "held_out"):
            raise RecipeError(
                f"The corpus holds no {language} text out, so nothing can be measured on it.",
                where="corpus.held_out_docs", found=f"no held-out {language}",
                fix="set corpus.held_out_docs to a hundred or more",
            )  # fmt: skip


def read_run(
    tokens: Path,
    pretrain: Path,
    training: OptimConfig,
    target: str,
    source: str,
    seed: int = 0,
    machine: Machine = HERE,
) -> tuple[Mapping[str, float], list[Point]]:
    """The losses before the first step, and a point for each measurement behind the last warm-up.

    Runs of one mixture bear one name: their share is that of all the rows that were packed. Of a
    run that is measured at its end alone the model that it saved counts, be it an average.

    Args:
        tokens: the artifact of the rows: the share is the one counted there.
        pretrain: the artifact of the training.
        training: its section.
        target: the language to gain.
        source: the language to keep.
        seed: of the documents' order, counted from the recipe's; part of the name unless 0.
        machine: to measure a saved average on.

    Raises:
        ArtifactError: when the log cannot be read.
        RecipeError: when a language was not measured.
    """
    share = float(Artifact.load(tokens).metrics["shares"]["counted"].get(target, 0.0))
    lines = _lines(pretrain / "log.jsonl")
    base = _both(lines[0].get("held_out_start", {}), target, source)
    if "held_out" not in lines[-1]:
        raise ArtifactError(
            "A small run was not measured at its end.", where=pretrain / "log.jsonl",
            fix="delete the folder and run the same command again",
        )  # fmt: skip
    phase = lay_out(training, len(lines))[-1]
    begin = phase.start + training.warmup_share * (phase.stop - phase.start)
    name = f"{target}-{share:.3f}" + (f"+{seed}" if seed else "")
    points = [
        Point(name, share, float(line["tokens"]), _both(line["held_out"], target, source), seed)
        for line in lines if "held_out" in line and line["step"] > begin
    ]  # fmt: skip
    if training.average and training.watch and len(points) == 1:
        base, end = saved_losses(pretrain, training.watch, (target, source), machine)
        points = [replace(points[0], losses=end)]
    return base, points


def one_count(points: Sequence[Point], near: float) -> tuple[Point, ...]:
    """Points whose token counts differ by a row or two as points at one count, their mean.

    A law asks what runs of one length have in common; rows are not all filled alike.

    Args:
        points: of all runs.
        near: times a token count: up to it another is the same.
    """
    groups: list[list[Point]] = []
    for point in sorted(points, key=lambda point: point.tokens):
        if groups and point.tokens <= near * groups[-1][0].tokens:
            groups[-1].append(point)
        else:
            groups.append([point])
    found = []
    for group in groups:
        tokens = float(round(sum(point.tokens for point in group) / len(group)))
        found += [replace(point, tokens=tokens) for point in group]
    return tuple(sorted(found, key=lambda point: (point.share, point.tokens)))


def one_share(points: Sequence[Point]) -> list[Point]:
    """Points of one mixture at the mean of its counted shares; seeds miss it by a document.

    Args:
        points: of all runs that were asked for one share.
    """
    shares = {point.run: point.share for point in points}
    if len(set(shares.values())) < 2:
        return list(points)
    return [replace(point, share=sum(shares.values()) / len(shares)) for point in points]


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise ArtifactError(
            "The log of a small run cannot be read.", where=path, found=error,
            fix="delete the folder and run the same command again",
        ) from error  # fmt: skip
    if not found:
        raise ArtifactError("The log of a small run is empty.", where=path)
    return found


def _both(losses: Mapping[str, float], target: str, source: str) -> dict[str, float]:
    missing = [language for language in (target, source) if language not in losses]
    if missing:
        raise RecipeError(
            f"{missing[0]} was not measured.", where="corpus.held_out_docs",
            found=f"held-out text of {', '.join(losses) or 'no language'}",
            fix=f"hold {missing[0]} documents out",
        )  # fmt: skip
    return {language: float(losses[language]) for language in (target, source)}


def in_corpus(tokens: Path, corpus: Path, language: str) -> float:
    """About how many tokens of a language the corpus holds.

    The documents that were encoded are a random part of all; their mean length tells of the rest.
    0 where none was encoded.

    Args:
        tokens: an artifact of rows.
        corpus: the artifact that they came from.
        language: which.
    """
    facts = Artifact.load(tokens).counts["documents"].get(language)
    if not facts:
        return 0.0
    groups = read_groups(language_files(corpus, language, "train"))
    documents = sum(group.documents for group in groups)
    return float(facts["document_tokens"] / max(facts["documents"], 1) * documents)
