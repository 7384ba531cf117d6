"""Where a run stopped before its end, kept beside its ledger, and how to go on.

A kill leaves no note; then the folder of the stage under way tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from hanhua.core.errors import HanhuaError
from hanhua.core.files import read_json, write_json

NOTE = "stopped.json"
BUILDING = ".building"

Kind = Literal["error", "interrupt", "until", "cut off"]


@dataclass(slots=True)
class Stopped:
    """Where and why.

    Args:
        stage: the stage that did not end, or for ``until`` the last that did.
        title: what it does.
        number: of that stage, from 1; 0: not known.
        of: how many stages there were to run.
        kind: how it ended; ``cut off``: by a kill, unless it is still under way.
        told: the error as :meth:`hanhua.core.errors.HanhuaError.as_dict` has it.
        command: what goes on from here.
        finished: whether a stage of this go had finished, so that the ledger is of this go.
    """

    stage: str = ""
    title: str = ""
    number: int = 0
    of: int = 0
    kind: Kind = "cut off"
    told: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    finished: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return asdict(self)

    @property
    def place(self) -> str:
        """The stage as the run's progress names it."""
        return f"[{self.number}/{self.of}] {self.stage}" if self.number else self.stage


class Going:
    """How far a run has come.

    Args:
        run_dir: its folder.
        command: what was called.
    """

    def __init__(self, run_dir: Path, command: str) -> None:
        self.path, self.state = run_dir / NOTE, Stopped(command=command)
        self.complete = False

    def enter(self, stage: str, title: str, number: int, of: int) -> None:
        """A stage begins, and what an earlier go left is over."""
        self.path.unlink(missing_ok=True)
        state = self.state
        state.stage, state.title, state.number, state.of = stage, title, number, of

    def leave(self, complete: bool) -> None:
        """A stage stands in the ledger.

        Args:
            complete: whether all stages do.
        """
        self.state.finished, self.complete = True, complete


@contextmanager
def noting(
    run_dir: Path, command: str, on_stop: Callable[[Path], None] | None = None
) -> Iterator[Going]:
    """Leave a note when the block ends before the run does.

    Args:
        run_dir: the folder of the run, which is held.
        command: what goes on with it.
        on_stop: called with the folder after an error or Ctrl-C in a stage; must not fail.
    """
    going = Going(run_dir, command)
    try:
        yield going
    except (Exception, KeyboardInterrupt) as error:
        going.state.kind = "error" if isinstance(error, Exception) else "interrupt"
        going.state.told = _told(error)
        if going.state.stage:
            with suppress(Exception):  # a full disk must not hide what filled it
                write_json(going.path, going.state.as_dict())
            if on_stop:
                on_stop(run_dir)
        raise
    if not going.complete:
        going.state.kind = "until"
        write_json(going.path, going.state.as_dict())


def _told(error: BaseException) -> dict[str, Any]:
    if isinstance(error, KeyboardInterrupt):
        return {}
    if isinstance(error, HanhuaError):
        return error.as_dict()
    return {"error": type(error).__name__, "what": str(error)}


def read_stopped(run_dir: Path, ledger: Mapping[str, Any]) -> Stopped | None:
    """Where a run stopped; None where it did not.

    Args:
        run_dir: its folder.
        ledger: its ledger, empty where no stage has finished.
    """
    try:
        found = Stopped(**read_json(run_dir / NOTE))
        if found.kind in get_args(Kind):
            return found
    except (OSError, ValueError, TypeError):
        pass
    if ledger.get("complete"):
        return None
    under_way = sorted((run_dir / BUILDING).glob("*-*"), key=lambda path: path.stat().st_mtime)
    if not ledger and not under_way:
        return None
    name = under_way[-1].name.rpartition("-")[0] if under_way else ""
    return Stopped(stage=name, command=str(ledger.get("command") or ""), finished=True)


def text_stopped(stopped: Stopped) -> str:
    """The same for a terminal, in a few lines."""
    how = {
        "error": f"ended by an error in {stopped.place}",
        "interrupt": f"ended by Ctrl-C in {stopped.place}",
        "until": f"ended after {stopped.place}, as was asked",
        "cut off": f"cut off in {stopped.place}, or still under way there"
        if stopped.stage else "ended early",
    }[stopped.kind]  # fmt: skip
    lines = [f"unfinished: {how}"]
    rows = [(name, stopped.told.get(key)) for name, key in
            (("error", "what"), ("where", "where"), ("found", "found"), ("do", "do"))]  # fmt: skip
    rows.append(("go on", stopped.command or "run the same recipe again; finished stages are kept"))
    lines += [f"  {name + ':':<6} {value}" for name, value in rows if value]
    if not stopped.finished:
        lines.append("  no stage of this go had finished: figures are those of an earlier one")
    return "\n".join(lines)
