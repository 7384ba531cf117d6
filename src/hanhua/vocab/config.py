"""The recipe's ``vocab`` section: how many pieces to learn, and which are allowed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hanhua.core.config import Section


class VocabConfig(Section):
    """Continue the base tokenizer's own BPE on text of the target language."""

    add: Annotated[
        Annotated[int, Field(gt=0)] | Literal["auto"],
        Field(description="pieces to add, exactly; auto: chosen from the curve of what they save "
              "and what their rows cost this model"),
    ] = 4096  # fmt: skip
    min_count: Annotated[
        int, Field(ge=1, description="weighted occurrences that a piece must have when it is made")
    ] = 2
    max_piece_chars: Annotated[
        int, Field(ge=1, le=64, description="longest piece; more would be boilerplate")
    ] = 16
    source_alpha: Annotated[
        float,
        Field(ge=0.0, le=1.0, description="weight of a source: its size to this power; 1: as is"),
    ] = 0.3
    source_affinity: Annotated[
        float,
        Field(ge=0.0, le=8.0, description="weight of a source: its overlap with the others to this "
              "power, so that poems and statutes don't shape the pieces; 0: off"),
    ] = 2.0  # fmt: skip
    sample_chars: Annotated[
        int, Field(gt=0, description="learn from at most so many characters, whole documents")
    ] = 50_000_000
    pattern: Annotated[
        Literal["punct_letters", "letters_marks", "letters"],
        Field(description="what a piece may be: letters: letters alone; letters_marks: or marks "
              "alone; punct_letters: letters may also begin with one mark or space"),
    ] = "punct_letters"  # fmt: skip
    script: Annotated[
        str | None,
        Field(description="letters of the target as a regex class body; null: by target language"),
    ] = None
    report_docs: Annotated[
        int, Field(gt=0, description="held-out documents a language for the report, at most")
    ] = 1000
    traditional_share: Annotated[
        float,
        Field(ge=0.0, le=0.5, description="part of the Chinese text that is learnt from in "
              "traditional characters, converted where the corpus is simplified"),
    ] = 0.1  # fmt: skip
    guard: Annotated[
        Literal["auto", "none", "common", "full"],
        Field(description="Chinese characters that become pieces however rare: common: GB 2312 "
              "level 1; full: all of GB 2312 and Big5 level 1; auto: common from 16,000 pieces on"),
    ] = "auto"  # fmt: skip
    min_gain: Annotated[
        float,
        Field(gt=0, lt=1, description="for add: auto: part of the tokens that the last thousand "
              "pieces must save"),
    ] = 0.004  # fmt: skip
