"""The recipe's ``eval`` section: what is measured of every model, and on how much."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from hanhua.core.config import Added, Apart, FilesField, Outside, Section, Share
from hanhua.eval.answers_config import AskedConfig

TaskName = Literal[
    "cmmlu", "mmlu", "ceval", "arc_easy", "arc_challenge", "hellaswag", "boolq", "piqa",
    "openbookqa", "c3", "ocnli", "eprstmt", "xcopa_zh", "xstorycloze_zh", "truthfulqa_mc1",
    "truthfulqa_mc2", "gsm8k", "agieval_en", "agieval_zh", "gaokao", "bbh", "ntrex_en_zh",
    "ntrex_zh_en", "flores_en_zh", "flores_zh_en", "worlds",
]  # fmt: skip
"""Those of :data:`hanhua.eval.tasks.registry.READERS`."""

GATE = re.compile(r"(?:max_([a-z]{2,3})_(drop|rise)|min_([a-z]{2,3})_(gain|fall)|max_(drift))")
"""Names of gates; see ``gates.py``."""


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
    """One set of questions."""

    name: Annotated[TaskName, Field(description="a published set (docs/guides/tasks.md lists them), or worlds: questions of your own")]  # fmt: skip # noqa: E501
    path: Annotated[
        FilesField | None,
        Outside("files"),
        Field(description="the set as it was published, a folder, file or glob; for worlds jsonl"),
    ] = None
    dataset: Annotated[str | None, Added(), Field(pattern="^hf:.", description="in place of a path: hf:owner/name or hf:owner/name/config#revision; name the revision, or the run cannot be repeated")] = None  # fmt: skip # noqa: E501
    subjects: Annotated[tuple[str, ...], Field(strict=False, description="subjects; empty: all that have questions")] = ()  # fmt: skip # noqa: E501
    shots: Annotated[int, Field(ge=0, le=5, description="solved examples before each question")] = 0  # fmt: skip # noqa: E501
    limit: Annotated[int, Field(ge=0, description="questions, spread evenly over the subjects; 0: all")] = 200  # fmt: skip # noqa: E501
    answers: Annotated[Literal["auto", "letter", "text"], Field(description="what is scored: the letter of each option, or its whole text (for models too small to know letters); auto: as the set is published, text for worlds")] = "auto"  # fmt: skip # noqa: E501
    wording: Annotated[Literal["default", "harness", "original", "hanhua"], Added(), Field(description="whose prompt: lm-evaluation-harness's, that of the set's own repository, or this project's; default: the first of these that the set has")] = "default"  # fmt: skip # noqa: E501

    @model_validator(mode="after")
    def _fits(self) -> TaskConfig:
        if (self.path is None) == (self.dataset is None):
            raise ValueError("give path or dataset, one of the two")
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
    tasks: Annotated[tuple[TaskConfig, ...], Field(strict=False, description="sets of questions")] = ()  # fmt: skip # noqa: E501
    answers: Annotated[AskedConfig | None, Added(), Field(description="what each model answers, judged by rules; null: not asked")] = None  # fmt: skip # noqa: E501
    prompts: Annotated[dict[str, Annotated[tuple[str, ...], Field(strict=False)]], Field(description="language -> prompts that each model continues (a chat model answers)", default_factory=dict)]  # fmt: skip # noqa: E501
    sample: Annotated[SampleConfig, Field(description="how it continues")] = SampleConfig()
    gates: Annotated[dict[str, Annotated[float, Field(allow_inf_nan=False)]], Apart(), Field(description="limits that end the run behind a trained model, e.g. {max_en_drop: 0.02, min_zh_gain: 0.0}; see the guide on comparing", default_factory=dict)]  # fmt: skip # noqa: E501
    intervals: Annotated[int, Field(ge=200, description="bootstrap draws behind each 95 % interval")] = 2000  # fmt: skip # noqa: E501

    @model_validator(mode="after")
    def _gates_are_known(self) -> EvalConfig:
        for name in self.gates:
            if not GATE.fullmatch(name):
                raise ValueError(
                    f"unknown gate {name!r}: write max_en_drop, min_zh_gain (accuracy), "
                    "max_en_rise, min_zh_fall (bits per byte) or max_drift, with any language"
                )
        drift = self.drift
        if "max_drift" in self.gates and (drift is None or not (drift.docs or drift.samples)):
            raise ValueError("the gate max_drift needs drift, with docs or samples above 0")
        return self
