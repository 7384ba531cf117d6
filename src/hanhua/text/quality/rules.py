"""Quality rules: a measure of the text, held against a threshold; keep, or a Drop that says why.

The rules are those of Gopher, C4, FineWeb, FineWeb 2 and the published Chinese corpora, restated
for text without spaces; each measure names its source where it is defined. Order matters only for
which reason is named: the most certain comes first, then the cheapest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from hanhua.text.quality import characters, junk, line_shape, repetition
from hanhua.text.quality.facts import Facts, facts_of
from hanhua.text.quality.thresholds import QualityConfig, default_thresholds
from hanhua.text.scripts import Profile
from hanhua.text.verdict import Drop


@dataclass(frozen=True, slots=True)
class Rule:
    """One measure of a text against one threshold.

    Args:
        reason: why a document goes; drops are counted by it.
        field: the threshold's name in QualityConfig.
        measure: from the facts to a number; None where the text is too short to tell.
        at_least: the threshold is the least that is kept, not the most.
    """

    reason: str
    field: str
    measure: Callable[[Facts], float | None]
    at_least: bool = False

    def check(self, facts: Facts, limit: float) -> Drop | None:
        """None to keep, or the reason with the value that was found."""
        value = self.measure(facts)
        if value is None or (value >= limit if self.at_least else value <= limit):
            return None
        return Drop(self.reason, round(value, 4))


RULES = (
    Rule("mojibake", "max_replacement_share", characters.broken_share),
    Rule("symbols", "max_symbol_share", characters.symbol_share),
    Rule("digits", "max_digit_share", characters.digit_share),
    Rule("duplicate_lines", "max_duplicate_line_share", repetition.duplicate_line_share),
    Rule("duplicate_paragraphs", "max_duplicate_paragraph_share",
         repetition.duplicate_paragraph_share),
    Rule("placeholder", "max_placeholder_share", junk.placeholder_share),
    Rule("markup", "max_markup_share", junk.markup_share),
    Rule("code", "max_code_symbol_share", junk.code_symbol_share),
    Rule("long_tokens", "max_long_token_share", junk.long_token_share),
    Rule("function_words", "min_function_word_share", characters.function_word_share,
         at_least=True),
    Rule("rare_han", "max_rare_han_share", characters.rare_han_share),
    Rule("advertising", "max_advertising_share", junk.advertising_share),
    Rule("top_pair", "max_top_pair_share", repetition.top_pair_share),
    Rule("top_quad", "max_top_quad_share", repetition.top_quad_share),
    Rule("repeated_grams", "max_repeated_gram_share", repetition.repeated_gram_share),
    Rule("unbroken", "max_unbroken_share", junk.unbroken_share),
    Rule("punctuation", "min_punctuation_share", characters.punctuation_share, at_least=True),
    Rule("stretches", "min_mean_stretch_chars", characters.mean_stretch_chars, at_least=True),
    Rule("line_ends", "min_line_end_share", line_shape.line_end_share, at_least=True),
    Rule("short_lines", "max_short_line_share", line_shape.short_line_share),
    Rule("bullets", "max_bullet_line_share", line_shape.bullet_line_share),
    Rule("ellipses", "max_ellipsis_line_share", line_shape.ellipsis_line_share),
    Rule("newlines", "max_newline_share", line_shape.newline_share),
    Rule("line_length", "min_mean_line_chars", line_shape.mean_line_chars, at_least=True),
    Rule("long_line", "max_line_chars", line_shape.longest_line_chars),
    Rule("short_words", "min_mean_word_chars", characters.mean_word_chars, at_least=True),
    Rule("long_words", "max_mean_word_chars", characters.mean_word_chars),
    Rule("no_letters", "min_lettered_word_share", characters.lettered_word_share, at_least=True),
)  # fmt: skip
"""Every rule, in the order in which they are asked."""


def check_length(profile: Profile, min_chars: int) -> Drop | None:
    """Drop what is too short to be a text.

    Published pipelines ask for 10 Chinese characters (WuDaoCorpora), 50 characters (MAP-CC), 200
    (ChineseWebText) or 50 words (Gopher); reviews and verse are decent and short.
    """
    return Drop("too_short", profile.chars) if profile.chars < min_chars else None


def check_quality(
    text: str, profile: Profile, language: str, thresholds: QualityConfig
) -> Drop | None:
    """Apply the rules in order; the first that refuses is the reason.

    Args:
        text: the document, normalised.
        profile: its characters by class.
        language: the code that its source declares.
        thresholds: from the recipe; ``auto`` stands for the language's own default.

    Returns:
        None to keep; a Drop with the rule's reason and the value found.
    """
    facts = facts_of(text, profile, language)
    for measure, limit, at_least, reason in _asked(thresholds, language):
        value = measure(facts)
        if value is not None and (value < limit if at_least else value > limit):
            return Drop(reason, round(value, 4))
    return None


_Asked: TypeAlias = tuple[tuple[Callable[[Facts], float | None], float, bool, str], ...]
_known: dict[tuple[int, str], tuple[QualityConfig, _Asked]] = {}
_MOST_KNOWN = 256


def _asked(thresholds: QualityConfig, language: str) -> _Asked:
    """The rules that are on, by the thresholds' identity: their hash costs more than the rules."""
    found = _known.get((id(thresholds), language))
    if found is None:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        rules = active_rules(thresholds, language)
        asked = tuple((rule.measure, limit, rule.at_least, rule.reason) for rule, limit in rules)
        # The thresholds are kept with them, so that no others can get their identity.
        found = _known[id(thresholds), language] = (thresholds, asked)
    return found[1]


def active_rules(thresholds: QualityConfig, language: str) -> tuple[tuple[Rule, float], ...]:
    """The rules that are on, each with its number, in their order."""
    defaults = default_thresholds(language)
    limits = []
    for rule in RULES:
        limit = getattr(thresholds, rule.field)
        limit = getattr(defaults, rule.field) if limit == "auto" else limit
        if limit is not None:
            limits.append((rule, float(limit)))
    return tuple(limits)
