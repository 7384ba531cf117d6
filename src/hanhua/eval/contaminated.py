"""Which questions training texts held, by the accounts that corpus, chatdata and prefer keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

from hanhua.core.artifact import Artifact, outside_files
from hanhua.core.errors import ArtifactError, InputError
from hanhua.core.files import read_json, sha256_file
from hanhua.eval.config import TaskConfig
from hanhua.text.contamination.questions import as_looked_for, read_questions


@dataclass(frozen=True, slots=True)
class LookedFor:
    """Questions in the form in which training texts were held against them.

    Args:
        texts: all that were looked for.
        touched: name of the texts (such as "corpus") -> those of the questions that they held.
    """

    texts: frozenset[str]
    touched: Mapping[str, frozenset[str]]

    def held(self, text: str, choices: Sequence[str]) -> tuple[str, ...] | None:
        """By which texts a question was held; None where it was never looked for."""
        form = as_looked_for(text, choices)
        if form not in self.texts:
            return None
        return tuple(name for name, found in self.touched.items() if form in found)


def looked_for(
    accounts: Mapping[str, Mapping[str, Any]], configs: Sequence[TaskConfig]
) -> LookedFor | None:
    """What was looked for in training texts, of the tasks that are asked.

    An account names files by name and SHA-256, and places in them; the files are found again
    among the tasks'. An older account has names alone, and only of files of which something was
    found: such a name counts where it fits one file of the tasks and no other.

    Args:
        accounts: name of the texts -> ``contamination`` of their ledger.
        configs: the tasks that are asked.

    Returns:
        None where nothing was looked for.
    """
    checked = {n: one for n, one in accounts.items() if one.get("status") == "checked"}
    if not checked:
        return None
    paths = [path for c in configs if c.path for path in outside_files(c.path, "eval.tasks")]
    files = list({path.resolve(): path for path in paths}.values())
    texts: set[str] = set()
    held: dict[str, frozenset[str]] = {}
    for name, account in checked.items():
        found, held[name] = _questions(account, files)
        texts |= found
    return LookedFor(frozenset(texts), held)


def _questions(
    account: Mapping[str, Any], files: Sequence[Path]
) -> tuple[set[str], frozenset[str]]:
    """Of one account: all questions that were looked for, and those that were found."""
    touched = dict(account.get("touched") or {})
    places = _by_digest(account, files) if "files" in account else _by_name(touched, files)
    texts: set[str] = set()
    held: set[str] = set()
    for path, name in places:
        found = read_questions(path)
        texts.update(found)
        held.update(found[place] for place in touched.get(name, ()) if place < len(found))
    return texts, frozenset(held)


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


def read_accounts(ledgers: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """The accounts of ledgers, by the stage that wrote each, else by the name of its folder.

    Raises:
        InputError: no such file, not JSON, or no ledger.
    """
    found: dict[str, dict[str, Any]] = {}
    for ledger in ledgers:
        account, name = _read_account(ledger), _stage(ledger)
        numbered = (f"{name}-{number}" for number in count(2))
        found[next(free for free in chain([name], numbered) if free not in found)] = account
    return found


def _stage(ledger: Path) -> str:
    try:
        return Artifact.load(ledger.parent).stage
    except ArtifactError:
        return ledger.resolve().parent.name


def _read_account(ledger: Path) -> dict[str, Any]:
    fix = "name the ledger.json of a corpus, chatdata or prefer that was held against benchmarks"
    try:
        found = read_json(ledger)
    except (OSError, ValueError) as error:
        raise InputError("This ledger does not read.", where=ledger, found=error, fix=fix) from error  # fmt: skip # noqa: E501
    account = found.get("contamination") if isinstance(found, dict) else None
    if not isinstance(account, dict):
        raise InputError("This file has no account of contamination.", where=ledger,
                         found=type(found).__name__, fix=fix)  # fmt: skip
    return account
