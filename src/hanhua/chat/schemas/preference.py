"""Preferences: a question with a better and a worse answer, or with one that is liked or not.

``chosen`` and ``rejected`` are texts, turns, whole conversations (as TRL's sets have them) or the
dialogues of Anthropic's HH set (``Human: …``, ``Assistant: …``), whose question stands in both;
else it stands in ``conversations``, ``messages``, ``prompt``, ``question`` or ``instruction``.
KTO's sets have one answer and a ``label`` that says whether it is a good one.

This is the one reader of such files: the stage prefer takes both answers from it
(:mod:`hanhua.chat.pairs`), chatdata the better one, with the worse kept beside it.
"""

from __future__ import annotations

import re
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
_DIALOGUE = re.compile(r"(?:^|\n\n)(Human|Assistant):")


def fits(record: Fields) -> bool:
    """Whether a record is a question with a better and a worse answer."""
    if "chosen" not in record or "rejected" not in record:
        return False
    chosen = record["chosen"]
    return has_turns(chosen) or _has_question(record) or bool(_dialogue(chosen))


def read(record: Fields) -> Conversation | Drop:
    """The conversation with the better answer; the worse one, if to the same, as ``rejected``."""
    better, worse = answered(record, "chosen"), answered(record, "rejected")
    if isinstance(better, Drop):
        return better
    if len(better.turns) < 2:
        return Drop(WRONG_FIELDS, ", ".join(map(str, record))[:200])
    if isinstance(worse, Drop):  # it is not learnt from, so who says it matters less
        return replace(better, rejected=_answer(_spoken(record.get("rejected"))) or "")
    if worse.turns[:-1] != better.turns[:-1]:
        return better
    return replace(better, rejected=worse.turns[-1].text)


def answered(record: Fields, name: str) -> Conversation | Drop:
    """The conversation that ends with one of the answers.

    Args:
        record: with ``chosen`` and ``rejected``.
        name: which of them.

    Returns:
        the conversation, of the answer alone where no question is found; or ``wrong_fields``,
        ``unknown_role`` or ``tool_calls``.
    """
    asked, value = _question(record), _spoken(record.get(name))
    if isinstance(asked, Drop):
        return asked
    if has_turns(value) and (len(value) > 1 or not asked.turns):
        found = read_turns(record, value)
        return found if isinstance(found, Drop) or found.system else replace(
            found, system=asked.system)  # fmt: skip
    spoken = () if asked.turns else _dialogue(value)
    text = _answer(value)
    if spoken or text is not None:
        turns = spoken or (*asked.turns, Turn("assistant", str(text)))
        return replace(asked, turns=turns)
    return Drop(WRONG_FIELDS, f"{name} is neither text nor messages")


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
    if not asked.turns:
        return Drop(WRONG_FIELDS, ", ".join(map(str, record))[:200])
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
    """All that stands before the answer (for KTO's talks: with it); no turns where nothing does."""
    talk = _talk(record)
    if talk is not None:
        found = read_turns(record, talk)
        system = text_of(record, "system_prompt")
        return found if isinstance(found, Drop) or found.system else replace(found, system=system)
    text = text_of(record, *_ASKED)
    text = text or join(text_of(record, "instruction"), text_of(record, "input"))
    turns = pair(text, "")[:1] if text else ()
    return conversation(record, turns, system=text_of(record, "system", "system_prompt"))


def _spoken(value: Any) -> Any:
    """Turns that are written as JSON text as turns; an answer that is a list stays the text."""
    return listed(value) if has_turns(value) else value


def _dialogue(text: Any) -> tuple[Turn, ...]:
    """Turns of a text in which Human and Assistant are named; none of any other."""
    if not isinstance(text, str) or not _DIALOGUE.match(text):
        return ()
    parts = _DIALOGUE.split(text)[1:]
    return tuple(
        Turn("user" if who == "Human" else "assistant", said.strip())
        for who, said in zip(parts[::2], parts[1::2], strict=True)
    )


def _answer(value: Any) -> str | None:
    """An answer as text: of a turn its text, of a conversation its last turn's."""
    if isinstance(value, (list, tuple)) and value:
        value = value[-1]
    if isinstance(value, Mapping):
        return text_of(value, "value", "content", "text")
    return value if isinstance(value, str) else None
