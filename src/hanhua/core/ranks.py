"""Several processes at one run: the first does everything, the others help where they can.

``torchrun`` starts the same command once for every device. One of them, the first, plans, writes
and prints; the others wait for the stages that all of them work on together.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Protocol


class Ranks(Protocol):
    """The processes of a run, as one of them sees them."""

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and prints."""

    def announce(self, task: Mapping[str, Any] | None) -> None:
        """From the first: what all do together now; None: there is nothing more."""

    def hear(self) -> Mapping[str, Any] | None:
        """On the others: wait for the next announcement."""


class Alone:
    """One process."""

    first = True

    def announce(self, task: Mapping[str, Any] | None) -> None:
        """Nobody hears it."""

    def hear(self) -> Mapping[str, Any] | None:
        """Nobody says anything."""
        return None


def started_ranks() -> int:
    """How many processes ``torchrun`` started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))
