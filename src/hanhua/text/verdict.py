"""What a rule answers: None to keep, or a Drop that says why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Drop:
    """Why a document goes.

    Args:
        reason: the rule's name; drops are counted by it.
        value: what was found, for the samples: a share, a count, a name.
    """

    reason: str
    value: float | int | str
