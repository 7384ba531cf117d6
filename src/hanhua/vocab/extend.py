"""From a corpus and a base tokenizer to one with exactly N more pieces, every one of them alive.

Twice as many pieces are learnt as wanted, and the most useful ones are taken (rank.py); they keep
the order learnt among themselves. A piece can be out of reach: merges ranked before it may always
take its characters apart. So each is encoded alone; those that don't come back as one id are
dropped and the next best take their place, until exactly N are there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from hanhua.core.errors import InputError
from hanhua.core.progress import Progress, Silent
from hanhua.vocab.config import VocabConfig
from hanhua.vocab.convert import spell
from hanhua.vocab.count import (
    GAP,
    Runs,
)
from hanhua.vocab.family import Family
from hanhua.vocab.learn import Learning
from hanhua.vocab.rank import rank
from hanhua.vocab.script import HAN, Script
from hanhua.vocab.symbols import Learnt
from hanhua.vocab.tokenizer import TokenizerFiles
from hanhua.vocab.variants import guarded

GUARD_FROM = 16_000
"""From so many pieces on, the guarded characters are nearly all among them anyway."""
OVERSHOOT = 2.0
"""So many times the pieces wanted are learnt; three times gains nothing more."""


@dataclass(frozen=True, slots=True)
class Extended:
    """A tokenizer with new pieces.

    Args:
        files: the tokenizer.
        pieces: new pieces in the order of their ids, with count and base ids.
        learnt: the same, most useful first.
        order: when each piece was learnt.
        dropped: learnt pieces that encoding could not reach.
        runs: what they were learnt from.
        base_tokens: ids that the base's tokenizer knows.
    """

    files: TokenizerFiles
    pieces: list[Piece]
    learnt: list[Learnt]
    order: dict[str, int]
    dropped: list[str]
    runs: Runs
    base_tokens: int


@dataclass(frozen=True, slots=True)
class Piece:
    """A new piece with its id, its weighted count and what the base spelt it with."""

    id: int
    piece: str
    count: int
    base_ids: tuple[int, ...]


@dataclass(slots=True)
class Pool:
    """Pieces as they are learnt; more are learnt when more are wanted.

    Args:
        family: the base.
        runs: what is learnt from.
        config: limits.
        wanted: how many to learn before the best are taken.
        learning: gives them.
        guarded: characters that become pieces however rare.
        learnt: what has come so far.
        ranked: the same, most useful first; empty until asked for.
        dead: what encoding could not reach.
    """

    family: Family
    runs: Runs
    config: VocabConfig
    wanted: int
    learning: Learning
    guarded: list[Learnt]
    learnt: list[Learnt] = field(default_factory=list)
    ranked: list[Learnt] = field(default_factory=list)
    dead: set[str] = field(default_factory=set)

    def draw(self, number: int, progress: Progress | None = None) -> None:
        """Learn until so many pieces are there, or the text gives no more."""
        missing = number - len(self.learnt)
        if missing <= 0:
            return
        there = self.family.files.backend.get_vocab()
        with (progress or Silent()).bar("learning pieces", missing, "piece") as bar:
            for piece in islice(self.learning, missing):
                self.learnt.append(piece)
                bar.advance()
                self.ranked = []
                if self.family.written(piece.piece) in there:  # one that the base can't reach
                    self.dead.add(piece.piece)

    def alive(self) -> list[Learnt]:
        """Most useful first, those known to be dead left out; guarded characters before all."""
        if not self.ranked:
            chars = np.array([source.chars for source in self.runs.facts], float)
            affinity = np.array([source.affinity for source in self.runs.facts])
            power = self.config.source_affinity
            self.ranked = rank(self.learnt, self.learning.uses(), chars, affinity**power)
        forced = {piece.piece for piece in self.guarded}
        rest = (piece for piece in self.ranked if piece.piece not in forced)
        return [p for p in (*self.guarded, *rest) if p.piece not in self.dead]

    def place(self) -> dict[str, int]:
        """When each piece was learnt; guarded ones that were not come last."""
        found = {piece.piece: i for i, piece in enumerate(self.learnt)}
        for piece in self.guarded:
            found.setdefault(piece.piece, len(found))
        return found


def open_pool(
    family: Family, script: Script, config: VocabConfig, runs: Runs, add: int,
    overshoot: float = OVERSHOOT,
) -> Pool:  # fmt: skip
    """Begin to learn ``add`` pieces, and some more to choose from."""
    there = np.flatnonzero(np.bincount(runs.codes))
    alphabet = family.alphabet([chr(code) for code in there.tolist() if code != GAP], script)
    wanted = round(add * overshoot)
    learning = Learning(runs, alphabet, wanted, config.max_piece_chars, config.min_count)
    return Pool(family, runs, config, wanted, learning, _guarded(family, script, config, add))


def _guarded(family: Family, script: Script, config: VocabConfig, add: int) -> list[Learnt]:
    """The guarded characters that the base spells with several tokens."""
    guard = config.guard
    if guard == "auto":
        guard = "common" if add >= GUARD_FROM else "none"
    if script.letters != HAN or guard == "none":
        return []
    missing = family.alphabet(guarded(guard), script).cost
    if len(missing) > add:
        raise InputError(
            "The guarded characters alone are more than the pieces asked for.", where="vocab.guard",
            found=f"{guard}: {len(missing)} characters, vocab.add {add}",
            fix="raise vocab.add, or set vocab.guard to common or none",
        )  # fmt: skip
    return [Learnt(c, 0) for c in sorted(missing)]


def extend(
    family: Family,
    script: Script,
    config: VocabConfig,
    runs: Runs,
    progress: Progress | None = None,
) -> Extended:
    """Learn ``config.add`` pieces (a number by now) and give the base them.

    Raises:
        InputError: when the text holds fewer pieces than asked for.
    """
    assert config.add != "auto"
    pool = open_pool(family, script, config, runs, config.add)
    return grow(pool, config.add, progress)


def grow(pool: Pool, add: int, progress: Progress | None = None) -> Extended:
    """Give the base exactly so many live pieces from a pool.

    Raises:
        InputError: when the text holds fewer pieces than asked for.
    """
    family = pool.family
    base_tokens = len(family.files.fast())
    pool.draw(max(pool.wanted, add), progress)
    while True:
        order = pool.place()
        chosen = family.fit(pool.alive(), add)
        chosen.sort(key=lambda piece: order[piece.piece])
        files, taken = family.extend(chosen, add)
        unreached = {p.piece for p in taken if not _reached(family, files, p.piece)}
        if unreached:
            pool.dead |= unreached
            continue
        added = len(files.fast()) - base_tokens
        if added == add:
            break
        known = len(pool.learnt)
        pool.draw(known + (add - added) + (add - added) // 4 + 16)
        if len(pool.learnt) == known:
            raise _too_few(add, added, pool.runs, pool.config)
    kept = {piece.piece for piece in taken}
    useful = [piece for piece in pool.alive() if piece.piece in kept]
    pieces = _pieces(family, files, taken)
    dropped = sorted(pool.dead)
    return Extended(files, pieces, useful, pool.place(), dropped, pool.runs, base_tokens)


def shortened(family: Family, extended: Extended, add: int) -> TokenizerFiles:
    """The tokenizer with only the most useful pieces: what a smaller N would have been."""
    chosen = family.fit(extended.learnt, add)
    return family.extend(sorted(chosen, key=lambda p: extended.order[p.piece]), add)[0]


def _too_few(add: int, found: int, runs: Runs, config: VocabConfig) -> InputError:
    return InputError(
        "The text of the target language doesn't hold so many pieces.", where="vocab.add",
        found=f"{found} of {add} from {runs.chars} characters, each at least "
        f"{config.min_count} times",
        fix=f"set vocab.add to {found // 64 * 64 or found} or less, lower vocab.min_count, or give "
        "more text",
    )  # fmt: skip


def _reached(family: Family, files: TokenizerFiles, piece: str) -> bool:
    written = family.written(piece)
    return [token.value for token in spell(files.backend, written)] == [written]


def _pieces(family: Family, files: TokenizerFiles, taken: list[Learnt]) -> list[Piece]:
    """Every new id with its base ids; a half character (byte-level) is written byte by byte."""
    base, new = family.files.backend, files.backend
    learnt = {family.written(piece.piece): piece for piece in taken}
    found = []
    for index in range(base.get_vocab_size(), new.get_vocab_size()):
        token = str(new.id_to_token(index))
        piece = learnt.get(token, Learnt(token, 0))
        base_ids = tuple(t.id for t in base.model.tokenize(token))
        found.append(Piece(index, piece.piece, piece.count, base_ids))
    return found
