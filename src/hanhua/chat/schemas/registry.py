"""The table of formats, and how a file's format is found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from hanhua.chat.conversation import Conversation
from hanhua.chat.schemas import alpaca, moss, plain, preference, refusal, tasks, turns
from hanhua.chat.schemas.fields import Fields
from hanhua.chat.schemas.slots import Labels
from hanhua.text.verdict import Drop


@dataclass(frozen=True, slots=True)
class Schema:
    """One format of instruction data.

    Args:
        name: what a recipe calls it.
        description: its fields.
        fits: whether a record looks like it.
        read: the record as a conversation, or why it is none; total for any record that fits.
    """

    name: str
    description: str
    fits: Callable[[Fields], bool]
    read: Callable[[Fields], Conversation | Drop]


def _task(name: str) -> Schema:
    return Schema(name, tasks.TASKS[name].description, tasks.fits(name), tasks.reader(name))


def _by_name_only(record: Fields) -> bool:
    return False


SCHEMAS: Mapping[str, Schema] = {
    schema.name: schema
    for schema in (
        # In the order in which they are tried: from the most to the least particular.
        Schema("preference", "a question, chosen, rejected (the chosen is learnt, the other kept)",
               preference.fits, preference.read),
        Schema("kto", "a question with its answer, label: true or false (the true are learnt)",
               preference.fits_kto, preference.read_kto),
        Schema("moss", "chat: {turn_1: {Human, MOSS}}, plain_text, or conversation: [{human, "
               "assistant}]", moss.fits, moss.read),
        Schema("sharegpt", "conversations: [{from, value}]; system text in system or instruction",
               turns.fits_sharegpt, turns.read_sharegpt),
        Schema("messages", "messages: [{role, content}]",
               turns.fits_messages, turns.read_messages),
        Schema("self-instruct", "instruction, instances: [{input, output}]",
               plain.fits_self_instruct, plain.read_self_instruct),
        Schema("linly", "as alpaca, with line ends written as \\n", _by_name_only,
               alpaca.read_escaped),
        Schema("alpaca", "instruction, input, output; maybe history, system",
               alpaca.fits, alpaca.read),
        Schema("templated", "text in the form <s>Human: …</s><s>Assistant: …</s>",
               plain.fits_templated, plain.read_templated),
        *(_task(name) for name in ("choice", "reading", "cloze", "inference", "translation")),
        _task("summary"),
        Schema("pairs", "; ".join(f"{a}, {b}" for a, b in plain.PAIRS),
               plain.fits_pairs, plain.read_pairs),
        _task("classification"),
        Schema("refusal", "a harmful prompt; it is answered by a refusal of ours", _by_name_only,
               refusal.read),
    )
}  # fmt: skip
"""Every format that can be read."""


def detect(records: Iterable[Fields], labels: Labels = None) -> Schema | None:
    """The format that most of these records look like; None when none fits any.

    Args:
        records: the first of a file.
        labels: names that make labels out of numbers: then only a task with labels is looked for.
    """
    looked_at = list(records)
    tried = {name: schema.fits for name, schema in SCHEMAS.items()}
    if labels is not None:
        tried = {name: tasks.fits(name, labels) for name in tasks.WITH_LABELS}
    counts = Counter(
        next((name for name, fit in tried.items() if fit(record)), None) for record in looked_at
    )
    del counts[None]
    if not counts:
        return None
    found = SCHEMAS[str(counts.most_common(1)[0][0])]
    # Linly's is told by the set, not by one record.
    escaped = found.name == "alpaca" and alpaca.is_escaped(looked_at)
    return SCHEMAS["linly"] if escaped else found


def schema_of(name: str, seed: int, labels: Labels) -> Schema:
    """A format by name, a task's with its seed and labels."""
    found = SCHEMAS[name]
    if name in tasks.TASKS:
        return replace(found, read=tasks.reader(name, seed, labels))
    return found
