"""Sources to conversations for training and measuring, with every record accounted for.

The order is: read, clean, name the language, drop poor answers, repeated questions and what a
benchmark asks, limit a source, hold out, fill the shares. Between the files and the artifact
everything is held in memory: a million conversations need about 2 GB.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from hanhua.chat.balance import cell_of, wishes
from hanhua.chat.config import ChatDataConfig
from hanhua.chat.conversation import Conversation, write_conversations
from hanhua.chat.intake import Item, read_sources, shown
from hanhua.chat.ledger import Account, ledger_dict
from hanhua.chat.quality import quality
from hanhua.chat.select import Selection, fill_shares, hold_out, question_key, rank
from hanhua.chat.sift import drop_asked, drop_near
from hanhua.core.files import write_json, write_text
from hanhua.core.stage import Context, Result
from hanhua.text.verdict import Drop

DUPLICATE = "duplicate"
OVER_LIMIT = "over_limit"
HELD_OUT_COPY = "held_out_copy"
SHARE = "share"
QUALITY = "quality_"
"""Before the name of the signal that counted most."""


def build_chatdata(context: Context[ChatDataConfig]) -> Result:
    """Read, clean, select and write; the work of the stage ``chatdata``.

    Returns:
        counts of records, conversations, turns; metrics of shares, languages and drops.

    Raises:
        InputError: for a file that cannot be read or of which nothing can be used.
        MixtureError: when the shares cannot be filled.
    """
    config = context.config
    accounts, items = read_sources(config, context.source, context.progress, context.seed)
    if config.quality is not None:
        items = _drop_poor(items, config.quality.min_score)
    if config.dedup != "none":
        items = _drop_copies(items)
    if config.dedup == "near":
        talks = [item.conversation for item in items]
        items = drop_near(items, talks, config.near_similarity)
    items, touched = drop_asked(
        items, lambda item: shown(item.conversation), config.contamination,
        "chatdata.contamination",
    )  # fmt: skip
    items = _limit(items, config, accounts, context.seed)
    held, selection, at = _split(items, config, context.seed)
    train = [_tagged(c) if config.domain_tag else c for c in selection.kept]
    measured = [_tagged(c) if config.domain_tag else c for c in held]
    for conversation in selection.kept:
        at[conversation.id].account.keep(conversation, False, at[conversation.id].schema)
    for conversation in held:
        at[conversation.id].account.keep(conversation, True, at[conversation.id].schema)
    write_conversations(context.out / "train.parquet", train)
    write_conversations(context.out / "held_out.parquet", measured)
    ledger = {**ledger_dict(accounts), "contamination": touched}
    write_json(context.out / "ledger.json", ledger)
    lines = chain.from_iterable(account.lines for account in accounts)
    write_text(context.out / "dropped.jsonl", "".join(f"{line}\n" for line in lines))
    return _result(config, ledger, selection, held)


def _drop_poor(items: Sequence[Item], min_score: float) -> list[Item]:
    """Score all, and drop those below."""
    kept: list[Item] = []
    for item in items:
        found = quality(item.conversation)
        item.account.score(found.score, found.found)
        if found.score >= min_score:
            kept.append(item)
        else:
            reason = QUALITY + next(iter(found.found))
            item.account.drop(item.where, Drop(reason, found.told), shown(item.conversation))
    return kept


def _tagged(conversation: Conversation) -> Conversation:
    """The domain before the first question, where one is known."""
    if not conversation.domain:
        return conversation
    first, *others = conversation.turns
    first = replace(first, text=f"[{conversation.domain}] {first.text}")
    return replace(conversation, turns=(first, *others))


def _drop_copies(items: Sequence[Item]) -> list[Item]:
    first: dict[bytes, str] = {}
    kept: list[Item] = []
    for item in items:
        key = question_key(item.conversation)
        if key in first:
            text = shown(item.conversation)
            item.account.drop(item.where, Drop(DUPLICATE, f"as {first[key]}"), text)
        else:
            first[key] = item.conversation.id
            kept.append(item)
    return kept


def _limit(
    items: Sequence[Item], config: ChatDataConfig, accounts: Sequence[Account], seed: int
) -> list[Item]:
    """At most `limit` conversations of each source, chosen by hash, in their order."""
    over: set[int] = set()
    for source, account in zip(config.sources, accounts, strict=True):
        if source.limit is not None:
            own = [i for i, item in enumerate(items) if item.account is account]
            own.sort(key=lambda i: (rank(question_key(items[i].conversation), seed, "limit"), i))
            over |= set(own[source.limit :])
    for i in sorted(over):
        items[i].account.drop(items[i].where, Drop(OVER_LIMIT, ""))
    return [item for i, item in enumerate(items) if i not in over]


def _split(
    items: Sequence[Item], config: ChatDataConfig, seed: int
) -> tuple[list[Conversation], Selection, dict[str, Item]]:
    """Held out, chosen for training, and the items by id."""
    at = {item.conversation.id: item for item in items}
    asked = wishes(config.shares, config.tasks, config.domains)
    usable = []
    for item in items:
        if cell_of(item.conversation, asked) is not None:
            usable.append(item.conversation)
        else:
            item.account.drop(item.where, Drop(SHARE, _belongs(item.conversation, config)))
    held, rest, copies = hold_out(usable, config.held_out, seed)
    for conversation in copies:
        at[conversation.id].account.drop(at[conversation.id].where, Drop(HELD_OUT_COPY, ""))
    selection = fill_shares(
        rest, config.shares, budget_bytes=config.budget_bytes, tolerance=config.tolerance,
        seed=seed, tasks=config.tasks, domains=config.domains,
    )  # fmt: skip
    for conversation in selection.left:
        item = at[conversation.id]
        item.account.drop(item.where, Drop(SHARE, _belongs(conversation, config)))
    return held, selection, at


def _belongs(conversation: Conversation, config: ChatDataConfig) -> str:
    """The language, with task and domain where they have shares."""
    more = [
        conversation.task if config.tasks else "",
        conversation.domain if config.domains else "",
    ]
    return " ".join([conversation.language, *filter(None, more)])


def _result(
    config: ChatDataConfig,
    ledger: dict[str, Any],
    selection: Selection,
    held: Sequence[Conversation],
) -> Result:
    totals = ledger["totals"]
    turns: Counter[str] = Counter()
    for conversation in selection.kept:
        turns[conversation.language] += len(conversation.turns)
    return Result(
        counts={
            "records": totals["in"],
            "conversations": totals["kept"],
            "held_out": totals["held_out"],
            "held_out_by_language": dict(Counter(c.language for c in held)),
            "dropped": sum(totals["dropped"].values()),
            "turns": sum(turns.values()),
        },
        metrics={
            "shares": {"asked": selection.asked, "counted": selection.counted,
                       "unit": "UTF-8 bytes of the answers"},
            "target_bytes": selection.target_bytes,
            "bytes": totals["bytes"],
            "chars": totals["chars"],
            "conversations_by_language": totals["languages"],
            "turns_by_language": dict(turns),
            "tasks": totals["tasks"],
            "domains": totals["domains"],
            "dropped": totals["dropped"],
            **({"balance": selection.balance} if selection.balance else {}),
            **({"quality": totals["quality"]} if "quality" in totals else {}),
            "changed": totals["changed"],
            "template": config.template,
        },
    )  # fmt: skip
