"""What word list and judge found, for /metrics; counted from several threads."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Literal

Of = Literal["prompt", "answer"]
Result = Literal["passed", "flagged", "unjudged"]


class Tally:
    """Texts that were judged, and how long it took.

    A conversation counts message by message; an answer that streams, piece by piece.
    """

    def __init__(self) -> None:
        self.texts: Counter[tuple[Of, Result]] = Counter()
        self.judgements = 0
        self.seconds = 0.0
        self._lock = threading.Lock()

    def judged(self, of: Of, texts: int, flagged: int, seconds: float) -> None:
        """Note one judgement.

        Args:
            of: what the texts are.
            texts: how many.
            flagged: of them.
            seconds: that it was waited for.
        """
        with self._lock:
            self.texts[of, "flagged"] += flagged
            self.texts[of, "passed"] += texts - flagged
            self.judgements += 1
            self.seconds += seconds

    def unjudged(self, of: Of, texts: int) -> None:
        """Note texts of which there is no judgement, whether they passed or were refused."""
        with self._lock:
            self.texts[of, "unjudged"] += texts


class Refusals:
    """Prompts that the word list refused, one by one."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def add(self) -> None:
        """Note one."""
        with self._lock:
            self.count += 1
