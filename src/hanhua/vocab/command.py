"""``hanhua vocab extend`` and ``learn`` without a recipe: files in, a tokenizer folder out."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from hanhua.core.errors import ModelError, StorageError
from hanhua.core.files import storage_errors, write_json, write_text
from hanhua.core.progress import Progress
from hanhua.text.document import Document
from hanhua.vocab.check import Verdict, compare_plain, verify
from hanhua.vocab.choose import Point, as_rows, sized
from hanhua.vocab.config import VocabConfig
from hanhua.vocab.cost import Cost
from hanhua.vocab.extend import Extended
from hanhua.vocab.family import Family, family_of
from hanhua.vocab.gather import gather
from hanhua.vocab.report import Measured, build_report, measure
from hanhua.vocab.script import Script, script_of
from hanhua.vocab.texts import Texts
from hanhua.vocab.tokenizer import read_tokenizer

CURVE_CHARS = 400_000
"""Held-out characters that the curve is drawn from."""
FILE_CHARS = 400_000
"""Held-out characters of a file that are measured."""
CHECK_LINES = 500_000
"""Lines without the target's characters that are compared, at most."""
VERIFY_LINES = 30_000


@dataclass(frozen=True, slots=True)
class Request:
    """What to make.

    Args:
        base: a tokenizer or model folder, or a single tokenizer file.
        texts: files to learn from; one document in fifty is held out to measure on.
        check: files whose lines must keep their ids (English, code); may be None.
        target: language of the texts.
        config: how to learn.
        cost: the model that pays for the rows.
    """

    base: Path
    texts: Texts
    check: Texts | None
    target: str
    config: VocabConfig
    cost: Cost


def extend_tokenizer(request: Request, out: Path, progress: Progress) -> dict[str, Any]:
    """Write the extended tokenizer, ``pieces.jsonl`` and ``report.json`` into a new folder.

    Returns:
        The report.

    Raises:
        StorageError: when the folder is there already.
        ModelError: when a promise is broken; nothing is written then.
    """
    aside = begin(out)
    family, script, extended, points = learn_pieces(request, progress)
    extended.files.save(aside)
    write_pieces(aside / "pieces.jsonl", extended)
    report = _report(request, family, script, extended, points, aside, progress)
    write_json(aside / "report.json", report)
    finish(aside, out)
    return report


def learn_pieces(
    request: Request, progress: Progress
) -> tuple[Family, Script, Extended, list[Point]]:
    """Learn and extend in memory."""
    script = script_of(request.target, request.config.script)
    family = family_of(read_tokenizer(request.base), request.base)
    runs = gather(
        family, script, request.config, request.texts.learnt, progress, request.texts.collections()
    )
    texts = _sample(request.texts, CURVE_CHARS)
    extended, points = sized(family, script, request.config, runs, texts, request.cost, progress)
    return family, script, extended, points


