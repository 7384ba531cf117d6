"""Lists of turns: ShareGPT and its variants, OpenAI messages, and preference pairs.

ShareGPT's ``from`` is human and gpt, or user, assistant, bot, yayi …; LinkSoul's merged set puts
the system text in ``instruction``, YaYi and others in ``system``. Colossal writes ``messages``
with ``from`` and ``content``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hanhua.chat.conversation import Conversation, Turn
from hanhua.chat.schemas.fields import Fields, conversation, role_turns, text_of
from hanhua.text.verdict import Drop


def fits_sharegpt(record: Fields) -> bool:
    """Whether a record holds ``conversations`` (or ``conversation``) with ``from`` or ``role``."""
    return _has_turns(record.get("conversations", record.get("conversation")))


def read_sharegpt(record: Fields) -> Conversation | Drop:
    """ShareGPT, LinkSoul, YaYi's multi-turn, FastChat."""
    return _read(record, record.get("conversations", record.get("conversation")))


def fits_messages(record: Fields) -> bool:
    """Whether a record holds ``messages`` with ``role`` or ``from``."""
    return _has_turns(record.get("messages"))


def read_messages(record: Fields) -> Conversation | Drop:
    """OpenAI's chat format, and Colossal's."""
    return _read(record, record.get("messages"))


def fits_preference(record: Fields) -> bool:
    """Whether a record is a question with a better and a worse answer."""
    asked = any(_has_turns(record.get(name)) for name in ("conversations", "messages"))
    return "chosen" in record and "rejected" in record and asked


def read_preference(record: Fields) -> Conversation | Drop:
    """The conversation with the better answer; the worse one is left out."""
    items = record.get("conversations", record.get("messages"))
    chosen = record["chosen"]
    if isinstance(chosen, Mapping):
        chosen = text_of(chosen, "value", "content")
    found = _read(record, items)
    if isinstance(found, Drop):
        return found
    turns = (*found.turns, Turn("assistant", str(chosen)))
    return conversation(record, turns, system=found.system)


def _has_turns(items: Any) -> bool:
    if not isinstance(items, (list, tuple)) or not items:
        return False
    return isinstance(items[0], Mapping) and ("from" in items[0] or "role" in items[0])


def _read(record: Fields, items: Any) -> Conversation | Drop:
    first: Any = items[0] if isinstance(items, (list, tuple)) and items else {}
    keys = first if isinstance(first, Mapping) else {}
    found = role_turns(
        items, "from" if "from" in keys else "role", "value" if "value" in keys else "content"
    )
    if isinstance(found, Drop):
        return found
    system, turns = found
    return conversation(record, turns, system=system or text_of(record, "system", "instruction"))
