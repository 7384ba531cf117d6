"""API keys with a name and limits of their own, and what each has used.

A limit is a bucket that fills evenly over a minute and holds one minute's worth: short bursts
pass, and over any longer time the rate holds. Tokens are known only when they are made, so they
are taken out afterwards: a bucket may go below empty, and the key waits until it is above again.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hanhua.core.errors import ServeError
from hanhua.serve.errors import ApiError

_NAME = re.compile(r"[\w.-]{1,40}")
_MOST = 10**9
_ROUNDING = 1e-6
"""What a bucket may lack by the rounding of many small sums: who waits as told is let in."""


@dataclass(frozen=True, slots=True)
class Key:
    """One line of the key file.

    Args:
        secret: what the client sends.
        name: what metrics call it.
        requests_per_minute, tokens_per_minute: 0: no limit.
    """

    secret: str
    name: str
    requests_per_minute: int = 0
    tokens_per_minute: int = 0


class Bucket:
    """So much a minute.

    Args:
        per_minute: how much; 0: no limit.
        clock: seconds, as ``time.monotonic`` gives them.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute, self.clock = per_minute, clock
        self.level, self.seen = float(per_minute), clock()

    def wait_seconds(self, needed: float) -> float:
        """How long until so much is there; 0 when it is."""
        if not self.per_minute:
            return 0.0
        now = self.clock()
        filled = self.level + (now - self.seen) * self.per_minute / 60
        self.level, self.seen = min(float(self.per_minute), filled), now
        missing = needed - self.level
        return missing * 60 / self.per_minute if missing > _ROUNDING else 0.0

    def take(self, amount: float) -> None:
        """Take it out, even below empty."""
        self.level -= amount


class Account:
    """A key's limits and use.

    Args:
        key: whose.
        clock: see :class:`Bucket`.
    """

    def __init__(self, key: Key, clock: Callable[[], float] = time.monotonic) -> None:
        self.key = key
        self.requests = self.refused = self.tokens = 0
        self._asked = Bucket(key.requests_per_minute, clock)
        self._made = Bucket(key.tokens_per_minute, clock)

    def admit(self) -> None:
        """Let one request in.

        Raises:
            ApiError: 429 with Retry-After when the key has used its minute up.
        """
        for wait, limit, unit in (
            (self._asked.wait_seconds(1), self.key.requests_per_minute, "requests"),
            (self._made.wait_seconds(1), self.key.tokens_per_minute, "tokens"),
        ):
            if wait > 0:
                self.refused += 1
                seconds = max(1, math.ceil(wait))
                raise ApiError(
                    429, f"This key may use {limit} {unit} a minute; try again in {seconds} s.",
                    code="rate_limit_exceeded", headers={"Retry-After": str(seconds)},
                )  # fmt: skip
        self.requests += 1
        self._asked.take(1)

    def charge(self, tokens: int) -> None:
        """Note tokens that were read or made."""
        self.tokens += tokens
        self._made.take(tokens)


def read_keys(path: Path | None) -> tuple[Key, ...]:
    """The API keys in a file: ``KEY [name=NAME] [rpm=N] [tpm=N]`` a line, # begins a comment line.

    Raises:
        ServeError: when the file cannot be read, holds none, or a line is not of that form.
    """
    if path is None:
        return ()
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ServeError(
            "The API key file cannot be read.", where=path, found=error,
            fix="write one key a line into a UTF-8 text file",
        ) from error  # fmt: skip
    keys: list[Key] = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if words and not words[0].startswith("#"):
            keys.append(_key(words, len(keys) + 1, f"{path}, line {number}"))
    if not keys:
        raise ServeError(
            "The API key file holds no key.", where=path, fix="write one key a line into it"
        )
    for what, values in (("key", [k.secret for k in keys]), ("name", [k.name for k in keys])):
        if len(set(values)) < len(values):
            raise ServeError(f"The API key file holds the same {what} twice.", where=path,
                             fix=f"give every line its own {what}")  # fmt: skip
    return tuple(keys)


def _key(words: list[str], number: int, where: str) -> Key:
    given = {"name": f"key-{number}", "rpm": "0", "tpm": "0"}
    for word in words[1:]:
        name, equals, value = word.partition("=")
        if name not in given or not equals:  # never the word: it may be the key
            raise _bad(where, "a word besides the key that is not name=, rpm= or tpm=")
        given[name] = value
    limits = [_limit(given[name], name, where) for name in ("rpm", "tpm")]
    if not _NAME.fullmatch(given["name"]):
        raise _bad(where, "name=")
    return Key(words[0], given["name"], *limits)


def _limit(value: str, name: str, where: str) -> int:
    if not (value.isascii() and value.isdigit() and int(value[:12]) <= _MOST):
        raise _bad(where, f"{name}={value[:20]}")
    return int(value)


def _bad(where: str, found: str) -> ServeError:
    return ServeError(
        "A line of the API key file does not read.", where=where, found=found,
        fix="write KEY, then if you like name=NAME (letters, digits, _ . -) rpm=NUMBER tpm=NUMBER",
    )  # fmt: skip
