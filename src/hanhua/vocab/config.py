"""The recipe's ``vocab`` section: how many pieces to learn, and which are allowed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hanhua.core.config import Section


class VocabConfig(Section):
    """Continue the base tokenizer's own BPE on text of the target language."""

    add: Annotated[int, Field(gt=0, description="pieces to add, exactly")] = 4096
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
    sample_chars: Annotated[
        int, Field(gt=0, description="learn from at most so many characters, whole documents")
    ] = 50_000_000
    pattern: Annotated[
        Literal["punct_letters", "letters"],
        Field(description="punct_letters: a piece may begin with one punctuation mark or a space"),
    ] = "punct_letters"
    script: Annotated[
        str | None,
        Field(description="letters of the target as a regex class body; null: by target language"),
    ] = None
    report_docs: Annotated[
        int, Field(gt=0, description="held-out documents a language for the report, at most")
    ] = 1000
