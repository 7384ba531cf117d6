"""MOSS, in the three forms in which its sets are published.

003 as released: ``chat: {turn_1: {Human, Inner Thoughts, Commands, Tool Responses, MOSS}}``, each
text behind its name and before its end mark; 002: ``plain_text`` with ``[Human]: …<eoh> [MOSS]:
…<eoa>``; the copy that many train on: ``conversation: [{human, assistant}]``. Turns in which a tool
was called are refused as those of other sets are. ``meta_instruction`` is MOSS's own
self-portrait, the same for all; it is the system text, where the identity rules see it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hanhua.chat.conversation import Conversation, Turn
from hanhua.chat.schemas.fields import TOOL_CALLS, WRONG_FIELDS, Fields, conversation, pair, text_of
from hanhua.text.verdict import Drop

_MARKS = re.compile(r"^\s*<\|[A-Za-z ]+\|>\s*:\s*|\s*<eo[a-z]>\s*$")
_SAID = re.compile(r"\[(Human|MOSS)\]\s*:\s*(.*?)\s*<eo[ha]>", re.DOTALL)
_NUMBER = re.compile(r"\d+")


def fits(record: Fields) -> bool:
    """Whether a record is one of the three."""
    chat, plain = record.get("chat"), record.get("plain_text")
    if isinstance(chat, Mapping):
        return any(str(name).startswith("turn_") for name in chat)
    if isinstance(plain, str):
        return "[Human]" in plain
    talk = record.get("conversation", record.get("conversations"))
    return isinstance(talk, (list, tuple)) and bool(talk) and _is_exchange(talk[0])


def _is_exchange(value: Any) -> bool:
    return isinstance(value, Mapping) and "human" in value and "assistant" in value


def read(record: Fields) -> Conversation | Drop:
    """The turns, without the marks that MOSS was trained with."""
    if isinstance(record.get("chat"), Mapping):
        turns = _chat(record["chat"])
    elif isinstance(record.get("plain_text"), str):
        turns = _plain(record["plain_text"])
    else:
        turns = _exchanges(record.get("conversation", record.get("conversations")))
    if isinstance(turns, Drop):
        return turns
    return conversation(record, turns, system=text_of(record, "meta_instruction", "prefix"))


def _chat(chat: Mapping[Any, Any]) -> list[Turn] | Drop:
    turns: list[Turn] = []
    for name in sorted(chat, key=_number):
        turn = chat[name]
        if not isinstance(turn, Mapping):
            return Drop(WRONG_FIELDS, f"{name}: {type(turn).__name__}")
        command = _bare(turn.get("Commands"))
        if command.lower() not in ("", "none"):
            return Drop(TOOL_CALLS, command[:80])
        turns += pair(_bare(turn.get("Human")), _bare(turn.get("MOSS")))
    return turns


def _number(name: Any) -> tuple[int, str]:
    """turn_10 comes after turn_9."""
    found = _NUMBER.search(str(name))
    return (int(found[0]) if found else 0, str(name))


def _bare(text: Any) -> str:
    return _MARKS.sub("", text).strip() if isinstance(text, str) else ""


def _plain(text: str) -> list[Turn] | Drop:
    turns, end = [], 0
    for match in _SAID.finditer(text):
        if text[end : match.start()].strip():
            break
        turns.append(Turn("user" if match[1] == "Human" else "assistant", match[2]))
        end = match.end()
    if not turns or text[end:].strip():
        return Drop("broken_template", text[end : end + 80])
    return turns


def _exchanges(talk: Any) -> list[Turn] | Drop:
    turns: list[Turn] = []
    for exchange in talk if isinstance(talk, (list, tuple)) else ():
        if not _is_exchange(exchange):
            return Drop(WRONG_FIELDS, f"{exchange!r:.80}")
        turns += pair(text_of(exchange, "human"), text_of(exchange, "assistant"))
    return turns
