"""Preferences: the better answer is learnt, the worse one is kept beside it.

``chosen`` and ``rejected`` are texts, turns, or whole conversations (as TRL's sets have them); the
question stands in ``conversations``, ``messages``, ``prompt``, ``question`` or ``instruction``.
KTO's sets have one answer and a ``label`` that says whether it is a good one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hanhua.chat.conversation import Conversation, Turn
from hanhua.chat.schemas.alpaca import join
from hanhua.chat.schemas.fields import WRONG_FIELDS, Fields, conversation, listed, pair, text_of
from hanhua.chat.schemas.turns import has_turns, read_turns
from hanhua.text.verdict import Drop

NOT_LIKED = "not_liked"

_TALKS = ("conversations", "messages", "conversation")
_ASKED = ("prompt", "question", "query")
_ANSWERS = ("completion", "response", "output", "answer")


def fits(record: Fields) -> bool:
    """Whether a record is a question with a better and a worse answer."""
    if "chosen" not in record or "rejected" not in record:
        return False
    return has_turns(record["chosen"]) or _has_question(record)


def read(record: Fields) -> Conversation | Drop:
    """The conversation with the better answer, the worse one as ``rejected``."""
    chosen, rejected = listed(record["chosen"]), listed(record["rejected"])
    if has_turns(chosen) and len(chosen) > 1:
        found = read_turns(record, chosen)
        return found if isinstance(found, Drop) else replace(found, rejected=_answer(rejected))
    asked = _question(record)
    if isinstance(asked, Drop):
        return asked
    turns = (*asked.turns, Turn("assistant", _answer(chosen)))
    return conversation(record, turns, system=asked.system, rejected=_answer(rejected))


def fits_kto(record: Fields) -> bool:
    """Whether a record is a question, an answer and whether it is a good one."""
    if _label(record) is None or not _has_question(record):
        return False
    return _talk(record) is not None or any(name in record for name in _ANSWERS)


def read_kto(record: Fields) -> Conversation | Drop:
    """The conversation, if its answer is a good one."""
    if not _label(record):
        return Drop(NOT_LIKED, "label: false")
    asked = _question(record)
    if isinstance(asked, Drop) or (asked.turns[-1:] and asked.turns[-1].role == "assistant"):
        return asked
    turns = (*asked.turns, Turn("assistant", text_of(record, *_ANSWERS)))
    return conversation(record, turns, system=asked.system)


def _label(record: Fields) -> bool | None:
    found = record.get("label", record.get("kto_tag"))
    if isinstance(found, str):
        return {"true": True, "false": False}.get(found.strip().lower())
    return found if isinstance(found, bool) else None


def _talk(record: Fields) -> Any:
    return next((record[name] for name in (*_TALKS, "prompt") if has_turns(record.get(name))), None)


def _has_question(record: Fields) -> bool:
    return _talk(record) is not None or bool(text_of(record, *_ASKED, "instruction"))


def _question(record: Fields) -> Conversation | Drop:
    """All that stands before the answer (for KTO's talks: with it)."""
    talk = _talk(record)
    if talk is not None:
        return read_turns(record, talk)
    text = text_of(record, *_ASKED)
    text = text or join(text_of(record, "instruction"), text_of(record, "input"))
    if not text:
        return Drop(WRONG_FIELDS, ", ".join(map(str, record))[:200])
    return conversation(record, pair(text, "")[:1], system=text_of(record, "system"))


def _answer(value: Any) -> str:
    """An answer as text: of a turn its text, of a conversation its last turn's."""
    if isinstance(value, (list, tuple)):
        value = value[-1] if value else ""
    if isinstance(value, Mapping):
        return text_of(value, "value", "content")
    return "" if value is None else str(value)
