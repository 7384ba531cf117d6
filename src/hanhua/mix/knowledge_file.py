"""The file of facts of ``hanhua study knowledge``: read and written, one JSON object a line."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hanhua.core.errors import InputError
from hanhua.mix.knowledge import Fact, Said, objects_by_kind, trained

KEYS = ("id", "subject", "kind")
SAID = ("object", "text", "question", "answer")


def load_facts(path: Path, languages: Iterable[str]) -> list[Fact]:
    """Read a file of facts, one JSON object a line.

    Args:
        path: keys of a line: ``id``, ``kind``, optionally ``subject``, and by language an object
            of ``object``, ``text`` (list), ``question`` (list) and optionally ``answer`` (list;
            left out: the texts).
        languages: that every fact must be said in.

    Raises:
        InputError: naming file and line of the first mistake.
    """
    languages = tuple(languages)
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "The file of facts cannot be read.", where=path, found=error,
            fix="name a UTF-8 file with one JSON object a line",
        ) from error  # fmt: skip
    found: dict[str, Fact] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            fact = _fact(line, languages, f"{path}:{number}")
            if fact.id in found:
                raise _wrong("Two facts have one id.", f"{path}:{number}", fact.id,
                             "give every fact its own id")  # fmt: skip
            found[fact.id] = fact
    facts = list(found.values())
    check_facts(facts, languages, str(path))
    return facts


def check_facts(facts: Sequence[Fact], languages: Iterable[str], where: str) -> None:
    """Refuse facts of which too little could be asked.

    Raises:
        InputError: for fewer than ten, or a kind with one object only.
    """
    if len(facts) < 10:
        raise _wrong("So few facts tell nothing.", where, f"{len(facts)} facts",
                     "give at least ten, better a hundred")  # fmt: skip
    for language in languages:
        for kind, objects in objects_by_kind(facts, language).items():
            if len(objects) < 2:
                raise _wrong(
                    f"The kind {kind!r} has one object in {language}, so there is nothing to "
                    "choose from.", where, objects[0], "give facts of a kind different objects",
                )  # fmt: skip


def _fact(line: str, languages: Sequence[str], where: str) -> Fact:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise _wrong("The line is not JSON.", where, error, "write one object a line") from error
    if not isinstance(record, dict):
        raise _wrong("The line is not a JSON object.", where, type(record).__name__,
                     "write one object a line")  # fmt: skip
    _check_keys(record, [*KEYS, *languages], where, others=True)
    for key in ("id", "kind"):
        _text_at(record, key, where)
    said = {language: _said(record.get(language), f"{where}, {language}") for language in languages}
    subject = record.get("subject", record["id"])
    if not isinstance(subject, str):
        raise _wrong("subject is not a text.", where, subject, "write a text")
    return Fact(record["id"], subject, record["kind"], said)


def _said(record: Any, where: str) -> Said:
    if not isinstance(record, dict):
        raise _wrong("The fact is not said in this language.", where, record,
                     'give {"object": …, "text": […], "question": […]}')  # fmt: skip
    _check_keys(record, SAID, where)
    thing = _text_at(record, "object", where)
    text, question = (_list_at(record, key, where) for key in ("text", "question"))
    answer = _list_at(record, "answer", where) if "answer" in record else tuple(trained(text))
    for one in (*text, *answer):
        if thing not in one:
            raise _wrong("The object does not stand in this text.", where, one,
                         f"write {thing!r} in it as it is given in object")  # fmt: skip
    return Said(thing, text, question, answer)


def _check_keys(
    record: Mapping[str, Any], known: Sequence[str], where: str, others: bool = False
) -> None:
    """Refuse a misspelt key; ``others``: further languages may stand there."""
    for key in record:
        if key in known or (others and isinstance(record[key], dict)):
            continue
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        fix = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
        raise _wrong("Unknown key.", where, key, fix)


def _text_at(record: Mapping[str, Any], key: str, where: str) -> str:
    value = record.get(key)
    if not isinstance(value, str) or not value.strip():
        raise _wrong(f"{key} is not a text.", where, value, f"give {key} as a text")
    return value


def _list_at(record: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = record.get(key)
    sound = isinstance(value, list) and value
    if not sound or not all(isinstance(one, str) and one.strip() for one in value or ()):
        raise _wrong(f"{key} is not a list of texts.", where, value,
                     f"give {key} as a list of at least one text")  # fmt: skip
    return tuple(value or ())


def _wrong(what: str, where: str, found: object, fix: str) -> InputError:
    return InputError(what, where=where, found=found, fix=fix)


def as_line(fact: Fact) -> str:
    """A fact as a line of the file, the inverse of :func:`load_facts`."""
    record: dict[str, Any] = {"id": fact.id, "subject": fact.subject, "kind": fact.kind}
    for language, said in fact.said.items():
        record[language] = {"object": said.object, "text": said.text, "question": said.question,
                            "answer": said.answer}  # fmt: skip
    return json.dumps(record, ensure_ascii=False) + "\n"
