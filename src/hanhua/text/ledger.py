"""The account of a corpus: for every source, in = kept + held out + dropped by reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from hanhua.text.document import Document
from hanhua.text.verdict import Drop

UNKNOWN_LICENCE = "unknown"
SAMPLES_PER_REASON = 20
SAMPLES_PER_SOURCE = 5
SAMPLE_CHARS = 300


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One raw file: its name (no folder), digest, and what cut its reading short, if anything."""

    name: str
    sha256: str
    problem: str = ""


@dataclass(slots=True)
class Amount:
    """Documents with their characters and UTF-8 bytes."""

    docs: int = 0
    chars: int = 0
    bytes: int = 0

    def add(self, text: str) -> None:
        """Count one text."""
        self.docs += 1
        self.chars += len(text)
        self.bytes += len(text.encode())

    def plus(self, other: Amount) -> Amount:
        """The sum of two amounts."""
        return Amount(
            self.docs + other.docs, self.chars + other.chars, self.bytes + other.bytes
        )  # fmt: skip


@dataclass(slots=True)
class Account:
    """What became of one source's documents.

    Args:
        read: documents that came in, pieces of split ones counted each.
        records: records in the files, before splitting.
        train: what is trained on.
        held_out: what is measured on.
        dropped: reason -> documents.
        changes: what was mended, masked or taken out -> how often.
        number: the account's place in a list, where someone keeps one.
    """

    source: str
    language: str
    licence: str
    files: list[FileFacts] = field(default_factory=list)
    records: int = 0
    read: int = 0
    train: Amount = field(default_factory=Amount)
    held_out: Amount = field(default_factory=Amount)
    dropped: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    number: int = -1

    def check(self) -> None:
        """Hold the account to its equation.

        Raises:
            AssertionError: when a document was lost or counted twice; a fault of ours.
        """
        out = self.train.docs + self.held_out.docs + self.dropped.total()
        if self.read != out:
            raise AssertionError(f"{self.source}: {self.read} documents in, {out} accounted for")

    def as_dict(self) -> dict[str, Any]:
        """The account as it goes into ledger.json."""
        files = [{k: v for k, v in asdict(f).items() if v} for f in self.files]
        return {
            "source": self.source,
            "language": self.language,
            "licence": self.licence,
            "files": files,
            "records": self.records,
            "in": self.read,
            "kept": self.train.docs,
            "held_out": self.held_out.docs,
            "dropped": dict(sorted(self.dropped.items())),
            "changes": dict(sorted(self.changes.items())),
            "chars": self.train.chars,
            "bytes": self.train.bytes,
            "held_out_chars": self.held_out.chars,
            "held_out_bytes": self.held_out.bytes,
        }


class Ledger:
    """Accounts of all sources, and samples of what was dropped."""

    def __init__(self) -> None:
        self._accounts: dict[tuple[str, str, str], Account] = {}
        self._samples: list[dict[str, Any]] = []
        self._taken: Counter[tuple[str, ...]] = Counter()
        self.touched: Counter[int] = Counter()
        """Evaluation questions by number -> documents that hold them."""

    @property
    def accounts(self) -> list[Account]:
        """All accounts, in the order in which they were opened."""
        return list(self._accounts.values())

    def account(self, source: str, language: str, licence: str) -> Account:
        """The account of a source in one language under one licence, opened when new."""
        key = (source, language, licence)
        if key not in self._accounts:
            self._accounts[key] = Account(*key)
        return self._accounts[key]

    def of(self, document: Document) -> Account:
        """The account that a document belongs to."""
        return self.account(document.source, document.language, document.licence)

    def wants(self, account: Account, drop: Drop) -> bool:
        """Whether a sample of a drop is kept: while there are few of its reason and source."""
        return (
            self._taken[(drop.reason,)] < SAMPLES_PER_REASON
            and self._taken[(drop.reason, account.source)] < SAMPLES_PER_SOURCE
        )

    def drop(self, account: Account, drop: Drop, where: str, text: str) -> None:
        """Count a drop, and keep a sample if one is wanted."""
        account.dropped[drop.reason] += 1
        if self.wants(account, drop):
            self._taken.update([(drop.reason,), (drop.reason, account.source)])
            self._samples.append({
                "reason": drop.reason, "value": drop.value, "source": account.source,
                "language": account.language, "where": where, "text": text[:SAMPLE_CHARS],
            })  # fmt: skip

    @property
    def samples(self) -> list[dict[str, Any]]:
        """Samples of drops, by reason."""
        return sorted(self._samples, key=lambda sample: str(sample["reason"]))

    def dropped(self) -> dict[str, int]:
        """Drops of all sources by reason."""
        return dict(sorted(sum((a.dropped for a in self.accounts), Counter[str]()).items()))

    def changes(self) -> dict[str, int]:
        """What was mended, masked or taken out in all sources."""
        return dict(sorted(sum((a.changes for a in self.accounts), Counter[str]()).items()))

    def add_file(self, source: str, facts: FileFacts, language: str, licence: str) -> None:
        """Note a file with its source's accounts; where it gave no document, with a new one."""
        mine = [a for a in self.accounts if a.source == source and a.licence == licence]
        for account in mine or [self.account(source, language, licence)]:
            account.files.append(facts)

    def amounts(self) -> dict[str, dict[str, dict[str, int]]]:
        """By language and split: docs, chars and bytes."""
        found: dict[str, dict[str, Amount]] = {}
        for account in self.accounts:
            splits = found.setdefault(account.language, {"train": Amount(), "held_out": Amount()})
            splits["train"] = splits["train"].plus(account.train)
            splits["held_out"] = splits["held_out"].plus(account.held_out)
        return {
            language: {split: asdict(amount) for split, amount in splits.items()}
            for language, splits in sorted(found.items())
        }

    def as_dict(self) -> dict[str, Any]:
        """ledger.json: the accounts and their totals.

        Raises:
            AssertionError: when an account does not add up.
        """
        for account in self.accounts:
            account.check()
        return {
            "sources": [account.as_dict() for account in self.accounts],
            "totals": {
                "in": _sum(a.read for a in self.accounts),
                "kept": _sum(a.train.docs for a in self.accounts),
                "held_out": _sum(a.held_out.docs for a in self.accounts),
                "dropped": self.dropped(),
                "changes": self.changes(),
                "languages": self.amounts(),
            },
        }


def _sum(values: Iterable[int]) -> int:
    return sum(values)
