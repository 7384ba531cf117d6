"""Rows for new pieces: the base's weights with a longer embedding and head, all else untouched.

A new piece starts where its meaning was spelt before: at the mean of the base tokens that it
replaces. The mean of k vectors is shorter than each, so the input row is stretched to the length
that rows of the target's script have; a little seeded noise tells apart the pieces whose means
coincide (permuted bytes). The first base token alone would be a bad start for output rows: most
Chinese pieces begin with one of six lead bytes.

Weights are streamed from safetensors to safetensors: no model is built, old rows keep their bits,
and files without an embedding are linked. Of the tensors, only the embedding is held in float32.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import embedding_bag

from hanhua.core.errors import ModelError
from hanhua.core.files import read_json, storage_errors, write_json
from hanhua.model.config import ExpandConfig
from hanhua.model.load import INDEX, read_config, weight_files
from hanhua.vocab.tokenizer import read_tokenizer

INPUT, OUTPUT = "model.embed_tokens.weight", "lm_head.weight"
_CHUNK_ROWS = 4096
_FEW_ROWS = 32


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


def mean_rows(weight: Tensor, base_ids: Sequence[Sequence[int]]) -> Tensor:
    """The mean of each piece's base rows.

    Args:
        weight: [V, D], any float type.
        base_ids: for each of N pieces, at least one id.

    Returns:
        [N, D] in float32.
    """
    table = weight.float()
    found = []
    for start in range(0, len(base_ids), _CHUNK_ROWS):
        chunk = base_ids[start : start + _CHUNK_ROWS]
        lengths = torch.tensor([len(ids) for ids in chunk])
        flat = torch.tensor([i for ids in chunk for i in ids])
        found.append(embedding_bag(flat, table, lengths.cumsum(0) - lengths, mode="mean"))
    return torch.cat(found) if found else table[:0]


def new_rows(
    weight: Tensor,
    base_ids: Sequence[Sequence[int]],
    plan: Plan,
    *,
    method: str,
    noise: float,
    stretch: bool,
    seed: int,
) -> Tensor:
    """The rows of the new pieces and of the padding.

    Args:
        weight: the base's rows, [old_rows, D].
        base_ids: base tokens of each new piece.
        plan: how many rows, and which old ones spell the target's letters.
        method: "mean" of the base tokens, or "random": like the old rows' mean and spread.
        noise: length of the noise as a part of the row's.
        stretch: give mean rows the median length of the plan's script rows.
        seed: of the noise.

    Returns:
        [new_rows + padded_rows, D], float32.
    """
    generator = torch.Generator().manual_seed(seed)
    table = weight.float()
    centre = table.mean(0)
    draw = torch.randn(plan.new_rows, table.shape[1], generator=generator)
    if method == "random":
        rows = centre + draw * table.std(0)
    else:
        rows = mean_rows(weight, base_ids)
        if stretch:
            length = rows.norm(dim=1, keepdim=True).clamp_min(1e-12)
            rows = rows * (median_length(table, plan.script_rows) / length)
        rows += draw * (noise * rows.norm(dim=1, keepdim=True) / table.shape[1] ** 0.5)
    return torch.cat([rows, centre.expand(plan.padded_rows, -1)])


def median_length(table: Tensor, rows: Sequence[int]) -> Tensor:
    """The median norm of some rows, or of all that aren't zero where those are too few."""
    lengths = table.norm(dim=1)
    if len(rows) >= _FEW_ROWS:
        lengths = lengths[torch.tensor(rows)]
    median: Tensor = lengths[lengths > 0].median()
    return median


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
    base: Path, vocab: Path, out: Path, config: ExpandConfig, seed: int
) -> dict[str, Any]:
    """Write the expanded model folder.

    Args:
        base: model folder of the base.
        vocab: folder with ``tokenizer/`` and ``pieces.jsonl``.
        out: the folder to make.
        config: how rows start.
        seed: of the noise.

    Returns:
        What goes into ``rows.json``.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (vocab / "pieces.jsonl").open(encoding="utf-8") as file:
        pieces = [json.loads(line) for line in file]
    plan = make_plan(base, pieces, config.pad_to)
    found = read_config(base)
    _write_weights(base, out, plan, [p["base_ids"] for p in pieces], config, seed)
    _write_configs(base, out, plan)
    with storage_errors(out):
        for path in sorted((vocab / "tokenizer").iterdir()):
            shutil.copyfile(path, out / path.name)
    method = {"input": config.input, "output": config.output, "noise": config.noise}
    facts = {k: v for k, v in asdict(plan).items() if k != "script_rows"}
    tied = bool(found.tie_word_embeddings)
    return {**facts, "method": method, "tied": tied, "script_rows": len(plan.script_rows)}


def _write_configs(base: Path, out: Path, plan: Plan) -> None:
    config = read_json(base / "config.json")
    write_json(out / "config.json", config | {"vocab_size": plan.rows})
    generation = read_json(base / "generation_config.json")
    if plan.padded_rows:
        # The padding rows' logits are the mean logit, far below the best; sampling must not
        # meet them at all, and a linear head has no row that says never.
        first = plan.old_rows + plan.new_rows
        generation["suppress_tokens"] = list(range(first, plan.rows))
    write_json(out / "generation_config.json", generation)


def _write_weights(
    base: Path,
    out: Path,
    plan: Plan,
    base_ids: Sequence[Sequence[int]],
    config: ExpandConfig,
    seed: int,
) -> None:
    tied = bool(read_config(base).tie_word_embeddings)
    for path in weight_files(base):
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            if not {INPUT, OUTPUT} & set(names):
                _link(path, out / path.name)
                continue
            tensors = {name: file.get_tensor(name) for name in names}
            metadata = file.metadata()
        for name in sorted({INPUT, OUTPUT} & set(names)):
            as_input = name == INPUT or tied
            old = tensors[name][: plan.old_rows]
            added = new_rows(
                old, base_ids, plan, noise=config.noise, stretch=as_input,
                method=config.input if as_input else config.output,
                seed=seed if as_input else seed + 1,
            )  # fmt: skip
            tensors[name] = torch.cat([old, added.to(old.dtype)])
        with storage_errors(out):
            save_file(tensors, out / path.name, metadata=metadata)
            (out / path.name).chmod(0o644)
    _write_index(base, out)


def _write_index(base: Path, out: Path) -> None:
    if not (base / INDEX).exists():
        return
    index = read_json(base / INDEX)
    total = 0
    for path in weight_files(base):
        with safe_open(out / path.name, framework="pt") as file:
            for name in file.keys():
                tensor = file.get_tensor(name)
                total += tensor.numel() * tensor.element_size()
    index.setdefault("metadata", {})["total_size"] = total
    write_json(out / INDEX, index)


def _link(source: Path, target: Path) -> None:
    """The same bytes under another name; a copy where the file system can't link."""
    with storage_errors(target):
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)
