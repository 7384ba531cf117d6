"""One record through the rules, in their order: mend and normalise, then the cheapest first.

Nothing is remembered between records: what must know of others (copies, held-out text) comes
after, from the keys that are made here. So records can be cleaned anywhere, in any order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hanhua.text.config import AUTO, CorpusConfig
from hanhua.text.contamination.overlap import OverlapIndex
from hanhua.text.copies.exact import content_key
from hanhua.text.copies.keys import DocumentKeys, rank_of
from hanhua.text.copies.minhash import canonical_points, changed_characters, sign
from hanhua.text.copies.repeated import document_keys
from hanhua.text.languages.language import check_language, identify, split_by_language
from hanhua.text.ledger import UNKNOWN_LICENCE
from hanhua.text.quality.boilerplate import clean_lines
from hanhua.text.quality.rules import check_length, check_quality
from hanhua.text.quality.thresholds import QualityConfig, default_thresholds
from hanhua.text.readers.extract import extract
from hanhua.text.readers.read import Record
from hanhua.text.rewrite.convert import converter
from hanhua.text.rewrite.mend import mend
from hanhua.text.rewrite.normalise import normalise
from hanhua.text.rewrite.pii import mask
from hanhua.text.scripts import Profile, profile
from hanhua.text.split import split_text
from hanhua.text.verdict import Drop


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What became of one document.

    Args:
        text: clean, or as far as it came.
        language: declared or found.
        licence: of its source.
        drop: why it goes; None where it stays.
        changes: what was mended, masked or taken out, by kind.
        keys: for deduplication; None where it goes.
        items: numbers of the evaluation questions that it holds.
        lines: keys of its lines, where repeated ones are looked for.
    """

    text: str
    language: str
    licence: str
    drop: Drop | None = None
    changes: Counter[str] = field(default_factory=Counter)
    keys: bytes | None = None
    items: list[int] | None = None
    lines: bytes | None = None


class Cleaner:
    """Applies every rule of the recipe that looks at one document alone.

    Args:
        config: the recipe's section.
        questions: evaluation questions that no document may hold.
    """

    def __init__(self, config: CorpusConfig, questions: OverlapIndex | None = None) -> None:
        self.config = config
        self.questions = questions

    def clean(self, record: Record, number: int, source: str) -> Iterator[Cleaned]:
        """Judge the documents of one record: one, or several where it is split.

        Args:
            record: as read.
            number: of its source in the recipe.
            source: the source's name.
        """
        config = self.config.sources[number]
        licence = config.licence or UNKNOWN_LICENCE
        text, problem, found = record.text, record.problem, record.found
        if text is not None:
            text, problem = extract(record.kind, text, self.config.keep_code)
        if text is None or problem:
            language = config.language if config.language != AUTO else "und"
            yield Cleaned(text or "", language, licence, Drop(problem or "no_text", found))
            return
        changes: Counter[str] = Counter([record.note] if record.note else [])
        text = self._normal(text, changes)
        for piece in split_text(text, self.config.max_chars_per_doc):
            for language, part in self._languages(piece, config.language):
                yield self._judge(part, language, licence, record, number, source, changes)
                changes = Counter()

    def _normal(self, text: str, changes: Counter[str]) -> str:
        if self.config.mend:
            text, mended = mend(text)
            if mended:
                changes[f"mended.{mended}"] += 1
        return normalise(text)

    def _languages(self, text: str, declared: str) -> Iterator[tuple[str, str]]:
        """The parts of a text by language: one, but for mixed pages of unknown language."""
        if declared != AUTO:
            yield declared, text
            return
        facts = profile(text)
        found = identify(text, facts)
        if found.code != "mixed" or not self.config.split_mixed:
            yield found.code, text
            return
        parts: dict[str, list[str]] = {}
        for language, part in split_by_language(text, facts, self.config.languages):
            parts.setdefault(language.code, []).append(part.strip())
        for code, pieces in parts.items():
            yield code, "\n\n".join(piece for piece in pieces if piece)

    def _judge(
        self, text: str, language: str, licence: str, record: Record, number: int, source: str,
        changes: Counter[str],
    ) -> Cleaned:  # fmt: skip
        text = self._rewrite(text.strip(), language, changes)
        drop = self._refuse(text, language, self.config.sources[number].language == AUTO)
        if drop:
            return Cleaned(text, language, licence, drop, changes)
        held = self.questions.find_all(canonical_points(text)) if self.questions else []
        if held:
            share = max(overlap.share for overlap in held)
            return Cleaned(text, language, licence, Drop("contamination", share), changes,
                           items=[overlap.item for overlap in held])  # fmt: skip
        if self.config.pii:
            text, masked = mask(text, self.config.pii)
            changes.update({f"masked.{kind}": count for kind, count in masked.items()})
        variants = self.config.fold_variants
        points = canonical_points(text, variants)
        changed = changed_characters(text) if variants else 0
        rank = rank_of(
            text, f"{source}\n{record.id or record.where}",
            priority=self.config.sources[number].priority, chars=len(points), changed=changed,
        )  # fmt: skip
        signature = sign(text, variants)
        keys = DocumentKeys(content_key(points), rank, signature).as_bytes()
        lines = None if self.config.max_line_docs is None else document_keys(text)
        return Cleaned(text, language, licence, None, changes, keys, lines=lines)

    def _rewrite(self, text: str, language: str, changes: Counter[str]) -> str:
        """Take boilerplate lines out; bring Chinese to the asked characters."""
        limits = self._limits(language)
        if self.config.quality and self.config.boilerplate:
            text, removed = clean_lines(text, language, limits)
            changes.update({f"removed.{kind}": count for kind, count in removed.items()})
        if self.config.script != "keep" and language.startswith("zh"):
            text = converter(self.config.script)(text)
        return text

    def _limits(self, language: str) -> QualityConfig:
        return self.config.thresholds.get(language) or default_thresholds(language)

    def _refuse(self, text: str, language: str, found: bool) -> Drop | None:
        """The first rule that refuses, the cheapest and most certain ones first."""
        facts = profile(text)
        drop = check_length(facts, self.config.min_chars)
        if not drop and found:
            drop = None if language in self.config.languages else Drop("language", language)
        elif not drop:
            drop = self._wrong_language(text, facts, language)
        if not drop and self.config.quality:
            drop = check_quality(text, facts, language, self._limits(language))
        return drop

    def _wrong_language(self, text: str, facts: Profile, language: str) -> Drop | None:
        share = self._limits(language).min_language_share
        if not self.config.language_check or share is None:
            return None
        return check_language(facts, language, share, text=text)


def question_index(questions: Sequence[str]) -> OverlapIndex | None:
    """The index of what no document may hold; None where nothing was given."""
    return OverlapIndex(questions) if questions else None
