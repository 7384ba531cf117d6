"""What ``hanhua quantise`` measures on and calibrates with, from the run or from files named."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hanhua.core.errors import UsageError

if TYPE_CHECKING:
    from hanhua.cli.merge import Run
    from hanhua.export.methods import Method
    from hanhua.export.quantise import Job
    from hanhua.export.quantise_all import Trial

Part = Literal["train", "held_out"]
SAMPLE_TOKENS = 32
CALIBRATION_DOCS = 20_000
"""Documents of each language that are read to calibrate on, at most."""


def find_trial(
    run: Run, asked: dict[str, Any], gate: dict[str, float], proof: bool, speed: bool
) -> Trial:
    """What results are held against.

    Raises:
        UsageError: when there is no text to measure on, or a gate without a proof.
    """
    from typing import get_args

    from hanhua.eval.config import BitsPerByteConfig, EvalConfig, SampleConfig, TaskName
    from hanhua.eval.evaluate import Evaluation
    from hanhua.eval.find import find_tasks, parse_tasks
    from hanhua.export.quantise_all import Trial

    if not proof:
        if gate:
            raise UsageError("A gate needs the proof.", where="--no-proof",
                             fix="leave --no-proof or --gate out")  # fmt: skip
        return Trial(speed=speed)
    names = parse_tasks(asked["tasks"], get_args(TaskName)) if asked["tasks"] else []
    if names and asked["data"] is None:
        raise UsageError("It is not known where the tasks lie.", where="--tasks",
                         found=", ".join(names), fix="name their folder with --data")  # fmt: skip
    found = find_tasks(asked["data"], names, {"limit": asked["limit"]})
    config = EvalConfig(
        bits_per_byte=BitsPerByteConfig(max_docs=asked["docs"]), drift=None, tasks=tuple(found),
        prompts={"zh": ("从前",), "en": ("Once upon a time",)}, gates={},
        sample=SampleConfig(max_new_tokens=SAMPLE_TOKENS),
    )  # fmt: skip
    setting = Evaluation(
        config=config, documents=_held_out(run, asked), device=asked["device"],
        progress=asked["progress"],
    )  # fmt: skip
    return Trial(setting=setting, gate=gate, speed=speed)


def _held_out(run: Run, asked: dict[str, Any]) -> dict[str, Any]:
    from hanhua.eval.find import find_texts

    if asked["text"]:
        return find_texts(None, asked["text"], asked["docs"])
    found = _of_corpus(run, asked["corpus"], "held_out")
    if not found:
        raise UsageError(
            "There is no text to measure what is lost on.", where=run.folder,
            found="no run with a corpus, no --corpus, no --text",
            fix="name one for each language: --text zh=FILE --text en=FILE, or give --no-proof",
        )  # fmt: skip
    return {language: list(documents) for language, documents in found.items()}


def _of_corpus(run: Run, corpus: Path | None, part: Part) -> dict[str, Any]:
    from hanhua.text.shards import language_files, read_language

    folder = corpus or run.stage("corpus")
    languages = dict.fromkeys((run.language("target", "zh"), run.language("source", "en")))
    return {
        language: read_language(folder, language, part) for language in languages
        if folder is not None and language_files(folder, language, part)
    }  # fmt: skip


def find_job(
    run: Run, methods: Sequence[Method], asked: dict[str, Any], calibrate: Sequence[str],
    shares: str | None, rows: int, llama: Path | None,
) -> Job:  # fmt: skip
    """The work, its model not yet named.

    Raises:
        UsageError: when a method needs text to calibrate on and there is none.
    """
    from hanhua.eval.find import find_texts
    from hanhua.export.llama_cpp import LlamaCpp
    from hanhua.export.quantise import Job

    texts: dict[str, Any] = {}
    if any(method.calibrated for method in methods):
        texts = find_texts(None, calibrate, CALIBRATION_DOCS) if calibrate else {
            language: islice(documents, CALIBRATION_DOCS)
            for language, documents in _of_corpus(run, asked["corpus"], "train").items()
        }  # fmt: skip
        if not texts:
            raise UsageError("There is no text to calibrate on.", where="--calibrate",
                             fix="name one for each language: --calibrate zh=FILE")  # fmt: skip
    return Job(
        model=Path(), llama=LlamaCpp.find(llama), texts=texts, rows=rows,
        shares=_shares(shares, run, list(texts)), device=asked["device"],
        progress=asked["progress"],
    )  # fmt: skip


def _shares(given: str | None, run: Run, languages: Sequence[str]) -> dict[str, float]:
    """Of the languages in calibration text."""
    if given is None:
        from hanhua.export.calibration import counted_shares

        return counted_shares(run.stage("tokens"), languages)
    found = {}
    for part in given.split(","):
        language, _, value = part.partition("=")
        try:
            found[language.strip()] = float(value)
        except ValueError as error:
            raise UsageError("These are no shares.", where="--shares", found=given,
                             fix="write e.g. --shares zh=0.7,en=0.3") from error  # fmt: skip
    if not all(0 <= share <= 1 for share in found.values()) or not sum(found.values()):
        raise UsageError("Shares are from 0 to 1, not all 0.", where="--shares", found=given,
                         fix="write e.g. --shares zh=0.7,en=0.3")  # fmt: skip
    return found
