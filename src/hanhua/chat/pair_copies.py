"""Pairs that came before, and what of a pair is compared with others.

Of equal pairs, and of two that say the opposite of each other, the first is kept. Many sets have
several pairs of answers to one question, and each teaches something else: so near copies are those
whose question *and* answers stood there in nearly the same words.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from hanhua.chat.conversation import Conversation, Turn
from hanhua.chat.ledger import Account
from hanhua.chat.pairs import Pair
from hanhua.chat.select import question_key
from hanhua.text.verdict import Drop

DUPLICATE = "duplicate"
CONTRADICTION = "contradiction"


@dataclass(frozen=True, slots=True)
class PairItem:
    """A pair with where it stood and whose account it is on."""

    pair: Pair
    where: str
    account: Account


def first_of_each(items: Sequence[PairItem]) -> list[PairItem]:
    """Without pairs that came before, and without those that say the opposite of one."""
    first: dict[tuple[bytes, bytes, bytes], str] = {}
    kept: list[PairItem] = []
    for item in items:
        question = question_key(item.pair.chosen)
        better, worse = _key(item.pair.chosen.turns[-1].text), _key(item.pair.rejected)
        for reason, key in ((DUPLICATE, (better, worse)), (CONTRADICTION, (worse, better))):
            if (known := first.get((question, *key))) is not None:
                text = item.pair.chosen.user_text
                item.account.drop(item.where, Drop(reason, f"as {known}"), text)
                break
        else:
            first[question, better, worse] = item.pair.chosen.id
            kept.append(item)
    return kept


def _key(text: str) -> bytes:
    plain = "".join(unicodedata.normalize("NFKC", text).split())
    return blake2b(plain.encode(), digest_size=16).digest()


def whole(pair: Pair) -> Conversation:
    """A pair as one text to compare: its questions and both answers."""
    return replace(pair.chosen, turns=(Turn("user", shown(pair)),))


def shown(pair: Pair) -> str:
    """A pair's questions and answers, one turn a line, the worse answer last."""
    return "\n".join([*(turn.text for turn in pair.chosen.turns), pair.rejected])
