"""Pretraining rows among chat rows, so that tuning on answers doesn't unlearn the languages.

A model that sees nothing but answers forgets text: the built-in one lost 0.09 bits per byte of
English and 0.16 of Chinese in 90 steps. Replaying a part of the earlier data is the oldest remedy
(experience replay; for language models e.g. https://arxiv.org/abs/2403.08763). The share is one
of *predicted* tokens, as those are what a step's gradient is the mean of; of a conversation only
the answers are predicted.

A step takes so many rows, so all should be about full: text rows that are shorter than the chat's
go end to end, as many as fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hanhua.tokens.permutation import rng
from hanhua.tokens.rows import PackedRows, Row, RowsWriter, n_targets


def add_rehearsal(
    chat: PackedRows, text: PackedRows, out: Path, *, share: float, seed: int, **facts: Any
) -> Mapping[str, Any]:
    """Write the chat rows with rows of text spread evenly among them.

    Args:
        chat: rows with a mask, as long as the text's at least; all are written, in their order.
        text: rows to choose from, evenly over their order, so that their mixture of languages
            stays; each is taken once at most.
        out: folder to write.
        share: asked part of the predicted tokens, in [0, 1).
        seed: of the choice.
        facts: more for the meta.

    Returns:
        The rows' meta with ``rehearsal``: the share asked and counted, and the text rows taken.
    """
    chosen = _choose(text, share / (1 - share) * _predicted(chat), seed)
    languages = sorted({*chat.languages, *text.languages})
    length = max(chat.seq_len_tokens, text.seq_len_tokens)
    groups = _together(text, chosen, length // text.seq_len_tokens)
    vocab = max(int(chat.meta["vocab_size"]), int(text.meta["vocab_size"]))
    writer = RowsWriter(out, length, vocab, languages, has_targets=True)
    places = [(np.arange(len(found)) + 0.5) / max(len(found), 1) for found in (chat, groups)]
    counted = [0, 0]
    for i in np.argsort(np.concatenate(places), kind="stable").tolist():
        kind = int(i >= len(chat))
        row = _laid([text.row(k) for k in groups[i - len(chat)]]) if kind else chat.row(i)
        counted[kind] += n_targets(row)
        writer.add(row)
    found = counted[1] / max(sum(counted), 1)
    rehearsal = {"asked": share, "counted": round(found, 6), "rows": len(chosen)}
    return writer.close(rehearsal=rehearsal, **facts)


def _predicted(rows: PackedRows) -> int:
    return sum(int(count["targets"]) for count in rows.meta["counts_by_language"].values())


def _choose(text: PackedRows, wanted: float, seed: int) -> npt.NDArray[np.int64]:
    """Evenly spaced rows that predict about so many tokens, or all rows."""
    n = min(round(wanted / max(_predicted(text) / len(text), 1)), len(text))
    start = rng(seed, "rehearsal").random()
    return ((np.arange(n) + start) * len(text) / max(n, 1)).astype(np.int64)


def _together(text: PackedRows, chosen: npt.NDArray[np.int64], n: int) -> list[list[int]]:
    """The chosen rows, so many of one language at a time, in the order of the first of each."""
    found: list[list[int]] = []
    begun: dict[int, list[int]] = {}
    for i in chosen.tolist():
        group = begun.get(int(text.row_languages[i]))
        if group is None or len(group) == n:
            group = begun[int(text.row_languages[i])] = []
            found.append(group)
        group.append(i)
    return found


def _laid(rows: list[Row]) -> Row:
    """Rows of text end to end as one with a mask, in which everything is predicted."""
    tokens = np.concatenate([row.tokens for row in rows])
    lengths = np.concatenate([row.lengths for row in rows])
    return Row(tokens, np.ones(len(tokens), np.bool_), lengths, rows[0].language)
