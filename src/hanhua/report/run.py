"""What the report reads: the ledger of a run and the files of its artifacts, none of them required.

A report is also wanted of a run that stopped half-way or was made by an older version, so every
look-up here answers None (or nothing) instead of failing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hanhua.core.files import read_json
from hanhua.report.html import Words

MODELS: Mapping[str, Words] = {
    "base": Words("Base", "原模型"),
    "expand": Words("Expanded", "扩词表"),
    "pretrain": Words("Pretrained", "继续预训练"),
    "finetune": Words("Chat", "对话模型"),
    "prefer": Words("Preference-tuned", "偏好微调"),
}
"""The models of the walk, in its order."""

OTHERS: Mapping[str, Words] = {
    "merge": Words("Merged", "合并"),
    "quantise": Words("Quantised", "量化"),
}
"""Models beside the walk, behind those of the walk."""

ORDER = (
    "base", "corpus", "vocab", "expand", "tokens", "pretrain", "chatdata", "finetune",
    "prefer",
    *(f"eval-{name}" for name in MODELS), "quantise", "export",
)  # fmt: skip
"""Stages in walk order (the ledger sorts them by name; a test holds this to the walk's own)."""

LANGUAGES: Mapping[str, Words] = {
    "zh": Words("Chinese", "中文"),
    "en": Words("English", "英文"),
    "ja": Words("Japanese", "日文"),
    "ko": Words("Korean", "韩文"),
    "de": Words("German", "德文"),
    "fr": Words("French", "法文"),
    "es": Words("Spanish", "西班牙文"),
    "ru": Words("Russian", "俄文"),
}


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder, read."""

    folder: Path
    ledger: Mapping[str, Any]

    @property
    def target(self) -> str:
        """The language to reach."""
        return str(self.ledger.get("target") or "zh")

    @property
    def source(self) -> str:
        """The language of the base."""
        return str(self.ledger.get("source") or "en")

    @property
    def stages(self) -> Mapping[str, Any]:
        """What the ledger holds of each stage, in walk order."""
        found = mapping(self.ledger.get("stages"))
        names = [n for n in ORDER if n in found] + sorted(found.keys() - set(ORDER))
        return {name: found[name] for name in names}

    @property
    def summary(self) -> Mapping[str, Any]:
        """The headline figures."""
        return mapping(self.ledger.get("summary"))

    def languages(self, found: Iterable[str]) -> list[str]:
        """Languages in the page's order: the target, the source, then any others."""
        codes = set(found)
        first = [code for code in self.pair if code in codes]
        return first + sorted(codes - set(first))

    @property
    def pair(self) -> tuple[str, ...]:
        """Target and source; one where a base is trained in its own language."""
        return tuple(dict.fromkeys((self.target, self.source)))

    def colour(self, code: str) -> str:
        """A language has one colour on the whole page."""
        return {self.target: "c1", self.source: "c2"}.get(code, "c4")

    def stage(self, name: str) -> Mapping[str, Any]:
        """One stage's entry, empty where it has not run."""
        return mapping(self.stages.get(name))

    def metrics(self, name: str) -> Mapping[str, Any]:
        """What a stage measured."""
        return mapping(self.stage(name).get("metrics"))

    def file(self, stage: str, name: str) -> Path | None:
        """A file of a stage's artifact, where both are there."""
        place = self.stage(stage).get("path")
        path = self.folder / str(place) / name
        return path if place and path.is_file() else None

    def json(self, stage: str, name: str) -> Any:
        """A JSON file of an artifact, or None."""
        path = self.file(stage, name)
        try:
            return read_json(path) if path else None
        except (OSError, ValueError):
            return None

    def lines(self, stage: str, name: str) -> Iterator[Mapping[str, Any]]:
        """The objects of a JSONL file of an artifact; a broken line is passed over."""
        path = self.file(stage, name)
        if not path:
            return
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    yield mapping(json.loads(line))
                except ValueError:
                    continue

    def link(self, stage: str, name: str) -> str | None:
        """The address of a file of an artifact, relative to the report."""
        return f"{self.stage(stage).get('path')}/{name}" if self.file(stage, name) else None


def open_run(folder: Path) -> Run:
    """Read a run folder; without a readable ledger the report is empty, not absent."""
    try:
        return Run(folder, mapping(read_json(folder / "ledger.json")))
    except (OSError, ValueError):
        return Run(folder, {})


def mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def listing(value: Any) -> list[Any]:
    """The value where it is a list, else an empty one."""
    return list(value) if isinstance(value, list | tuple) else []


def dig(value: Any, *keys: str) -> Any:
    """Follow keys through nested mappings; None where one is missing."""
    for key in keys:
        value = mapping(value).get(key)
    return value


def real(value: Any) -> float | None:
    """The value where it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < float("inf") else None


def language(code: str) -> Words:
    """A language's name in both languages of the page."""
    return LANGUAGES.get(code, Words(code, code))


def model(name: str) -> Words:
    """A model's name in both languages of the page."""
    return {**MODELS, **OTHERS}.get(name, Words(name, name))


def models(found: Mapping[str, Any]) -> list[str]:
    """The models among the keys, in the order of the walk."""
    known = (*MODELS, *OTHERS)
    return [m for m in known if m in found] + sorted(m for m in found if m not in known)
