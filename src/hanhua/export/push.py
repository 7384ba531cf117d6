"""An exported folder to a hub: first the list of what would go where, then, when asked, the upload.

The network is touched only by :func:`push`. Keys are those that the hubs' own programs keep.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hanhua.core.errors import DependencyError, StorageError, UsageError
from hanhua.core.files import sha256_file

Hub = Literal["hf", "modelscope"]
_PLACE = re.compile(r"(hf|modelscope):([\w.-]+/[\w.-]+)")


@dataclass(frozen=True, slots=True)
class Place:
    """A repository on a hub: "hf" or "modelscope", and org/name."""

    hub: str
    repo: str

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read ``hf:org/name`` or ``modelscope:org/name``.

        Raises:
            UsageError: for anything else.
        """
        match = _PLACE.fullmatch(text)
        if match is None:
            raise UsageError("This names no place on a hub.", where="--push", found=text,
                             fix="write hf:org/name or modelscope:org/name")  # fmt: skip
        return cls(match[1], match[2])


def manifest(folder: Path, place: Place) -> dict[str, Any]:
    """What would be uploaded: every file with size and SHA-256, none that is hidden.

    Args:
        folder: an exported folder.
        place: where to.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = [
        {"name": path.relative_to(folder).as_posix(), "bytes": path.stat().st_size,
         "sha256": sha256_file(path)}
        for path in paths if not any(p.startswith(".") for p in path.relative_to(folder).parts)
    ]  # fmt: skip
    return {"hub": place.hub, "repo": place.repo, "files": files,
            "bytes": sum(int(str(file["bytes"])) for file in files)}  # fmt: skip


def push(folder: Path, place: Place, *, private: bool = True) -> str:
    """Upload a folder; the repository is made where there is none.

    Args:
        folder: an exported folder.
        place: where to.
        private: whether a repository that is made is seen by its owner only.

    Returns:
        Its address.

    Raises:
        DependencyError: without ModelScope's package, where it is asked for.
        StorageError: when the hub refuses or can't be reached; the folder stays.
    """
    try:
        if place.hub == "hf":
            return _to_hugging_face(folder, place.repo, private)
        return _to_modelscope(folder, place.repo, private)
    except DependencyError:
        raise
    except Exception as error:  # of the hubs' clients, and of the network
        raise StorageError(
            "The hub does not take the folder.", where=f"{place.hub}:{place.repo}",
            found=f"{type(error).__name__}: {error}",
            fix="log in with `hf auth login` or `modelscope login`, then call again; the exported "
            "folder is whole",
        ) from error  # fmt: skip


def _to_hugging_face(folder: Path, repo: str, private: bool) -> str:
    from huggingface_hub import HfApi

    api = HfApi()
    url = str(api.create_repo(repo, private=private, exist_ok=True))
    api.upload_folder(repo_id=repo, folder_path=folder, commit_message="Exported by hanhua",
                      ignore_patterns=[".*"])  # fmt: skip
    return url


def _to_modelscope(folder: Path, repo: str, private: bool) -> str:
    try:
        from modelscope.hub.api import HubApi
    except ImportError as error:
        raise DependencyError(
            "Uploading to ModelScope needs its package.", found=error,
            fix='pip install "hanhua[modelscope]"',
        ) from error  # fmt: skip
    api = HubApi()
    api.create_repo(repo, visibility="private" if private else "public", exist_ok=True)
    api.upload_folder(repo_id=repo, folder_path=str(folder), commit_message="Exported by hanhua")
    return f"https://modelscope.cn/models/{repo}"
