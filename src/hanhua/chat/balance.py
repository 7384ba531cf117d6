"""Shares of languages, tasks and domains at once: how much of each combination to take.

A cell is one combination, e.g. Chinese questions of medicine. What is there of it is its cap. Cells
are raked (iterative proportional fitting, Deming and Stephan 1940): scaled in turn until each
language, task and domain has its bytes, none above its cap. So what is taken keeps the proportions
that the sets have wherever no share says otherwise. The rule for what runs dry is that of the
languages: the scarcest sets the size of the whole, and nothing is repeated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hanhua.chat.conversation import Conversation
from hanhua.chat.ledger import UNNAMED
from hanhua.core.errors import MixtureError

OTHERS = "*"
"""The name in a table of shares for all that it does not name."""
_ROUNDS = 100
_HALVINGS = 12
_CLOSE = 1e-3
Cell = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wish:
    """Shares asked for.

    Args:
        kind: ``shares`` (of languages), ``tasks`` or ``domains``: the key in the recipe.
        asked: name -> share; they add up to 1.
    """

    kind: str
    asked: Mapping[str, float]

    def name_in(self, conversation: Conversation) -> str | None:
        """Which share a conversation counts in; None when in none."""
        name = _name(self.kind, conversation)
        if name not in self.asked:
            name = OTHERS
        return name if self.asked.get(name) else None


def wishes(
    shares: Mapping[str, float] | None, tasks: Mapping[str, float] | None,
    domains: Mapping[str, float] | None,
) -> list[Wish]:  # fmt: skip
    """What is asked for, without what is not."""
    given = {"shares": shares, "tasks": tasks, "domains": domains}
    return [Wish(kind, asked) for kind, asked in given.items() if asked is not None]


def _name(kind: str, conversation: Conversation) -> str:
    if kind == "shares":
        return conversation.language
    found = conversation.task if kind == "tasks" else conversation.domain
    return found or UNNAMED


def cell_of(conversation: Conversation, asked: Iterable[Wish]) -> Cell | None:
    """The combination that a conversation belongs to; None when a table has no place for it."""
    names = [wish.name_in(conversation) for wish in asked]
    return None if None in names else tuple(str(name) for name in names)


def cell_goals(
    conversations: Sequence[Conversation], asked: Sequence[Wish], budget_bytes: int | None
) -> dict[Cell, float]:
    """Bytes of answers to take of each combination.

    Raises:
        MixtureError: when something has nothing, or too little for its share of the budget, or
            the tables cannot be met together.
    """
    have: Counter[Cell] = Counter()
    for conversation in conversations:
        cell = cell_of(conversation, asked)
        if cell is not None:
            have[cell] += conversation.target_bytes
    room = min((_room(have, place, wish, budget_bytes) for place, wish in enumerate(asked)))
    most = min(budget_bytes, room) if budget_bytes else room
    found = _rake(have, asked, most)
    low, high = 0.0, most
    for _ in range(0 if found or budget_bytes else _HALVINGS):
        middle = (low + high) / 2
        goals = _rake(have, asked, middle)
        found, low, high = (goals, middle, high) if goals else (found, low, middle)
    if not found:
        cells = ", ".join(f"{' '.join(cell)} {size}" for cell, size in sorted(have.items()))
        raise MixtureError(
            "These shares cannot be met together.", where=_where(asked),
            found=f"bytes of answers: {cells[:600]}",
            fix="add sources of the combinations that are missing, or change the shares"
            + (" or `budget_bytes`" if budget_bytes else ""),
        )  # fmt: skip
    return found


def _where(asked: Sequence[Wish]) -> str:
    return ", ".join(f"chatdata.{wish.kind}" for wish in asked)


def _room(have: Counter[Cell], place: int, wish: Wish, budget_bytes: int | None) -> float:
    """How large the whole can be before the scarcest name of a table runs dry."""
    there: Counter[str] = Counter()
    for cell, size in have.items():
        there[cell[place]] += size
    room = {name: there[name] / share for name, share in wish.asked.items() if share}
    scarce = min(room, key=lambda name: room[name])
    if not room[scarce] or (budget_bytes and budget_bytes > room[scarce]):
        sizes = ", ".join(f"{name} {size}" for name, size in sorted(there.items())) or "nothing"
        raise MixtureError(
            f"There is too little of {scarce} for its share of {wish.asked[scarce]:g}.",
            where=f"chatdata.{wish.kind}", found=f"bytes of answers: {sizes}",
            fix=f"add a source of {scarce}, or lower its share"
            + (" or `budget_bytes`" if budget_bytes else "")
            + ("" if wish.kind == "shares" else f"; a source can be given its `{wish.kind[:-1]}`"),
        )  # fmt: skip
    return room[scarce]


def _rake(
    have: Mapping[Cell, int], asked: Sequence[Wish], total: float
) -> dict[Cell, float] | None:
    """Bytes of each cell so that every name has its share of the total; None when none are."""
    taken = {cell: float(size) for cell, size in have.items()}
    groups = [
        ([cell for cell in have if cell[place] == name], share * total)
        for place, wish in enumerate(asked)
        for name, share in wish.asked.items()
        if share
    ]
    for _ in range(_ROUNDS):
        for cells, goal in groups:
            _scale(taken, have, cells, goal)
        off = max(abs(sum(taken[cell] for cell in cells) - goal) for cells, goal in groups)
        if off <= _CLOSE * total:
            return taken
    return None


def _scale(
    taken: dict[Cell, float], have: Mapping[Cell, int], cells: Sequence[Cell], goal: float
) -> None:
    """Scale cells to a sum by one factor, none above what is there."""
    free = [cell for cell in cells if have[cell]]
    while free:
        left = goal - sum(have[cell] for cell in cells if have[cell] and cell not in free)
        factor = left / max(sum(taken[cell] for cell in free), 1e-300)
        over = [cell for cell in free if taken[cell] * factor > have[cell]]
        if not over:
            for cell in free:
                taken[cell] *= factor
            return
        for cell in over:
            taken[cell] = float(have[cell])
        free = [cell for cell in free if cell not in over]


def counted(conversations: Iterable[Conversation], wish: Wish) -> dict[str, float]:
    """The share of the answers' bytes that each name of a table has."""
    sizes: Counter[str] = Counter()
    for conversation in conversations:
        sizes[wish.name_in(conversation) or UNNAMED] += conversation.target_bytes
    total = sum(sizes.values()) or 1
    return {name: size / total for name, size in sorted(sizes.items())}
