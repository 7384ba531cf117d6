"""The recipe: one YAML file, one section for each stage, checked strictly.

A wrong key or value is answered with file, line and the nearest known key. Numbers such as
``1e-4`` are numbers (YAML 1.1 would read a string), and a key given twice is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import Field, ValidationError, model_validator

from hanhua.chat.config import ChatDataConfig
from hanhua.core.config import Machine, Section
from hanhua.core.errors import RecipeError
from hanhua.core.explain import explain, explain_section
from hanhua.core.settings import Loader, override
from hanhua.core.walk import Walk
from hanhua.eval.config import EvalConfig
from hanhua.export.config import ExportConfig, QuantiseConfig
from hanhua.mix.config import MixConfig
from hanhua.model.config import BaseConfig, ExpandConfig
from hanhua.model.facts import is_mixture
from hanhua.stages import walk
from hanhua.text.config import CorpusConfig
from hanhua.text.domains import check_known
from hanhua.tokens.config import TokensConfig
from hanhua.train.config import TrainConfig
from hanhua.train.finetune_config import FinetuneConfig
from hanhua.train.prefer_config import PreferConfig
from hanhua.vocab.config import VocabConfig


class Recipe(Section):
    """From an English model to a Chinese one: one section for each stage, all but base optional."""

    name: Annotated[str, Field(pattern=r"^[\w.-]+$", description="the run folder: runs/NAME")]
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 17
    target: Annotated[str, Field(min_length=2, description="the language to reach")] = "zh"
    source: Annotated[str, Field(min_length=2, description="the language of the base")] = "en"
    base: BaseConfig
    corpus: CorpusConfig | None = None
    vocab: VocabConfig | None = None
    expand: ExpandConfig | None = None
    tokens: TokensConfig | None = None
    pretrain: TrainConfig | None = None
    chatdata: ChatDataConfig | None = None
    finetune: FinetuneConfig | None = None
    prefer: PreferConfig | None = None
    eval: EvalConfig | None = None
    quantise: QuantiseConfig | None = None
    export: ExportConfig | None = None
    mix: MixConfig | None = None
    machine: Machine = Machine()

    @model_validator(mode="after")
    def _holds_together(self) -> Recipe:
        needs = {"vocab": ("corpus",), "expand": ("vocab",), "pretrain": ("tokens",),
                 "tokens": ("corpus", "pretrain"), "finetune": ("chatdata",),
                 "chatdata": ("finetune",), "eval": ("corpus",), "quantise": ("eval",)}  # fmt: skip
        for section, others in needs.items():
            for other in others:
                if getattr(self, section) is not None and getattr(self, other) is None:
                    raise ValueError(f"the section {section} needs the section {other}")
        for name in ("pretrain", "finetune", "prefer"):
            told = name == "pretrain" and self.vocab is not None  # of rows that expand made
            section = getattr(self, name)
            if section is not None and section.speaks_of_new_rows and not told:
                raise ValueError(
                    f"{name} sets something for new rows (new_rows_lr_scale, or a phase that "
                    "trains new_rows), which only pretrain with a section vocab knows"
                )
        if self.corpus is not None and self.tokens is not None:
            check_known(self.tokens.shares, self.corpus)
        self._check_steps()
        if is_mixture(self.base):
            self._check_experts()
        return self

    def _check_experts(self) -> None:
        """Refuse what a mixture of experts can't have, before hours of training."""
        if self.quantise is not None:
            raise ValueError(
                f"base.model, {self.base.model}, is a mixture of experts, which quantise can't "
                "store in fewer bits: its methods would leave experts as they are, or can't lay "
                "them out. Take the section quantise out; export writes the whole model"
            )
        for name in ("pretrain", "finetune", "prefer"):
            section = getattr(self, name)
            lora = None if section is None else section.lora
            if lora is not None and lora.base_bits:
                raise ValueError(
                    f"{name}.lora.base_bits is set, but the experts of {self.base.model} can't be "
                    "held in 4 bits, and they are most of it: take it out"
                )
            if lora is not None and lora.dora and lora.targets == "auto":
                raise ValueError(
                    f"{name}.lora.dora is for linear layers, and the experts of {self.base.model} "
                    "are none: set dora: false, or targets such as [q_proj, k_proj, v_proj, o_proj]"
                )

    def _check_steps(self) -> None:
        """Refuse steps that no row fits into, before hours have gone into the rows."""
        text = self.tokens.seq_len_tokens if self.tokens else 0
        rows = {"pretrain": text}
        if self.finetune is not None:
            among = text if self.finetune.rehearsal_share else 0
            rows["finetune"] = max(self.finetune.seq_len_tokens, among)
        if self.prefer is not None:
            rows["prefer"] = 2 * self.prefer.seq_len_tokens
        for name, longest in rows.items():
            section = getattr(self, name)
            if section is not None and section.batch_tokens < longest:
                raise ValueError(
                    f"{name}.batch_tokens is {section.batch_tokens}, but a step takes whole rows, "
                    f"and these have {longest} tokens: set it to a multiple of that, or "
                    "seq_len_tokens lower"
                )

    def _with_spare(self) -> TokensConfig | None:
        """Steering finds the rows packed that its bounds can ask for."""
        steer = self.pretrain.steer if self.pretrain else None
        if self.tokens is None or steer is None or self.tokens.spare is not None:
            return self.tokens
        spare = steer.spare(self.tokens.by_language(), self.target, self.source)
        return self.tokens.model_copy(update={"spare": spare})

    def walk(self, runs: Path) -> Walk:
        """The stages that this recipe asks for, in the folder ``runs/<name>``."""
        sections: dict[str, Section | None] = {
            name: getattr(self, name) for name in type(self).model_fields
            if isinstance(getattr(self, name), Section)
        }  # fmt: skip
        if self.vocab is not None and self.expand is None:
            sections["expand"] = ExpandConfig()
        sections["tokens"] = self._with_spare()
        return Walk(
            name=self.name, nodes=walk(sections), seed=self.seed, target=self.target,
            source=self.source, machine=self.machine, run_dir=runs / self.name,
        )  # fmt: skip


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe.

    Args:
        path: the YAML file; relative paths in it start at its folder.
        overrides: ``section.key=value`` as given to --set; values are read as YAML.

    Raises:
        RecipeError: naming file and line of the first mistake.
    """
    text = _read(path)
    try:
        root = yaml.compose(text, Loader=Loader)
        data = yaml.load(text, Loader=Loader)  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = text.splitlines()[mark.line] if mark and mark.line < text.count("\n") + 1 else ""
        raise RecipeError(
            "The recipe is not valid YAML.", where=f"{path}:{mark.line + 1}" if mark else path,
            found=error.problem, fix=_yaml_fix(line),
        ) from error  # fmt: skip
    except yaml.YAMLError as error:
        raise RecipeError("The recipe is not valid YAML.", where=path, found=error) from error
    if not isinstance(data, dict):
        raise RecipeError(
            "The recipe is not a mapping of sections.", where=path,
            found=type(data).__name__ if data is not None else "an empty file",
            fix="start from `hanhua init`",
        )  # fmt: skip
    given = {override(data, setting) for setting in overrides}
    try:
        return Recipe.model_validate(data, context={"root": str(path.parent.resolve())})
    except ValidationError as error:
        raise explain(error, Recipe, path, root, given) from error


SectionT = TypeVar("SectionT", bound=Section)


def section_from(kind: type[SectionT], name: str, overrides: Sequence[str]) -> SectionT:
    """One section from ``key=value`` alone, for commands that need no recipe.

    Args:
        kind: the section's model.
        name: of the section, for messages.
        overrides: ``key=value``, values read as YAML.

    Raises:
        RecipeError: naming the first mistake.
    """
    data: dict[str, Any] = {}
    for setting in overrides:
        override(data, setting)
    try:
        return kind.model_validate(data, context={"root": str(Path.cwd())})
    except ValidationError as error:
        raise explain_section(error, kind, name) from error


def _yaml_fix(line: str) -> str:
    """What to do about a line that is no YAML."""
    if "{" in line.split("${", 1)[0] and "${" in line:
        return 'inside { } put quotes around a value with ${NAME}: {model: "${NAME}/folder"}'
    return "mend that line (indent with spaces, `key: value`)"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise RecipeError(
            "There is no such recipe.", where=path, fix="name a YAML file; `hanhua init` writes one"
        ) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise RecipeError(
            "The recipe is not in UTF-8.", where=f"{path}:{line}",
            found=f"the byte {error.object[error.start]:#04x}",
            fix="save it as UTF-8; from GBK: iconv -f GB18030 -t UTF-8 OLD > NEW",
        ) from error  # fmt: skip
    except OSError as error:
        raise RecipeError(
            "The recipe cannot be read.", where=path, found=error,
            fix="a recipe is a UTF-8 YAML file that you may read",
        ) from error  # fmt: skip


def json_schema() -> dict[str, Any]:
    """JSON Schema of a recipe, for editors."""
    schema = Recipe.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "hanhua recipe"
    return schema
