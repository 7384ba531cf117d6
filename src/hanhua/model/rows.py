"""Rows for new pieces: the base's weights with a longer embedding and head, all else untouched.

A new piece starts where its meaning was spelt before: at the mean of the base tokens that it
replaces, or at another combination of old rows (see :class:`hanhua.model.config.ExpandConfig`).
The mean of k vectors is shorter than each, so input rows are stretched to the length that rows of
the target's script have; a little seeded noise tells apart the pieces whose rows coincide
(permuted bytes). The first base token alone would be a bad start for output rows: most Chinese
pieces begin with one of six lead bytes.

Weights are streamed from safetensors to safetensors: no model is built, old rows keep their bits,
files without an embedding are linked, and of the others no tensor is ever whole in memory.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hanhua.core.errors import ModelError
from hanhua.core.files import link_or_copy, read_json, storage_errors, write_json
from hanhua.core.progress import Progress, Silent
from hanhua.model.auxiliary import Texts
from hanhua.model.config import ExpandConfig
from hanhua.model.ends import Ends, Found, find_ends, locate, open_config
from hanhua.model.init_combine import (
    Combination,
    Statistics,
    combine,
    combined_rows,
    random_rows,
    statistics,
)
from hanhua.model.init_methods import Methods
from hanhua.model.init_padding import NEVER_BIAS, impossible_ids, padding_row
from hanhua.model.load import INDEX, weight_files
from hanhua.model.tensor_file import (
    NAMES,
    Part,
    Stretch,
    TensorFile,
    copied,
    write_tensors,
)
from hanhua.model.tensor_rows import FileRows
from hanhua.vocab.tokenizer import read_tokenizer


@dataclass(frozen=True, slots=True)
class Plan:
    """Which rows there will be.

    Args:
        old_rows: rows kept, one for each id of the base's tokenizer.
        new_rows: rows of new pieces.
        padded_rows: rows behind them that no token has.
        script_rows: old rows that spell the target's letters; they set the length of new ones.
    """

    old_rows: int
    new_rows: int
    padded_rows: int
    script_rows: tuple[int, ...]

    @property
    def rows(self) -> int:
        """All rows of the new matrix."""
        return self.old_rows + self.new_rows + self.padded_rows


def make_plan(base: Path, pieces: Sequence[dict[str, Any]], pad_to: int) -> Plan:
    """Lay out the rows of an expanded model.

    Args:
        base: the base's model folder.
        pieces: the lines of ``pieces.jsonl``, in the order of their ids.
        pad_to: round the rows up to a multiple.

    Raises:
        ModelError: when the pieces' ids don't follow on the base's.
    """
    tokenizer = read_tokenizer(base).backend
    old = tokenizer.get_vocab_size()
    ids = [piece["id"] for piece in pieces]
    if ids != list(range(old, old + len(ids))):
        raise ModelError(
            "These pieces were learnt for another tokenizer.", where=base,
            found=f"first id {ids[0] if ids else 'none'}; the base knows {old} tokens",
            fix="run the vocab stage again with this base",
        )  # fmt: skip
    letters = {c for piece in pieces for c in piece["piece"] if c.isalpha()}
    script = tuple(i for i in range(old) if not letters.isdisjoint(tokenizer.decode([i])))
    return Plan(old, len(ids), -(old + len(ids)) % pad_to, script)


def expand_model(
    base: Path,
    vocab: Path,
    out: Path,
    config: ExpandConfig,
    seed: int,
    *,
    texts: Texts | None = None,
    padding: Tensor | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the expanded model folder. ``config.json`` comes last: a folder without it is no model.

    Args:
        base: model folder of the base, of any decoder-only type that transformers knows.
        vocab: folder with ``pieces.jsonl`` and the tokenizer's files, these in ``tokenizer/``
            (the vocab stage) or beside it (``hanhua vocab extend``).
        out: the folder to make.
        config: how rows start; "auto" is for :mod:`hanhua.train.pick_init`.
        seed: of the noise and of all drawing.
        texts: the user's text, for the methods that learn from it.
        padding: ``[D]`` the head's row for ids that no token has; None: the one that needs no
            model, see :mod:`hanhua.model.init_padding`.
        progress: bars.

    Returns:
        What goes into ``rows.json``.

    Raises:
        ModelError: the base can't be expanded, or the pieces belong to another.
        InputError: the method needs text and there is none.
    """
    out.mkdir(parents=True, exist_ok=True)
    pieces, tokenizer = _read_pieces(vocab), tokenizer_files(vocab)
    plan = make_plan(base, pieces, config.pad_to)
    ends = find_ends(open_config(base))
    methods = Methods(
        base=base, tokenizer=tokenizer[0].parent, old=plan.old_rows, config=config, seed=seed,
        base_ids=[piece["base_ids"] for piece in pieces], texts=texts, tied=ends.tied,
        progress=progress or Silent(),
    )  # fmt: skip
    _write_weights(base, out, plan, ends, methods, padding)
    with storage_errors(out):
        for path in tokenizer:
            shutil.copyfile(path, out / path.name)
    _write_configs(base, out, plan)
    method = {"input": config.input, "output": config.output, "noise": config.noise}
    return {
        "old_rows": plan.old_rows, "new_rows": plan.new_rows, "padded_rows": plan.padded_rows,
        "method": method, "tied": ends.tied, "script_rows": len(plan.script_rows),
        "padding": "impossible bytes" if padding is None else "fitted", "notes": methods.notes,
    }  # fmt: skip


