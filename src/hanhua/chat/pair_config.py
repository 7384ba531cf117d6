"""The part of the recipe's ``prefer`` section that says which pairs of answers to read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hanhua.core.config import Added, FilesField, Outside, Section, Share

_SUM_TOLERANCE = 1e-6


class PairSourceConfig(Section):
    """One set of questions with a better and a worse answer each."""

    path: Annotated[
        FilesField,
        Field(description="a file, a folder or a glob of json, jsonl, csv, tsv or parquet, plain "
              "or gz, zst, xz"),
    ]  # fmt: skip
    language: Annotated[
        str,
        Field(min_length=1, description="language code of all its pairs, or auto to tell each by "
              "script"),
    ] = "auto"  # fmt: skip
    licence: Annotated[
        str, Field(min_length=1, description="the licence as its publisher states it")
    ] = "unknown"
    name: Annotated[
        str | None,
        Field(min_length=1, description="its name in the ledger; default: the file's name"),
    ] = None
    limit: Annotated[
        int | None, Field(gt=0, description="use no more than so many pairs of it, chosen by hash")
    ] = None


class PairDataConfig(Section):
    """Which pairs are learnt from and which are held out."""

    sources: Annotated[
        tuple[PairSourceConfig, ...],
        Field(min_length=1, strict=False, description="sets of pairs, in order: of two equal pairs "
              "the first is kept"),
    ]  # fmt: skip
    shares: Annotated[
        dict[str, Share] | None,
        Field(description="language -> its part of what is learnt, by UTF-8 bytes of the better "
              "answers; null: all there is"),
    ] = None  # fmt: skip
    tolerance: Annotated[
        float, Field(gt=0, lt=1, description="largest difference between asked and counted share")
    ] = 0.02
    held_out: Annotated[
        int,
        Field(ge=0, description="pairs per language kept for measuring; at most a tenth of it"),
    ] = 100
    dedup: Annotated[
        Literal["near", "exact"],
        Added(),
        Field(description="exact: drop a pair that came before, spacing and case aside; near: also "
              "one whose question and answers stood there in nearly the same words"),
    ] = "exact"  # fmt: skip
    near_similarity: Annotated[
        Share,
        Added(),
        Field(description="near copies share this part of their five-character shingles"),
    ] = 0.75
    contamination: Annotated[
        tuple[FilesField, ...],
        Outside("files"),
        Added(),
        Field(strict=False, description="files of evaluation questions; pairs that hold one are "
              "dropped"),
    ] = ()  # fmt: skip
    model_name: Annotated[
        str | None,
        Added(),
        Field(description="the model's own name: answers of both kinds that claim to be another "
              "model are rewritten to it; empty: the pair is dropped; null: they are left alone"),
    ] = None  # fmt: skip
    model_maker: Annotated[
        str, Added(), Field(description="who made the model, beside model_name")
    ] = ""
    max_chars: Annotated[
        int, Field(gt=0, description="a question with an answer longer than that is dropped")
    ] = 16000
    dropped_samples: Annotated[
        int,
        Field(ge=0, description="dropped records written to disk, for each source and reason"),
    ] = 20

    @model_validator(mode="after")
    def _shares_make_one(self) -> PairDataConfig:
        if self.shares is not None and abs(sum(self.shares.values()) - 1) > _SUM_TOLERANCE:
            raise ValueError(f"the shares add up to {sum(self.shares.values()):g}, not to 1")
        return self
