"""A small model that need not grow: drop the pieces that its languages never use, with their rows.

The whole of ``vocab prune``: choose, check on every line, write aside, read back, rename.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from hanhua.core.errors import ModelError, UsageError
from hanhua.core.files import storage_errors, write_json
from hanhua.core.progress import Progress, Silent
from hanhua.model.ends import find_ends, open_config
from hanhua.model.load import INDEX, quiet_transformers
from hanhua.model.prune_rows import named_ids, prune_rows, saved
from hanhua.text.document import Document
from hanhua.vocab.prune import Keep, Pruned, prune_tokenizer
from hanhua.vocab.prune_report import Compared, compare, dropped_pieces
from hanhua.vocab.tokenizer import TokenizerFiles, read_tokenizer

_RELOADED_LINES = 2000


def prune(
    base: Path,
    texts: Iterable[Document],
    out: Path,
    *,
    keep: Keep | None = None,
    min_count: int = 1,
    others: Iterable[Document] = (),
    pad_to: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write a tokenizer, or a whole model folder, without the pieces that the texts don't use.

    Args:
        base: a model folder, or a folder or file with a tokenizer only.
        texts: what must stay as it is; read twice (an iterator is held in memory for that).
        out: the folder to make: tokenizer and model as in ``base``, ``ids.json`` (for each old id
            the new one or null) and ``report.json``. It appears whole or not at all.
        keep: what stays although the texts don't use it.
        min_count: drop also what came to be less often; then some lines change, and the report
            says how many.
        others: text to measure the loss on, e.g. of languages that go.
        pad_to: round the model's rows up to a multiple; such rows can't be sampled.
        progress: shows what is being done.

    Returns:
        The report.

    Raises:
        UsageError: ``out`` holds files already.
        InputError: no text, or a piece to keep that isn't there.
        ModelError: a base that can't be pruned, or, with ``min_count`` 1, a line that changed.
    """
    _check_free(out)
    progress = progress or Silent()
    files = read_tokenizer(base)
    model = _has_weights(base)
    named = named_ids(base) if base.is_dir() else set()
    keep = keep or Keep()
    if model:
        _check_size(base, files)
    texts = list(texts) if isinstance(texts, Iterator) else texts
    with_named = replace(keep, ids=tuple(sorted({*keep.ids, *named})))
    pruned = prune_tokenizer(files, texts, with_named, min_count, progress)
    kept = compare(files, pruned.files, pruned.ids, texts, progress)
    if min_count == 1:
        _check_same(base, kept)
    lost = compare(files, pruned.files, pruned.ids, others, progress)
    named_by_user = {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(keep).items()}
    report = _report(files, pruned, kept, lost) | {"keep": named_by_user, "min_count": min_count}
    with _whole(out) as aside:
        report["saved"] = _write(base, pruned, aside, model, pad_to, progress)
        _check_reloaded(aside, pruned.files, texts)
        write_json(aside / "ids.json", pruned.ids)
        write_json(aside / "report.json", report)
    return report


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` that takes its name when the block is done, or goes."""
    with storage_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        try:
            yield aside
            aside.chmod(0o755)
            aside.replace(out)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise


def _check_free(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(
            "This folder holds files already.", where=out,
            found="not a folder" if not out.is_dir() else f"{len(list(out.iterdir()))} entries",
            fix="choose a new folder, or remove this one",
        )  # fmt: skip


def _has_weights(base: Path) -> bool:
    """Whether rows are to be cut as well; pickled weights count, to be refused by name."""
    patterns = ("*.safetensors", INDEX, "*.bin")
    return (base / "config.json").is_file() and any(any(base.glob(p)) for p in patterns)


def _check_size(base: Path, files: TokenizerFiles) -> None:
    size, rows = len(files.fast()), find_ends(open_config(base)).shape[0]
    if size > rows:
        raise ModelError(
            "The tokenizer knows more tokens than the model has rows.", where=base,
            found=f"{size} tokens, vocab_size {rows}",
            fix="give the tokenizer that the model was trained with",
        )  # fmt: skip


def _check_same(base: Path, kept: Compared) -> None:
    if kept.changed:
        raise ModelError(
            "Text to be kept would change its tokens, though it should be impossible.", where=base,
            found=f"{kept.total.changed_lines} of {kept.total.lines} lines, e.g. "
            f"{kept.examples[:1]}",
            fix="report this as a bug, with the tokenizer and the line; nothing was written",
        )  # fmt: skip


def _check_reloaded(folder: Path, files: TokenizerFiles, texts: Iterable[Document]) -> None:
    """What was written must be what was checked, as transformers reads it too."""
    every = (line for document in texts for line in document.text.split("\n") if line)
    lines = list(islice(every, _RELOADED_LINES))
    expected = [e.ids for e in files.backend.encode_batch_fast(lines, add_special_tokens=False)]
    with quiet_transformers():
        auto = AutoTokenizer.from_pretrained(folder)
        for name, reread in (("AutoTokenizer", auto), ("hanhua", read_tokenizer(folder).fast())):
            if lines and reread(lines, add_special_tokens=False)["input_ids"] != expected:
                raise ModelError(
                    "The tokenizer that was written reads differently.", where=name, found=folder,
                    fix="report this as a bug, with the tokenizer; nothing was written",
                )  # fmt: skip


def _report(
    files: TokenizerFiles, pruned: Pruned, kept: Compared, lost: Compared
) -> dict[str, Any]:
    tokens = {i: text for text, i in files.backend.get_vocab(with_added_tokens=True).items()}
    dropped = tokens.keys() - set(pruned.kept)
    byte_level = files.proto is None
    return {
        "family": "byte-level" if byte_level else "sentencepiece",
        "pieces": {"before": len(tokens), "after": len(pruned.kept), "dropped": len(dropped)},
        "dropped": dropped_pieces(tokens, dropped, byte_level),
        "units": pruned.units,
        "kept_text": _text_report(kept),
        "other_text": _text_report(lost),
    }


def _text_report(found: Compared) -> dict[str, Any]:
    spm = {"lines": found.spm_lines, "changed": found.spm_changed, "differs": found.spm_differs}
    return {
        **found.total.row(),
        "sentencepiece": spm if found.spm_lines else None,
        "sources": {name: tally.row() for name, tally in sorted(found.sources.items())},
        "examples": found.examples,
    }


def _write(
    base: Path, pruned: Pruned, out: Path, model: bool, pad_to: int, progress: Progress
) -> dict[str, Any]:
    """Write tokenizer and model; return what that saves."""
    pruned.files.save(out)
    if model:
        return prune_rows(base, pruned.kept, out, pad_to=pad_to, progress=progress)
    gone = sum(new is None for new in pruned.ids)
    known = base.is_dir() and (base / "config.json").is_file()
    hidden = find_ends(open_config(base)).shape[1] if known else None
    return saved(len(pruned.ids), len(pruned.ids) - gone, hidden)
