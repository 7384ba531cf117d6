"""Files to clean conversations: which format, what is dropped, whose account it is on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

from hanhua.chat.clean import IDENTITY, NAME_BLANK, clean
from hanhua.chat.config import ChatDataConfig, ChatSourceConfig
from hanhua.chat.conversation import Conversation
from hanhua.chat.dataset_info import FILE, SetInfo, read_dataset_info
from hanhua.chat.ledger import Account
from hanhua.chat.load import Loaded, load_records
from hanhua.chat.schemas.fields import Fields, split_of
from hanhua.chat.schemas.registry import SCHEMAS, Schema, detect, schema_of
from hanhua.chat.schemas.tasks import WITH_LABELS
from hanhua.chat.select import common_language, language_of
from hanhua.core.artifact import outside_files
from hanhua.core.errors import InputError
from hanhua.core.files import sha256_file
from hanhua.core.progress import Bar, Progress
from hanhua.text.verdict import Drop

OTHER_SPLIT = "other_split"

_LOOK_AT_RECORDS = 50


@dataclass(frozen=True, slots=True)
class Item:
    """A conversation with where it stood and whose account it is on."""

    conversation: Conversation
    where: str
    account: Account
    schema: str = ""


def read_sources(
    config: ChatDataConfig, fallback: str, progress: Progress, seed: int = 0
) -> tuple[list[Account], list[Item]]:
    """Read and clean all sources.

    Args:
        config: the recipe's section.
        fallback: the language of a set in which no conversation tells one.
        progress: a bar over the files' bytes, and a line a source.
        seed: chooses the wordings of plain tasks.

    Returns:
        an account for each source, and what is sound, in order.

    Raises:
        InputError: for a file that cannot be read or of which nothing can be used.
    """
    sources = config.sources
    files = [outside_files(s.path, f"chatdata.sources[{i}].path") for i, s in enumerate(sources)]
    size = sum(path.stat().st_size for paths in files for path in paths)
    accounts: list[Account] = []
    items: list[Item] = []
    with progress.bar("reading conversations", total=size, unit="B") as bar:
        for source, paths in zip(sources, files, strict=True):
            name = _free_name(source.name or _name(paths), accounts)
            account = Account(name, source.licence, config.dropped_samples)
            accounts.append(account)
            found = _read_source(source, paths, account, config, bar, seed)
            items += _named(_told(found, source), source, fallback)
            progress.say(
                f"  {account.source}: {', '.join(account.schemas)}, {account.records} records, "
                f"{len(found)} sound"
            )
    return accounts, items


def _read_source(
    source: ChatSourceConfig, paths: Sequence[Path], account: Account, config: ChatDataConfig,
    bar: Bar, seed: int,
) -> list[Item]:  # fmt: skip
    tables = _tables(source, paths)
    found: list[Item] = []
    for path in paths:
        if path.name != FILE:
            found += _read_file(path, source, account, config, bar, tables, seed)
    if source.splits is not None and not account.splits:
        raise InputError(
            "No record of this set names its split.", where=account.source,
            found=f"splits: {', '.join(source.splits)}", fix="take `splits` out",
        )  # fmt: skip
    return found


def _name(paths: Sequence[Path]) -> str:
    """A file's name without suffixes; for several files their folder's."""
    return paths[0].name.split(".")[0] if len(paths) == 1 else paths[0].parent.name


def _free_name(name: str, accounts: Sequence[Account]) -> str:
    """A name no other source has, so that ids stay unique."""
    taken = {account.source for account in accounts}
    number = 2
    free = name
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    return free


def _tables(source: ChatSourceConfig, paths: Sequence[Path]) -> dict[str, SetInfo]:
    """What a ``dataset_info.json``, named or among the files, says about each file."""
    if source.info is not None:
        one = read_dataset_info(Path(source.info)).get(str(source.dataset))
        return {path.name: one for path in paths} if one else {}
    found = {}
    for path in paths:
        if path.name == FILE:
            for one in read_dataset_info(path).values():
                if one.file:
                    found[Path(one.file).name] = one
    return found


def _read_file(
    path: Path, source: ChatSourceConfig, account: Account, config: ChatDataConfig, bar: Bar,
    tables: Mapping[str, SetInfo], seed: int,
) -> list[Item]:  # fmt: skip
    records = load_records(path, _teller(bar))
    info = tables.get(path.name) or tables.get(path.name.removesuffix(".gz"))
    if info is not None:
        records = _standard(records, info)
    head = list(islice(records, _LOOK_AT_RECORDS))
    schema = _schema(path, source, head, info, seed)
    found: list[Item] = []
    before = account.records
    for record in chain(head, records):
        account.records += 1
        kept = _take(record, schema, account, config, source.splits)
        if kept:
            found.append(Item(kept, record.where, account, schema.name))
    count = account.records - before
    account.read(schema.name, count)
    account.files.append(
        {"name": path.name, "sha256": sha256_file(path), "schema": schema.name, "in": count}
    )
    if count and not found:
        raise InputError(
            "Nothing in this file can be used.", where=path,
            found=", ".join(f"{r}: {n}" for r, n in account.dropped.most_common(5)),
            fix=_remedy(account.dropped, schema),
        )  # fmt: skip
    return found


def _remedy(dropped: Counter[str], schema: Schema) -> str:
    """What helps where a whole file went: not the schema, where its records were understood."""
    if not set(dropped) - {IDENTITY, NAME_BLANK}:
        return "say who the model is with `model_name` (--model-name), or take the file out"
    return f"name the right `schema` (read as {schema.name}), or take the file out"


def _standard(records: Iterator[Loaded], info: SetInfo) -> Iterator[Loaded]:
    for record in records:
        if isinstance(record.value, Drop):
            yield record
        else:
            yield replace(record, value=info.standard(record.value))


def _schema(
    path: Path, source: ChatSourceConfig, head: Sequence[Loaded], info: SetInfo | None, seed: int
) -> Schema:
    """The format that is named, in the recipe or in a dataset_info.json, else the one that fits."""
    if source.labels is not None and source.format not in ("auto", *WITH_LABELS):
        raise InputError(
            "Names of labels are for sets with labels.", where=path,
            found=f"schema {source.format}",
            fix=f"take `labels` out, or name one of {', '.join(WITH_LABELS)} as `schema`",
        )  # fmt: skip
    if source.format != "auto":
        return schema_of(source.format, seed, source.labels)
    if info is not None:
        return SCHEMAS[info.schema]
    fields = [record.value for record in head if not isinstance(record.value, Drop)]
    if not head:
        raise InputError(
            "There is no record in this file.", where=path, found=f"{path.stat().st_size} bytes",
            fix="fill it, or take it out",
        )  # fmt: skip
    found = detect(fields, source.labels)
    if found is None:
        raise InputError(
            "These records are in no format that is known.", where=path,
            found=_first_fields(fields),
            fix=f"bring them into alpaca ({SCHEMAS['alpaca'].description}) or messages "
            f"({SCHEMAS['messages'].description}); known: {', '.join(SCHEMAS)}",
        )  # fmt: skip
    return schema_of(found.name, seed, source.labels)


def _first_fields(records: Sequence[Fields]) -> str:
    if not records:
        return f"none of the first {_LOOK_AT_RECORDS} records can be read"
    return "fields: " + (", ".join(map(str, records[0])) or "none")


def _take(
    record: Loaded, schema: Schema, account: Account, config: ChatDataConfig,
    splits: Sequence[str] | None,
) -> Conversation | None:  # fmt: skip
    """A cleaned conversation, or None when the record was dropped and counted."""
    if isinstance(record.value, Drop):
        account.drop(record.where, record.value)
        return None
    if split := split_of(record.value):
        account.splits[split] += 1
        if splits is not None and split not in splits:
            account.drop(record.where, Drop(OTHER_SPLIT, split))
            return None
    read = schema.read(record.value)
    if isinstance(read, Drop):
        account.drop(record.where, read, str(record.value))
        return None
    cleaned = clean(read, config)
    if isinstance(cleaned, Drop):
        account.drop(record.where, cleaned, shown(read))
        return None
    conversation, changes = cleaned
    account.changed.update(changes)
    # By the words as they were read: a new name may be in another script.
    return replace(
        conversation,
        id=f"{account.source}/{account.records}",
        language=language_of(read) or "",
        source=account.source,
        licence=account.licence,
    )


def shown(conversation: Conversation) -> str:
    """A conversation as a person reads it, for the samples of what was dropped."""
    return "\n".join(f"{turn.role}: {turn.text}" for turn in conversation.turns)


def _told(items: Sequence[Item], source: ChatSourceConfig) -> Sequence[Item]:
    """The same with the task and the domain that the recipe names."""
    if source.task is None and source.domain is None:
        return items
    return [
        replace(item, conversation=replace(
            item.conversation, task=source.task or item.conversation.task,
            domain=source.domain or item.conversation.domain))
        for item in items
    ]  # fmt: skip


def _named(items: Sequence[Item], source: ChatSourceConfig, fallback: str) -> list[Item]:
    """The same with languages; what has no letters goes with its set, a sum with its sums."""
    languages = [item.conversation.language for item in items]
    if source.language != "auto":
        languages = [source.language] * len(items)
    usual = common_language(languages) or fallback
    return [
        item if item.conversation.language == (language or usual)
        else replace(item, conversation=replace(item.conversation, language=language or usual))
        for item, language in zip(items, languages, strict=True)
    ]  # fmt: skip


def _teller(bar: Bar) -> Callable[[int], None]:
    """Bytes consumed so far, as the bar's steps."""
    told = 0

    def tell(position: int) -> None:
        nonlocal told
        if position > told:
            bar.advance(position - told)
            told = position

    return tell
