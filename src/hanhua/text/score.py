"""The recipe's quality score: learnt from the files it names, or read from an earlier corpus.

Good and bad texts go the way of the corpus itself (mended, normalised, split, boilerplate lines
out), or the score would learn what no document has by the time it is asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hanhua.core.artifact import outside_files
from hanhua.core.errors import InputError
from hanhua.core.progress import Progress
from hanhua.text.clean import Cleaner
from hanhua.text.config import AUTO, CorpusConfig
from hanhua.text.quality.score_config import ScoreConfig
from hanhua.text.quality.score_rule import ScoreRule
from hanhua.text.quality.score_tally import ScoreTally
from hanhua.text.quality.scorer import MIN_TEXTS, Scorer, train_scorer
from hanhua.text.readers.read import read_records

FILE = "scorer.npz"
"""The scorer's name in the corpus artifact."""
_WHERE = "corpus.score"


def score_rule(config: CorpusConfig, seed: int, progress: Progress) -> ScoreRule | None:
    """The score that the recipe asks for; None where it asks for none.

    Args:
        config: the recipe's section.
        seed: of the order in which texts are learnt from.
        progress: told how well the score tells good from bad.

    Raises:
        InputError: for a file that is missing or holds no text, too few texts, or a score that
            tells good from bad no better than chance.
    """
    settings = config.score
    if settings is None:
        return None
    if settings.model is not None:
        scorer = Scorer.load(_one_file(settings.model))
    else:
        with progress.bar("learning a quality score", total=None, unit="text") as bar:
            scorer = _trained(config, settings, seed, bar.advance)
    record = scorer.record
    measured = f"{record.held_out_good} good and {record.held_out_bad} bad texts"
    if record.auc - 2 * record.auc_stderr <= 0.5:
        raise InputError(
            "The quality score tells good from bad no better than chance.", where=_WHERE,
            found=f"AUC {record.auc} ± {record.auc_stderr} on {measured} that it never saw",
            fix="give more texts, and bad ones that differ from the good ones",
        )  # fmt: skip
    progress.say(f"quality score: AUC {record.auc} ± {record.auc_stderr} on {measured} held out")
    return ScoreRule(scorer, _scored_languages(config, settings, scorer), settings.min_score)


def _one_file(pattern: str) -> Path:
    found = outside_files(pattern, f"{_WHERE}.model")
    if len(found) > 1:
        raise InputError(
            "The scorer is one file.", where=f"{_WHERE}.model", found=f"{len(found)} files",
            fix=f"name one {FILE}",
        )  # fmt: skip
    return found[0]


def _trained(config: CorpusConfig, settings: ScoreConfig, seed: int, tell: Any) -> Scorer:
    cleaner = Cleaner(config)
    declared = {source.language for source in config.sources}
    language = declared.pop() if len(declared) == 1 else AUTO
    counts: dict[str, Counter[str]] = {"good": Counter(), "bad": Counter()}

    def texts(side: str, patterns: Sequence[str]) -> Iterator[str]:
        for number, pattern in enumerate(patterns):
            for path in outside_files(pattern, f"{_WHERE}.{side}[{number}]"):
                for record in read_records(path):
                    for code, text in cleaner.texts(record, language):
                        counts[side][code] += 1
                        tell()
                        yield text

    scorer = train_scorer(
        texts("good", settings.good), texts("bad", settings.bad), seed, f"{_WHERE}."
    )
    languages = {code: [counts["good"][code], counts["bad"][code]]
                 for code in sorted(counts["good"] | counts["bad"])}  # fmt: skip
    return replace(scorer, record=replace(scorer.record, languages=languages))


def _scored_languages(
    config: CorpusConfig, settings: ScoreConfig, scorer: Scorer
) -> frozenset[str] | None:
    """Those the recipe names; else those that the score has learnt enough of; else all.

    A score of Chinese texts says nothing of English ones, and would drop them by chance.
    """
    if settings.languages:
        return frozenset(settings.languages)
    counts = scorer.record.languages
    if not counts:
        return None
    enough = frozenset(code for code, sides in counts.items() if min(sides) >= MIN_TEXTS)
    if not enough:
        shown = ", ".join(f"{code} {good} good {bad} bad" for code, (good, bad) in counts.items())
        raise InputError(
            f"In no language are there {MIN_TEXTS} good and {MIN_TEXTS} bad texts.", where=_WHERE,
            found=shown, fix="give more texts, or say which `languages` the score is for",
        )  # fmt: skip
    return enough


def score_account(rule: ScoreRule, settings: ScoreConfig, tally: ScoreTally) -> dict[str, Any]:
    """What report.json says of the score: how it was learnt, what it decided, how scores spread."""
    return {
        "scorer": asdict(rule.scorer.record),
        "min_score": settings.min_score,
        "keep_share": settings.keep_share,
        "languages": tally.as_dict(),
    }
