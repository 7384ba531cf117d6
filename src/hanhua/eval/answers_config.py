"""The part of the recipe's ``eval`` section that has models answer, and their answers judged."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hanhua.core.config import FilesField, Section

SetName = Literal["follow", "fidelity", "identity", "safety"]


class SafetyFileConfig(Section):
    """One file of prompts that are harmful, or only look so."""

    path: Annotated[
        FilesField,
        Field(description="a file or glob: XSTest's csv, JADE-DB's csv, CValues' jsonl, "
              "Safety-Prompts' json, or jsonl of prompt, language, kind"),
    ]  # fmt: skip
    kind: Annotated[
        Literal["auto", "harmful", "harmless"],
        Field(description="what all its prompts are; auto: as the file says"),
    ] = "auto"
    language: Annotated[
        str, Field(min_length=1, description="of all its prompts; auto: told by script")
    ] = "auto"


class AskedConfig(Section):
    """What a model is asked, and judged on by fixed rules."""

    sets: Annotated[
        tuple[SetName, ...],
        Field(min_length=1, strict=False, description="follow: instructions that a program can "
              "check; fidelity: language, stopping, repetition; identity: who it says it is; "
              "safety: the prompts of `safety`"),
    ] = ("follow", "fidelity", "identity")  # fmt: skip
    safety: Annotated[
        tuple[SafetyFileConfig, ...],
        Field(strict=False, description="files of prompts; this project brings none"),
    ] = ()
    name: Annotated[
        str, Field(description="who the model is to be, for identity; empty: not asked for")
    ] = ""
    maker: Annotated[str, Field(description="who made it; empty: nobody in particular")] = ""
    languages: Annotated[
        tuple[str, ...],
        Field(min_length=1, strict=False, description="prompts in these; ours are in zh and en"),
    ] = ("zh", "en")
    limit: Annotated[
        int,
        Field(ge=0, description="prompts of each set, language and kind, chosen by hash; 0: all"),
    ] = 100
    max_new_tokens: Annotated[
        int, Field(gt=0, description="an answer that is longer is cut, and counted as cut")
    ] = 128

    @model_validator(mode="after")
    def _safety_has_prompts(self) -> AskedConfig:
        if ("safety" in self.sets) != bool(self.safety):
            raise ValueError("the set safety and files of prompts in `safety` go together")
        return self
