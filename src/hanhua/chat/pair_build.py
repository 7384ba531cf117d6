"""Sources of preference pairs to those learnt from and those held out, every record accounted for.

As for conversations: read, name the language, drop repeated pairs and what a benchmark asks, limit
a source, hold out, fill the shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import Any

from hanhua.chat.clean import identity_of
from hanhua.chat.ledger import Account, ledger_dict
from hanhua.chat.load import load_records
from hanhua.chat.pair_config import PairDataConfig, PairSourceConfig
from hanhua.chat.pair_copies import PairItem, first_of_each, shown, whole
from hanhua.chat.pairs import Pair, own_pair, read_pair
from hanhua.chat.select import (
    Selection,
    common_language,
    fill_shares,
    hold_out,
    language_of,
    question_key,
    rank,
)
from hanhua.chat.sift import drop_asked, drop_near
from hanhua.core.artifact import outside_files
from hanhua.core.errors import InputError, MixtureError
from hanhua.core.files import sha256_file
from hanhua.core.progress import Bar, Progress
from hanhua.text.verdict import Drop

OVER_LIMIT = "over_limit"
HELD_OUT_COPY = "held_out_copy"
SHARE = "share"


@dataclass(frozen=True, slots=True)
class PairSet:
    """What came of all sources.

    Args:
        train: pairs to learn from, in an order that depends on nothing but them and the seed.
        held_out: pairs to measure with, likewise.
        shares: ``asked`` and ``counted`` by language.
        ledger: what became of every record, by source.
        dropped: JSON lines of the dropped records that are kept to look at.
    """

    train: list[Pair]
    held_out: list[Pair]
    shares: dict[str, Any]
    ledger: dict[str, Any]
    dropped: list[str]


def gather_pairs(config: PairDataConfig, fallback: str, seed: int, progress: Progress) -> PairSet:
    """Read all sources and choose.

    Args:
        config: the recipe's section.
        fallback: the language of a set in which no pair tells one.
        seed: of every choice and of the order.
        progress: a bar over the files' bytes, and a line a source.

    Raises:
        InputError: for a file that cannot be read or holds no pair, or when none is left.
        MixtureError: when the shares cannot be filled.
    """
    accounts, items = _read_sources(config, fallback, progress)
    items = first_of_each(items)
    if config.dedup == "near":
        talks = [whole(item.pair) for item in items]
        items = drop_near(items, talks, config.near_similarity)
    items, touched = drop_asked(
        items, lambda item: shown(item.pair), config.contamination, "prefer.contamination"
    )
    items = _limited(items, config, accounts, seed)
    held, selection = _split(items, config, seed)
    at = {item.pair.chosen.id: item for item in items}
    train = sorted(selection.kept, key=lambda c: (rank(c.id.encode(), seed, "pairs"), c.id))
    if not train:
        drops = ledger_dict(accounts)["totals"]["dropped"]
        raise InputError(
            "There is no pair to learn from.", where="prefer.sources",
            found=", ".join(f"{reason}: {n}" for reason, n in drops.items()) or "no records",
            fix="add sources, or lower prefer.held_out",
        )  # fmt: skip
    for part, is_held_out in ((train, False), (held, True)):
        for conversation in part:
            at[conversation.id].account.keep(conversation, held_out=is_held_out)
    shares = {"asked": selection.asked, "counted": selection.counted,
              "unit": "UTF-8 bytes of the better answers"}  # fmt: skip
    ledger = {**ledger_dict(accounts), "contamination": touched}
    return PairSet(
        [at[c.id].pair for c in train], [at[c.id].pair for c in held], shares,
        ledger, [line for account in accounts for line in account.lines],
    )  # fmt: skip


def _read_sources(
    config: PairDataConfig, fallback: str, progress: Progress
) -> tuple[list[Account], list[PairItem]]:
    files = [
        outside_files(s.path, f"prefer.sources[{i}].path") for i, s in enumerate(config.sources)
    ]
    size = sum(path.stat().st_size for paths in files for path in paths)
    accounts: list[Account] = []
    items: list[PairItem] = []
    with progress.bar("reading pairs", total=size, unit="B") as bar:
        for source, paths in zip(config.sources, files, strict=True):
            name = _free_name(source.name or _name(paths), {a.source for a in accounts})
            account = Account(name, source.licence, config.dropped_samples)
            account.schemas.setdefault("preference")
            accounts.append(account)
            found = [item for path in paths for item in _read_file(path, account, config, bar)]
            items += _named(found, source, fallback)
            progress.say(f"  {account.source}: {account.records} records, {len(found)} pairs")
    return accounts, items


def _name(paths: Sequence[Path]) -> str:
    return paths[0].name.split(".")[0] if len(paths) == 1 else paths[0].parent.name


def _free_name(name: str, taken: set[str]) -> str:
    """A name no other source has, so that ids stay unique."""
    numbered = (f"{name}-{number}" for number in count(2))
    return next(free for free in chain([name], numbered) if free not in taken)


def _read_file(path: Path, account: Account, config: PairDataConfig, bar: Bar) -> list[PairItem]:
    before, drops = account.records, account.dropped.copy()
    found: list[PairItem] = []
    for record in load_records(path):
        account.records += 1
        value = record.value
        pair = value if isinstance(value, Drop) else read_pair(value, config.max_chars)
        if isinstance(pair, Pair) and config.model_name is not None:
            pair = own_pair(pair, identity_of(config.model_name, config.model_maker))
        if isinstance(pair, Drop):
            account.drop(record.where, pair, str(value))
            continue
        chosen = replace(
            pair.chosen, id=f"{account.source}/{account.records}", source=account.source,
            language=language_of(pair.chosen) or "", licence=account.licence,
        )  # fmt: skip
        found.append(PairItem(replace(pair, chosen=chosen), record.where, account))
    bar.advance(path.stat().st_size)
    records = account.records - before
    account.files.append(
        {"name": path.name, "sha256": sha256_file(path), "schema": "preference", "in": records}
    )
    if not found:
        reasons = (account.dropped - drops).most_common(5)
        raise InputError(
            "There is no pair in this file.", where=path,
            found=", ".join(f"{reason}: {n}" for reason, n in reasons) or "no records",
            fix="each record needs a question (prompt, conversations or messages) and two "
            "different answers, chosen and rejected",
        )  # fmt: skip
    return found


def _named(items: Sequence[PairItem], source: PairSourceConfig, fallback: str) -> list[PairItem]:
    """The same with languages; what has no letters goes with its set."""
    languages = [item.pair.chosen.language for item in items]
    if source.language != "auto":
        languages = [source.language] * len(items)
    usual = common_language(languages) or fallback
    return [
        replace(item, pair=replace(
            item.pair, chosen=replace(item.pair.chosen, language=language or usual)))
        for item, language in zip(items, languages, strict=True)
    ]  # fmt: skip


def _limited(
    items: Sequence[PairItem], config: PairDataConfig, accounts: Sequence[Account], seed: int
) -> list[PairItem]:
    over: set[int] = set()
    for source, account in zip(config.sources, accounts, strict=True):
        if source.limit is not None:
            own = [i for i, item in enumerate(items) if item.account is account]
            own.sort(key=lambda i: (rank(question_key(items[i].pair.chosen), seed, "limit"), i))
            over |= set(own[source.limit :])
    for i in sorted(over):
        items[i].account.drop(items[i].where, Drop(OVER_LIMIT, ""))
    return [item for i, item in enumerate(items) if i not in over]


def _split(
    items: Sequence[PairItem], config: PairDataConfig, seed: int
) -> tuple[list[Any], Selection]:
    """The better conversations held out, and those chosen to learn from."""
    at = {item.pair.chosen.id: item for item in items}
    wanted = None if config.shares is None else {n for n, s in config.shares.items() if s > 0}
    usable = []
    for item in items:
        language = item.pair.chosen.language
        if wanted is None or language in wanted:
            usable.append(item.pair.chosen)
        else:
            item.account.drop(item.where, Drop(SHARE, language))
    held, rest, copies = hold_out(usable, config.held_out, seed)
    try:
        selection = fill_shares(
            rest, config.shares, budget_bytes=None, tolerance=config.tolerance, seed=seed
        )
    except MixtureError as error:
        raise MixtureError(
            error.what, where="prefer.shares", found=error.found, fix=error.fix
        ) from error
    for reason, left in ((HELD_OUT_COPY, copies), (SHARE, selection.left)):
        for conversation in left:
            item = at[conversation.id]
            item.account.drop(item.where, Drop(reason, conversation.language))
    return held, selection
