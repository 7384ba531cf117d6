"""One record through the rules, in their order: mend and normalise, then the cheapest first.

Nothing is remembered between records: what must know of others (copies, held-out text) comes
after, from the keys that are made here. So records can be cleaned anywhere, in any order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from hanhua.text.config import AUTO, CorpusConfig
from hanhua.text.contamination.overlap import OverlapIndex
from hanhua.text.copies.exact import content_key
from hanhua.text.copies.fingerprints import PassageSize, document_fingerprints
from hanhua.text.copies.keys import DocumentKeys, rank_of
from hanhua.text.copies.minhash import canonical_points, changed_characters, sign
from hanhua.text.copies.repeated import document_keys
from hanhua.text.copies.words import mainland_words
from hanhua.text.languages.language import check_language, identify, pieces_of
from hanhua.text.ledger import UNKNOWN_LICENCE
from hanhua.text.quality.boilerplate import clean_lines
from hanhua.text.quality.rules import check_length, check_quality
from hanhua.text.quality.score_rule import ScoreRule
from hanhua.text.quality.thresholds import QualityConfig, default_thresholds
from hanhua.text.readers.extract import extract
from hanhua.text.readers.read import Record
from hanhua.text.rewrite.convert import converter
from hanhua.text.rewrite.mend import mend
from hanhua.text.rewrite.normalise import normalise
from hanhua.text.rewrite.pii import mask
from hanhua.text.rewrite.signs import CHARACTERS, signs
from hanhua.text.scripts import Profile, profile
from hanhua.text.split import split_text
from hanhua.text.verdict import Drop


class Cleaned(NamedTuple):
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
        log_odds: its quality score, where it was asked for one.
        passages: its fingerprints, where repeated passages are looked for.
    """

    text: str
    language: str
    licence: str
    drop: Drop | None = None
    changes: Mapping[str, int] = MappingProxyType({})
    keys: bytes | None = None
    items: list[int] | None = None
    lines: bytes | None = None
    log_odds: float | None = None
    passages: bytes | None = None


Changes: TypeAlias = dict[str, int]
"""What was done to a document -> how often; a step names its kinds once a document."""


class _Part(NamedTuple):
    """A text in one language, with what is known of it.

    Args:
        seen: signs that it may give; see rewrite/signs.py.
    """

    text: str
    language: str
    profile: Profile
    seen: int

    def stripped(self) -> _Part:
        return self.with_text(self.text.strip())

    def with_text(self, text: str) -> _Part:
        """The same with another text, which has no signs that this one has not."""
        return self if text is self.text else self._replace(text=text, profile=profile(text))


