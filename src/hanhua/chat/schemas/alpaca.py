"""Alpaca and what follows it: ``instruction``, ``input``, ``output``, maybe ``history``.

Also YaYi's single turns and COIG-PC (``task_type``). ``history`` is LLaMA-Factory's: pairs of
earlier questions and answers. An empty ``input`` is a question that needs none; many sets write
``<noinput>`` or "无输入" instead.
"""

from __future__ import annotations

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


def fits(record: Fields) -> bool:
    """Whether a record looks like Alpaca's."""
    return "instruction" in record and ("output" in record or "input" in record)


def read(record: Fields) -> Conversation | Drop:
    """Instruction and input become the question, one blank line between them."""
    question = join(text_of(record, "instruction"), text_of(record, "input"))
    turns: list[Turn] = []
    history = record.get("history") or ()
    if not isinstance(history, (list, tuple)):
        return Drop(WRONG_FIELDS, f"history: {history!r:.80}")
    for item in history:
        if not isinstance(item, (list, tuple)) or len(item) != 2:
            return Drop(WRONG_FIELDS, f"history: {item!r:.80}")
        turns += pair(str(item[0]), str(item[1]))
    turns += pair(question, text_of(record, "output"))
    return conversation(record, turns, system=text_of(record, "system"))


def join(instruction: str, text: str) -> str:
    """The question that an instruction and its input make."""
    text = "" if text.strip().lower() in _NO_INPUT else text.strip()
    return "\n\n".join(part for part in (instruction.strip(), text) if part)
