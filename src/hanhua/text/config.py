"""The recipe's ``corpus`` section."""

from __future__ import annotations

import codecs
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from hanhua.core.config import Added, FilesField, Outside, Section, Share
from hanhua.text.domains import DOMAIN
from hanhua.text.quality.score_config import ScoreConfig
from hanhua.text.quality.thresholds import QualityConfig


def _codec(name: str) -> str:
    try:
        return name if name == "auto" else codecs.lookup(name).name
    except LookupError as error:
        raise ValueError(f"no such encoding: {name}") from error


Count = Annotated[int, Field(ge=0)]
AUTO = "auto"
"""A source's language where it is to be found document by document."""


class SourceConfig(Section):
    """One collection of raw text."""

    path: Annotated[
        FilesField | None,
        Outside("files"),
        Field(
            description="a file, a folder or a glob of txt, md, rst, html, jsonl, json, csv, tsv, "
            "parquet, arrow, warc or wet, plain or packed as gz, zst, xz or bz2"
        ),
    ] = None
    dataset: Annotated[
        str | None,
        Field(
            pattern="^(hf|ms):.",
            description="in place of a path: hf:owner/name or hf:owner/name/config@split#revision, "
            "streamed, or the same with ms: (ModelScope); name the revision, or the run "
            "cannot be repeated",
        ),
    ] = None
    language: Annotated[
        str,
        Field(
            pattern="^([A-Za-z]{2,3}([-_][A-Za-z0-9]+)*|auto)$",
            description="the code its documents are held to, e.g. zh; auto finds each document's "
            "language and keeps those of `languages`",
        ),
    ] = AUTO
    domain: Annotated[
        str | None,
        Added(),
        Field(
            pattern=f"^{DOMAIN}$",
            description="what kind of text it is, e.g. news, web, books, code or parallel: "
            "`tokens.shares` may then name zh/news",
        ),
    ] = None
    priority: Annotated[
        int, Field(description="of copies in several sources the one of highest priority is kept")
    ] = 0
    licence: Annotated[
        str | None, Field(description="as its publisher states it; unknown stops the run")
    ] = None
    name: Annotated[
        str | None, Field(min_length=1, description="in the ledger; default: the file's name")
    ] = None
    limit_docs: Annotated[
        int | None, Field(gt=0, description="read no more than so many records of it")
    ] = None
    text_field: Annotated[
        str | None,
        Field(
            min_length=1,
            description="field or column, a.b for one inside another; default: text, content or "
            "the like",
        ),
    ] = None
    txt: Annotated[
        Literal["file", "line"], Field(description="what is one document in a txt file")
    ] = "file"
    kind: Annotated[
        Literal["auto", "text", "markdown", "rst", "html"],
        Field(description="what the texts are; auto goes by the file's name"),
    ] = "auto"
    encoding: Annotated[
        str,
        AfterValidator(_codec),
        Field(
            description="a codec; auto finds utf-8, utf-16, utf-32, gb18030, big5, cp1252, "
            "Japanese and Korean ones"
        ),
    ] = "auto"

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.path is None) == (self.dataset is None):
            raise ValueError("a source has either a `path` or a `dataset`")
        return self


class CorpusConfig(Section):
    """Raw files to clean, traceable documents."""

    sources: Annotated[
        tuple[SourceConfig, ...],
        Field(
            min_length=1,
            strict=False,
            description="the collections",
        ),
    ]
    languages: Annotated[
        tuple[str, ...],
        Field(strict=False, description="kept of sources whose language is auto"),
    ] = ("zh", "en")
    split_mixed: Annotated[
        bool, Field(description="split pages in several languages by paragraph (language: auto)")
    ] = True
    mend: Annotated[bool, Field(description="mend text that was decoded in a wrong encoding")] = (
        True
    )
    keep_code: Annotated[
        bool, Field(description="keep blocks of code in Markdown and reStructuredText")
    ] = True
    script: Annotated[
        Literal[
            "keep",
            "simplified",
            "simplified_tw",
            "simplified_hk",
            "traditional",
            "traditional_tw",
            "traditional_hk",
        ],
        Field(description="bring Chinese text to simplified or traditional characters"),
    ] = "keep"
    pii: Annotated[
        tuple[Literal["id_card", "mobile", "email", "bank_card", "ip", "passport"], ...],
        Field(strict=False, description="personal data that is masked, by kind"),
    ] = ("id_card", "mobile", "email", "bank_card", "ip", "passport")
    boilerplate: Annotated[
        bool, Field(description="take navigation and legal lines out of pages")
    ] = True
    allow_unknown_licence: Annotated[
        bool, Field(description="go on where a source states no licence")
    ] = False
    held_out_docs: Annotated[
        Count,
        Field(
            description="documents per language kept for measuring and never trained on; at most "
            "a tenth of each source"
        ),
    ] = 200
    min_chars: Annotated[Count, Field(description="shorter documents are dropped")] = 20
    max_chars_per_doc: Annotated[
        int,
        Field(ge=100, description="longer documents are split at paragraphs, lines or sentences"),
    ] = 100_000
    batch_chars: Annotated[
        int,
        Field(ge=1000, description="text that a worker takes at once; changes no result"),
    ] = 4_000_000
    dedup: Annotated[
        Literal["near", "exact", "none"],
        Field(
            description="exact: copies go, also if case, width, spacing, punctuation or simplified "
            "characters differ; near: edited copies too"
        ),
    ] = "near"
    near_similarity: Annotated[
        Share, Field(description="near copies share this part of their five-character shingles")
    ] = 0.75
    fold_variants: Annotated[
        bool, Field(description="a traditional copy of a simplified text is a copy")
    ] = True
    max_line_docs: Annotated[
        int | None,
        Field(gt=0, description="a line of ten or more letters that more documents hold "
              "goes from all of them; null: none does"),
    ] = None  # fmt: skip
    min_repeated_passage_chars: Annotated[
        int | None,
        Field(ge=50, description="a passage of so many Han characters (three letters of an "
              "alphabet count as one) that stands in several places stays in the best document "
              "alone; 100 is a good number; null: all stay"),
    ] = None  # fmt: skip
    language_check: Annotated[
        bool, Field(description="drop documents whose script contradicts the declared language")
    ] = True
    quality: Annotated[bool, Field(description="apply the quality rules")] = True
    thresholds: Annotated[
        dict[str, QualityConfig],
        Field(description="language -> thresholds of the quality rules, where not the defaults"),
    ] = Field(default_factory=dict)
    score: Annotated[
        ScoreConfig | None,
        Field(description="a quality score learned from good and bad texts; null: none"),
    ] = None
    contamination: Annotated[
        tuple[FilesField, ...],
        Outside("files"),
        Field(
            strict=False,
            description="files of evaluation questions; documents that hold one are dropped",
        ),
    ] = ()
    on_error: Annotated[
        Literal["stop", "skip"],
        Field(description="what to do with a file that is cut off or cannot be read"),
    ] = "stop"

    @model_validator(mode="after")
    def _thresholds_are_used(self) -> Self:
        found = {source.language for source in self.sources}
        unknown = set(self.thresholds) - found - (set(self.languages) if AUTO in found else set())
        if unknown:
            raise ValueError(f"thresholds for a language no source has: {', '.join(unknown)}")
        return self

    @model_validator(mode="after")
    def _score_is_used(self) -> Self:
        found = {source.language for source in self.sources}
        found |= set(self.languages) if AUTO in found else set()
        unknown = set(self.score.languages if self.score else ()) - found
        if unknown:
            raise ValueError(f"a score of a language no source has: {', '.join(sorted(unknown))}")
        return self
