"""The vocab stage: learn pieces, write the tokenizer, say what it saves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from hanhua.core.errors import ArtifactError, ModelError
from hanhua.core.files import write_json
from hanhua.core.stage import Context, Result
from hanhua.text.document import Document
from hanhua.text.shards import read_language
from hanhua.vocab.choose import as_rows, sized
from hanhua.vocab.command import write_pieces
from hanhua.vocab.config import VocabConfig
from hanhua.vocab.cost import Cost
from hanhua.vocab.extend import Extended
from hanhua.vocab.family import family_of
from hanhua.vocab.gather import gather
from hanhua.vocab.report import Measured, build_report, measure
from hanhua.vocab.script import Script, script_of
from hanhua.vocab.tokenizer import read_tokenizer


def build_vocab(context: Context[VocabConfig], cost: Cost | None = None) -> Result:
    """Extend the base's tokenizer with pieces learnt from the corpus.

    Args:
        context: the stage's.
        cost: the model that pays for new rows, where ``add`` is "auto".

    Writes ``tokenizer/``, ``pieces.jsonl`` and ``report.json`` into ``context.out``.

    Raises:
        RecipeError: no letters are known for the target language.
        InputError: the text holds too few pieces.
        ModelError: pieces can't be added to this kind of tokenizer.
    """
    config, corpus = context.config, context.inputs["corpus"].path
    script = script_of(context.target, config.script)
    base = context.inputs["base"].path / "model"
    family = family_of(read_tokenizer(base), base)
    runs = gather(
        family, script, config, lambda: read_language(corpus, context.target), context.progress
    )
    held_out = _spread(_held_out(corpus, context.target), config.report_docs)
    extended, points = sized(
        family, script, config, runs, [d.text for d in held_out], cost or Cost(), context.progress
    )
    extended.files.save(context.out / "tokenizer")
    write_pieces(context.out / "pieces.jsonl", extended)
    measured = _measure(context, script, extended, corpus)
    report = build_report(family, extended, measured) | {"curve": as_rows(points)}
    write_json(context.out / "report.json", report)
    _check(measured)
    added = len(extended.files.fast()) - extended.base_tokens
    return Result(
        counts={"added": added, "tokens": len(extended.files.fast())}, metrics=report["metrics"]
    )


def _measure(
    context: Context[VocabConfig], script: Script, extended: Extended, corpus: Path
) -> dict[str, Measured]:
    before = read_tokenizer(context.inputs["base"].path / "model").backend
    found = {}
    for language in dict.fromkeys((context.target, context.source)):
        documents = _spread(_held_out(corpus, language), context.config.report_docs)
        measured = measure(before, extended.files.backend, documents, script)
        if measured.total.documents:
            found[language] = measured
    return found


def _spread(documents: Iterable[Document], most: int) -> list[Document]:
    """At most so many, from all over, so that all sources stay in."""
    found = list(documents)
    return found[:: -(-len(found) // most) or 1]


def _held_out(corpus: Path, language: str) -> Iterator[Document]:
    try:
        yield from read_language(corpus, language, "held_out")
    except ArtifactError:
        return  # a corpus of the target alone is allowed


def _check(measured: dict[str, Measured]) -> None:
    """The promise of the whole design, checked on every run and not only in tests."""
    changed = sum(found.changed for found in measured.values())
    if changed:
        raise ModelError(
            "Text without a character of the target changed its tokens.", where="vocab",
            found=f"{changed} held-out lines",
            fix="report this as a bug, with the recipe; no model was made",
        )  # fmt: skip
