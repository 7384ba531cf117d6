"""Lists of turns: ShareGPT and its variants, and OpenAI messages.

ShareGPT's ``from`` is human and gpt, or user, assistant, bot, yayi …; LinkSoul's merged set puts
the system text in ``instruction``, YaYi and others in ``system``. Colossal writes ``messages``
with ``from`` and ``content``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hanhua.chat.conversation import Conversation
from hanhua.chat.schemas.fields import Fields, conversation, listed, role_turns, text_of
from hanhua.text.verdict import Drop


def fits_sharegpt(record: Fields) -> bool:
    """Whether a record holds ``conversations`` (or ``conversation``) with ``from`` or ``role``."""
    return has_turns(record.get("conversations", record.get("conversation")))


def read_sharegpt(record: Fields) -> Conversation | Drop:
    """ShareGPT, LinkSoul, YaYi's multi-turn, FastChat."""
    return read_turns(record, record.get("conversations", record.get("conversation")))


def fits_messages(record: Fields) -> bool:
    """Whether a record holds ``messages`` with ``role`` or ``from``."""
    return has_turns(record.get("messages"))


def read_messages(record: Fields) -> Conversation | Drop:
    """OpenAI's chat format, and Colossal's."""
    return read_turns(record, record.get("messages"))


def has_turns(items: Any) -> bool:
    """Whether this is a list of turns, each with ``from`` or ``role``."""
    items = listed(items)
    if not isinstance(items, (list, tuple)) or not items:
        return False
    return isinstance(items[0], Mapping) and ("from" in items[0] or "role" in items[0])


def read_turns(record: Fields, items: Any) -> Conversation | Drop:
    """Turns under whichever names they have; `record` holds what stands beside them."""
    items = listed(items)
    first: Any = items[0] if isinstance(items, (list, tuple)) and items else {}
    keys = first if isinstance(first, Mapping) else {}
    found = role_turns(
        items, "from" if "from" in keys else "role", "value" if "value" in keys else "content"
    )
    if isinstance(found, Drop):
        return found
    system, turns = found
    return conversation(record, turns, system=system or text_of(record, "system", "instruction"))
