"""Rows in shares that may change on the way: each language is read in its own order.

What comes next is always a row of the language that is furthest behind its share, counted in
tokens, so that every stretch read at one share holds it to within a row. Nothing is drawn: the
state is a value, and the order a function of rows, seed, shares and state, as in ``loader.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hanhua.core.errors import MixtureError
from hanhua.tokens.loader import Batch
from hanhua.tokens.permutation import Permutation
from hanhua.tokens.row import Row
from hanhua.tokens.rows import PackedRows


@dataclass(frozen=True, slots=True)
class MixedState:
    """Where reading stands.

    Args:
        read: rows of each language behind us, repeats counted.
        tokens: of those rows.
        owed: tokens that each language is behind its share; negative: ahead.
    """

    read: Mapping[str, int] = field(default_factory=dict)
    tokens: Mapping[str, int] = field(default_factory=dict)
    owed: Mapping[str, float] = field(default_factory=dict)


class MixedRows:
    """Packed rows, read by language.

    Args:
        rows: where to read.
        seed: the recipe's: of the order in which rows come again.
        max_passes: how often a language's rows may be read at most, the spare ones among them; it
            gives no more then, and the others fill in.
        spare: rows beyond the shares, read behind those of ``rows``.
    """

    def __init__(
        self, rows: PackedRows, seed: int, max_passes: float, spare: PackedRows | None = None
    ) -> None:
        self.rows, self.spare, self.seed = rows, spare, seed
        which = [np.asarray(part.row_languages) for part in (rows, spare) if part is not None]
        self.of: dict[str, npt.NDArray[Any]] = {
            language: np.flatnonzero(np.concatenate(which) == index)
            for index, language in enumerate(rows.languages)
        }
        self.most = {name: int(max_passes * len(found)) for name, found in self.of.items()}

    def read(
        self, state: MixedState, n_rows: int, shares: Mapping[str, float]
    ) -> tuple[Batch, MixedState]:
        """The next rows.

        Args:
            state: where reading stands.
            n_rows: how many.
            shares: of tokens, by language; together 1.

        Returns:
            The batch and where reading then stands.

        Raises:
            MixtureError: when all rows were read as often as they may be.
        """
        read = {name: state.read.get(name, 0) for name in self.of}
        tokens = {name: state.tokens.get(name, 0) for name in self.of}
        owed = {name: state.owed.get(name, 0.0) for name in self.of}
        found: list[Row] = []
        for _ in range(n_rows):
            language = self._next(read, owed, shares)
            row = self._row(language, read[language])
            n = len(row.tokens)
            read[language] += 1
            tokens[language] += n
            for name in owed:
                owed[name] += shares.get(name, 0.0) * n
            owed[language] -= n
            found.append(row)
        return Batch(tuple(found)), MixedState(read, tokens, owed)

    def _next(
        self, read: Mapping[str, int], owed: Mapping[str, float], shares: Mapping[str, float]
    ) -> str:
        """The language furthest behind, when the next row is counted in; ties by name."""
        able = [name for name in sorted(self.of) if read[name] < self.most[name]]
        wanted = [name for name in able if shares.get(name, 0.0) > 0] or able
        if not wanted:
            raise MixtureError(
                "All rows were read as often as they may be.", where="pretrain.steer.max_passes",
                found=f"{sum(read.values()):,} rows read of {len(self.rows):,}",
                fix="raise pretrain.steer.max_passes, or train on fewer tokens",
            )  # fmt: skip
        room = self.rows.seq_len_tokens
        return max(wanted, key=lambda name: owed[name] + shares.get(name, 0.0) * room)

    def _row(self, language: str, number: int) -> Row:
        """A language's row: as written in the first pass, in a seeded order in each later one."""
        own = self.of[language]
        passed, place = divmod(number, len(own))
        if passed:
            order = Permutation.seeded(len(own), self.seed, "pass", language, passed)
            place = int(order(np.array([place]))[0])
        index = int(own[place])
        if index < len(self.rows):
            return self.rows.row(index)
        assert self.spare is not None
        return self.spare.row(index - len(self.rows))
