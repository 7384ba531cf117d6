"""The one conversation type, what makes one sound, and its file.

Every format that we read becomes a `Conversation`; templates, selection and training know
nothing else. Texts are kept as they were read: a template trims them, nothing here does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from hanhua.core.errors import ArtifactError
from hanhua.core.files import storage_errors

Role = Literal["user", "assistant"]

NO_TURNS = "no_turns"
EMPTY_TEXT = "empty_text"
MISSING_ANSWER = "missing_answer"
ROLE_ORDER = "role_order"
BROKEN_TEXT = "broken_text"

_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("system", pa.string()),
        ("turns", pa.list_(pa.struct([("role", pa.string()), ("text", pa.string())]))),
        ("language", pa.string()),
        ("source", pa.string()),
        ("licence", pa.string()),
        ("task", pa.string()),
        ("domain", pa.string()),
        ("rejected", pa.string()),
    ]
)
_ADDED = ("domain", "rejected")
"""Columns that files made before did not have."""
_BROKEN = re.compile("[\0\ud800-\udfff\ufffd]")
_ROWS_PER_GROUP = 4096


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side says."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns of a user and an assistant, with where they come from.

    Args:
        id: stable name, e.g. ``alpaca/17``.
        system: what the assistant is told beforehand; empty where nothing is.
        turns: user and assistant in turn, an answer last.
        language: code of the language of the turns, e.g. "zh"; empty while not known.
        source: name of the data set.
        licence: its licence as stated.
        task: kind of task where the set says so, else empty.
        domain: what it is about where the set says so, else empty.
        rejected: the answer that was liked less than the last one, in a set of preferences.
    """

    id: str
    system: str
    turns: tuple[Turn, ...]
    language: str = ""
    source: str = ""
    licence: str = ""
    task: str = ""
    domain: str = ""
    rejected: str = ""

    @property
    def user_text(self) -> str:
        """All that the user says, one turn a line."""
        return "\n".join(turn.text for turn in self.turns if turn.role == "user")

    @property
    def target_text(self) -> str:
        """All that the assistant says: what a model learns from this conversation."""
        return "\n".join(turn.text for turn in self.turns if turn.role == "assistant")

    @property
    def target_bytes(self) -> int:
        """UTF-8 bytes of the answers."""
        return sum(len(t.text.encode("utf-8")) for t in self.turns if t.role == "assistant")

    @property
    def chars(self) -> int:
        """Characters of the system text and all turns."""
        return len(self.system) + sum(len(turn.text) for turn in self.turns)

    def messages(self) -> list[dict[str, str]]:
        """The form that chat templates and the OpenAI API take."""
        head = [{"role": "system", "content": self.system}] if self.system.strip() else []
        return head + [{"role": turn.role, "content": turn.text} for turn in self.turns]


def problem(conversation: Conversation) -> str | None:
    """Why a conversation cannot be used, or None when it is sound.

    Returns:
        ``no_turns``, ``broken_text`` (a NUL, a lone surrogate or U+FFFD: a
        wrong decoding somewhere), ``empty_text``, ``missing_answer`` (a question stands last) or
        ``role_order`` (does not start with the user, or a role speaks twice).
    """
    turns = conversation.turns
    if not turns:
        return NO_TURNS
    if any(_broken(text) for text in (conversation.system, *(turn.text for turn in turns))):
        return BROKEN_TEXT
    if turns[-1].role == "assistant" and not turns[-1].text.strip():
        return MISSING_ANSWER
    if any(not turn.text.strip() for turn in turns):
        return EMPTY_TEXT
    if turns[-1].role != "assistant":
        return MISSING_ANSWER
    if any(turn.role != ("user", "assistant")[i % 2] for i, turn in enumerate(turns)):
        return ROLE_ORDER
    return None


def _broken(text: str) -> bool:
    return _BROKEN.search(text) is not None


def repair(conversation: Conversation) -> tuple[Conversation, tuple[str, ...]]:
    """Cut off what no answer can be learnt from: answers before any question, a last question.

    The texts themselves are never changed. A rejected answer that is empty, broken or the same as
    the chosen one says nothing, and goes.

    Returns:
        the conversation and what was cut: ``leading_answer``, ``trailing_question``.
    """
    turns, cut = conversation.turns, []
    worse = conversation.rejected
    if worse and (not worse.strip() or _broken(worse) or (turns and worse == turns[-1].text)):
        conversation = replace(conversation, rejected="")
    first = next((i for i, turn in enumerate(turns) if turn.role == "user"), 0)
    if first:
        turns, cut = turns[first:], ["leading_answer"]
    if len(turns) > 2 and turns[-1].role == "user" and turns[-2].role == "assistant":
        turns, cut = turns[:-1], [*cut, "trailing_question"]
    return (replace(conversation, turns=turns), tuple(cut)) if cut else (conversation, ())


def write_conversations(path: Path, conversations: Iterable[Conversation]) -> int:
    """Write a parquet file; equal conversations give equal bytes.

    Returns:
        how many were written.
    """
    written = 0
    with storage_errors(path), pq.ParquetWriter(path, _SCHEMA, compression="zstd") as writer:
        rows: list[dict[str, object]] = []
        for conversation in conversations:
            rows.append(_row(conversation))
            if len(rows) == _ROWS_PER_GROUP:
                writer.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA))
                written, rows = written + len(rows), []
        writer.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA))
        return written + len(rows)


def _row(conversation: Conversation) -> dict[str, object]:
    return {
        "id": conversation.id,
        "system": conversation.system,
        "turns": [{"role": turn.role, "text": turn.text} for turn in conversation.turns],
        "language": conversation.language,
        "source": conversation.source,
        "licence": conversation.licence,
        "task": conversation.task,
        "domain": conversation.domain,
        "rejected": conversation.rejected,
    }


def read_conversations(path: Path) -> Iterator[Conversation]:
    """Read what `write_conversations` wrote, in its order.

    Raises:
        ArtifactError: for a file that is not such a file.
    """
    try:
        file = pq.ParquetFile(path)
        older = pa.schema([field for field in _SCHEMA if field.name not in _ADDED])
        if not (file.schema_arrow.equals(_SCHEMA) or file.schema_arrow.equals(older)):
            raise ValueError(f"columns {', '.join(file.schema_arrow.names)}")
    except (OSError, ValueError) as error:
        raise ArtifactError(
            "This is not a file of conversations.", where=path, found=error,
            fix="delete the artifact's folder and run the same command again",
        ) from error  # fmt: skip
    with file:
        for batch in file.iter_batches(batch_size=_ROWS_PER_GROUP):
            for row in batch.to_pylist():
                turns = tuple(Turn(turn["role"], turn["text"]) for turn in row.pop("turns"))
                yield Conversation(turns=turns, **row)
