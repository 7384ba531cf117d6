"""One document through the rules, in their order: cheapest and most certain first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hanhua.text.config import CorpusConfig
from hanhua.text.contamination import OverlapIndex
from hanhua.text.dedup import SeenKeys, content_key
from hanhua.text.language import check_language
from hanhua.text.quality import check_length, check_quality
from hanhua.text.scripts import canonical, profile
from hanhua.text.thresholds import QualityConfig
from hanhua.text.verdict import Drop


@dataclass(frozen=True, slots=True)
class Kept:
    """A document that passed: its clean text and its content key."""

    text: str
    key: bytes


class Cleaner:
    """Applies every rule of the recipe; remembers what it has seen.

    Args:
        config: the recipe's section.
        questions: evaluation questions that no document may hold.
    """

    def __init__(self, config: CorpusConfig, questions: Sequence[str] = ()) -> None:
        self.config = config
        self._seen = SeenKeys()
        self._questions = OverlapIndex(questions) if questions else None
        self._default = QualityConfig()

    @property
    def contamination(self) -> dict[str, int | str]:
        """What the contamination rule looked for."""
        if self._questions is None:
            return {"status": "not checked", "questions": 0, "too_short": 0}
        found = self._questions
        return {"status": "checked", "questions": found.items, "too_short": found.too_short}

    def judge(self, text: str, language: str) -> Kept | Drop:
        """Keep or drop one normalised document; a kept one counts as seen from then on."""
        text = text.strip()
        limits = self.config.thresholds.get(language, self._default)
        found = profile(text)
        drop = check_length(found, self.config.min_chars)
        if not drop and self.config.language_check and limits.min_language_share is not None:
            drop = check_language(found, language, limits.min_language_share)
        if not drop and self.config.quality:
            drop = check_quality(text, found, language, limits)
        return drop or self._unseen(text)

    def _unseen(self, text: str) -> Kept | Drop:
        points = canonical(text)
        overlap = self._questions.find(points) if self._questions else None
        if overlap:
            return Drop("contamination", overlap.share)
        key = content_key(points)
        if not self._seen.add(key) and self.config.dedup == "exact":
            return Drop("duplicate", key.hex()[:12])
        return Kept(text, key)
