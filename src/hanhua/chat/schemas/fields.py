"""What all readers share: fields that may be missing, and the names that sets give to roles."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from hanhua.chat.conversation import Conversation, Role, Turn
from hanhua.text.verdict import Drop

Fields = Mapping[str, Any]
"""One record of a raw file, as JSON, CSV or Parquet gave it."""

WRONG_FIELDS = "wrong_fields"
UNKNOWN_ROLE = "unknown_role"
TOOL_CALLS = "tool_calls"

ROLES: Mapping[str, Role] = {
    **dict.fromkeys(("user", "human", "prompter", "customer", "question"), "user"),
    **dict.fromkeys(("assistant", "gpt", "yayi", "bot", "chatgpt", "bing", "bard", "model",
                     "ai", "chatbot", "answer"), "assistant"),
}  # fmt: skip
_TOOLS = ("function_call", "function", "observation", "tool", "function_response")


def text_of(record: Fields, *names: str) -> str:
    """The first of these fields that holds something, as text; "" when none does.

    Numbers are written out: a CSV or a hand-made set may answer ``42``.
    """
    for name in names:
        value = record.get(name)
        if isinstance(value, str) and value.strip():
            return value
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return str(value)
    return ""


def task_of(record: Fields) -> str:
    """The kind of task where a set names it: pCLUE ``type``, Colossal and MOSS ``category``.

    COIG-PC's ``task_type`` has major and minor kinds: "major/minor" of the first of each.
    """
    kind = record.get("task_type")
    if isinstance(kind, Mapping):
        return "/".join(filter(None, (_first(kind.get("major")), _first(kind.get("minor")))))
    names = ("task_type", "task_name_in_eng", "task", "type", "category")
    return next(filter(None, (_first(record.get(name)) for name in names)), "")


def domain_of(record: Fields) -> str:
    """What it is about where a set says so; of COIG-PC's list the first."""
    return _first(record.get("domain"))


def split_of(record: Fields) -> str:
    """The split of the set that a record was taken from (COIG-PC), in lower case."""
    return _first(record.get("split")).lower()


def _first(value: Any) -> str:
    """A name, or the first of a list of names; a list may be written as JSON, as in a CSV."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = listed(value)
    if isinstance(value, (list, tuple)) and value:
        value = value[0]
    return value.strip() if isinstance(value, str) else ""


def listed(value: Any) -> Any:
    """A list that is written as JSON text, as CSV has to; anything else as it is."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def conversation(
    record: Fields, turns: Iterable[Turn], *, system: str = "", task: str | None = None,
    rejected: str = "",
) -> Conversation:  # fmt: skip
    """A conversation whose id, source and language are still to come."""
    kind = task_of(record) if task is None else task
    return Conversation(
        "", system.strip(), tuple(turns), task=kind, domain=domain_of(record), rejected=rejected
    )


def pair(question: str, answer: str) -> tuple[Turn, Turn]:
    """One question and its answer."""
    return Turn("user", question), Turn("assistant", answer)


def role_turns(items: Any, role_key: str, text_key: str) -> tuple[str, list[Turn]] | Drop:
    """Turns of a list of ``{role, text}``, and the system text that may stand at its head."""
    items = listed(items)
    if not isinstance(items, (list, tuple)):
        return Drop(WRONG_FIELDS, type(items).__name__)
    system = ""
    turns: list[Turn] = []
    for item in items:
        if not isinstance(item, Mapping):
            return Drop(WRONG_FIELDS, type(item).__name__)
        name = str(item.get(role_key, "")).strip().lower()
        text = item.get(text_key)
        if name in _TOOLS or item.get("tool_calls"):
            return Drop(TOOL_CALLS, name)
        if not isinstance(text, str):
            return Drop(WRONG_FIELDS, f"{text_key}: {type(text).__name__}")
        if name in ("system", "developer") and not turns and not system:
            system = text
        elif name in ROLES:
            turns.append(Turn(ROLES[name], text))
        else:
            return Drop(UNKNOWN_ROLE, name)
    return system, turns
