"""From a method's name to the old tokens of each new piece, or to its row.

What the methods share (auxiliary vectors, the encoding of the user's text) is made once, when the
first of them asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hanhua.core.errors import InputError, RecipeError
from hanhua.core.progress import Progress
from hanhua.model.auxiliary import Auxiliary, Speller, Texts, encode, learn_auxiliary
from hanhua.model.config import ExpandConfig
from hanhua.model.init_combine import (
    Combination,
    Statistics,
    combined_rows,
    mean_of,
    replaced,
    weighted_mean_of,
)
from hanhua.model.init_distill import distill
from hanhua.model.init_similar import combination
from hanhua.model.stream import TokenBytes
from hanhua.model.tensor_rows import Rows
from hanhua.tokens.encode import text_encoder
from hanhua.vocab.tokenizer import read_tokenizer

DICTIONARY = 8192
"""Most frequent old tokens that a piece may be likened to."""


@dataclass
class Methods:
    """Ways to start rows, for one base and its new pieces.

    Args:
        base: the base's model folder.
        tokenizer: folder of the extended tokenizer.
        old: ids of the base.
        config: which methods, and their settings.
        seed: of all drawing.
        base_ids: base tokens of each new piece.
        texts: the user's text, or None.
        tied: embedding and head are one matrix.
        progress: bars.
    """

    base: Path
    tokenizer: Path
    old: int
    config: ExpandConfig
    seed: int
    base_ids: Sequence[Sequence[int]]
    texts: Texts | None
    tied: bool
    progress: Progress
    notes: dict[str, Any] = field(default_factory=dict)
    """What the methods have to say about themselves, for ``rows.json``."""
    _distilled: Tensor | None = None

    def start(
        self, end: str, rows: Rows, known: Statistics, length: float | None
    ) -> Combination | Tensor | None:
        """How the rows of one end start.

        Args:
            end: "input" (also for a tied matrix) or "output".
            rows: old rows of that end.
            known: their statistics.
            length: the norm of the rows that distillation starts from.

        Returns:
            A combination of old rows, the rows themselves ``[N, D]``, or None for random ones.
        """
        if end == "input" and self.config.input == "distill":
            if self._distilled is None:
                first = combined_rows(
                    mean_of(self.base_ids), rows, known, noise=self.config.noise, seed=self.seed,
                    length=length,
                )  # fmt: skip
                self._distilled = self._distill(torch.cat(list(first)))
            return self._distilled
        return self.combination(end)

    def combination(self, end: str) -> Combination | None:
        """Which old tokens make a row of one end; None: none, it is random.

        Raises:
            RecipeError: for "auto", which is settled before.
            InputError: when the method needs text and there is none.
        """
        method = self.config.input if end == "input" else self.config.output
        if method == "auto":
            raise RecipeError(
                "The method of new rows is still to be picked.", where=f"expand.{end}",
                found="auto", fix="name a method, or expand through the expand stage, which picks",
            )  # fmt: skip
        if method == "random":
            return None
        if method == "weighted":
            known = self._bytes
            sizes = [[len(known[i]) for i in ids] for ids in self.base_ids]
            place = "tied" if self.tied else end
            return weighted_mean_of(self.base_ids, sizes, self.config.position_decay, place)
        if method in ("similar", "omp"):
            return self._alike(method)
        return mean_of(self.base_ids)

    @cached_property
    def _bytes(self) -> TokenBytes:
        return TokenBytes(read_tokenizer(self.base).fast())

    @cached_property
    def _speller(self) -> Speller:
        return Speller(self.old, self.base_ids)

    @cached_property
    def _core(self) -> Any:
        return text_encoder(read_tokenizer(self.tokenizer).fast())

    @cached_property
    def _auxiliary(self) -> Auxiliary:
        texts = self._texts("similar" if "similar" in self._names else "omp")
        return learn_auxiliary(self._core, self._speller, texts, self.config.vector_dims, self.seed)

    @property
    def _names(self) -> tuple[str, str]:
        return self.config.input, self.config.output

    def _texts(self, method: str) -> Texts:
        if self.texts is None:
            where = "expand.input" if self.config.input == method else "expand.output"
            raise InputError(
                "This way to start new rows learns from text, and there is none.", where=where,
                found=method, fix=f"give the recipe a corpus section, or set {where}: mean",
            )  # fmt: skip
        return self.texts

    def _alike(self, method: str) -> Combination:
        """From auxiliary vectors; pieces too rare to have one get the mean."""
        known, old = self._auxiliary, self.old
        usable = known.seen.nonzero().flatten()
        atoms = usable[usable < old]
        frequent = known.counts[atoms].sort(descending=True, stable=True).indices[:DICTIONARY]
        atoms = atoms[frequent.sort().values]
        seen = known.seen[old:]
        self.notes[method] = {
            "pieces_from_text": int(seen.sum()), "pieces_from_mean": int((~seen).sum()),
            "dictionary": len(atoms),
        }  # fmt: skip
        mean = mean_of(self.base_ids)
        if not len(atoms) or not bool(seen.any()):
            return mean
        count = self.config.similar_tokens if method == "similar" else self.config.omp_tokens
        found = combination(known.vectors[old:], known.vectors[atoms], atoms, method, count)
        return replaced(found, mean, ~seen)

    def _distill(self, start: Tensor) -> Tensor:
        from hanhua.model.load import load_model, load_tokenizer

        texts = self._texts("distill")
        documents = [ids for ids in encode(self._core, texts.read(texts.target)) if len(ids)]
        found = distill(
            load_model(self.base), start, documents, self._speller,
            steps=self.config.distill_steps, seed=self.seed,
            bos=load_tokenizer(self.base).bos_token_id, progress=self.progress,
        )  # fmt: skip
        self.notes["distill"] = {
            "error_before": round(found.before, 6), "error_after": round(found.after, 6),
            "stretches_measured": found.stretches, "pieces_learnt": found.learnt,
        }  # fmt: skip
        return found.rows
