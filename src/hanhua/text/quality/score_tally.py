"""The scores of all documents together: how they spread, and where a share of them begins.

Memory is 6 bytes for each kept document. Nothing depends on the order of documents.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hanhua.text.quality.scorer import score_of, sigmoid

BUCKETS = 20
"""Of equal width from 0 to 1, as CCI 4.0 and Nemotron-CC sort scores."""

Odds = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


class ScoreTally:
    """Takes the log odds of parts in order; NaN stands for what was not scored."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._histograms: list[npt.NDArray[np.int64]] = []
        self._odds, self._languages = array("f"), array("h")
        self._cuts: dict[str, float] = {}
        self.low: Flags | None = None
        """Which kept documents go, once ``cut`` was asked."""

    def take(self, languages: Sequence[str], odds: Odds, kept: Flags) -> None:
        """Count the documents of one part, and remember the scores of the kept ones.

        Args:
            languages: [documents].
            odds: log odds, float32 [documents].
            kept: which documents no rule refused, bool [documents].
        """
        codes = np.array([self._code(language) for language in languages], dtype=np.int16)
        scored = ~np.isnan(odds)
        for code in np.unique(codes[scored]).tolist():
            mine = odds[scored & (codes == code)].astype(np.float64)
            places = np.minimum(np.floor(sigmoid(mine) * BUCKETS), BUCKETS - 1).astype(np.int64)
            self._histograms[code] += np.bincount(places, minlength=BUCKETS)
        self._odds.frombytes(odds[kept].astype(np.float32).tobytes())
        self._languages.frombytes(codes[kept].tobytes())

    def _code(self, language: str) -> int:
        if language not in self._codes:
            self._codes[language] = len(self._histograms)
            self._histograms.append(np.zeros(BUCKETS, dtype=np.int64))
        return self._codes[language]

    def cut(self, alive: Flags, keep_share: float) -> Flags:
        """Which kept documents go, so that a share of each language's stays.

        At least that share stays, and more only where scores at the cut are equal.

        Args:
            alive: bool [kept documents]: those that are ranked; copies are not.
            keep_share: of them, above 0.

        Returns:
            bool [kept documents].
        """
        odds = np.array(self._odds, dtype=np.float32)
        codes = np.array(self._languages, dtype=np.int16)
        low = np.zeros(len(odds), dtype=np.bool_)
        for language, code in self._codes.items():
            mine = np.nonzero(alive & (codes == code) & ~np.isnan(odds))[0]
            if len(mine):
                stay = math.ceil(keep_share * len(mine) - 1e-9)  # 0.1 * 30 is above 3
                place = len(mine) - stay
                cut = np.partition(odds[mine], place)[place]
                low[mine[odds[mine] < cut]] = True
                self._cuts[language] = float(cut)
        self.low = low
        return low

    def of(self, number: int) -> float:
        """The log odds of one kept document."""
        return self._odds[number]

    def as_dict(self) -> dict[str, Any]:
        """Language -> scored documents, their histogram and, where there is one, the cut."""
        found: dict[str, Any] = {}
        for language, code in sorted(self._codes.items()):
            histogram = self._histograms[code]
            if histogram.any():
                found[language] = {
                    "scored": int(histogram.sum()), "histogram": histogram.tolist(),
                }  # fmt: skip
                if language in self._cuts:
                    found[language]["cut"] = round(score_of(self._cuts[language]), 6)
        return found