def begin(out: Path) -> Path:
    """A folder beside the one to make, empty; what an earlier try left there is removed.

    Raises:
        StorageError: when the folder to make is there and not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StorageError(
            "The folder is there already.", where=out, fix="choose another --out, or remove it"
        )
    aside = out.parent / f".{out.name}.building"
    with storage_errors(aside):
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
    return aside


def finish(aside: Path, out: Path) -> None:
    """Give the whole folder its name."""
    with storage_errors(out):
        if out.exists():
            out.rmdir()
        os.replace(aside, out)


def write_pieces(path: Path, extended: Extended) -> None:
    """One JSON line a piece: id, piece, count and the base ids that spelt it."""
    lines = (json.dumps(asdict(piece), ensure_ascii=False) for piece in extended.pieces)
    write_text(path, "".join(line + "\n" for line in lines))


def write_learnt(path: Path, extended: Extended) -> None:
    """One JSON line a piece in the order learnt: piece and weighted count."""
    rows = ({"piece": piece.piece, "count": piece.count} for piece in extended.learnt)
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _sample(texts: Texts, chars: int) -> list[str]:
    """Held-out texts, each file's in turn, up to so many characters; else text learnt from."""
    by_file: dict[str, list[str]] = {}
    room = Counter[str]()
    each = max(chars // len(texts.files), 1)
    for document in _held_out_or_learnt(texts):
        if room[document.source] < each:
            room[document.source] += len(document.text)
            by_file.setdefault(document.source, []).append(document.text)
    return [text for name in sorted(by_file) for text in by_file[name]]


def _held_out_or_learnt(texts: Texts) -> Iterator[Document]:
    """Held-out documents, and of files too small to have any, the first ones learnt from."""
    seen: set[str] = set()
    for document in texts.held_out():
        seen.add(document.source)
        yield document
    counts = Counter[str]()
    for document in texts.learnt():
        if document.source not in seen and counts[document.source] < 50:
            counts[document.source] += 1
            yield document


def _limited(documents: Iterable[Document]) -> Iterator[Document]:
    chars = Counter[str]()
    for document in documents:
        if chars[document.source] < FILE_CHARS:
            chars[document.source] += len(document.text)
            yield document


def _report(
    request: Request, family: Family, script: Script, extended: Extended, points: list[Point],
    folder: Path, progress: Progress,
) -> dict[str, Any]:  # fmt: skip
    with progress.bar("measuring", None, "file") as bar:
        before, after = family.files.backend, extended.files.backend
        held_out = list(_limited(_held_out_or_learnt(request.texts)))
        measured: dict[str, Measured] = {request.target: measure(before, after, held_out, script)}
        bar.advance(len(request.texts.files))
        lines, changed = compare_plain(
            before, after, request.texts.documents(), script, CHECK_LINES
        )
        if request.check is not None:
            documents = list(request.check.documents())
            measured[request.check.language] = measure(before, after, documents, script)
            bar.advance(len(request.check.files))
        sample = [line for d in held_out for line in d.text.split("\n") if line.strip()]
        if request.check is not None:
            sample += [line for d in _limited(documents) for line in d.text.split("\n") if line]
        step = -(-len(sample) // VERIFY_LINES) or 1
        verdict = verify(folder, family, extended, sample[::step])
    checked = [m for code, m in measured.items() if code != request.target]
    lines += sum(m.lines for m in checked)
    changed += sum(m.changed for m in checked)
    _hold(verdict, changed, lines)
    report = build_report(family, extended, measured)
    return report | {
        "changed_lines": changed,
        "lines_checked": lines,
        "dead_pieces": verdict.dead_pieces,
        "verified": asdict(verdict),
        "curve": as_rows(points),
        "rows": rows_cost(request.cost, extended),
        "config": request.config.model_dump(mode="json"),
    }


def rows_cost(cost: Cost, extended: Extended) -> dict[str, Any]:
    """What the new rows cost the model in memory and compute."""
    pieces = len(extended.pieces)
    before = cost.flops_per_token(extended.base_tokens)
    return {
        "rows": pieces,
        "bytes_bf16": cost.bytes_of(pieces),
        "flops_per_token_added_share": round(
            cost.flops_per_token(extended.base_tokens + pieces) / before - 1, 6
        ),
        "model": asdict(cost),
    }


def _hold(verdict: Verdict, changed: int, lines: int) -> None:
    """Stop where a promise is broken: better no tokenizer than one that is subtly wrong.

    Raises:
        ModelError: with the counts.
    """
    wrong = {
        "lines without the target's characters have other ids": changed,
        "new pieces can't be reached": verdict.dead_pieces,
        "lines differ after loading again": verdict.reload_differences,
    }
    found = [f"{count} {what}" for what, count in wrong.items() if count]
    if found:
        raise ModelError(
            "The extended tokenizer does not keep its promises.", where="vocab",
            found=f"{'; '.join(found)} (of {lines} lines)",
            fix="report this as a bug, with the base; no tokenizer was written",
        )  # fmt: skip


def summary(report: Mapping[str, Any]) -> str:
    """The report in a few lines for the terminal."""
    rows = [f"{'text':<34}{'before':>9}{'after':>9}   tokens per character"]
    for name, rate in islice(report["tokens_per_char"].items(), 40):
        if rate:
            rows.append(f"{name[:33]:<34}{rate['before']:>9.3f}{rate['after']:>9.3f}")
    checked = report["verified"]
    rows += [
        "",
        f"{report['pieces_added']} pieces added, {report['dead_pieces']} dead; "
        f"{report['changed_lines']} of {report['lines_checked']} lines without them changed",
        f"{checked['lines']} lines read back: {checked['reload_differences']} differ after "
        f"loading, {_in_sentencepiece(checked)}",
    ]
    points = report["curve"]
    if points:
        rows += ["", "pieces  tokens/char  saved by the last 1,000"]
        rows += [
            f"{p['pieces']:>6}  {p['tokens_per_char']:>11.4f}  {p['gain_per_thousand']:>12.2%}"
            for p in points
        ]
    return "\n".join(rows)


def _in_sentencepiece(checked: Mapping[str, Any]) -> str:
    new, old = (checked[f"{of}sentencepiece_differences"] for of in ("", "base_"))
    if new is None:
        return "no tokenizer.model"
    tied = f" ({old} did with the base: its scores tie)" if old else ""
    return f"{new} differ in SentencePiece{tied}"
