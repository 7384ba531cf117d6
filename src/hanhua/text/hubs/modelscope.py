"""Datasets on ModelScope: a list of files and the files themselves, over two public routes.

Every file is fetched when it is read and kept, so that a second reading needs no network. The
hub's own package is not used: it is large, and these two routes are all that is needed of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from hanhua.core.errors import InputError
from hanhua.core.files import read_json, storage_errors, write_json

HOME_PAGE = "https://www.modelscope.cn"
_TIMEOUT_S = 30.0
_CHUNK_BYTES = 1 << 20
_PAGE_FILES = 100
_LISTING = ".listing.json"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a repository.

    Args:
        path: relative, with slashes.
        size_bytes: its size.
        sha256: its digest in hex; empty where the hub does not say.
    """

    path: str
    size_bytes: int
    sha256: str


class Repository:
    """A dataset on ModelScope. ``MODELSCOPE_ENDPOINT`` and ``MODELSCOPE_CACHE`` are heeded.

    Args:
        name: owner/name.
        revision: a branch or tag.
    """

    def __init__(self, name: str, revision: str | None = None) -> None:
        self.name, self.revision = name, revision or "master"
        self._endpoint = (os.environ.get("MODELSCOPE_ENDPOINT") or HOME_PAGE).rstrip("/")
        self._route = f"{self._endpoint}/api/v1/datasets/{name}/repo"
        self.folder = _cache() / name / self.revision.replace("/", "--")

    def files(self) -> list[RemoteFile]:
        """Every file; without network, as they were listed last.

        Raises:
            InputError: when the hub cannot be reached or has no such dataset.
        """
        known = self.folder / _LISTING
        try:
            with self._errors():
                found = list(self._listed())
        except InputError as error:
            if known.exists() and isinstance(error.__cause__, OSError):
                return [RemoteFile(**entry) for entry in read_json(known)]
            raise
        write_json(known, [{"path": f.path, "size_bytes": f.size_bytes, "sha256": f.sha256}
                           for f in found])  # fmt: skip
        return found

    def _listed(self, root: str = "/") -> Iterator[RemoteFile]:
        """All files under a folder; folders that the hub leaves closed are asked for one by one."""
        entries = list(self._entries(root))
        files = [entry for entry in entries if entry.get("Type", "blob") == "blob"]
        for entry in files:
            size, digest = int(entry.get("Size", -1)), entry.get("Sha256") or ""
            yield RemoteFile(entry["Path"], size, digest)
        for entry in entries:
            inside = f"{entry['Path']}/"
            is_open = any(other["Path"].startswith(inside) for other in entries)
            if entry.get("Type") == "tree" and not is_open and entry["Path"] != root:
                yield from self._listed(entry["Path"])

    def _entries(self, root: str) -> Iterator[dict[str, Any]]:
        page = 1
        while True:
            query = urllib.parse.urlencode({
                "Revision": self.revision, "Root": root, "Recursive": "True", "PageNumber": page,
                "PageSize": _PAGE_FILES,
            })  # fmt: skip
            with urllib.request.urlopen(f"{self._route}/tree?{query}", timeout=_TIMEOUT_S) as reply:
                listing = json.load(reply)
            if not listing.get("Success", listing.get("Code") == 200):
                raise ValueError(f"the hub says: {listing.get('Message') or listing}")
            entries = listing["Data"]["Files"]
            yield from entries
            if len(entries) < _PAGE_FILES:
                return
            page += 1

    def fetch(self, file: RemoteFile) -> Path:
        """Bring one file onto this machine, unless it is there.

        Raises:
            InputError: when the hub cannot be reached or the file arrives broken.
            StorageError: when there is no room for it.
        """
        parts = PurePosixPath(file.path)
        path = self.folder / parts
        if path.exists() and path.stat().st_size == file.size_bytes:
            return path
        with self._errors(), storage_errors(path):
            if parts.is_absolute() or ".." in parts.parts:
                raise ValueError(f"a file path that leaves the folder: {file.path}")
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_name(f".{path.name}.{os.getpid()}.part")
            digest = self._download(file, aside)
            if file.sha256 and digest != file.sha256:
                aside.unlink()
                raise ValueError(f"{file.path} arrived broken (its SHA-256 differs)")
            aside.replace(path)
        return path

    def _download(self, file: RemoteFile, aside: Path) -> str:
        query = urllib.parse.urlencode(
            {"Source": "SDK", "Revision": self.revision, "FilePath": file.path}
        )
        digest = hashlib.sha256()
        with urllib.request.urlopen(f"{self._route}?{query}", timeout=_TIMEOUT_S) as reply:
            with aside.open("wb") as out:
                while chunk := reply.read(_CHUNK_BYTES):
                    digest.update(chunk)
                    out.write(chunk)
        return digest.hexdigest()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (
            urllib.error.URLError,
            TimeoutError,
            ConnectionError,
            ValueError,
            KeyError,
        ) as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()  # it holds the connection
            raise InputError(
                "This dataset could not be fetched.",
                where=f"ms:{self.name}#{self.revision} at {self._endpoint}",
                found=f"{type(error).__name__}: {error}",
                fix="check the name, the revision and the network; a mirror is set with "
                "MODELSCOPE_ENDPOINT, a downloaded folder can be given as a path",
            ) from error


def _cache() -> Path:
    """Where datasets lie: in $MODELSCOPE_CACHE, else in hanhua's folder of the user's cache."""
    given = os.environ.get("MODELSCOPE_CACHE")
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return (Path(given) if given else Path(root) / "hanhua" / "modelscope") / "datasets"
