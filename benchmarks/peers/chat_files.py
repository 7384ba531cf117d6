"""The instruction files of benchmarks/chatdata.py: unpacked, and told to peers what they hold.

Of the shared sets those are compared which all three can read: Alpaca (with history or not) and
ShareGPT. Every engine gets the same plain files.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from hanhua.chat.conversation import Conversation
from hanhua.chat.load import load_records
from hanhua.chat.schemas.registry import detect
from hanhua.core.errors import InputError
from hanhua.text.verdict import Drop

SETS = ("zh", "en", "multiturn", "seeds", "llamafactory")
"""Folders of the shared instruction data."""
DEMO = ("chat-en.jsonl.gz", "chat-zh.jsonl.gz")
ALPACA = ("instruction", "input", "output")
MESSAGES = {"kind": "turns", "list": "messages", "role": "role", "text": "content",
            "user": "user", "assistant": "assistant"}  # fmt: skip
LOOK_AT = 50
File = dict[str, Any]


def shared_files(
    root: Path, folder: Path, records: int | None
) -> tuple[list[File], list[File], list[str]]:
    """The shared sets, unpacked into a folder.

    Args:
        root: where the sets are.
        folder: to make.
        records: at most so many of each file, the first; None: all.

    Returns:
        files that all can read, files that only hanhua can, names of those that it cannot.
    """
    every = sorted(p for name in SETS for p in (root / name).rglob("*.*") if p.is_file())
    return _sorted_out([p for p in every if p.name != "dataset_info.json"], folder, records)


def demo_files(
    data: Path, folder: Path, records: int | None
) -> tuple[list[File], list[File], list[str]]:
    """The same of the built-in conversations."""
    return _sorted_out([data / name for name in DEMO], folder, records)


def write_messages(path: Path, conversations: Iterable[Conversation]) -> File:
    """Conversations as messages, a line each: the same for every engine."""
    with path.open("w", encoding="utf-8") as file:
        for one in conversations:
            file.write(json.dumps({"messages": one.messages()}, ensure_ascii=False) + "\n")
    return {"name": path.stem, "path": str(path), "fields": ["messages"], **MESSAGES}


def _sorted_out(
    paths: Iterable[Path], folder: Path, records: int | None
) -> tuple[list[File], list[File], list[str]]:
    shared: list[File] = []
    ours: list[File] = []
    unread: list[str] = []
    folder.mkdir(parents=True)
    for number, path in enumerate(paths):
        plain = folder / f"{number:02d}-{path.name.removesuffix('.gz')}"
        data = path.read_bytes()
        plain.write_bytes(gzip.decompress(data) if path.suffix == ".gz" else data)
        if records is not None:
            _shorten(plain, records)
        schema, found = _look(plain)
        if schema is None:
            unread.append(path.name)
            plain.unlink()
            continue
        file = {"name": plain.name.split(".")[0], "path": str(plain),
                "fields": sorted({name for record in found for name in record})}  # fmt: skip
        told = _told(schema, found, file["fields"])
        (shared if told else ours).append(file | told)
    return shared, ours, unread


def _shorten(path: Path, records: int) -> None:
    """Keep the first records of a JSON array or of JSON lines."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl":
        path.write_text("".join(text.splitlines(keepends=True)[:records]), encoding="utf-8")
    elif path.suffix == ".json" and text.lstrip().startswith("["):
        few = json.loads(text)[:records]
        path.write_text(json.dumps(few, ensure_ascii=False, indent=1), encoding="utf-8")


def _look(path: Path) -> tuple[str | None, list[Any]]:
    """Its format, and its first records."""
    try:
        loaded = [one.value for one in islice(load_records(path), LOOK_AT)]
    except InputError:
        return None, []
    records = [record for record in loaded if not isinstance(record, Drop)]
    schema = detect(records)
    return (schema.name if schema else None), records


def _told(schema: str, records: list[Any], fields: list[str]) -> File:
    """What a peer must be told to read it; nothing where it cannot."""
    if schema == "sharegpt" and "tools" not in fields:
        names = {turn["from"] for record in records for turn in record["conversations"]}
        return {
            "kind": "turns", "list": "conversations", "role": "from", "text": "value",
            "user": "human", "assistant": "yayi" if "yayi" in names else "gpt",
        }  # fmt: skip
    if schema == "messages":
        return MESSAGES
    if schema == "alpaca" and set(ALPACA) <= set(fields):
        return {"kind": "pair", "question": ALPACA[:2], "answer": ALPACA[2]}
    return {}
