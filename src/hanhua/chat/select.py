"""Which conversations of all sets are used: one of each question, held out, in asked shares.

Shares are counted in UTF-8 bytes of the answers: that is what is learnt, and no tokenizer is at
hand before the model is expanded. A byte is a fair measure between languages: with an expanded
vocabulary a Chinese byte costs about 0.22 tokens and an English one about 0.25; characters would
count Chinese at a quarter of its worth. Every choice goes by a hash of the question, so it
depends neither on the order of the sets nor on where they lie.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from hanhua.chat.balance import Wish, cell_goals, cell_of, counted, wishes
from hanhua.chat.conversation import Conversation
from hanhua.core.errors import MixtureError
from hanhua.text.languages.language import detect
from hanhua.text.scripts import profile

_ENDS = " .。?？!！…:：;；,，"
_UNCLEAR = ("mixed", "other")
HELD_OUT_PART = 10


def question_key(conversation: Conversation) -> bytes:
    """Equal for conversations with the same system text and questions, spacing, width, case and
    closing punctuation aside. Signs inside count: ``3+4`` and ``3-4`` are two questions.
    """
    asked = [conversation.system, *(t.text for t in conversation.turns if t.role == "user")]
    plain = ("".join(unicodedata.normalize("NFKC", text).casefold().split()) for text in asked)
    return blake2b("\0".join(t.rstrip(_ENDS) for t in plain).encode(), digest_size=16).digest()


def language_of(conversation: Conversation) -> str | None:
    """The language of the answers by script, else of the questions; None where neither tells."""
    for text in (conversation.target_text, conversation.user_text):
        found = detect(profile(text))
        if found not in _UNCLEAR:
            return found
    return None


def common_language(found: Iterable[str]) -> str | None:
    """The language of most conversations: what those of a set without letters are taken for."""
    counts = Counter(language for language in found if language)
    return min(counts, key=lambda name: (-counts[name], name)) if counts else None


def rank(key: bytes, seed: int, use: str) -> bytes:
    """Where a conversation stands in an order that is random, but always the same."""
    return blake2b(key, digest_size=16, salt=f"{use[:8]}{seed % 10**8}".encode()).digest()


def hold_out(
    conversations: Sequence[Conversation], per_language: int, seed: int
) -> tuple[list[Conversation], list[Conversation], list[Conversation]]:
    """Set some aside for measuring, of each language the same number, at most a tenth of it.

    Returns:
        held out, for training, and those that ask what a held-out one asks: neither.
    """
    keys = [question_key(conversation) for conversation in conversations]
    pools: dict[str, dict[bytes, int]] = defaultdict(dict)
    for i, conversation in enumerate(conversations):
        pools[conversation.language].setdefault(keys[i], i)
    chosen: set[int] = set()
    for pool in pools.values():
        order = sorted(pool, key=lambda key: rank(key, seed, "heldout"))
        chosen |= {pool[key] for key in order[: min(per_language, len(pool) // HELD_OUT_PART)]}
    asked = {keys[i] for i in chosen}
    copies = {i for i, key in enumerate(keys) if key in asked} - chosen
    rest = set(range(len(keys))) - chosen - copies
    held, kept, left = ([conversations[i] for i in sorted(s)] for s in (chosen, rest, copies))
    return held, kept, left


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What is used, what is left, and the shares.

    Args:
        kept: in the order given.
        left: the others, in the order given.
        asked: language -> share asked for.
        counted: language -> share of the answers' bytes in what is kept.
        target_bytes: language -> UTF-8 bytes of the answers in what is kept.
        balance: ``tasks`` and ``domains``, where asked for, each with ``asked`` and ``counted``.
    """

    kept: list[Conversation]
    left: list[Conversation]
    asked: dict[str, float]
    counted: dict[str, float]
    target_bytes: dict[str, int]
    balance: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)


def fill_shares(
    conversations: Sequence[Conversation],
    shares: Mapping[str, float] | None,
    *,
    budget_bytes: int | None,
    tolerance: float,
    seed: int,
    tasks: Mapping[str, float] | None = None,
    domains: Mapping[str, float] | None = None,
) -> Selection:
    """Take as much as the shares (and the budget) allow.

    Args:
        conversations: all that may be used, each with its language.
        shares: language -> share; None takes everything.
        budget_bytes: UTF-8 bytes of answers, all languages together; None for no limit.
        tolerance: largest difference between asked and counted.
        seed: another seed makes another choice.
        tasks: task -> share, ``*`` for those not named; None: as they come.
        domains: domain -> share, likewise.

    Raises:
        MixtureError: when a language has too little for its share of the budget, or has nothing,
            or the conversations are too few to meet the shares.
    """
    if tasks is not None or domains is not None:
        asked = wishes(shares, tasks, domains)
        return _fill_cells(conversations, asked, budget_bytes, tolerance, seed)
    have: Counter[str] = Counter()
    for conversation in conversations:
        have[conversation.language] += conversation.target_bytes
    if shares is None:
        total = sum(have.values())
        if budget_bytes is None or budget_bytes >= total:
            return _selection(conversations, set(range(len(conversations))), {})
        goals = {name: budget_bytes * size / total for name, size in have.items()}
    else:
        goals = _goals(have, {name: s for name, s in shares.items() if s > 0}, budget_bytes)
    taken = _fill(conversations, {(name,): goal for name, goal in goals.items()}, seed,
                  lambda conversation: (conversation.language,))  # fmt: skip
    found = _selection(conversations, taken, dict(shares or {}))
    n = len(found.kept)
    _check(found.asked, found.counted, n, tolerance, "chatdata.shares", have)
    return found


