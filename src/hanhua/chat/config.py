"""The recipe's ``chatdata`` section."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationInfo, model_validator

from hanhua.chat.builtin_sets import BuiltinName, behind_the_name
from hanhua.chat.dataset_info import behind_the_sign
from hanhua.chat.templates import TEMPLATES
from hanhua.core.config import Added, FilesField, Outside, Section, Share

SchemaName = Literal[
    "auto", "preference", "kto", "moss", "sharegpt", "messages", "self-instruct", "linly", "alpaca",
    "templated", "choice", "reading", "cloze", "inference", "translation", "summary", "pairs",
    "classification", "refusal",
]  # fmt: skip
if TYPE_CHECKING:
    TemplateName = str
else:
    TemplateName = Literal[tuple(TEMPLATES)]

_SUM_TOLERANCE = 1e-6


class QualityConfig(Section):
    """A score of each conversation, and which are too poor to learn from."""

    min_score: Annotated[Share, Field(description="conversations with a lower score are dropped; 0: all are scored and counted, none is dropped")] = 0.5  # fmt: skip # noqa: E501


class ChatSourceConfig(Section):
    """One set of instructions or conversations."""

    path: Annotated[FilesField, Field(description="a file, a folder or a glob of json, jsonl, csv, tsv or parquet, plain or gz, zst, xz; behind a # the name of a set of the dataset_info.json there, or a number, the same as `limit`")]  # fmt: skip # noqa: E501
    builtin: Annotated[BuiltinName | None, Added(), Field(description="instead of a path a set of ours: identity, questions of who the model is, answered with model_name and model_maker; harmless, questions that only sound harmful, answered")] = None  # fmt: skip # noqa: E501
    format: Annotated[SchemaName, Field(alias="schema", description="the records' format; auto finds it, file by file")] = "auto"  # fmt: skip # noqa: E501
    language: Annotated[str, Field(min_length=1, description="language code of all its conversations, or auto to tell each by script")] = "auto"  # fmt: skip # noqa: E501
    licence: Annotated[str, Field(min_length=1, description="the licence as its publisher states it")] = "unknown"  # fmt: skip # noqa: E501
    name: Annotated[str | None, Field(min_length=1, description="its name in the ledger; default: the file's name")] = None  # fmt: skip # noqa: E501
    limit: Annotated[int | None, Field(gt=0, description="use no more than so many conversations of it, spread evenly over it")] = None  # fmt: skip # noqa: E501
    task: Annotated[str | None, Added(), Field(min_length=1, description="the task of all its conversations; null: what each names")] = None  # fmt: skip # noqa: E501
    domain: Annotated[str | None, Added(), Field(min_length=1, description="the domain of all its conversations, e.g. medical; null: what each names")] = None  # fmt: skip # noqa: E501
    splits: Annotated[tuple[str, ...] | None, Added(), Field(strict=False, min_length=1, description="of a set whose records name their split (COIG-PC) only these, e.g. [train]; null: all")] = None  # fmt: skip # noqa: E501
    labels: Annotated[dict[str, str] | None, Added(), Field(min_length=1, description="what a task's labels are called, e.g. {0: negative, 1: positive}; they are then offered as options")] = None  # fmt: skip # noqa: E501
    info: Annotated[FilesField | None, Added(), Field(description="a dataset_info.json of LLaMA-Factory that says what the columns are; path#name sets it")] = None  # fmt: skip # noqa: E501
    dataset: Annotated[str | None, Added(), Field(min_length=1, description="the set's name in `info`; path#name sets it")] = None  # fmt: skip # noqa: E501

    @model_validator(mode="before")
    @classmethod
    def _behind_the_sign(cls, data: Any, info: ValidationInfo) -> Any:
        root = Path((info.context or {}).get("root", "."))
        return behind_the_sign(behind_the_name(data), root) if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _a_set_and_its_table(self) -> ChatSourceConfig:
        if (self.info is None) != (self.dataset is None):
            raise ValueError("`info` and `dataset` go together; path#name sets both")
        return self


class ChatDataConfig(Section):
    """Many instruction formats into one set of conversations."""

    sources: Annotated[tuple[ChatSourceConfig, ...], Field(min_length=1, strict=False, description="the sets, in order: of two equal questions the first is kept")]  # fmt: skip # noqa: E501
    shares: Annotated[dict[str, Share] | None, Field(description="language -> its part of what is learnt, by UTF-8 bytes of the answers; null: all there is")] = None  # fmt: skip # noqa: E501
    tasks: Annotated[dict[str, Share] | None, Added(), Field(description="task -> its part, likewise; unnamed: those without one, *: those not named here; null: as they come")] = None  # fmt: skip # noqa: E501
    domains: Annotated[dict[str, Share] | None, Added(), Field(description="domain -> its part, likewise, e.g. {medical: 0.3, '*': 0.7}")] = None  # fmt: skip # noqa: E501
    domain_tag: Annotated[bool, Added(), Field(description="write the domain before the first question, [medical] …, where one is known")] = False  # fmt: skip # noqa: E501
    budget_bytes: Annotated[int | None, Field(gt=0, description="UTF-8 bytes of answers for training, all languages together; null: as many as the shares allow")] = None  # fmt: skip # noqa: E501
    tolerance: Annotated[float, Field(gt=0, lt=1, description="largest difference between an asked and a counted share")] = 0.02  # fmt: skip # noqa: E501
    held_out: Annotated[int, Field(ge=0, description="conversations per language kept for measuring; at most a tenth of a language")] = 50  # fmt: skip # noqa: E501
    system: Annotated[str, Field(description="system text for conversations that have none")] = ""
    template: Annotated[TemplateName, Field(description="the chat template to train and to talk with")] = "hanhua"  # fmt: skip # noqa: E501
    model_name: Annotated[str, Field(description="the model's own name: answers that claim to be another model are rewritten to it; empty: they are dropped")] = ""  # fmt: skip # noqa: E501
    model_maker: Annotated[str, Field(description="who made the model, for sets with an {{author}} blank")] = ""  # fmt: skip # noqa: E501
    dedup: Annotated[Literal["near", "exact", "none"], Field(description="exact: drop a conversation whose questions were asked before in any set, spacing and case aside; near: also where they were asked in nearly the same words")] = "exact"  # fmt: skip # noqa: E501
    near_similarity: Annotated[Share, Added(), Field(description="near copies share this part of their questions' five-character shingles")] = 0.75  # fmt: skip # noqa: E501
    quality: Annotated[QualityConfig | None, Added(), Field(description="score conversations by plain signals and drop the poor ones; {} for the defaults, null: not at all")] = None  # fmt: skip # noqa: E501
    contamination: Annotated[tuple[FilesField, ...], Outside("files"), Added(), Field(strict=False, description="files of evaluation questions; conversations that hold one are dropped")] = ()  # fmt: skip # noqa: E501
    max_chars: Annotated[int, Field(gt=0, description="longer conversations are cut at a turn; dropped where already the first answer ends later")] = 8000  # fmt: skip # noqa: E501
    min_turns: Annotated[int, Field(ge=2, description="turns of both sides together")] = 2
    max_turns: Annotated[int, Field(ge=2, description="longer conversations are cut there")] = 64
    dropped_samples: Annotated[int, Field(ge=0, description="dropped records written to disk, for each source and reason")] = 20  # fmt: skip # noqa: E501

    @model_validator(mode="after")
    def _shares_make_one(self) -> ChatDataConfig:
        tables = {"shares": self.shares, "tasks": self.tasks, "domains": self.domains}
        for kind, table in tables.items():
            if table is not None and abs(sum(table.values()) - 1) > _SUM_TOLERANCE:
                name = "the shares" if kind == "shares" else f"the shares of {kind}"
                raise ValueError(f"{name} add up to {sum(table.values()):g}, not to 1")
        return self
