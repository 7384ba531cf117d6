"""LLaMA-Factory's ``dataset_info.json``: which file a set is in, and what its columns are called.

https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md. Of a set that names columns
only those are read; of one that names none the usual ones. Records are brought to our own names,
so that the readers need not know of any of this.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hanhua.core.config import expand
from hanhua.core.errors import InputError

FILE = "dataset_info.json"

_ALPACA = {"prompt": "instruction", "query": "input", "response": "output"}
_SHAREGPT = {"messages": "conversations"}
_NAMES = {"prompt": "instruction", "query": "input", "response": "output", "history": "history",
          "system": "system", "chosen": "chosen", "rejected": "rejected", "kto_tag": "label"}  # fmt: skip # noqa: E501
_TAGS = {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt",
         "observation_tag": "observation", "function_tag": "function_call", "system_tag": "system"}  # fmt: skip # noqa: E501
_ROLES = {"user_tag": "user", "assistant_tag": "assistant", "observation_tag": "observation",
          "function_tag": "function_call", "system_tag": "system"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SetInfo:
    """One set of the file.

    Args:
        name: its name there.
        file: where it is, relative to the file; empty where it is on a hub only.
        formatting: alpaca or sharegpt.
        columns: LLaMA-Factory's word -> column.
        tags: LLaMA-Factory's word -> key or role in a turn.
        ranking: whether its records are preference pairs.
    """

    name: str
    file: str
    formatting: str
    columns: Mapping[str, str]
    tags: Mapping[str, str]
    ranking: bool

    @property
    def schema(self) -> str:
        """Our name for its format."""
        if self.ranking:
            return "preference"
        if "kto_tag" in self.columns:
            return "kto"
        return self.formatting

    def standard(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """A record under the names that our readers know."""
        found = {
            ours: record[self.columns[theirs]]
            for theirs, ours in _NAMES.items()
            if self.columns.get(theirs) in record
        }
        if self.formatting == "sharegpt":
            found["conversations"] = [self._turn(t) for t in self._turns(record)]
            for name in ("chosen", "rejected"):
                if isinstance(found.get(name), Mapping):
                    found[name] = self._turn(found[name])
        kept = ("task_type", "domain", "split", "category", "type")
        return {**{name: record[name] for name in kept if name in record}, **found}

    def _turns(self, record: Mapping[str, Any]) -> Any:
        turns = record.get(self.columns.get("messages", ""))
        return turns if isinstance(turns, (list, tuple)) else [turns]

    def _turn(self, turn: Any) -> Any:
        if not isinstance(turn, Mapping):
            return turn
        role = turn.get(self.tags["role_tag"])
        roles = {self.tags[tag]: ours for tag, ours in _ROLES.items()}
        return {"from": roles.get(role, role) if isinstance(role, str) else role,
                "value": turn.get(self.tags["content_tag"])}  # fmt: skip


def read_dataset_info(path: Path) -> dict[str, SetInfo]:
    """Every set of a ``dataset_info.json``, by name.

    Raises:
        InputError: when the file cannot be read or is no such file.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): _set_info(str(name), entry) for name, entry in data.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(
            "This is no dataset_info.json that can be read.", where=path, found=error,
            fix="mend it: an object of sets, each with at least a file_name",
        ) from error  # fmt: skip


def _set_info(name: str, entry: Mapping[str, Any]) -> SetInfo:
    formatting = str(entry.get("formatting") or "alpaca")
    if formatting not in ("alpaca", "sharegpt", "openai"):
        raise ValueError(f"{name}: formatting {formatting!r}; known: alpaca, sharegpt, openai")
    tags = dict(_TAGS)
    if formatting == "openai":
        tags |= {"role_tag": "role", "content_tag": "content", "user_tag": "user",
                 "assistant_tag": "assistant"}  # fmt: skip
        formatting = "sharegpt"
    usual = _ALPACA if formatting == "alpaca" else _SHAREGPT
    ranking = bool(entry.get("ranking"))
    if ranking:
        usual = {**usual, "chosen": "chosen", "rejected": "rejected"}
    return SetInfo(
        name=name,
        file=str(entry.get("file_name") or ""),
        formatting=formatting,
        columns=dict(entry.get("columns") or usual),
        tags={**tags, **(entry.get("tags") or {})},
        ranking=ranking,
    )


def behind_the_sign(source: dict[str, Any], root: Path) -> dict[str, Any]:
    """What ``path#5000`` and ``path#name`` mean, written out.

    Args:
        source: a source as the recipe has it.
        root: what a relative path is relative to.

    Raises:
        ValueError: saying what is wrong with the part behind the sign.
    """
    path = source.get("path")
    if not isinstance(path, str) or Path(expand(path, root)).is_file():
        return _not_the_table(source, path, root)
    head, sign, tail = path.rpartition("#")
    if not sign:
        return source
    if tail.isdecimal():
        if source.get("limit") is not None or not int(tail):
            raise ValueError(f"{path}: a number above 0 behind #, or `limit`, not both")
        return behind_the_sign({**source, "path": head, "limit": int(tail)}, root)
    return _named(source, Path(expand(head, root)), tail)


def _not_the_table(source: dict[str, Any], path: Any, root: Path) -> dict[str, Any]:
    if isinstance(path, str) and Path(path).name == FILE:
        sets = read_sets(Path(expand(path, root)))
        there = ", ".join(name for name, one in sets.items() if one.file)
        raise ValueError(f"name one set of it, {path}#name; with a file there: {there or 'none'}")
    return source


def _named(source: dict[str, Any], place: Path, name: str) -> dict[str, Any]:
    """A source that is one set of a ``dataset_info.json``."""
    table = place / FILE if place.is_dir() else place
    if table.name != FILE or not table.is_file():
        raise ValueError(f"behind # stands {name!r}, but {table} is no {FILE}")
    sets = read_sets(table)
    if name not in sets:
        near = difflib.get_close_matches(name, sets, n=1, cutoff=0.5)
        there = near or [known for known, one in sets.items() if one.file]
        raise ValueError(f"{table} has no set {name!r}; did you mean {' or '.join(there)}?")
    if not sets[name].file:
        raise ValueError(f"the set {name!r} is on a hub: fetch its file and name it as file_name")
    data = table.parent / sets[name].file
    if not data.exists() and data.with_name(data.name + ".gz").exists():
        data = data.with_name(data.name + ".gz")
    return {**source, "path": str(data.absolute()), "info": str(table.absolute()),
            "dataset": name, "name": source.get("name") or name}  # fmt: skip


def read_sets(table: Path) -> dict[str, SetInfo]:
    """As :func:`read_dataset_info`, with an error that pydantic understands."""
    try:
        return read_dataset_info(table)
    except InputError as error:
        raise ValueError(error.message.replace("\n", " ")) from error
