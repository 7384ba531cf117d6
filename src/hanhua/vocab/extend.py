"""From a corpus and a base tokenizer to one with exactly N more pieces, every one of them alive.

A learnt piece can be out of reach: merges ranked before it may always take its characters apart.
So each is encoded alone; those that don't come back as one id are dropped and the next best
learnt take their place, until exactly N are there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from hanhua.core.errors import InputError
from hanhua.core.progress import Progress, Silent
from hanhua.text.document import Document
from hanhua.vocab.affinity import source_weights, survey
from hanhua.vocab.config import VocabConfig
from hanhua.vocab.count import WEIGHT_UNIT, Runs, count_runs, sampled
from hanhua.vocab.family import Family
from hanhua.vocab.learn import Learnt, learn
from hanhua.vocab.script import HAN, Script
from hanhua.vocab.tokenizer import TokenizerFiles
from hanhua.vocab.variants import guarded, with_variants

GUARD_FROM = 16_000
"""From so many pieces on, the guarded characters are nearly all among them anyway."""


@dataclass(frozen=True, slots=True)
class Extended:
    """A tokenizer with new pieces.

    Args:
        files: the tokenizer.
        pieces: new pieces in the order of their ids, with count and base ids.
        learnt: the same in the order learnt, best first.
        dropped: learnt pieces that encoding could not reach.
        runs: what they were learnt from.
        base_tokens: ids that the base's tokenizer knows.
    """

    files: TokenizerFiles
    pieces: list[Piece]
    learnt: list[Learnt]
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


def gather(
    family: Family,
    script: Script,
    config: VocabConfig,
    read: Callable[[], Iterable[Document]],
    progress: Progress | None = None,
) -> Runs:
    """Count the runs of the target's text.

    Args:
        family: writes text as the tokenizer sees it.
        script: which runs.
        config: sample size, weights, pattern, share of traditional characters.
        read: yields the corpus from its beginning; called twice.
        progress: shows the characters read.
    """
    pattern = script.runs(family.space, config.pattern)
    found = survey(read(), pattern)
    total = found.sizes.total()
    share = min(1.0, config.sample_chars / max(total, 1))
    weights = source_weights(
        found.sizes, config.source_alpha, found.affinity(), config.source_affinity, WEIGHT_UNIT
    )
    variants = config.traditional_share if script.letters == HAN else 0.0
    with (progress or Silent()).bar("counting", total * share, "char") as bar:

        def documents() -> Iterable[Document]:
            for document in sampled(read(), share):
                yield document
                bar.advance(len(document.text))

        text = with_variants(documents(), variants) if variants else documents()
        runs = count_runs(text, pattern, weights, family.prepare)
    return _cut(runs, family) if family.cuts else runs


def _cut(runs: Runs, family: Family) -> Runs:
    """Cut the runs where the base never merges across."""
    total: Counter[str] = Counter()
    for text, weight in zip(runs.texts, runs.weights, strict=True):
        for part in family.split(text):
            total[part] += weight
    texts = sorted(total)
    return Runs(texts, [total[t] for t in texts], runs.chars, runs.documents)


@dataclass(slots=True)
class Pool:
    """Pieces as they are learnt, best first; more are learnt when more are wanted.

    Args:
        family: the base.
        runs: what is learnt from.
        config: limits.
        stream: from :func:`hanhua.vocab.learn.learn`.
        guarded: characters that become pieces however rare.
        learnt: what has come so far.
        dead: what encoding could not reach.
    """

    family: Family
    runs: Runs
    config: VocabConfig
    stream: Iterator[Learnt]
    guarded: list[Learnt]
    learnt: list[Learnt] = field(default_factory=list)
    dead: set[str] = field(default_factory=set)

    def draw(self, number: int, progress: Progress | None = None) -> None:
        """Learn until so many pieces are there, or the text gives no more."""
        missing = number - len(self.learnt)
        if missing <= 0:
            return
        there = self.family.files.backend.get_vocab()
        with (progress or Silent()).bar("learning pieces", missing, "piece") as bar:
            for piece in islice(self.stream, missing):
                self.learnt.append(piece)
                bar.advance()
                if self.family.written(piece.piece) in there:  # one that the base can't reach
                    self.dead.add(piece.piece)

    def alive(self) -> list[Learnt]:
        """Learnt and not known to be dead; the guarded characters stand in front of all."""
        forced = {piece.piece for piece in self.guarded}
        rest = (piece for piece in self.learnt if piece.piece not in forced)
        return [p for p in (*self.guarded, *rest) if p.piece not in self.dead]


def open_pool(family: Family, script: Script, config: VocabConfig, runs: Runs, add: int) -> Pool:
    """Begin to learn about ``add`` pieces."""
    alphabet = family.alphabet(sorted(set("".join(runs.texts))), script)
    stream = learn(runs, alphabet, add, config.max_piece_chars, config.min_count)
    return Pool(family, runs, config, stream, _guarded(family, script, config, add))


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
    pool.draw(add, progress)
    while True:
        files, taken = family.extend(pool.alive(), add)
        added = len(files.fast()) - base_tokens
        unreached = {p.piece for p in taken if not _reached(family, files, p.piece)}
        if unreached:
            pool.dead |= unreached
            pool.draw(add + len(pool.dead) + 16)  # some of those that follow may be dead too
            continue
        if added == add:
            break
        known = len(pool.learnt)
        pool.draw(known + (add - added) + (add - added) // 4 + 16)
        if len(pool.learnt) == known:
            raise _too_few(add, added, pool.runs, pool.config)
    order = {piece.piece: i for i, piece in enumerate(pool.learnt)}
    learnt = sorted(taken, key=lambda piece: order.get(piece.piece, len(order)))
    pieces = _pieces(family, files, taken)
    return Extended(files, pieces, learnt, sorted(pool.dead), pool.runs, base_tokens)


def shortened(family: Family, extended: Extended, add: int) -> TokenizerFiles:
    """The tokenizer with only the first so many pieces learnt: what a smaller N would have been."""
    return family.extend(extended.learnt[:add], add)[0]


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
    return [token.value for token in files.backend.model.tokenize(written)] == [written]


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
