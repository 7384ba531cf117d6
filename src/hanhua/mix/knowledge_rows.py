"""The rows of an arm of ``hanhua study knowledge``: facts in its form among lessons and text.

All arms learn from exactly as many tokens (predicted ones: of a conversation only the answer's),
in as many rows of as many predicted tokens each, so in as many steps. Arms differ in the part that
holds the facts: as statements, as questions with answers, as both by turns, or, in the control,
filled with more of the text that stands around them. Answers are the statements themselves, so a
fact is told about as often in each form; the questions before them are read, not learnt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hanhua.mix.knowledge import CONTROL, MIXED, Fact
from hanhua.mix.knowledge_pieces import Maker, Piece
from hanhua.tokens.permutation import rng
from hanhua.tokens.rows import Row, RowsWriter

LESSONS, FACTS, AROUND = "lessons", "facts", "around"


@dataclass(frozen=True, slots=True)
class Dealt:
    """Which facts an arm tells.

    Args:
        lessons: told in every form and language.
        asked: told in one language, in the arm's form.
        told: id of an asked fact -> its language.
        share: of the learnt tokens that lessons and facts are.
    """

    lessons: Sequence[Fact]
    asked: Sequence[Fact]
    told: Mapping[str, str]
    share: float


def build_rows(
    maker: Maker, dealt: Dealt, arm: str, out: Path, *, languages: Sequence[str], n_rows: int,
    row_targets: int, vocab_size: int,
) -> Mapping[str, Any]:  # fmt: skip
    """Write the rows of an arm; the languages take turns.

    Args:
        maker: of the pieces.
        dealt: what to tell.
        arm: which.
        out: folder to write.
        languages: two codes.
        n_rows: how many, an even number.
        row_targets: tokens learnt from a row; exact over all rows of a language, and about so in
            each.
        vocab_size: rows of the model's embedding.

    Returns:
        The rows' meta, with ``told`` (fact -> how often), ``read`` and ``learnt`` tokens, and
        ``row_targets``.
    """
    fills = {name: _Fill(maker, dealt, arm, name, row_targets) for name in languages}
    rows = [fills[languages[i % len(languages)]].next_row() for i in range(n_rows)]
    for fill in fills.values():
        fill.trim(n_rows // len(languages) * row_targets)
    made = [
        Row(np.concatenate([piece.ids for piece in row]),
            np.concatenate([piece.targets for piece in row]),
            np.array([len(piece.ids) for piece in row]), languages[i % len(languages)])
        for i, row in enumerate(rows)
    ]  # fmt: skip
    room = max(len(row.tokens) for row in made)
    writer = RowsWriter(out, room, vocab_size, sorted(languages), has_targets=True)
    for row in made:
        writer.add(row)
    pieces = [piece for row in rows for piece in row]
    told = Counter(piece.fact for piece in pieces if piece.fact)
    return writer.close(
        told=dict(sorted(told.items())), read=sum(len(row.tokens) for row in made),
        learnt=sum(piece.learnt for piece in pieces), row_targets=row_targets,
        longest_document=max(len(piece.ids) for piece in pieces),
    )  # fmt: skip


class _Fill:
    """Fills the rows of one language: each part takes what is due to it, to within a piece."""

    def __init__(
        self, maker: Maker, dealt: Dealt, arm: str, language: str, row_targets: int
    ) -> None:
        own = [fact for fact in dealt.asked if dealt.told[fact.id] == language]
        told = len(own) + len(dealt.lessons)
        each = dealt.share * row_targets / told
        most = max(min(row_targets // 4, maker.context), 2)
        around = maker.around(language, most, "around")
        self.streams = {LESSONS: maker.tell(dealt.lessons, language, MIXED, LESSONS)}
        self.quota = {LESSONS: each * len(dealt.lessons)}
        if arm != CONTROL:
            self.streams[FACTS] = maker.tell(own, language, arm, FACTS)
            self.quota[FACTS] = each * len(own)
        self.streams[AROUND] = around
        self.quota[AROUND] = row_targets - sum(self.quota.values())
        self.due = dict.fromkeys(self.quota, 0.0)
        self.draw = rng(maker.seed, "row", language)
        self.rows: list[list[Piece]] = []

    def next_row(self) -> list[Piece]:
        """Another row."""
        row: list[Piece] = []
        for name, quota in self.quota.items():
            self.due[name] += quota
            while self.due[name] > 0:
                row.append(next(self.streams[name]))
                self.due[name] -= row[-1].learnt
        if not row:  # rows so small that all parts are ahead of what is due
            row.append(next(self.streams[AROUND]))
            self.due[AROUND] -= row[0].learnt
        row = [row[i] for i in self.draw.permutation(len(row))]
        self.rows.append(row)
        return row

    def trim(self, learnt: int) -> None:
        """Take what is too much out of what is learnt, from the end of the last row on."""
        over = sum(piece.learnt for row in self.rows for piece in row) - learnt
        for row in reversed(self.rows):
            for i in reversed(range(len(row))):
                targets = row[i].targets.copy()
                places = np.flatnonzero(targets)
                cut = places[max(len(places) - over, 0) :]
                targets[cut] = False
                row[i] = Piece(row[i].ids, targets, row[i].fact)
                over -= len(cut)
            if not over:
                return
