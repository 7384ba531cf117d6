"""Plain language tasks as instructions: labelled records put into words.

Which task a record is goes by its field names, or the recipe names it as ``schema``. Which wording
it gets goes by a hash of the record and the seed: a record is always asked in the same way, and a
set of many is asked in all. A Chinese record is asked in Chinese, any other in English; a
translation is asked for in the language of its text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from hanhua.chat.conversation import Conversation
from hanhua.chat.schemas import wordings
from hanhua.chat.schemas.fields import WRONG_FIELDS, Fields, conversation, pair, text_of
from hanhua.chat.schemas.slots import (
    Labels,
    Slots,
    choice_slots,
    classification_slots,
    cloze_slots,
    inference_slots,
    reading_slots,
    summary_slots,
    translation_slots,
)
from hanhua.text.languages.language import detect
from hanhua.text.scripts import profile
from hanhua.text.verdict import Drop

_SLOT = re.compile(r"\{(\w+)\}")
_NEVER_LEFT_OUT = {"options", "passage"}


@dataclass(frozen=True, slots=True)
class Task:
    """A kind of task.

    Args:
        name: what a recipe calls it, and the task of its conversations.
        description: its fields.
        slots: a record as what the wordings ask for, ``answer`` among it; None where it does not
            have the fields.
        wordings: language -> questions with slots.
    """

    name: str
    description: str
    slots: Callable[[Fields, Labels], Slots | None]
    wordings: wordings.Wordings


TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task("choice", "question, answer, and choices or A, B, C, D; maybe context",
             choice_slots, wordings.CHOICE),
        Task("reading", "context (or passage, article), question, answer or answers",
             reading_slots, wordings.READING),
        Task("cloze", "content with #idiom# or ____, candidates, answer",
             cloze_slots, wordings.CLOZE),
        Task("inference", "sentence1, sentence2 (or premise, hypothesis), label",
             inference_slots, wordings.INFERENCE),
        Task("translation", "zh, en",
             translation_slots, wordings.TRANSLATION),
        Task("summary", "article (or document, content, text), summary (or highlights, abstract)",
             summary_slots, wordings.SUMMARY),
        Task("classification", "sentence or text, label or label_desc; maybe options",
             classification_slots, wordings.CLASSIFICATION),
    )
}  # fmt: skip
"""Every task that has wordings, in the order in which they are tried."""
WITH_LABELS = ("inference", "classification")


def fits(name: str, labels: Labels = None) -> Callable[[Fields], bool]:
    """Whether a record has the fields of a task."""
    slots = TASKS[name].slots
    return lambda record: slots(record, labels) is not None


def reader(
    name: str, seed: int = 0, labels: Labels = None
) -> Callable[[Fields], Conversation | Drop]:
    """A reader of one task's records.

    Args:
        name: of the task.
        seed: another seed asks in other words.
        labels: what the labels are called; they are then offered as options.
    """
    task = TASKS[name]

    def read(record: Fields) -> Conversation | Drop:
        slots = task.slots(record, labels)
        if slots is None:
            return Drop(WRONG_FIELDS, ", ".join(map(str, record))[:200])
        question = _worded(task, slots, record, seed)
        return conversation(
            record, pair(question, slots["answer"]), system=text_of(record, "system"), task=name
        )

    return read


def _worded(task: Task, slots: Slots, record: Fields, seed: int) -> str:
    """The question in one of the wordings that the record can fill."""
    language = slots.get("language") or _language(slots)
    filled = {name for name, text in slots.items() if text}
    uses = {wording: set(_SLOT.findall(wording)) for wording in task.wordings[language]}
    wanted = filled & _NEVER_LEFT_OUT
    best = [wording for wording, used in uses.items() if wanted <= used <= filled]
    key = json.dumps(record, ensure_ascii=False, sort_keys=True, default=str)
    digest = blake2b(f"{seed}\0{key}".encode("utf-8", "replace"), digest_size=8).digest()
    wording = best[int.from_bytes(digest, "big") % len(best)]
    return _SLOT.sub(lambda match: slots[match[1]], wording)


def _language(slots: Slots) -> str:
    asked = " ".join(text for name, text in slots.items() if name != "answer")
    return "zh" if detect(profile(asked)) == "zh" else "en"
