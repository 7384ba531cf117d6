"""Preference pairs to rows: the better and the worse answer as two documents of one row.

So a pair is never torn apart by a batch, and shuffling, micro-batches and resuming are those of
every other row. Each document is the question with one answer; targets are the tokens of that
answer (and its end) alone, also where earlier turns hold answers: they stand in both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hanhua.chat.conversation import Conversation
from hanhua.chat.encode import encode_conversation, encode_prompt
from hanhua.chat.pairs import Pair
from hanhua.chat.template import Template
from hanhua.core.errors import InputError
from hanhua.core.files import storage_errors
from hanhua.core.progress import Progress
from hanhua.tokens.flat import map_file
from hanhua.tokens.rows import PackedRows, Row, RowsWriter

FATES = ("whole", "answer_cut", "prompt_too_long", "same_when_cut")
Floats = npt.NDArray[np.float64]
Ids = list[int]


@dataclass(frozen=True, slots=True)
class PairRow(Row):
    """A row of two documents: the question with the better answer, and with the worse.

    Args:
        reference: log-probabilities of the two answers by the model that training began with.
    """

    reference: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class PairRows(PackedRows):
    """A folder of such rows, opened.

    Args:
        reference: ``[n_rows, 2]``, or None while it is not known.
    """

    reference: Floats | None = None

    def row(self, i: int) -> PairRow:
        """Row i, without padding."""
        row = PackedRows.row(self, i)
        known = None if self.reference is None else tuple(self.reference[i].tolist())
        return PairRow(row.tokens, row.targets, row.lengths, row.language, known)

    def answer_tokens(self) -> npt.NDArray[np.int64]:
        """``[n_rows, 2]`` targets of each answer."""
        found = np.zeros((len(self), 2), np.int64)
        for i in range(len(self)):
            row = PackedRows.row(self, i)
            assert row.targets is not None
            found[i] = row.targets[: row.lengths[0]].sum(), row.targets[row.lengths[0] :].sum()
        return found

    def with_reference(self) -> PairRows:
        """The same with what :meth:`keep_reference` wrote, where it has."""
        path = self.path / "reference.bin"
        if not path.is_file():
            return self
        return replace(self, reference=map_file(path, "<f8", (len(self), 2)))

    def keep_reference(self, values: Floats) -> None:
        """Write log-probabilities ``[n_rows, 2]`` beside the rows, whole or not at all.

        Raises:
            StorageError: when the disk is full or may not be written.
        """
        path = self.path / "reference.bin"
        with storage_errors(path):
            aside = path.with_suffix(".tmp")
            aside.write_bytes(np.ascontiguousarray(values, "<f8").tobytes())
            aside.replace(path)


def build_pair_rows(
    tokenizer: Any, vocab_size: int, pairs: Sequence[Pair], template: Template | None, out: Path,
    *, seq_len_tokens: int, progress: Progress,
) -> Mapping[str, Any]:  # fmt: skip
    """Write a row for each pair, in their order.

    Args:
        tokenizer: a fast Hugging Face tokenizer.
        vocab_size: rows of the model's embedding.
        pairs: sound ones.
        template: how conversations are written down; None for the tokenizer's own.
        out: folder to write.
        seq_len_tokens: room for a question with one of its answers; a row is twice as long.
        progress: where to show it.

    Returns:
        The rows' meta, with ``pairs`` as a count by what became of them.

    Raises:
        InputError: when no pair fits, or the tokenizer's own template cannot be used.
        ModelError: when the tokenizer lacks a token that the template needs.
    """
    fates = Counter(dict.fromkeys(FATES, 0))
    languages = sorted({pair.chosen.language for pair in pairs})
    writer = RowsWriter(out, 2 * seq_len_tokens, vocab_size, languages, has_targets=True)
    with ExitStack() as stack:
        stack.callback(writer.let_go)
        bar = stack.enter_context(progress.bar("encoding pairs", len(pairs), "pair"))
        for pair in pairs:
            fate, row = fit_pair(tokenizer, template, pair, seq_len_tokens)
            fates[fate] += 1
            if row is not None:
                writer.add(row)
            bar.advance(1)
        if fates["whole"] + fates["answer_cut"]:
            return writer.close(pairs=dict(fates), longest_document=seq_len_tokens)
    found = ", ".join(f"{fate}: {n}" for fate, n in fates.items() if n)
    raise InputError(
        "No pair fits into a row.", where="prefer.seq_len_tokens",
        found=f"{seq_len_tokens}; {found or 'no pairs'}",
        fix="raise prefer.seq_len_tokens, or add sources with shorter questions",
    )  # fmt: skip


def fit_pair(
    tokenizer: Any, template: Template | None, pair: Pair, seq_len_tokens: int
) -> tuple[str, Row | None]:
    """Encode a pair so that each side fits.

    An answer that is too long loses its end (which is then not learnt there); a question that
    leaves its answers less than half of the room is dropped.

    Returns:
        What became of it, one of ``FATES``, and its row unless it was dropped.
    """
    sides = [_encode(tokenizer, template, c) for c in (pair.chosen, pair.worse)]
    cut = any(len(ids) > seq_len_tokens for ids, _ in sides)
    if cut and any(2 * start > seq_len_tokens for _, (start, _) in sides):
        return "prompt_too_long", None
    sides = [(ids[:seq_len_tokens], span) for ids, span in sides]
    if sides[0][0] == sides[1][0]:
        return "same_when_cut", None
    masks = [np.zeros(len(ids), np.bool_) for ids, _ in sides]
    for mask, (_, (start, stop)) in zip(masks, sides, strict=True):
        mask[start:stop] = True
    row = Row(
        np.array([*sides[0][0], *sides[1][0]], np.uint32), np.concatenate(masks),
        np.array([len(ids) for ids, _ in sides], np.int32), pair.chosen.language,
    )  # fmt: skip
    return ("answer_cut" if cut else "whole"), row


def _encode(
    tokenizer: Any, template: Template | None, conversation: Conversation
) -> tuple[Ids, tuple[int, int]]:
    """The ids of a conversation, and where its last answer's targets start and stop."""
    if template is None:
        return _encode_foreign(tokenizer, conversation)
    ids, mask = encode_conversation(tokenizer, template, conversation)
    stop = len(mask) - mask[::-1].index(True)
    start = stop - next((i for i, on in enumerate(mask[:stop][::-1]) if not on), stop)
    return ids, (start, stop)


def _encode_foreign(tokenizer: Any, conversation: Conversation) -> tuple[Ids, tuple[int, int]]:
    """The same by a chat template that is not ours: what it puts behind the prompt is the answer.

    White space that a template writes behind an answer's end token is not learnt.
    """
    messages = conversation.messages()
    prompt = encode_prompt(tokenizer, None, messages[:-1])
    ids = encode_prompt(tokenizer, None, messages, add_generation_prompt=False)
    special = set(tokenizer.all_special_ids)
    ends = [i + 1 for i in range(len(prompt), len(ids)) if ids[i] in special]
    if ids[: len(prompt)] != prompt or len(ids) == len(prompt):
        raise InputError(
            "The model's own chat template does not write an answer behind its prompt.",
            where=tokenizer.name_or_path, found=conversation.id,
            fix="name a template of ours as prefer.template",
        )  # fmt: skip
    return ids, (len(prompt), ends[-1] if ends else len(ids))
