"""Files that are whole or absent: written aside, synced, renamed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hanhua.core.errors import StorageError


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the system's no (full disk, no permission, read-only) into one message.

    Raises:
        StorageError: when the block failed for want of room or rights.
    """
    try:
        yield
    except Exception as error:
        if _no_room(error):
            raise StorageError(
                "The disk is full.", where=path, found=error,
                fix="free space (or choose another disk with --runs or --out) and run the same "
                "command again; finished stages are kept",
            ) from error  # fmt: skip
        if not isinstance(error, OSError):
            raise
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StorageError(
                "No permission to write.", where=error.filename or path, found=error.strerror,
                fix="change the folder's rights, or choose another with --runs or --out",
            ) from error  # fmt: skip
        if error.errno in (errno.ENOTDIR, errno.EEXIST) and error.filename:
            raise StorageError(
                "A file stands where a folder should be.", where=error.filename,
                fix="choose another folder with --runs or --out",
            ) from error  # fmt: skip
        raise


def _no_room(error: Exception) -> bool:
    """Libraries in other languages (safetensors, Arrow) say it in their message only."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return True
    return "No space left on device" in str(error) and not isinstance(error, StorageError)


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """The same bytes under another name; a copy where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def canonical_json(value: Any) -> str:
    """JSON with one spelling: sorted keys, no spaces, no NaN.

    Raises:
        ValueError, TypeError: for what has no stable JSON form; an identity must not guess.
    """
    return json.dumps(
        value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )


def sha256_text(text: str) -> str:
    """Hex digest of the UTF-8 bytes."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a file so that a kill leaves the old one or the new one, never a part."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)


def write_json(path: Path, value: Any, *, sort_keys: bool = True) -> None:
    """Write JSON for people and programs: indented, sorted, whole or absent."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, sort_keys=sort_keys) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
