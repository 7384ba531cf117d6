"""The learned quality score as a rule: of which languages it speaks, and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass

from hanhua.text.quality.facts import base_language
from hanhua.text.quality.scorer import Scorer, score_of
from hanhua.text.verdict import Drop

LOW_SCORE = "low_score"


@dataclass(frozen=True, slots=True)
class ScoreRule:
    """What a worker needs to score documents; 1 MB where it is pickled.

    Args:
        scorer: texts to log odds.
        languages: codes whose documents are scored, ``zh`` standing for ``zh-Hant`` too;
            None: all.
        min_score: a lower one is refused; None: nothing is.
    """

    scorer: Scorer
    languages: frozenset[str] | None = None
    min_score: float | None = None

    def log_odds(self, text: str, language: str) -> float | None:
        """The log odds of a document, or None where its language is not scored."""
        return self.scorer.log_odds(text) if self.covers(language) else None

    def covers(self, language: str) -> bool:
        """Whether documents of a language are scored."""
        if self.languages is None:
            return True
        return language in self.languages or base_language(language) in self.languages

    def check(self, log_odds: float | None) -> Drop | None:
        """Refuse a score below the lowest allowed."""
        if log_odds is None or self.min_score is None:
            return None
        return drop_of(log_odds) if score_of(log_odds) < self.min_score else None


def drop_of(log_odds: float) -> Drop:
    """The drop of a document whose score is too low."""
    return Drop(LOW_SCORE, round(score_of(log_odds), 6))