def _goals(
    have: Mapping[str, int], shares: Mapping[str, float], budget_bytes: int | None
) -> dict[str, float]:
    """Bytes to take of each language."""
    room = {name: have.get(name, 0) / share for name, share in shares.items()}
    scarce = min(room, key=lambda name: room[name])
    if not have.get(scarce) or (budget_bytes and budget_bytes > room[scarce]):
        need = f", {shares[scarce] * budget_bytes:.0f} needed" if budget_bytes else ""
        there = ", ".join(f"{name} {size}" for name, size in sorted(have.items())) or "nothing"
        raise MixtureError(
            f"There is too little of {scarce} for its share of {shares[scarce]:g}.",
            where="chatdata.shares",
            found=f"bytes of answers: {there}{need}",
            fix=f"add a source of {scarce}, or lower its share"
            + (" or `budget_bytes`" if budget_bytes else ""),
        )
    total = min(budget_bytes or room[scarce], room[scarce])
    return {name: share * total for name, share in shares.items()}


def _fill_cells(
    conversations: Sequence[Conversation], asked: Sequence[Wish], budget_bytes: int | None,
    tolerance: float, seed: int,
) -> Selection:  # fmt: skip
    """The same for tables of tasks or domains, with that of languages if there is one."""
    goals = cell_goals(conversations, asked, budget_bytes)
    taken = _fill(conversations, goals, seed, lambda conversation: cell_of(conversation, asked))
    shares = next((dict(wish.asked) for wish in asked if wish.kind == "shares"), {})
    found = _selection(conversations, taken, shares)
    told = {
        wish.kind: {"asked": dict(wish.asked), "counted": counted(found.kept, wish)}
        for wish in asked
    }
    for kind, both in told.items():
        _check(both["asked"], both["counted"], len(found.kept), tolerance, f"chatdata.{kind}")
    told.pop("shares", None)
    return replace(found, balance=told)


def _fill(
    conversations: Sequence[Conversation], goals: Mapping[tuple[str, ...], float], seed: int,
    cell: Callable[[Conversation], tuple[str, ...] | None],
) -> set[int]:  # fmt: skip
    """Go through a shuffled order and take what still fits into its cell."""
    order = sorted(
        range(len(conversations)),
        key=lambda i: (rank(question_key(conversations[i]), seed, "shares"), i),
    )
    taken: set[int] = set()
    filled: Counter[tuple[str, ...] | None] = Counter()
    for i in order:
        place, size = cell(conversations[i]), conversations[i].target_bytes
        if place is not None and filled[place] + size <= goals.get(place, 0.0):
            filled[place] += size
            taken.add(i)
    return taken


def _selection(
    conversations: Sequence[Conversation], taken: set[int], asked: dict[str, float]
) -> Selection:
    kept = [conversation for i, conversation in enumerate(conversations) if i in taken]
    sizes: Counter[str] = Counter()
    for conversation in kept:
        sizes[conversation.language] += conversation.target_bytes
    total = sum(sizes.values()) or 1
    return Selection(
        kept=kept,
        left=[conversation for i, conversation in enumerate(conversations) if i not in taken],
        asked=asked,
        counted={name: size / total for name, size in sorted(sizes.items())},
        target_bytes=dict(sorted(sizes.items())),
    )


def _check(
    asked: Mapping[str, float], found: Mapping[str, float], n: int, tolerance: float, where: str,
    have: Mapping[str, int] | None = None,
) -> None:  # fmt: skip
    for name, share in asked.items():
        off = abs(found.get(name, 0.0) - share)
        if off > tolerance:
            there = f" ({have.get(name, 0)} bytes of answers in {name})" if have else ""
            raise MixtureError(
                f"The share of {name} cannot be met.", where=where,
                found=f"{share:g} asked, {found.get(name, 0.0):.3f} counted of {n} conversations"
                f"{there}",
                fix="add conversations, or raise `tolerance`",
            )  # fmt: skip
