"""The recipe's ``mix`` section: the small runs of ``hanhua mix``. A walk does not read it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hanhua.core.config import FilesField, Section, Share


class MixConfig(Section):
    """Which mixtures are tried, on how many tokens, and what is wished for."""

    wish: Annotated[
        str,
        Field(description="best: the lowest sum of losses; en+1%: the most of the target while "
              "held-out English rises by at most 1 %"),
    ] = "best"  # fmt: skip
    shares: Annotated[
        tuple[Share, ...],
        Field(strict=False, description="of the target language, one small run each; empty: "
              "chosen, as many as runs"),
    ] = ()  # fmt: skip
    runs: Annotated[
        int, Field(ge=3, le=64, description="how many shares are tried, where none are given; "
                   "left out with domains: two for each key of tokens.shares")
    ] = 5  # fmt: skip
    domains: Annotated[
        bool, Field(description="mix all languages and domains of tokens.shares, not two languages")
    ] = False
    tokens: Annotated[
        int | None,
        Field(gt=0, description="of the longest small run; left out: a tenth of "
              "tokens.budget_tokens, and at least 256 steps"),
    ] = None  # fmt: skip
    schedule: Annotated[
        Literal["own", "steady"],
        Field(description="own: small runs end as the recipe's would, one measurement each; "
              "steady: one learning rate, so that one run is measured many times"),
    ] = "own"  # fmt: skip
    lengths: Annotated[
        int, Field(ge=2, le=6, description="with own: runs of each share, each half the next")
    ] = 3
    ahead: Annotated[
        float,
        Field(ge=1, le=8, description="with own: two shares are also run for so many times the "
              "longest small run's tokens, so that the law is held to longer runs; 1: not")
    ] = 2.0  # fmt: skip
    ahead_runs: Annotated[
        int, Field(ge=1, le=2, description="2: how what the law misses there differs over shares "
                   "is measured too; 1: the middle share alone, and intervals are wider")
    ] = 2  # fmt: skip
    moments: Annotated[
        int, Field(ge=4, description="with steady: measurements of a run, at even distances")
    ] = 10
    docs: Annotated[int, Field(ge=1, description="held-out documents of each language")] = 100
    max_chars_per_doc: Annotated[
        int, Field(ge=1, description="longer documents are measured on their beginning")
    ] = 1000
    jobs: Annotated[
        int, Field(ge=1, le=64, description="processes of this machine that small runs are spread "
                   "over; they share its threads, and each has a GPU of its own if there are as "
                   "many")
    ] = 1  # fmt: skip
    seeds: Annotated[
        int, Field(ge=1, le=16, description="orders of the documents that each share is run with")
    ] = 1
    repeats: Annotated[
        int, Field(ge=0, le=16, description="with one seed: how many times the longest run of the "
                   "middle share is made again with another order, so that the intervals know how "
                   "much is luck")
    ] = 2  # fmt: skip
    learning_rates: Annotated[
        tuple[Annotated[float, Field(gt=0)], ...],
        Field(strict=False, description="peak learning rates besides the recipe's at which the "
              "longest small runs of three shares are made, to show how the answer moves"),
    ] = ()  # fmt: skip
    refine: Annotated[
        int, Field(ge=0, le=16, description="shares to run besides, after the first fit, where "
                   "they make the answer surer")
    ] = 0  # fmt: skip
    join: Annotated[
        tuple[FilesField, ...],
        Field(strict=False, description="folders of finished studies of other sizes of the model, "
              "such as runs/NAME-mix: nothing is run, and the answer for this recipe's model is "
              "read from a law over all of them"),
    ] = ()  # fmt: skip
    level: Annotated[float, Field(gt=0, lt=1, description="of every interval")] = 0.9

    @model_validator(mode="after")
    def _enough(self) -> MixConfig:
        if self.shares and len(set(self.shares)) < 3:
            raise ValueError("a law needs at least three different shares")
        if self.join and self.domains:
            raise ValueError("join is for two languages: leave out domains")
        return self
