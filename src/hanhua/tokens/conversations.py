"""Conversations to packed rows with a mask: only the assistant's tokens are targets.

A conversation is never cut to fill a gap, as a row's padding is not computed anyway. One that is
longer than a row loses its last exchanges; where the first alone is too long, the answer's end is
cut off (so no end of turn is learnt there), unless its question leaves it less than half a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hanhua.chat.conversation import Conversation, read_conversations
from hanhua.chat.encode import encode_conversation
from hanhua.chat.template import Template
from hanhua.core.errors import InputError
from hanhua.core.progress import Progress
from hanhua.tokens.mixture import interleave, shuffled
from hanhua.tokens.pack import Piece, best_fit, cut
from hanhua.tokens.rows import Row, RowsWriter


@dataclass(frozen=True, slots=True)
class Encoded:
    """One conversation as ids, with the mask of the tokens to learn."""

    ids: npt.NDArray[np.uint32]
    targets: npt.NDArray[np.bool_]
    language: str


def build_chat_rows(
    tokenizer: Any, vocab_size: int, path: Path, template: Template, out: Path, *,
    seq_len_tokens: int, seed: int, progress: Progress,
) -> Mapping[str, Any]:  # fmt: skip
    """Write the packed rows of a file of conversations.

    Args:
        tokenizer: a fast Hugging Face tokenizer.
        vocab_size: rows of the model's embedding.
        path: ``train.parquet`` of a chatdata artifact.
        template: how conversations are written down.
        out: folder to write.
        seq_len_tokens: room in a row.
        seed: the recipe's.
        progress: where to show it.

    Returns:
        The rows' meta, with ``conversations`` as a count by what became of them.

    Raises:
        InputError: when no conversation fits.
    """
    fates = {"whole": 0, "turns_cut": 0, "answer_cut": 0, "too_long": 0}
    found: dict[str, list[Encoded]] = {}
    with progress.bar("encoding conversations", None, "conv") as bar:
        for conversation in read_conversations(path):
            fate, encoded = fit(tokenizer, template, conversation, seq_len_tokens)
            fates[fate] += 1
            if encoded is not None:
                found.setdefault(encoded.language, []).append(encoded)
            bar.advance(1)
    if not found:
        raise InputError(
            "No conversation fits into a row.", where=path, found=f"{sum(fates.values())} read",
            fix=f"raise finetune.seq_len_tokens ({seq_len_tokens}) or check chatdata.sources",
        )  # fmt: skip
    writer = RowsWriter(out, seq_len_tokens, vocab_size, sorted(found), has_targets=True)
    for row in _rows(found, seq_len_tokens, seed):
        writer.add(row)
    return writer.close(conversations=fates, template=template.name)


def fit(
    tokenizer: Any, template: Template, conversation: Conversation, seq_len_tokens: int
) -> tuple[str, Encoded | None]:
    """Encode a conversation so that it fits into a row.

    Returns:
        What became of it (``whole``, ``turns_cut``, ``answer_cut``, ``too_long``), and it, unless
        it was too long.
    """
    turns = conversation.turns
    for n in range(len(turns), 0, -2):
        ids, mask = encode_conversation(tokenizer, template, replace(conversation, turns=turns[:n]))
        if len(ids) <= seq_len_tokens:
            return ("whole" if n == len(turns) else "turns_cut"), _encoded(ids, mask, conversation)
    ids, mask = ids[:seq_len_tokens], mask[:seq_len_tokens]
    if 2 * sum(mask) < seq_len_tokens:
        return "too_long", None
    return "answer_cut", _encoded(ids, mask, conversation)


def _encoded(ids: list[int], mask: list[bool], conversation: Conversation) -> Encoded:
    return Encoded(
        np.array(ids, np.uint32), np.array(mask, np.bool_), conversation.language or "und"
    )


def _rows(found: Mapping[str, list[Encoded]], seq_len_tokens: int, seed: int) -> Iterator[Row]:
    """Rows of one language each, interleaved like those of a corpus."""
    packed: dict[str, list[list[Piece]]] = {}
    for language, all_encoded in found.items():
        lengths = np.array([len(x.ids) for x in all_encoded], np.int64)
        rows = best_fit(cut(lengths, seq_len_tokens), seq_len_tokens)
        packed[language] = shuffled(rows, seed, "rows", language, 0)
    for language, i in interleave({name: len(rows) for name, rows in packed.items()}, seed):
        parts = [found[language][piece.document] for piece in packed[language][i]]
        yield Row(
            np.concatenate([x.ids for x in parts]),
            np.concatenate([x.targets for x in parts]),
            np.array([len(x.ids) for x in parts], np.int32),
            language,
        )
