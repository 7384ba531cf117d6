"""Fetch a model folder from Hugging Face or ModelScope; only the files that hanhua reads.

``HF_ENDPOINT``, ``HF_HUB_OFFLINE`` and ``MODELSCOPE_ENDPOINT`` are read at every call, so that a
mirror can be set for one command. ModelScope is spoken to over its public file routes with the
standard library: its own package is large, and two routes are all that is needed.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import shutil
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path, PurePosixPath
from typing import Any

from hanhua.core.errors import ModelError, StorageError
from hanhua.core.files import storage_errors

WANTED = (
    "config.json",
    "generation_config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "LICENSE*",
    "README.md",
)
HF_HOME_PAGE = "https://huggingface.co"
MODELSCOPE_HOME_PAGE = "https://www.modelscope.cn"
_TIMEOUT_SECONDS = 30.0
_CHUNK_BYTES = 1 << 20


def split_ref(ref: str) -> tuple[str, str, str | None]:
    """Take a hub reference apart: (hub, org/name, revision or None)."""
    hub, _, rest = ref.rpartition(":")
    name, _, revision = rest.partition("@")
    return hub or "hf", name, revision or None


def download(ref: str) -> Path:
    """Bring a hub model onto this machine and return its folder.

    Raises:
        ModelError: when the hub can't be reached or has no such model.
    """
    hub, name, revision = split_ref(ref)
    if hub == "modelscope":
        return _from_modelscope(name, revision or "master")
    return _from_hugging_face(name, revision)


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def _from_hugging_face(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    endpoint = os.environ.get("HF_ENDPOINT") or None
    disable_progress_bars()
    try:
        with storage_errors(Path(os.environ.get("HF_HOME") or "~/.cache/huggingface")):
            found = snapshot_download(
                name,
                revision=revision,
                allow_patterns=list(WANTED),
                endpoint=endpoint,
                local_files_only=_offline(),
            )
    except StorageError:
        raise
    except Exception as error:  # the hub's client raises from five libraries
        raise _unreachable(f"hf:{name}", endpoint or HF_HOME_PAGE, error) from error
    return Path(found)


def _unreachable(ref: str, endpoint: str, error: Exception) -> ModelError:
    offline = "; HF_HUB_OFFLINE is set, so only what was fetched before can be used"
    return ModelError(
        "This model could not be fetched.",
        where=f"{ref} at {endpoint}",
        found=f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}",
        fix="check the name, the revision and the network; a mirror is set with HF_ENDPOINT or "
        "MODELSCOPE_ENDPOINT, a downloaded folder can be given as a path"
        + (offline if _offline() and ref.startswith("hf:") else ""),
    )


def modelscope_cache() -> Path:
    """Where ModelScope files lie: $MODELSCOPE_CACHE, else hanhua's folder in the user's cache."""
    given = os.environ.get("MODELSCOPE_CACHE")
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(given) if given else Path(root) / "hanhua" / "modelscope"


def _from_modelscope(name: str, revision: str) -> Path:
    endpoint = (os.environ.get("MODELSCOPE_ENDPOINT") or MODELSCOPE_HOME_PAGE).rstrip("/")
    folder = modelscope_cache() / name / revision.replace("/", "--")
    route = f"{endpoint}/api/v1/models/{name}/repo"
    try:
        query = urllib.parse.urlencode({"Revision": revision, "Recursive": "true"})
        with urllib.request.urlopen(f"{route}/files?{query}", timeout=_TIMEOUT_SECONDS) as reply:
            listing = json.load(reply)
        for entry in _wanted_files(listing):
            _fetch_file(route, revision, entry, folder)
    except (urllib.error.URLError, TimeoutError, ConnectionError, ValueError, KeyError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the connection
        if folder.joinpath("config.json").exists() and not isinstance(error, ValueError):
            return folder  # every file in it was whole when it got its name
        raise _unreachable(f"modelscope:{name}@{revision}", endpoint, error) from error
    return folder


def _wanted_files(listing: dict[str, Any]) -> list[dict[str, Any]]:
    if not listing.get("Success", listing.get("Code") == 200):
        raise ValueError(f"the hub says: {listing.get('Message') or listing}")
    files = [f for f in listing["Data"]["Files"] if f.get("Type", "blob") == "blob"]
    # config.json comes last: where it lies, the whole folder is there.
    files.sort(key=lambda f: (f["Path"] == "config.json", f["Path"]))
    return [f for f in files if any(fnmatch.fnmatch(f["Path"], mark) for mark in WANTED)]


def _fetch_file(route: str, revision: str, entry: dict[str, Any], folder: Path) -> None:
    parts = PurePosixPath(entry["Path"])
    if parts.is_absolute() or ".." in parts.parts:
        raise ValueError(f"a file path that leaves the folder: {entry['Path']}")
    path = folder / parts
    if path.exists() and path.stat().st_size == int(entry.get("Size", -1)):
        return
    query = urllib.parse.urlencode({"Revision": revision, "FilePath": entry["Path"]})
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    digest = hashlib.sha256()
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(f"{route}?{query}", timeout=_TIMEOUT_SECONDS) as reply:
            with aside.open("wb") as file:
                while chunk := reply.read(_CHUNK_BYTES):
                    digest.update(chunk)
                    file.write(chunk)
        expected = entry.get("Sha256")
        if expected and digest.hexdigest() != expected:
            aside.unlink()
            raise ValueError(f"{entry['Path']} arrived broken (its SHA-256 differs)")
        shutil.move(aside, path)
