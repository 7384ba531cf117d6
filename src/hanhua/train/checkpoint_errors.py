"""What went wrong with a checkpoint, in one message.

PyTorch tells failures of all processes as one exception, in words of its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch.distributed.checkpoint.api import CheckpointException

from hanhua.core.errors import StorageError, TrainingError
from hanhua.core.files import storage_errors

_CUT_OFF = "inline_container"
"""In what PyTorch's writer says of a file that the system did not take whole."""


def damaged(path: Path, found: str) -> TrainingError:
    """The error of a checkpoint that a failing disk, or a hand, has spoilt."""
    return TrainingError(
        "This checkpoint can't be read.", where=path, found=found,
        fix="delete the folder to start this training anew",
    )  # fmt: skip


@contextmanager
def written(folder: Path) -> Iterator[None]:
    """Say in one message why a checkpoint could not be written.

    Raises:
        StorageError: most often of a full disk, which PyTorch's writer tells in words of its own.
    """
    with storage_errors(folder):
        try:
            yield
        except CheckpointException as error:  # no Exception, so nobody else would catch it
            let_go(error)
            if refused := _refusal(error):
                raise refused from error
            raise StorageError(
                "A checkpoint could not be written.", where=folder, found=_said(error, folder),
                fix="see that this disk has room and is well, and run the same command again; it "
                "goes on from the checkpoint before",
            ) from error  # fmt: skip


def let_go(error: CheckpointException) -> None:
    """Ctrl-C while PyTorch writes or reads is still Ctrl-C, though PyTorch calls it a failure.

    Raises:
        KeyboardInterrupt: if that, in any process, is what ended it.
    """
    reasons = [reason for reason, _ in error.failures.values()]
    if any(isinstance(reason, KeyboardInterrupt | SystemExit) for reason in reasons):
        raise KeyboardInterrupt from error


def _refusal(error: CheckpointException) -> OSError | None:
    """What the system said, behind the first process's reason.

    PyTorch's writer stumbles over its own count of bytes while it handles that, and tells only
    the stumbling. (From another process the reason comes alone.)
    """
    reason: BaseException | None = next(iter(error.failures.values()))[0]
    while reason is not None and not isinstance(reason, OSError):
        reason = reason.__cause__ or reason.__context__
    return reason


def _said(error: CheckpointException, folder: Path) -> str:
    """The first process's reason; of a file that was cut off, the room that is left."""
    if _CUT_OFF not in why(error):
        return why(error)
    free = shutil.disk_usage(folder).free / 2**20
    return f"only a part of a file could be written; {free:,.0f} MiB are free here"


def why(error: CheckpointException) -> str:
    """The first process's reason."""
    reason = next(iter(error.failures.values()))[0]
    return str(reason).splitlines()[0] if str(reason) else type(reason).__name__
