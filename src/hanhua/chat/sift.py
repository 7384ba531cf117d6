"""What goes for what stood elsewhere: near copies of earlier items, and what a benchmark asks.

One rule for conversations and for pairs of answers; each is struck off its own source's account.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from hanhua.chat.asked import find_asked
from hanhua.chat.conversation import Conversation
from hanhua.chat.ledger import Account
from hanhua.chat.near import near_copies
from hanhua.text.verdict import Drop

NEAR_COPY = "near_copy"
CONTAMINATION = "contamination"
_SHOWN_CHARS = 190


class Filed(Protocol):
    """Something with where it stood and whose account it is on."""

    @property
    def where(self) -> str:
        """File and line."""

    @property
    def account(self) -> Account:
        """Of its source."""


FiledT = TypeVar("FiledT", bound=Filed)


def drop_near(
    items: Sequence[FiledT], talks: Sequence[Conversation], min_agreement: float
) -> list[FiledT]:
    """Without items that say what an earlier one says in nearly the same words.

    Args:
        items: in order; of copies the first is kept.
        talks: of each item the conversation whose user text is compared.
        min_agreement: part of the signatures that must agree, from 0 to 1.
    """
    copies = near_copies(talks, min_agreement)
    for number, (kept, share) in copies.items():
        text, first = talks[number].user_text, talks[kept]
        items[number].account.drop(
            items[number].where, Drop(NEAR_COPY, f"{share} as {first.id}"),
            f"{text[:_SHOWN_CHARS]}\n--\n{first.user_text[:_SHOWN_CHARS]}",
        )  # fmt: skip
    return [item for number, item in enumerate(items) if number not in copies]


def drop_asked(
    items: Sequence[FiledT], text_of: Callable[[FiledT], str], patterns: Sequence[str], key: str
) -> tuple[list[FiledT], dict[str, Any]]:
    """Without items that hold an evaluation question; also what was looked for and found, by file.

    Args:
        items: in order.
        text_of: all that an item says.
        patterns: files of questions, or globs.
        key: in the recipe, that names them.

    Raises:
        InputError: for a file that cannot be read or holds no question.
    """
    found, account = find_asked(map(text_of, items), patterns, key)
    for number, what in found.items():
        item = items[number]
        item.account.drop(item.where, Drop(CONTAMINATION, what), text_of(item))
    return [item for number, item in enumerate(items) if number not in found], account
