"""Datasets by reference: on Hugging Face, on ModelScope, or in a folder.

``hf:owner/name``, ``hf:owner/name/config@split#revision`` and the same with ``ms:``; a folder as
``save_to_disk`` writes it, or a repository's folder of data files. Hugging Face is read with its
own library, record by record without the disk; the others with the readers of raw files.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from hanhua.core.errors import InputError
from hanhua.core.files import canonical_json, read_json, sha256_file
from hanhua.text.hubs.dataset_files import DEFAULT_SPLIT, card_configs, choose_files
from hanhua.text.hubs.hugging_face import commit_of, stream_dataset
from hanhua.text.hubs.modelscope import RemoteFile, Repository
from hanhua.text.readers.formats import read_values
from hanhua.text.readers.read import Record, for_texts, to_records
from hanhua.text.readers.values import ReadOptions, Values

_HUB = re.compile(
    r"(?P<hub>hf|ms|modelscope):(?P<name>[\w.-]+/[\w.-]+)(?:/(?P<config>[^/@#\s]+))?"
    r"(?:@(?P<split>[\w.-]+))?(?:#(?P<revision>[\w./-]+))?"
)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_STATE, _DICT, _CARD = "state.json", "dataset_dict.json", "README.md"
Tell: TypeAlias = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Reference:
    """A dataset reference taken apart.

    Args:
        hub: "hf", "ms", or "" for a folder.
        name: owner/name, or the folder.
        config: the subset; None for the default.
        split: None for train, or the only one.
        revision: a commit, branch or tag; None for the newest.
    """

    hub: str
    name: str
    config: str | None = None
    split: str | None = None
    revision: str | None = None

    def __str__(self) -> str:
        marks = (("/", self.config), ("@", self.split), ("#", self.revision))
        hub = f"{self.hub}:" if self.hub else ""
        return hub + self.name + "".join(mark + part for mark, part in marks if part)


def is_dataset(text: str) -> bool:
    """Whether a source is a dataset: a hub's reference, or a folder that was saved as one."""
    if _HUB.fullmatch(text):
        return True
    folder = Path(text)
    return (folder / _STATE).is_file() or (folder / _DICT).is_file() or (
        folder.is_dir() and bool(_card(folder))
    )  # fmt: skip


def parse_reference(text: str) -> Reference:
    """Take a reference apart.

    Raises:
        InputError: when it is neither a hub's reference nor a folder.
    """
    if match := _HUB.fullmatch(text):
        hub = "ms" if match["hub"] == "modelscope" else match["hub"]
        return Reference(hub, match["name"], match["config"], match["split"], match["revision"])
    path, split = text, None
    if not Path(path).is_dir() and "@" in path:
        path, _, split = path.rpartition("@")
    if Path(path).is_dir():
        return Reference("", path, None, split)
    if Path(path).parent.is_dir() and not text.startswith(("hf:", "ms:", "modelscope:")):
        return Reference("", str(Path(path).parent), Path(path).name, split)
    raise InputError(
        "This is no dataset.", where=text,
        fix="give hf:owner/name, hf:owner/name/config@split, ms:owner/name or a folder",
    )  # fmt: skip


def dataset_records(
    reference: str, options: ReadOptions | None = None, tell: Tell | None = None
) -> Iterator[Record]:
    """Read a dataset as records of text; see ``read.read_records``.

    Raises:
        InputError: when it cannot be read, or none of its records has a text field.
        DependencyError: for Hugging Face without the ``datasets`` extra.
    """
    options = for_texts(options or ReadOptions())
    return to_records(read_dataset(reference, options, tell), options, reference)


def read_dataset(
    reference: str, options: ReadOptions | None = None, tell: Tell | None = None
) -> Values:
    """Read the values of a dataset.

    Args:
        reference: a hub's reference or a folder.
        options: as for files; ``columns`` are the only ones that are read.
        tell: called now and then with the bytes consumed so far, where files are read.

    Returns:
        (``name:row`` or ``file:row``, value) in the dataset's order.

    Raises:
        InputError: when the dataset cannot be found, reached or read.
        DependencyError: for Hugging Face without the ``datasets`` extra.
    """
    found, options = parse_reference(reference), options or ReadOptions()
    if found.hub == "hf":
        return stream_dataset(
            found.name, found.config, found.split, found.revision, options.columns
        )
    files = _remote_files(found) if found.hub else _local_files(found)
    return _read_files(files, options, tell or (lambda _: None))


def dataset_identity(reference: str) -> str:
    """What a dataset's content is known by, for fingerprints and ledgers.

    Of Hugging Face the reference with the commit it stands for now (itself a reference, so that
    reading it gives what was identified); of ModelScope, which has no such thing, and of folders
    a digest of the files' names and digests. Nothing depends on where a folder lies.

    Raises:
        InputError: when it cannot be found or reached; a pinned commit needs no network.
    """
    found = parse_reference(reference)
    if found.hub == "hf":
        revision = found.revision or ""
        commit = revision if _COMMIT.fullmatch(revision) else commit_of(found.name, found.revision)
        return str(Reference("hf", found.name, found.config, found.split, commit))
    if found.hub:
        digests = {f.path: f.sha256 or f.size_bytes for _, f in _chosen_remote(found)}
        return f"{found} {_digest(digests)}"
    root = Path(found.name)
    return _digest({str(path.relative_to(root)): sha256_file(path) for path in _local_files(found)})


def _digest(files: Mapping[str, Any]) -> str:
    return "files:" + hashlib.sha256(canonical_json(files).encode()).hexdigest()


def _read_files(files: Iterable[Path], options: ReadOptions, tell: Tell) -> Values:
    before = 0

    def tell_all(place: int) -> None:
        tell(before + place)

    for path in files:
        yield from read_values(path, options, tell_all)
        before += path.stat().st_size


def _local_files(reference: Reference) -> list[Path]:
    """The files of a folder that hold the wanted split."""
    folder = Path(reference.name)
    if (folder / _DICT).is_file():
        splits = list(read_json(folder / _DICT)["splits"])
        split = reference.split or (splits[0] if len(splits) == 1 else DEFAULT_SPLIT)
        if split not in splits:
            raise InputError(
                "This dataset has no such split.", where=folder,
                found=f"{split}; there is {', '.join(splits)}", fix="name one after an @",
            )  # fmt: skip
        folder = folder / split
    if (folder / _STATE).is_file():
        return [folder / part["filename"] for part in read_json(folder / _STATE)["_data_files"]]
    paths = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    chosen = choose_files(paths, _card(folder), reference.config, reference.split, str(folder))
    return [folder / path for path in chosen]


def _card(folder: Path) -> list[Mapping[str, Any]]:
    card = folder / _CARD
    return card_configs(card.read_text("utf-8", "replace")) if card.is_file() else []


def _chosen_remote(reference: Reference) -> list[tuple[Repository, RemoteFile]]:
    repository = Repository(reference.name, reference.revision)
    files = {file.path: file for file in repository.files()}
    configs = []
    if _CARD in files:
        configs = card_configs(repository.fetch(files[_CARD]).read_text("utf-8", "replace"))
    chosen = choose_files(list(files), configs, reference.config, reference.split, str(reference))
    return [(repository, files[path]) for path in chosen]


def _remote_files(reference: Reference) -> Iterator[Path]:
    """The same of a dataset on ModelScope, each fetched when its turn comes."""
    for repository, file in _chosen_remote(reference):
        yield repository.fetch(file)
