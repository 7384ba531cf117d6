"""Pairs of fields, text that a template was already laid over, and self-instruct's seed tasks."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hanhua.chat.conversation import Conversation, Turn
from hanhua.chat.schemas.alpaca import join
from hanhua.chat.schemas.fields import ROLES, WRONG_FIELDS, Fields, conversation, pair, text_of
from hanhua.text.verdict import Drop

PAIRS = (("input", "target"), ("prompt", "response"), ("prompt", "completion"),
         ("question", "answer"), ("query", "response"), ("question", "response"),
         ("prompt", "output"), ("source", "target"), ("problem", "solution"))  # fmt: skip
"""Names of question and answer in sets of two fields: pCLUE, FlagAlpha's two columns, others."""

# A turn ends where the next one opens, or the text does: what stands between may hold "</s>".
_TURN = re.compile(
    r"<s>(Human|Assistant|System): ?(.*?)\s*</s>(?=\s*(?:<s>(?:Human|Assistant|System):|$))",
    re.DOTALL,
)


def fits_pairs(record: Fields) -> bool:
    """Whether a record has two fields that are known as question and answer."""
    return any(question in record and answer in record for question, answer in PAIRS)


def read_pairs(record: Fields) -> Conversation | Drop:
    """The first pair of known fields; text that a template was laid over goes back to turns."""
    for question, answer in PAIRS:
        if question in record and answer in record:
            asked = text_of(record, question)
            if asked.lstrip().startswith(("<s>Human:", "<s>System:")):
                whole = _closed(asked.strip(), text_of(record, answer).strip())
                return read_templated({**record, "text": whole})
            turns = pair(asked, text_of(record, answer))
            return conversation(record, turns, system=text_of(record, "system"))
    return Drop(WRONG_FIELDS, ", ".join(map(str, record))[:200])


def _closed(asked: str, answer: str) -> str:
    """FlagAlpha's two columns as one; what opens or closes the answer may stand in either."""
    opening = "<s>Assistant:"
    opened = asked.endswith(opening) or answer.startswith(opening)
    whole = f"{asked} {answer}" if opened else f"{asked}{opening} {answer}"
    return whole if whole.endswith("</s>") else f"{whole}\n</s>"


def fits_templated(record: Fields) -> bool:
    """Whether a record is one text in FlagAlpha's template."""
    text = record.get("text")
    return isinstance(text, str) and text.lstrip().startswith(("<s>Human:", "<s>System:"))


def read_templated(record: Fields) -> Conversation | Drop:
    """``<s>Human: …</s><s>Assistant: …</s>`` back to turns; nothing may stand between them."""
    text = text_of(record, "text")
    system, turns, end = "", [], 0
    for match in _TURN.finditer(text):
        if text[end : match.start()].strip():
            break
        end = match.end()
        if match[1] == "System":
            system = match[2]
        else:
            turns.append(Turn(ROLES[match[1].lower()], match[2]))
    if not turns or text[end:].strip():
        return Drop("broken_template", text[end : end + 80])
    return conversation(record, turns, system=system)


def fits_self_instruct(record: Fields) -> bool:
    """Whether a record is a task with ``instances``."""
    return "instruction" in record and isinstance(record.get("instances"), (list, tuple))


def read_self_instruct(record: Fields) -> Conversation | Drop:
    """A task with its first instance."""
    instances = record.get("instances") or ()
    if not instances or not isinstance(instances[0], Mapping):
        return Drop(WRONG_FIELDS, "instances")
    question = join(text_of(record, "instruction"), text_of(instances[0], "input"))
    return conversation(
        record, pair(question, text_of(instances[0], "output")), task=text_of(record, "name")
    )
