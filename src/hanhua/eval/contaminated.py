"""Which questions some training document held, by the account that corpus and chatdata keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hanhua.core.artifact import outside_files
from hanhua.core.errors import InputError
from hanhua.core.files import read_json, sha256_file
from hanhua.eval.config import TaskConfig
from hanhua.text.contamination.questions import as_looked_for, read_questions


@dataclass(frozen=True, slots=True)
class LookedFor:
    """Questions in the form in which documents were held against them.

    Args:
        texts: all that were looked for.
        touched: those of them that some document held.
    """

    texts: frozenset[str]
    touched: frozenset[str]

    def held(self, text: str, choices: Sequence[str]) -> bool | None:
        """Whether a document held a question; None where it was never looked for."""
        form = as_looked_for(text, choices)
        return form in self.touched if form in self.texts else None


def looked_for(account: Mapping[str, Any], configs: Sequence[TaskConfig]) -> LookedFor | None:
    """What was looked for in training documents, of the tasks that are asked.

    The account names files by name and SHA-256, and places in them; the files are found again
    among the tasks'. An older account has names alone, and only of files of which something was
    found: such a name counts where it fits one file of the tasks and no other.

    Args:
        account: ``contamination`` of a ledger.
        configs: the tasks that are asked.

    Returns:
        None where nothing was looked for.
    """
    if account.get("status") != "checked":
        return None
    paths = [path for c in configs if c.path for path in outside_files(c.path, "eval.tasks")]
    files = list({path.resolve(): path for path in paths}.values())
    touched = dict(account.get("touched") or {})
    places = _by_digest(account, files) if "files" in account else _by_name(touched, files)
    texts: set[str] = set()
    held: set[str] = set()
    for path, name in places:
        found = read_questions(path)
        texts.update(found)
        held.update(found[place] for place in touched.get(name, ()) if place < len(found))
    return LookedFor(frozenset(texts), frozenset(held))


def _by_digest(account: Mapping[str, Any], files: Iterable[Path]) -> list[tuple[Path, str]]:
    names: dict[str, list[str]] = {}
    for name, told in dict(account["files"]).items():
        names.setdefault(str(told["sha256"]), []).append(str(name))
    return [(path, name) for path in files for name in names.get(sha256_file(path), ())]


def _by_name(names: Iterable[str], files: Sequence[Path]) -> list[tuple[Path, str]]:
    found = []
    for name in map(str, names):
        parts = tuple(name.split("/"))
        fitting = [path for path in files if path.parts[-len(parts) :] == parts]
        if len(fitting) == 1:
            found.append((fitting[0], name))
    return found


def read_account(ledger: Path) -> dict[str, Any]:
    """The account of a ledger.

    Raises:
        InputError: no such file, not JSON, or no ledger.
    """
    fix = "name the ledger.json of a corpus that was held against benchmarks"
    try:
        found = read_json(ledger)
    except (OSError, ValueError) as error:
        raise InputError("This ledger does not read.", where=ledger, found=error, fix=fix) from error  # fmt: skip # noqa: E501
    account = found.get("contamination") if isinstance(found, dict) else None
    if not isinstance(account, dict):
        raise InputError("This file has no account of contamination.", where=ledger,
                         found=type(found).__name__, fix=fix)  # fmt: skip
    return account
