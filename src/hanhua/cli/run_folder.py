"""What the commands on runs share: a run's ledger, and what is told of a run that stopped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from hanhua.core.errors import UsageError


def read_ledger(run: Path) -> dict[str, Any]:
    """The ledger of a run folder.

    Raises:
        UsageError: when the folder holds none.
    """
    from hanhua.core.files import read_json

    path = run / "ledger.json"
    try:
        found = read_json(path)
    except FileNotFoundError as error:
        raise _nothing_finished(run) from error
    except (OSError, ValueError) as error:
        raise UsageError(
            "This is no run folder.", where=run, found=error,
            fix="name a folder that `hanhua run` made, e.g. runs/demo",
        ) from error  # fmt: skip
    if not isinstance(found, dict) or "stages" not in found:
        raise UsageError("This ledger holds no stages.", where=path, fix="run the recipe again")
    return found


def _nothing_finished(run: Path) -> UsageError:
    """What to say of a folder without a ledger."""
    from hanhua.core.stopped import read_stopped

    stopped = read_stopped(run, {})
    if not stopped:
        return UsageError(
            "This is no run folder.", where=run, found="no ledger.json",
            fix="name a folder that `hanhua run` made, e.g. runs/demo",
        )  # fmt: skip
    return UsageError(
        "No stage of this run has finished, so there is nothing to show.", where=run,
        found=f"{stopped.place}: {stopped.told.get('what') or 'not finished'}",
        fix=stopped.told.get("do") or f"run it: {stopped.command or 'hanhua run recipe.yaml'}",
    )  # fmt: skip


def say_stopped(run: Path, ledger: Mapping[str, Any], err: bool = False) -> None:
    """Say where an unfinished run stopped and how it goes on."""
    from hanhua.core.stopped import read_stopped, text_stopped

    if stopped := read_stopped(run, ledger):
        typer.echo(text_stopped(stopped), err=err)


def draw_unfinished(run_dir: Path, quiet: bool = False) -> None:
    """Draw what had finished when a run ends early, and let nothing come before its own error."""
    from hanhua.report.render import render

    if not (run_dir / "ledger.json").is_file():
        return
    try:
        page = render(run_dir)
        if not quiet:
            typer.echo(f"report of what had finished: {page}", err=True)
    except (Exception, KeyboardInterrupt):  # a second Ctrl-C ends at once
        pass