class Cleaner:
    """Applies every rule of the recipe that looks at one document alone.

    Args:
        config: the recipe's section.
        questions: evaluation questions that no document may hold.
        score: the learned quality score.
    """

    def __init__(
        self, config: CorpusConfig, questions: OverlapIndex | None = None,
        score: ScoreRule | None = None,
    ) -> None:  # fmt: skip
        self.config = config
        self.questions = questions
        self.score = score
        self._known_limits: dict[str, QualityConfig] = {}

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
        changes: Changes = {record.note: 1} if record.note else {}
        text, seen = self._normal(text, changes)
        for piece in split_text(text, self.config.max_chars_per_doc):
            for part in self._parts(piece, config.language, seen):
                yield self._judge(part, licence, record, number, source, changes)
                changes = {}

    def texts(self, record: Record, declared: str) -> Iterator[tuple[str, str]]:
        """The texts of one record as the rules see them, with their languages; none is judged.

        Args:
            record: as read.
            declared: their language, or AUTO.
        """
        text, problem = record.text, ""
        if text is not None:
            text, problem = extract(record.kind, text, self.config.keep_code)
        if text is None or problem:
            return
        text, seen = self._normal(text, {})
        for piece in split_text(text, self.config.max_chars_per_doc):
            for part in self._parts(piece, declared, seen):
                yield part.language, self._rewrite(part, {}).text

    def _normal(self, text: str, changes: Changes) -> tuple[str, int]:
        """The text in its one form, and the signs that it gives."""
        seen = signs(text)
        if self.config.mend:
            text, mended = mend(text, seen)
            if mended:
                changes[f"mended.{mended}"] = 1
                seen = signs(text)
        normal = normalise(text, seen)
        return normal, signs(normal) if seen & CHARACTERS else seen

    def _parts(self, text: str, declared: str, seen: int) -> Iterator[_Part]:
        """A text by language: one part, but for mixed pages of unknown language."""
        facts = profile(text)
        if declared != AUTO:
            yield _Part(text, declared, facts, seen).stripped()
            return
        found = identify(text, facts)
        if found.code != "mixed" or not self.config.split_mixed:
            yield _Part(text, found.code, facts, seen).stripped()
            return
        parts: dict[str, list[str]] = {}
        for code, part in pieces_of(text, found.code, self.config.languages):
            parts.setdefault(code, []).append(part.strip())
        for code, pieces in parts.items():
            part = "\n\n".join(piece for piece in pieces if piece)
            yield _Part(part, code, profile(part), seen).stripped()

    def _judge(
        self, part: _Part, licence: str, record: Record, number: int, source: str,
        changes: Changes,
    ) -> Cleaned:  # fmt: skip
        part = self._rewrite(part, changes)
        text, language = part.text, part.language
        drop = self._refuse(part, self.config.sources[number].language == AUTO)
        odds = self.score.log_odds(text, language) if self.score and not drop else None
        if self.score and not drop:
            drop = self.score.check(odds)
        if drop:
            return Cleaned(text, language, licence, drop, changes, log_odds=odds)
        held = self.questions.find_all(canonical_points(text)) if self.questions else []
        if held:
            share = max(overlap.share for overlap in held)
            return Cleaned(text, language, licence, Drop("contamination", share), changes,
                           items=[overlap.item for overlap in held], log_odds=odds)  # fmt: skip
        if self.config.pii:
            text, masked = mask(text, self.config.pii, part.seen)
            if masked:
                changes.update({f"masked.{kind}": count for kind, count in masked.items()})
        variants = self.config.fold_variants
        points = canonical_points(text, variants)
        changed = changed_characters(text) if variants else 0
        rank = rank_of(
            text, f"{source}\n{record.id or record.where}",
            priority=self.config.sources[number].priority, chars=len(points), changed=changed,
        )  # fmt: skip
        signature = sign(mainland_words(text) if variants else text, variants)
        keys = DocumentKeys(content_key(points), rank, signature).as_bytes()
        lines = None if self.config.max_line_docs is None else document_keys(text)
        size = self.config.min_repeated_passage_chars
        passages = document_fingerprints(points, PassageSize(size)) if size else None
        return Cleaned(text, language, licence, None, changes, keys, lines=lines, log_odds=odds,
                       passages=passages)  # fmt: skip

    def _rewrite(self, part: _Part, changes: Changes) -> _Part:
        """Take boilerplate lines out; bring Chinese to the asked characters."""
        text, language = part.text, part.language
        if self.config.quality and self.config.boilerplate:
            text, removed = clean_lines(text, language, self._limits(language))
            if removed:
                changes.update({f"removed.{kind}": count for kind, count in removed.items()})
        if self.config.script != "keep" and language.startswith("zh"):
            text = converter(self.config.script)(text)
        return part.with_text(text)

    def _limits(self, language: str) -> QualityConfig:
        found = self._known_limits.get(language)
        if found is None:
            found = self.config.thresholds.get(language) or default_thresholds(language)
            self._known_limits[language] = found
        return found

    def _refuse(self, part: _Part, found: bool) -> Drop | None:
        """The first rule that refuses, the cheapest and most certain ones first."""
        text, language, facts = part.text, part.language, part.profile
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
    return OverlapIndex(questions, questions=True) if questions else None
