"""Which questions some training document held, by the account that corpus and chatdata keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hanhua.core.artifact import outside_files
from hanhua.eval.config import TaskConfig
from hanhua.text.contamination.questions import as_looked_for, read_questions


def touched_texts(account: Mapping[str, Any], configs: Sequence[TaskConfig]) -> set[str] | None:
    """The questions that were found in documents, as they were looked for.

    The account names files and places in them; the files are found again among the tasks'.

    Args:
        account: ``contamination`` of a ledger.
        configs: the tasks that are asked.

    Returns:
        None where nothing was looked for.
    """
    if account.get("status") != "checked":
        return None
    found: set[str] = set()
    files = [path for c in configs if c.path for path in outside_files(c.path, "eval.tasks")]
    for name, places in dict(account.get("touched") or {}).items():
        for path in files:
            if _is(path, str(name)):
                texts = read_questions(path)
                found |= {texts[place] for place in places if place < len(texts)}
    return found


def _is(path: Path, name: str) -> bool:
    """Whether a name of an account, a file's last parts, is this file."""
    parts = tuple(name.split("/"))
    return path.parts[-len(parts) :] == parts


def is_touched(text: str, choices: Sequence[str], touched: set[str]) -> bool:
    """Whether a question is one of those texts."""
    return as_looked_for(text, choices) in touched
