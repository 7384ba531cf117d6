"""Near copies: a question that was asked before in nearly the same words.

The machinery is the corpus': MinHash signatures whose bands share a key, then the whole signature.
Questions need more demands, since one word can make another question. The numbers in both, and what
stands in quotation marks, must be the same. And what is left when the clauses that both have are
struck out must be like too: many sets ask several questions about one long passage, and the
passage alone makes those nine parts alike. Fewer than eight shingles (twelve Han characters, ten
words) are too few to go by.

Questions are held against those that are *kept*, the first kept first, so no chain of small
changes takes away what is like nothing that is left.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hanhua.chat.conversation import Conversation
from hanhua.text.copies.minhash import (
    BANDS,
    FUNCTIONS,
    band_keys,
    canonical_points,
    short_form,
    sign,
)

MIN_SHINGLES = 8
LIKE = 0.75
"""Part of their character pairs that two questions must share (Dice), common clauses aside."""
LIKE_BESIDE_A_PASSAGE = 0.9
"""The same where the common clauses are longer than what is left: that is what is asked."""
_MAX_COMPARED = 256
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_QUOTED = re.compile(r"“([^”]+)”|\"([^\"]+)\"|「([^」]+)」|《([^》]+)》")
_CLAUSE_END = re.compile(r"[。！？!?\n；;：，、]+|[.:,](?=\s|$)")

Shared = dict[int, list[int]]


def near_copies(
    conversations: Sequence[Conversation], min_agreement: float
) -> dict[int, tuple[int, float]]:
    """Which conversations ask what an earlier one asks.

    Args:
        conversations: in order; of copies the first is kept.
        min_agreement: part of the signatures that must agree, from 0 to 1.

    Returns:
        number of what goes -> (number of what it is like, share that agrees).
    """
    if not conversations:
        return {}
    signatures = [sign(conversation.user_text) for conversation in conversations]
    usable = np.array([s.shingles >= MIN_SHINGLES for s in signatures], dtype=np.bool_)
    least = np.stack([s.least for s in signatures])
    short, shared = short_form(least), _shared_bands(band_keys(least), usable)
    wanted = int(np.ceil(min_agreement * FUNCTIONS))
    kept_in: dict[int, list[int]] = {}
    found: dict[int, tuple[int, float]] = {}
    for number in sorted(shared):
        others = list(dict.fromkeys(k for b in shared[number] for k in kept_in.get(b, ())))
        agree = (short[others] == short[number]).sum(axis=1) if others else np.zeros(0)
        like = _first_like(conversations, number, others, agree, wanted)
        if like is not None:
            found[number] = (like[0], round(like[1] / FUNCTIONS, 3))
            continue
        for bucket in shared[number]:
            there = kept_in.setdefault(bucket, [])
            if len(there) < _MAX_COMPARED:
                there.append(number)
    return found


def _shared_bands(keys: npt.NDArray[np.uint64], usable: npt.NDArray[np.bool_]) -> Shared:
    """By number the buckets that it shares with another; keys are [conversations, BANDS]."""
    found: Shared = {}
    numbers, offset = np.nonzero(usable)[0], 0
    for band in range(BANDS):
        _, bucket, count = np.unique(keys[numbers, band], return_inverse=True, return_counts=True)
        mine = np.nonzero(count[bucket] > 1)[0]
        for place in mine.tolist():
            found.setdefault(int(numbers[place]), []).append(offset + int(bucket[place]))
        offset += len(count)
    return found


def _first_like(
    conversations: Sequence[Conversation], number: int, others: Sequence[int],
    agree: npt.NDArray[np.number], wanted: int,
) -> tuple[int, int] | None:  # fmt: skip
    """The most like of the others that asks the same, with how many values agree."""
    for place in np.argsort(-agree, kind="stable").tolist():
        if agree[place] < wanted:
            return None
        if asks_the_same(conversations[number], conversations[others[place]]):
            return others[place], int(agree[place])
    return None


def asks_the_same(one: Conversation, other: Conversation) -> bool:
    """Whether two questions that share most of their words are one."""
    if one.system.strip() != other.system.strip():
        return False
    first, second = one.user_text, other.user_text
    if sorted(_NUMBER.findall(first)) != sorted(_NUMBER.findall(second)):
        return False
    quoted, quoted_too = _quotations(first), _quotations(second)
    if quoted and quoted_too and quoted != quoted_too:
        return False
    ours, theirs = _clauses(first), _clauses(second)
    common = ours & theirs
    left, left_too = _pairs(ours - common), _pairs(theirs - common)
    rest = max(left.total(), left_too.total())
    least = LIKE_BESIDE_A_PASSAGE if _pairs(common).total() > rest else LIKE
    both = left.total() + left_too.total()
    return not both or 2 * (left & left_too).total() >= least * both


def _quotations(text: str) -> list[bytes]:
    return sorted(canonical_points("".join(m.groups(""))).tobytes() for m in _QUOTED.finditer(text))


def _clauses(text: str) -> Counter[tuple[int, ...]]:
    """The clauses as they are compared: no case, width, spacing or punctuation."""
    found = (tuple(canonical_points(clause).tolist()) for clause in _CLAUSE_END.split(text))
    return Counter(clause for clause in found if clause)


def _pairs(clauses: Counter[tuple[int, ...]]) -> Counter[tuple[int, int]]:
    """The pairs of neighbouring characters, with those at both ends."""
    found: Counter[tuple[int, int]] = Counter()
    for clause in clauses.elements():
        found.update(zip((0, *clause), (*clause, 0), strict=True))
    return found
