"""The recipe's ``eval`` section: what is measured of every model, and on how much."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hanhua.core.config import FilesField, Section, Share

TaskName = Literal["cmmlu", "mmlu", "worlds"]


class BitsPerByteConfig(Section):
    """Held-out documents, per language."""

    max_docs: Annotated[int, Field(gt=0, description="documents per language, chosen by a hash of their id")] = 200  # fmt: skip # noqa: E501
    max_chars_per_doc: Annotated[int, Field(gt=0, description="longer documents are measured on their beginning")] = 4000  # fmt: skip # noqa: E501


class DriftConfig(Section):
    """KL divergence from the untouched base, on text of the base's own language."""

    docs: Annotated[int, Field(ge=0, description="held-out documents; 0: none")] = 50
    max_chars_per_doc: Annotated[int, Field(gt=0, description="longer documents are measured on their beginning")] = 2000  # fmt: skip # noqa: E501
    samples: Annotated[int, Field(ge=0, description="texts sampled from the base; 0: none")] = 32
    sample_tokens: Annotated[int, Field(gt=1, description="length of a sampled text, in tokens")] = 128  # fmt: skip # noqa: E501


class TaskConfig(Section):
    """One multiple-choice set."""

    name: Annotated[TaskName, Field(description="cmmlu and mmlu: a folder as in their repositories (dev/, test/); worlds: questions of your own")]  # fmt: skip # noqa: E501
    path: Annotated[
        FilesField, Field(description="the folder; for worlds a jsonl file, or a glob of several")
    ]
    subjects: Annotated[tuple[str, ...], Field(strict=False, description="subjects; empty: all that have test questions")] = ()  # fmt: skip # noqa: E501
    shots: Annotated[int, Field(ge=0, le=5, description="solved examples before each question, from dev/")] = 0  # fmt: skip # noqa: E501
    limit: Annotated[int, Field(ge=0, description="questions, spread evenly over the subjects; 0: all")] = 200  # fmt: skip # noqa: E501
    answers: Annotated[Literal["auto", "letter", "text"], Field(description="what is scored: the letter of each option, or its whole text (for models too small to know letters); auto: letter for cmmlu and mmlu, text for worlds")] = "auto"  # fmt: skip # noqa: E501

    @model_validator(mode="after")
    def _fits(self) -> TaskConfig:
        if self.name == "worlds" and self.shots:
            raise ValueError("worlds has no solved examples: shots must be 0")
        return self


class SampleConfig(Section):
    """How the sample texts are generated."""

    max_new_tokens: Annotated[int, Field(gt=0, description="longest sample, in tokens")] = 96
    temperature: Annotated[float, Field(ge=0.0, le=2.0, description="0: the likeliest token each time")] = 0.0  # fmt: skip # noqa: E501
    top_p: Annotated[Share, Field(description="sample from the likeliest tokens that reach this mass")] = 1.0  # fmt: skip # noqa: E501


class EvalConfig(Section):
    """What is measured of the base and of every model after it."""

    bits_per_byte: Annotated[BitsPerByteConfig, Field(description="on held-out text")] = BitsPerByteConfig()  # fmt: skip # noqa: E501
    drift: Annotated[DriftConfig | None, Field(description="from the base; null: not measured")] = DriftConfig()  # fmt: skip # noqa: E501
    tasks: Annotated[tuple[TaskConfig, ...], Field(strict=False, description="multiple choice")] = ()  # fmt: skip # noqa: E501
    prompts: Annotated[dict[str, Annotated[tuple[str, ...], Field(strict=False)]], Field(description="language -> prompts that each model continues (a chat model answers)", default_factory=dict)]  # fmt: skip # noqa: E501
    sample: Annotated[SampleConfig, Field(description="how it continues")] = SampleConfig()
    intervals: Annotated[int, Field(ge=200, description="bootstrap draws behind each 95 % interval")] = 2000  # fmt: skip # noqa: E501
