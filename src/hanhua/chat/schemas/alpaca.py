r"""Alpaca and what follows it: ``instruction``, ``input``, ``output``, maybe ``history``.

Also YaYi's single turns, COIG-PC (``task_type``) and Dolly (``context``, ``response``).
``history`` is LLaMA-Factory's: pairs of earlier questions and answers. An empty ``input`` is a
question that needs none; many sets write ``<noinput>`` or "无输入" instead. BELLE writes whole
talks into ``instruction``, "Human:…\nAssistant:…\nHuman:…\nAssistant:", with the last answer as
``output``: they become turns. Linly writes a line end as the two characters ``\n``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from hanhua.chat.conversation import Conversation, Turn
from hanhua.chat.schemas.fields import WRONG_FIELDS, Fields, conversation, pair, text_of
from hanhua.text.verdict import Drop

_NO_INPUT = {
    "<noinput>",
    "noinput",
    "no input",
    "none",
    "n/a",
    "无输入",
    "无",
    "<无输入>",
    "没有输入",
}


_TALK = re.compile(r"(?:^|\n)(Human|Assistant)[:：]")
_ESCAPED = re.compile(r"(?<!\\)\\(?:r\\)?n")


def fits(record: Fields) -> bool:
    """Whether a record looks like Alpaca's."""
    return "instruction" in record and bool({"output", "input", "response"} & set(record))


def read(record: Fields) -> Conversation | Drop:
    """Instruction and input become the question, one blank line between them."""
    question = join(text_of(record, "instruction"), text_of(record, "input", "context"))
    turns: list[Turn] = []
    history = record.get("history") or ()
    if not isinstance(history, (list, tuple)):
        return Drop(WRONG_FIELDS, f"history: {history!r:.80}")
    for item in history:
        if not isinstance(item, (list, tuple)) or len(item) != 2:
            return Drop(WRONG_FIELDS, f"history: {item!r:.80}")
        turns += pair(str(item[0]), str(item[1]))
    answer = text_of(record, "output", "response")
    turns += talk(question, answer) or pair(question, answer)
    return conversation(record, turns, system=text_of(record, "system"))


def talk(question: str, answer: str) -> list[Turn]:
    """The turns of a talk that was written into one instruction; none where it is no such talk.

    A talk begins with "Human:", ends with "Assistant:" and has the two in turn.
    """
    if not question.startswith("Human") or not question.endswith(("Assistant:", "Assistant：")):
        return []
    parts = _TALK.split(question)
    names, texts = parts[1::2], [*parts[2:-1:2], answer]
    if names != ["Human", "Assistant"] * (len(names) // 2):
        return []
    roles = {"Human": "user", "Assistant": "assistant"}
    return [Turn(roles[n], t.strip()) for n, t in zip(names, texts, strict=True)]  # type: ignore[arg-type]


def is_escaped(records: Iterable[Fields]) -> bool:
    r"""Whether a set writes its line ends as ``\n``: it has such, and never a real one."""
    texts = [text for record in records for text in record.values() if isinstance(text, str)]
    return not any("\n" in t.strip() for t in texts) and any(_ESCAPED.search(t) for t in texts)


def read_escaped(record: Fields) -> Conversation | Drop:
    r"""Linly's: the same with every ``\n`` as a line end."""
    plain = {
        name: _ESCAPED.sub("\n", value) if isinstance(value, str) else value
        for name, value in record.items()
    }
    return read(plain)


def join(instruction: str, text: str) -> str:
    """The question that an instruction and its input make."""
    text = "" if text.strip().lower() in _NO_INPUT else text.strip()
    return "\n\n".join(part for part in (instruction.strip(), text) if part)
