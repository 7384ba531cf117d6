"""Preference records to pairs: one question, the answer that is preferred, and the other.

Read are a conversation or a prompt beside ``chosen`` and ``rejected`` (as text or as a message),
two whole conversations that differ in their last answer, and the dialogues of Anthropic's HH set
(``Human: …``, ``Assistant: …``), whose prompt stands in both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hanhua.chat.conversation import Conversation, Turn, problem
from hanhua.chat.schemas.fields import WRONG_FIELDS, Fields, role_turns, text_of
from hanhua.text.verdict import Drop

IDENTICAL_ANSWERS = "identical_answers"
PROMPTS_DIFFER = "prompts_differ"
NO_PROMPT = "no_prompt"
TOO_LONG = "too_long"

_DIALOGUE = re.compile(r"(?:^|\n\n)(Human|Assistant):")
_Asked = tuple[str, tuple[Turn, ...]]
"""A system text and the turns before an answer."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A conversation that ends with the better answer, and the worse one.

    Args:
        chosen: with the answer that is preferred.
        rejected: the other answer to the same question.
    """

    chosen: Conversation
    rejected: str

    @property
    def worse(self) -> Conversation:
        """The conversation with the worse answer."""
        last = replace(self.chosen.turns[-1], text=self.rejected)
        return replace(self.chosen, turns=(*self.chosen.turns[:-1], last))


def read_pair(record: Fields, max_chars: int) -> Pair | Drop:
    """One record to a sound pair.

    Args:
        record: as a file gave it.
        max_chars: of the question with one of its answers.

    Returns:
        The pair, or why there is none: ``wrong_fields``, ``no_prompt``, ``prompts_differ``,
        ``identical_answers``, ``too_long``, or what makes a conversation unsound (see
        :func:`hanhua.chat.conversation.problem`).
    """
    if "chosen" not in record or "rejected" not in record:
        return Drop(WRONG_FIELDS, ", ".join(map(str, record))[:200])
    asked = _asked(record)
    if isinstance(asked, Drop):
        return asked
    better, worse = (_answered(asked, record[name]) for name in ("chosen", "rejected"))
    for found in (better, worse):
        if isinstance(found, Drop):
            return found
        if found is None:
            return Drop(WRONG_FIELDS, "chosen or rejected is neither text nor messages")
        if len(found.turns) < 2:
            return Drop(NO_PROMPT, "")
        if reason := problem(found):
            return Drop(reason, f"{len(found.turns)} turns")
        if found.chars > max_chars:
            return Drop(TOO_LONG, found.chars)
    assert isinstance(better, Conversation)
    assert isinstance(worse, Conversation)
    if (better.system, better.turns[:-1]) != (worse.system, worse.turns[:-1]):
        return Drop(PROMPTS_DIFFER, f"{len(better.turns)} and {len(worse.turns)} turns")
    if better.turns[-1].text.strip() == worse.turns[-1].text.strip():
        return Drop(IDENTICAL_ANSWERS, "")
    return Pair(better, worse.turns[-1].text)


def _asked(record: Fields) -> _Asked | Drop:
    """What stands before the answers; nothing where the answers bring it along."""
    system = text_of(record, "system", "system_prompt")
    for name in ("conversations", "conversation", "messages", "prompt"):
        if _is_turns(record.get(name)):
            found = _turns(record[name])
            return found if isinstance(found, Drop) else (found[0] or system, found[1])
    question = text_of(record, "prompt", "question", "instruction")
    more = text_of(record, "input")
    if not question:
        return system, ()
    return system, (Turn("user", f"{question}\n{more}" if more else question),)


def _answered(asked: _Asked, answer: Any) -> Conversation | Drop | None:
    """The conversation with one of the answers."""
    system, turns = asked
    if _is_turns(answer):
        found = _turns(answer)
        if isinstance(found, Drop):
            return found
        whole = len(found[1]) > 1 or not turns
        system, turns = (found[0] or system, found[1]) if whole else (system, turns + found[1])
    elif isinstance(answer, Mapping):
        turns = (*turns, Turn("assistant", text_of(answer, "value", "content", "text")))
    elif isinstance(answer, str):
        spoken = () if turns else _dialogue(answer)
        turns = spoken or (*turns, Turn("assistant", answer))
    else:
        return None
    return Conversation("", system.strip(), turns)


def _dialogue(text: str) -> tuple[Turn, ...]:
    """Turns of a text in which Human and Assistant are named; none of any other."""
    if not _DIALOGUE.match(text):
        return ()
    parts = _DIALOGUE.split(text)[1:]
    return tuple(
        Turn("user" if who == "Human" else "assistant", said.strip())
        for who, said in zip(parts[::2], parts[1::2], strict=True)
    )


def _is_turns(items: Any) -> bool:
    if not isinstance(items, (list, tuple)) or not items or not isinstance(items[0], Mapping):
        return False
    return "from" in items[0] or "role" in items[0]


def _turns(items: Any) -> _Asked | Drop:
    first = items[0]
    found = role_turns(
        items, "from" if "from" in first else "role", "value" if "value" in first else "content"
    )
    return found if isinstance(found, Drop) else (found[0], tuple(found[1]))