def tokenizer_files(vocab: Path) -> list[Path]:
    """The files of a tokenizer with new pieces, however it was made."""
    folder = vocab / "tokenizer" if (vocab / "tokenizer").is_dir() else vocab
    return sorted(p for p in folder.iterdir() if p.name not in ("pieces.jsonl", "report.json"))


def _read_pieces(vocab: Path) -> list[dict[str, Any]]:
    try:
        lines = (vocab / "pieces.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]
    except (OSError, ValueError) as error:
        raise ModelError(
            "The new pieces can't be read.", where=vocab / "pieces.jsonl", found=error,
            fix="name a folder that `hanhua vocab extend` made",
        ) from error  # fmt: skip


def _write_configs(base: Path, out: Path, plan: Plan) -> None:
    path = base / "generation_config.json"
    generation = read_json(path) if path.exists() else {}
    if plan.padded_rows:
        # Their probability is next to nothing, but sampling must not meet them at all.
        first = plan.old_rows + plan.new_rows
        generation["suppress_tokens"] = list(range(first, plan.rows))
    write_json(out / "generation_config.json", generation)
    config = read_json(base / "config.json")
    write_json(out / "config.json", config | {"vocab_size": plan.rows})


def _write_weights(
    base: Path, out: Path, plan: Plan, ends: Ends, methods: Methods, padding: Tensor | None
) -> None:
    files = [TensorFile.open(path) for path in weight_files(base)]
    shapes = {name: entry.shape for file in files for name, entry in file.entries.items()}
    found = locate(ends, shapes, base)
    at = {name: file for file in files for name in file.entries}
    with ExitStack() as stack:
        rows = {
            name: stack.enter_context(FileRows(at[name], name, plan.old_rows))
            for name in found.names
        }
        grown = Grown(plan, found, ends.tied, methods, rows, base, padding)
        for file in files:
            longer = [name for name in found.names if name in file.entries]
            if not longer:
                with storage_errors(out):
                    link_or_copy(file.path, out / file.path.name)
                continue
            parts = [
                grown.part(file, name) if name in longer else copied(file, name)
                for name in sorted(file.entries, key=lambda n: file.entries[n].begin)
            ]
            write_tensors(out / file.path.name, parts, file.metadata)
    if (base / INDEX).exists():
        _write_index(base, out)


@dataclass(slots=True)
class Grown:
    """The longer tensors of one model, made when they are written.

    Args:
        plan: how many rows.
        found: the names of the ends.
        tied: embedding and head are one matrix, even where a file holds both.
        methods: says how rows start.
        rows: the old rows by name.
        base: the base's folder.
        padding: the head's row for padding, where it was fitted.
    """

    plan: Plan
    found: Found
    tied: bool
    methods: Methods
    rows: dict[str, FileRows]
    base: Path
    padding: Tensor | None

    def part(self, file: TensorFile, name: str) -> Part:
        """A tensor with its old rows copied and new ones behind them."""
        rows, entry = self.rows[name], file.entries[name]
        kept = Stretch(file.path, entry.begin, entry.begin + self.plan.old_rows * rows.row_bytes)
        shape = (self.plan.rows, *entry.shape[1:])
        return Part(name, NAMES[rows.dtype], shape, self._data(kept, name))

    def _data(self, kept: Stretch, name: str) -> Iterator[Stretch | Tensor]:
        yield kept
        rows = self.rows[name]
        added = self._bias(rows) if name == self.found.bias else self._matrix(rows, name)
        for chunk in added:
            yield chunk.to(rows.dtype)

    def _matrix(self, rows: FileRows, name: str) -> Iterator[Tensor]:
        as_input = name == self.found.input or self.tied
        known = statistics(rows)
        yield from self._new(rows, known, as_input)
        if not self.plan.padded_rows:
            return
        row = known.centre  # an input row of padding is never looked up; tied, it is the head's
        if self.tied or not as_input:
            impossible = impossible_ids(read_tokenizer(self.base).backend)
            row = padding_row(rows, known, impossible) if self.padding is None else self.padding
        yield row.expand(self.plan.padded_rows, -1)

    def _new(self, rows: FileRows, known: Statistics, as_input: bool) -> Iterable[Tensor]:
        seed = self.methods.seed + (not as_input)
        length = known.typical_length(self.plan.script_rows) if as_input else None
        start = self.methods.start("input" if as_input else "output", rows, known, length)
        if start is None:
            return random_rows(self.plan.new_rows, known, seed)
        if isinstance(start, Combination):
            noise = self.methods.config.noise
            return combined_rows(start, rows, known, noise=noise, seed=seed, length=length)
        return [start]

    def _bias(self, rows: FileRows) -> Iterator[Tensor]:
        """A bias is combined as the head's rows are; padding's makes its logit hopeless."""
        known = statistics(rows)
        found = self.methods.combination("output")
        if found is None:
            yield from random_rows(self.plan.new_rows, known, self.methods.seed + 2)
        else:
            yield combine(found, rows, known.centre)
        yield torch.full((self.plan.padded_rows, 1), NEVER_BIAS)


def _write_index(base: Path, out: Path) -> None:
    """The index of the shards, with the new size."""
    index = read_json(base / INDEX)
    files = [TensorFile.open(out / path.name) for path in weight_files(base)]
    total = sum(e.end - e.begin for file in files for e in file.entries.values())
    index.setdefault("metadata", {})["total_size"] = total
    write_json(out / INDEX, index)
