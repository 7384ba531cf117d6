"""The recipe: one YAML file, one section for each stage, checked strictly.

A wrong key or value is answered with file, line and the nearest known key. Numbers such as
``1e-4`` are numbers (YAML 1.1 would read a string), and a key given twice is an error.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from hanhua.chat.config import ChatDataConfig
from hanhua.core.config import Machine, Section
from hanhua.core.errors import RecipeError
from hanhua.core.plain import plain_words
from hanhua.core.walk import Walk
from hanhua.eval.config import EvalConfig
from hanhua.export.config import ExportConfig, QuantiseConfig
from hanhua.mix.config import MixConfig
from hanhua.model.config import BaseConfig, ExpandConfig
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
        return self

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


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads 1e-4 as a number and refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key!r} is given twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_NUMBER = re.compile(r"^[-+]?(?:[0-9][0-9_]*)(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)$")
_Loader.yaml_implicit_resolvers = {
    key: list(value) for key, value in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+0123456789"))


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
        root = yaml.compose(text, Loader=_Loader)
        data = yaml.load(text, Loader=_Loader)  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise RecipeError(
            "The recipe is not valid YAML.", where=f"{path}:{mark.line + 1}" if mark else path,
            found=error.problem, fix="mend that line (indent with spaces, `key: value`)",
        ) from error  # fmt: skip
    except yaml.YAMLError as error:
        raise RecipeError("The recipe is not valid YAML.", where=path, found=error) from error
    if not isinstance(data, dict):
        raise RecipeError(
            "The recipe is not a mapping of sections.", where=path,
            found=type(data).__name__ if data is not None else "an empty file",
            fix="start from `hanhua init`",
        )  # fmt: skip
    given = {_override(data, override) for override in overrides}
    try:
        return Recipe.model_validate(data, context={"root": str(path.parent.resolve())})
    except ValidationError as error:
        raise _explain(error, path, root, data, given) from error


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
    for override in overrides:
        _override(data, override)
    try:
        return kind.model_validate(data, context={"root": str(Path.cwd())})
    except ValidationError as error:
        first = min(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
        key = ".".join(map(str, first["loc"][:1]))
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(key, kind.model_fields, n=1, cutoff=0.5)
            fix = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(kind.model_fields)}"
            raise RecipeError("Unknown key.", where=f"--set {key}", found=key, fix=fix) from error
        message, mend = plain_words(first)
        raise RecipeError(
            f"The setting does not hold: {message}.", where=f"{name}.{key}",
            found=repr(first.get("input")), fix=mend or "see its meaning with `hanhua schema`",
        ) from error  # fmt: skip


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise RecipeError(
            "There is no such recipe.", where=path, fix="name a YAML file; `hanhua init` writes one"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            "The recipe cannot be read.", where=path, found=error,
            fix="a recipe is a UTF-8 YAML file that you may read",
        ) from error  # fmt: skip


def _override(data: dict[str, Any], override: str) -> str:
    """Put one ``section.key=value`` into the data; returns the dotted key."""
    key, sign, raw = override.partition("=")
    if not sign or not key:
        raise RecipeError(
            "--set wants section.key=value.", where="--set", found=override,
            fix="for example --set pretrain.learning_rate=1e-4",
        )  # fmt: skip
    try:
        value = yaml.load(raw, Loader=_Loader)
    except yaml.YAMLError as error:
        raise RecipeError("The value is not YAML.", where=f"--set {key}", found=raw) from error
    *parents, last = key.split(".")
    place: Any = data
    for name in parents:
        place = _child(place, name, key)
    if isinstance(place, list):
        place[_index(place, last, key)] = value
    else:
        place[last] = value
    return key


def _child(place: Any, name: str, key: str) -> Any:
    if isinstance(place, list):
        return place[_index(place, name, key)]
    if place.get(name) is None:
        place[name] = {}
    if not isinstance(place[name], (dict, list)):
        raise RecipeError(
            f"{name} holds a value, not a section.", where=f"--set {key}", found=place[name]
        )
    return place[name]


def _index(place: list[Any], name: str, key: str) -> int:
    if not name.isdigit() or int(name) >= len(place):
        raise RecipeError(
            "The list has no such item.", where=f"--set {key}", found=name,
            fix=f"use a number from 0 to {len(place) - 1}",
        )  # fmt: skip
    return int(name)


def _explain(
    error: ValidationError, path: Path, root: yaml.Node | None, data: Any, given: set[str]
) -> RecipeError:
    """The first mistake as a message with line and nearest key."""
    # a misspelt key also leaves its right name missing: name the misspelling first
    first = min(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
    where_parts = [part for part in first["loc"] if not _is_union_tag(part, first["loc"], data)]
    dotted = ".".join(str(part) for part in where_parts)
    line = _line(root, where_parts)
    from_set = any(
        dotted == key
        or dotted.startswith(key + ".")
        or (line is None and key.startswith(f"{dotted}."))
        for key in given
    )
    where = f"--set {dotted}" if from_set else f"{path}:{line}" if line else str(path)
    more = f" ({error.error_count() - 1} more after it)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        known = list(_keys_at(Recipe, where_parts[:-1]))
        near = difflib.get_close_matches(str(where_parts[-1]), known, n=1, cutoff=0.5)
        fix = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        return RecipeError(f"Unknown key{more}.", where=where, found=dotted, fix=fix)
    if first["type"] == "missing":
        return RecipeError(f"A key is missing{more}.", where=where, found=dotted, fix="add it")
    message, mend = plain_words(first)
    shown = first.get("input")
    found = f"{dotted}: {shown!r}" if not isinstance(shown, dict) else dotted or None
    return RecipeError(
        f"The recipe does not hold{more}: {message}.", where=where, found=found,
        fix=mend or "see the key's meaning with `hanhua schema`",
    )  # fmt: skip


def _is_union_tag(part: Any, loc: tuple[Any, ...], data: Any) -> bool:
    """Pydantic names the tried member of a union in the location; people need not see it."""
    return isinstance(part, str) and (part[:1].isupper() or "[" in part or part in _TYPES)


_TYPES = frozenset({
    "int", "float", "str", "bool", "none",
    "constrained-int", "constrained-float", "constrained-str",
})  # fmt: skip


def _line(node: yaml.Node | None, parts: Sequence[Any]) -> int | None:
    """Line of the deepest part of a location that is in the file."""
    line = None
    for part in parts:
        if isinstance(node, yaml.MappingNode):
            pairs = {key.value: (key, value) for key, value in node.value}
            if str(part) not in pairs:
                break
            key, node = pairs[str(part)]
            line = key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            if part >= len(node.value):
                break
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line


def _keys_at(model: type[BaseModel], parts: Sequence[Any]) -> Iterator[str]:
    """The keys known at a location, following sections and lists of sections."""
    models = [model]
    for part in parts:
        if isinstance(part, int):
            continue
        models = [
            inner for m in models if part in m.model_fields
            for inner in _models_in(m.model_fields[part].annotation)
        ]  # fmt: skip
    for m in models:
        yield from m.model_fields


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for arg in getattr(annotation, "__args__", ()) for m in _models_in(arg)]


def json_schema() -> dict[str, Any]:
    """JSON Schema of a recipe, for editors."""
    schema = Recipe.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "hanhua recipe"
    return schema
