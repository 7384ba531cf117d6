"""The table of formats, and how a file's format is found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from hanhua.chat.conversation import Conversation
from hanhua.chat.schemas import alpaca, plain, turns
from hanhua.chat.schemas.fields import Fields
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


SCHEMAS: Mapping[str, Schema] = {
    schema.name: schema
    for schema in (
        # In the order in which they are tried: from the most to the least particular.
        Schema("preference", "conversations or messages, chosen, rejected (the chosen is learnt)",
               turns.fits_preference, turns.read_preference),
        Schema("sharegpt", "conversations: [{from, value}]; system text in system or instruction",
               turns.fits_sharegpt, turns.read_sharegpt),
        Schema("messages", "messages: [{role, content}]",
               turns.fits_messages, turns.read_messages),
        Schema("self-instruct", "instruction, instances: [{input, output}]",
               plain.fits_self_instruct, plain.read_self_instruct),
        Schema("alpaca", "instruction, input, output; maybe history, system",
               alpaca.fits, alpaca.read),
        Schema("templated", "text in the form <s>Human: …</s><s>Assistant: …</s>",
               plain.fits_templated, plain.read_templated),
        Schema("pairs", "; ".join(f"{a}, {b}" for a, b in plain.PAIRS),
               plain.fits_pairs, plain.read_pairs),
    )
}  # fmt: skip
"""Every format that can be read."""


def detect(records: Iterable[Fields]) -> Schema | None:
    """The format that most of these records look like; None when none fits any."""
    counts = Counter(
        next((name for name, schema in SCHEMAS.items() if schema.fits(record)), None)
        for record in records
    )
    del counts[None]
    return SCHEMAS[str(counts.most_common(1)[0][0])] if counts else None
