"""What becomes of each kept document, and, for samples, of which one a copy is a copy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from hanhua.text.collect import Part, kept_rows
from hanhua.text.copies.near import Copies
from hanhua.text.finish import COPY, HELD_OUT, LOW, STAYS
from hanhua.text.verdict import Drop


def fates_of(
    part: Part, copies: Copies, chosen: set[int], low: npt.NDArray[np.bool_] | None
) -> npt.NDArray[np.uint8]:
    """What becomes of each kept document of a part.

    Args:
        part: of judged documents.
        copies: which are copies.
        chosen: numbers of the held-out ones.
        low: which ones have too low a score, where they are scored.
    """
    alive = copies.alive[part.start : part.start + part.kept]
    fates = np.where(alive, STAYS, COPY).astype(np.uint8)
    if low is not None:
        fates[low[part.start : part.start + part.kept]] = LOW
    mine = [number - part.start for number in chosen.intersection(part.numbers)]
    fates[mine] = HELD_OUT
    return fates


class Names:
    """Looks up, for samples, which document a copy is a copy of."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._starts = [part.start for part in parts]
        self._known: dict[int, list[str]] = {}

    def drop_of(self, number: int, copies: Copies, wanted: Callable[[Drop], bool]) -> Drop:
        """Why a copy goes; of what is looked at (``wanted``) with the kept one's id."""
        kept, share = copies.near.get(number, (-1, 1.0))
        drop = Drop("near_duplicate" if kept >= 0 else "duplicate", share)
        if not wanted(drop):
            return drop
        name = self.of(kept if kept >= 0 else copies.exact[number])
        return Drop(drop.reason, f"{share} of {name}")

    def of(self, number: int) -> str:
        """A kept document's id."""
        place = int(np.searchsorted(self._starts, number, side="right")) - 1
        if place not in self._known:
            if len(self._known) > 8:
                self._known.clear()
            rows = kept_rows(self._parts[place], ["id"])
            self._known[place] = [row[0] for _, row in rows]
        return self._known[place][number - self._parts[place].start]
