"""Conversations to packed rows with a mask: only the assistant's tokens are targets.

A conversation is never cut to fill a gap, as a row's padding is not computed anyway. One that is
longer than a row loses its last exchanges; where the first alone is too long, the answer's end is
cut off (so no end of turn is learnt there), unless its question leaves it less than half a row.
"""

from __future__ import annotations

import shutil
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hanhua.chat.conversation import Conversation, read_conversations
from hanhua.chat.encode import encode_conversation
from hanhua.chat.template import Template
from hanhua.core.errors import InputError
from hanhua.core.files import storage_errors
from hanhua.core.progress import Progress
from hanhua.tokens.conversation_encoder import Coded, ConversationEncoder
from hanhua.tokens.encode import BATCH_CHARS
from hanhua.tokens.flat import append_to
from hanhua.tokens.gather import Planned, write_rows
from hanhua.tokens.ids_file import Documents
from hanhua.tokens.pack import Packed, best_fit, cut
from hanhua.tokens.row_plan import Planner
from hanhua.tokens.rows import RowsWriter
from hanhua.tokens.rows_writer import ids_dtype

WAITING = 1024
"""Conversations in memory."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """One conversation as ids, with the mask of the tokens to learn."""

    ids: npt.NDArray[np.uint32]
    targets: npt.NDArray[np.bool_]
    language: str


def build_chat_rows(
    tokenizer: Any, vocab_size: int, path: Path, template: Template, out: Path, *,
    seq_len_tokens: int, seed: int, progress: Progress, row_tokens: int | None = None,
) -> Mapping[str, Any]:  # fmt: skip
    """Write the packed rows of a file of conversations.

    Args:
        tokenizer: a fast Hugging Face tokenizer.
        vocab_size: rows of the model's embedding.
        path: ``train.parquet`` of a chatdata artifact.
        template: how conversations are written down.
        out: folder to write.
        seq_len_tokens: the longest conversation.
        seed: the recipe's.
        progress: where to show it.
        row_tokens: room in a row, at least as much; None: the same.

    Returns:
        The rows' meta, with ``conversations`` as a count by what became of them.

    Raises:
        InputError: when no conversation fits.
    """
    room = row_tokens or seq_len_tokens
    fates = {"whole": 0, "turns_cut": 0, "answer_cut": 0, "too_long": 0}
    found: dict[str, _Spool] = {}
    with _spools(out.with_name(f".{out.name}.spools")) as work:
        with progress.bar("encoding conversations", None, "conv") as bar:
            for fate, encoded in _fit_all(tokenizer, template, path, seq_len_tokens):
                fates[fate] += 1
                bar.advance(1)
                if encoded is None:
                    continue
                if encoded.language not in found:
                    folder = work / f"{len(found):03d}"
                    found[encoded.language] = _Spool(folder, ids_dtype(vocab_size))
                found[encoded.language].add(encoded)
        if not found:
            raise InputError(
                "No conversation fits into a row.", where=path, found=f"{sum(fates.values())} read",
                fix=f"raise finetune.seq_len_tokens ({seq_len_tokens}) or check chatdata.sources",
            )  # fmt: skip
        planned = {name: spool.plan(room, seed, name) for name, spool in found.items()}
        writer = RowsWriter(out, room, vocab_size, sorted(found), has_targets=True)
        with progress.bar("writing rows", None, "tok") as bar:
            write_rows(writer, planned, seed, bar)
    return writer.close(
        conversations=fates, template=template.name, longest_document=seq_len_tokens
    )


@contextmanager
def _spools(folder: Path) -> Iterator[Path]:
    """A folder for a while. It has a fixed name, so that what a kill left goes before the next."""
    with storage_errors(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Spool:
    """The encoded conversations of one language, on disk; in memory are their lengths."""

    def __init__(self, folder: Path, dtype: np.dtype[Any]) -> None:
        self.folder, self.dtype, self.lengths = folder, dtype, array("I")
        self._waiting: list[Encoded] = []
        with storage_errors(folder):
            folder.mkdir()

    def add(self, encoded: Encoded) -> None:
        """Append a conversation."""
        self.lengths.append(len(encoded.ids))
        self._waiting.append(encoded)
        if len(self._waiting) >= WAITING:
            self._flush()

    def _flush(self) -> None:
        ids = [encoded.ids for encoded in self._waiting]
        targets = [encoded.targets for encoded in self._waiting]
        self._waiting = []
        if ids:
            append_to(self.folder / "ids.bin", np.concatenate(ids), self.dtype)
            append_to(self.folder / "targets.bin", np.concatenate(targets), np.uint8)

    def plan(self, seq_len_tokens: int, seed: int, language: str) -> Planned:
        """Pack them, without cutting any to fill a gap."""
        self._flush()
        lengths = np.frombuffer(self.lengths, np.uint32)
        ends = np.cumsum(lengths, dtype=np.uint64)
        planner = Planner(self.folder, seq_len_tokens, _pack_whole)
        chosen = np.arange(len(lengths), dtype=np.uint32)
        planner.add(Documents(ends - lengths, lengths), chosen, seed, language, 0)
        return Planned(planner.plan(), self.folder / "ids.bin", self.folder / "targets.bin")


def _pack_whole(lengths: npt.NDArray[Any], seq_len_tokens: int) -> Packed:
    return best_fit(cut(lengths, seq_len_tokens), seq_len_tokens)


def _fit_all(
    tokenizer: Any, template: Template, path: Path, seq_len_tokens: int
) -> Iterator[tuple[str, Encoded | None]]:
    """As of :func:`fit`, for each conversation of a file in its order."""
    encoder = ConversationEncoder(tokenizer, template)
    for batch in _batches(read_conversations(path)):
        for conversation, coded in zip(batch, encoder.encode(batch), strict=True):
            n = _turns_that_fit(conversation, coded, encoder.is_special, seq_len_tokens)
            yield _fitted(tokenizer, template, conversation, coded, seq_len_tokens, n)


def _batches(conversations: Iterable[Conversation]) -> Iterator[list[Conversation]]:
    batch: list[Conversation] = []
    chars = 0
    for conversation in conversations:
        batch.append(conversation)
        chars += conversation.chars
        if chars > BATCH_CHARS:
            yield batch
            batch, chars = [], 0
    if batch:
        yield batch


def fit(
    tokenizer: Any, template: Template, conversation: Conversation, seq_len_tokens: int
) -> tuple[str, Encoded | None]:
    """Encode a conversation so that it fits into a row.

    Returns:
        What became of it (``whole``, ``turns_cut``, ``answer_cut``, ``too_long``), and it, unless
        it was too long.
    """
    coded = _encode(tokenizer, template, conversation)
    return _fitted(tokenizer, template, conversation, coded, seq_len_tokens, None)


def _turns_that_fit(
    conversation: Conversation, coded: Coded, is_special: npt.NDArray[np.bool_], seq_len_tokens: int
) -> int | None:
    """How many turns fit, read from the whole conversation; None where that can't be known.

    It can where every answer ends in a special token: what stands before one is encoded the same,
    whatever comes behind.
    """
    ids, mask = coded
    ends = np.flatnonzero(mask & is_special[ids])
    learnt_behind = np.append(mask, False)[ends + 1].any()
    if 2 * len(ends) != len(conversation.turns) or learnt_behind:
        return None
    return 2 * int(np.searchsorted(ends, seq_len_tokens))


def _fitted(
    tokenizer: Any, template: Template, conversation: Conversation, coded: Coded,
    seq_len_tokens: int, fitting: int | None,
) -> tuple[str, Encoded | None]:  # fmt: skip
    """The same where the whole conversation is encoded, and known how many turns will fit."""
    turns, language = conversation.turns, conversation.language or "und"
    most = len(turns) if fitting is None else max(fitting, 2)
    for n in range(most, 0, -2):
        if n < len(turns):
            coded = _encode(tokenizer, template, replace(conversation, turns=turns[:n]))
        ids, mask = coded
        if _learnt_until(mask) <= seq_len_tokens:  # what closes the last turn need not fit
            fate = "whole" if n == len(turns) else "turns_cut"
            return fate, Encoded(ids[:seq_len_tokens], mask[:seq_len_tokens], language)
    ids, mask = ids[:seq_len_tokens], mask[:seq_len_tokens]
    if 2 * int(mask.sum()) < seq_len_tokens:
        return "too_long", None
    return "answer_cut", Encoded(ids, mask, language)


def _encode(tokenizer: Any, template: Template, conversation: Conversation) -> Coded:
    ids, mask = encode_conversation(tokenizer, template, conversation)
    return np.array(ids, np.uint32), np.array(mask, np.bool_)


def _learnt_until(mask: npt.NDArray[np.bool_]) -> int:
    """How many tokens there are up to the last one that is learnt."""
    return len(mask) - int(mask[::-1].argmax())
