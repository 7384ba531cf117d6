"""Which files of a dataset's folder or repository hold which split.

As the datasets library chooses: what the dataset card says (``configs`` in the front matter of
README.md), else files and folders that are named after a split, else every data file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import yaml

from hanhua.core.errors import InputError
from hanhua.text.readers.streams import PACKINGS

DEFAULT_SPLIT = "train"
_SUFFIXES = frozenset((".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow", ".txt"))
_NO_DATA = re.compile(
    r"(readme|licen[cs]e|notice|citation|requirements)\b.*|(dataset_infos?|dataset_dict|state|"
    r"configuration|config)\.json",
    re.I,
)
_SPLITS = {
    "train": "train|training", "validation": "validation|valid|val|dev",
    "test": "test|testing|eval",
}  # fmt: skip
_FRONT_MATTER = re.compile(r"\A\ufeff?---[ \t]*\n(.*?)^---[ \t]*$", re.S | re.M)


def card_configs(readme: str) -> list[Mapping[str, Any]]:
    """The ``configs`` of a dataset card.

    Args:
        readme: README.md.

    Returns:
        One mapping a config; none where the card says nothing that can be read.
    """
    front = _FRONT_MATTER.match(readme.replace("\r\n", "\n"))
    try:
        card = yaml.safe_load(front[1]) if front else None
    except yaml.YAMLError:
        return []
    configs = card.get("configs") if isinstance(card, Mapping) else None
    if not isinstance(configs, list):
        return []
    return [c for c in configs if isinstance(c, Mapping) and c.get("data_files")]


def choose_files(
    paths: Sequence[str],
    configs: Sequence[Mapping[str, Any]],
    config: str | None,
    split: str | None,
    where: str,
) -> list[str]:
    """The files of one split, sorted.

    Args:
        paths: all files, relative, with slashes.
        configs: what the card says.
        config: the wanted one; None for the default or only one.
        split: the wanted one; None for train, or the only one.
        where: named in errors.

    Raises:
        InputError: when there is no such config, no such split or no data.
    """
    splits = _splits(paths, configs, config, where)
    wanted = split or (DEFAULT_SPLIT if len(splits) != 1 else next(iter(splits)))
    if not splits.get(wanted):
        raise InputError(
            "This dataset has no such split." if splits else "This dataset has no data files.",
            where=where, found=f"{wanted}; there is {', '.join(sorted(splits)) or 'nothing'}",
            fix="name one after an @, and a config after a slash, as in folder/config@split",
        )  # fmt: skip
    return sorted(set(splits[wanted]))


def _splits(
    paths: Sequence[str], configs: Sequence[Mapping[str, Any]], config: str | None, where: str
) -> dict[str, list[str]]:
    """The files of every split, as the card says or by their names."""
    if configs:
        return _splits_of_card(paths, _pick_config(configs, config, where))
    data = [path for path in paths if _is_data(path)]
    if config:
        data = [path for path in data if config in PurePosixPath(path).parts[:-1]]
    return _splits_by_name(data)


def _pick_config(
    configs: Sequence[Mapping[str, Any]], name: str | None, where: str
) -> Mapping[str, Any]:
    names = [str(config.get("config_name", "default")) for config in configs]
    wanted = name or next(
        (n for n, c in zip(names, configs, strict=True) if c.get("default")), None
    )
    wanted = wanted or (names[0] if len(names) == 1 else "default")
    if wanted not in names:
        raise InputError(
            "This dataset has several configs." if name is None else "There is no such config.",
            where=where, found=f"{name or 'none named'}; there is {', '.join(names)}",
            fix="name one after a slash, as in owner/name/config",
        )  # fmt: skip
    return configs[names.index(wanted)]


def _splits_of_card(paths: Sequence[str], config: Mapping[str, Any]) -> dict[str, list[str]]:
    entries = config["data_files"]
    if isinstance(entries, Mapping):
        entries = [{"split": split, "path": path} for split, path in entries.items()]
    elif isinstance(entries, str) or all(isinstance(entry, str) for entry in entries):
        entries = [{"split": DEFAULT_SPLIT, "path": entries}]
    root = str(config.get("data_dir") or "").strip("/")
    found: dict[str, list[str]] = {}
    for entry in entries:
        patterns = entry.get("path", [])
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            mark = _pattern(f"{root}/{pattern}" if root else pattern.removeprefix("./"))
            hits = [path for path in paths if mark.fullmatch(path)]
            found.setdefault(str(entry.get("split", DEFAULT_SPLIT)), []).extend(hits)
    return found


def _pattern(glob: str) -> re.Pattern[str]:
    """A glob of the Hub: ``*`` stays within a folder, ``**`` does not."""
    marks = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]*\])", glob)
    return re.compile("".join(
        marks.get(part) or (part if part.startswith("[") else re.escape(part)) for part in parts
    ))  # fmt: skip


def _is_data(path: str) -> bool:
    name = PurePosixPath(path).name.lower()
    for packing in PACKINGS:
        name = name.removesuffix(packing)
    hidden = any(part.startswith(".") for part in PurePosixPath(path).parts)
    return not hidden and PurePosixPath(name).suffix in _SUFFIXES and not _NO_DATA.fullmatch(name)


def _splits_by_name(paths: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    rest = []
    for path in paths:
        split = next((s for s, names in _SPLITS.items() if _is_named(path, names)), None)
        found.setdefault(split, []).append(path) if split else rest.append(path)
    if rest and not found:
        return {DEFAULT_SPLIT: rest}
    return found


def _is_named(path: str, names: str) -> bool:
    return re.search(rf"(?:^|[/_.\s-])(?:{names})(?:[/_.\s-]|$)", path, re.I) is not None
