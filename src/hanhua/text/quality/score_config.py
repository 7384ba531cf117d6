"""The recipe's ``corpus.score`` section: what the learned quality score is, and what it decides."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from hanhua.core.config import FilesField, Outside, Section, Share


class ScoreConfig(Section):
    """A quality score learned from texts of the user's own, or read from a file.

    Without ``min_score`` and ``keep_share`` nothing is dropped: report.json then has the scores
    from which to choose one of them.
    """

    good: Annotated[
        tuple[FilesField, ...],
        Outside("files"),
        Field(strict=False, description="files of texts like those wanted; at least 20 texts"),
    ] = ()
    bad: Annotated[
        tuple[FilesField, ...],
        Outside("files"),
        Field(
            strict=False,
            description="files of texts like those not wanted, from the same kind of source where "
            "possible; at least 20 texts",
        ),
    ] = ()
    model: Annotated[
        FilesField | None,
        Outside("files"),
        Field(description="in place of good and bad: scorer.npz of an earlier corpus"),
    ] = None
    min_score: Annotated[
        Share | None, Field(description="documents with a lower score are dropped")
    ] = None
    keep_share: Annotated[
        Annotated[float, Field(gt=0.0, le=1.0)] | None,
        Field(
            description="in place of min_score: keep this share of each language's documents, "
            "those of the highest scores, counted once copies are gone"
        ),
    ] = None
    languages: Annotated[
        tuple[str, ...],
        Field(
            strict=False,
            description="those that are scored; default: the languages of which both good and bad "
            "have 20 texts",
        ),
    ] = ()

    @model_validator(mode="after")
    def _has_an_origin(self) -> Self:
        if self.model is not None and (self.good or self.bad):
            raise ValueError("`model` stands in place of `good` and `bad`: give one or the other")
        if self.model is None and not (self.good or self.bad):
            raise ValueError("a score comes from `good` and `bad` files, or from a `model`")
        if self.model is None and not (self.good and self.bad):
            given, missing = ("good", "bad") if self.good else ("bad", "good")
            raise ValueError(f"`{given}` without `{missing}`: a score is learnt from both")
        if self.min_score is not None and self.keep_share is not None:
            raise ValueError("`min_score` and `keep_share` exclude each other: give one")
        return self
