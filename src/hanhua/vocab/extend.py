"""From a corpus and a base tokenizer to one with exactly N more pieces, every one of them alive.

A learnt piece can be out of reach: merges ranked before it may always take its characters apart.
So each is encoded alone; those that don't come back as one id are dropped and the next best
learnt take their place, until exactly N are there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

from hanhua.core.errors import InputError
from hanhua.core.progress import Progress, Silent
from hanhua.text.document import Document
from hanhua.vocab.config import VocabConfig
from hanhua.vocab.count import Runs, count_runs, sampled, source_sizes, source_weights
from hanhua.vocab.family import Family
from hanhua.vocab.learn import Learnt, learn
from hanhua.vocab.script import Script
from hanhua.vocab.tokenizer import TokenizerFiles


@dataclass(frozen=True, slots=True)
class Extended:
    """A tokenizer with new pieces.

    Args:
        files: the tokenizer.
        pieces: new pieces in the order of their ids, with count and base ids.
        dropped: learnt pieces that encoding could not reach.
        runs: what they were learnt from.
        base_tokens: ids that the base's tokenizer knows.
    """

    files: TokenizerFiles
    pieces: list[Piece]
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
        config: sample size, weights, pattern.
        read: yields the corpus from its beginning; called twice.
        progress: shows the characters read.
    """
    sizes = source_sizes(read())
    total = sum(sizes.values())
    share = min(1.0, config.sample_chars / max(total, 1))
    pattern = script.runs(family.space, lead=config.pattern == "punct_letters")
    weights = source_weights(sizes, config.source_alpha)
    with (progress or Silent()).bar("counting", total * share, "char") as bar:

        def documents() -> Iterable[Document]:
            for document in sampled(read(), share):
                yield document
                bar.advance(len(document.text))

        runs = count_runs(documents(), pattern, weights, family.prepare)
    return _cut(runs, family) if family.cuts else runs


def _cut(runs: Runs, family: Family) -> Runs:
    """Cut the runs where the base never merges across."""
    total: Counter[str] = Counter()
    for text, weight in zip(runs.texts, runs.weights, strict=True):
        for part in family.split(text):
            total[part] += weight
    texts = sorted(total)
    return Runs(texts, [total[t] for t in texts], runs.chars, runs.documents)


def extend(
    family: Family,
    script: Script,
    config: VocabConfig,
    runs: Runs,
    progress: Progress | None = None,
) -> Extended:
    """Learn ``config.add`` pieces and give the base them.

    Raises:
        InputError: when the text holds fewer pieces than asked for.
    """
    alphabet = family.alphabet(sorted(set("".join(runs.texts))), script)
    stream = learn(runs, alphabet, config.add, config.max_piece_chars, config.min_count)
    learnt: list[Learnt] = []
    with (progress or Silent()).bar("learning pieces", config.add, "piece") as bar:
        for piece in islice(stream, config.add):
            learnt.append(piece)
            bar.advance()
    dead: set[str] = set()
    base_tokens = len(family.files.fast())
    while True:
        alive = [piece for piece in learnt if piece.piece not in dead]
        files, taken = family.extend(alive, config.add)
        added = len(files.fast()) - base_tokens
        unreached = {p.piece for p in taken if not _reached(family, files, p.piece)}
        dead |= unreached
        if not unreached and added == config.add:
            break
        missing = config.add - added + len(unreached)
        more = list(islice(stream, missing + missing // 4 + 16))  # some of these may be dead too
        if not more:
            raise _too_few(config, added - len(unreached), runs)
        learnt += more
    return Extended(files, _pieces(family, files, taken), sorted(dead), runs, base_tokens)


def _too_few(config: VocabConfig, found: int, runs: Runs) -> InputError:
    return InputError(
        "The text of the target language doesn't hold so many pieces.", where="vocab.add",
        found=f"{found} of {config.add} from {runs.chars} characters, each at least "
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
