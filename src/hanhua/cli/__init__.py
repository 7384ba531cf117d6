"""The command line: says *what* to do; the recipe says *how*.

Nothing heavy is imported here, so that ``--help`` answers at once. Every error a user can mend
is one short message on stderr and an exit code from the tree in ``core/errors.py``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback

import typer

from hanhua.core.errors import HanhuaError, UsageError
from hanhua.core.gpu_memory import grow_segments

app = typer.Typer(
    name="hanhua",
    help="Take an English-centric open LLM to Chinese from one recipe, and prove what was gained "
    "and what was lost. 汉化：用一份配方把英文大模型变成中文模型，并给出得失的证据。",
    epilog="Any command takes --debug (show tracebacks). Start with: hanhua demo",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
)

INTERRUPTED = 130
"""Exit code of a command that was ended by Ctrl-C."""
WAIT_FOR_FIRST_SECONDS = 15
"""How much later than the first another process may come to the same mistake."""


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and stop."),
) -> None:
    if version:
        from hanhua import __version__

        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Entry point of the ``hanhua`` command."""
    # they add their commands to the app
    from hanhua.cli import (  # noqa: F401, I001
        chatdata, compare, corpus, eval, export, merge, mix, models, quantise, runs, study, vocab,
    )  # fmt: skip

    # Threads that spin while they wait for each other are 20 times slower than ones that sleep
    # as soon as another process wants a core (docs/LOG.md); must be set before torch comes in.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    grow_segments()

    arguments = sys.argv[1:]
    debug = "--debug" in arguments or bool(os.environ.get("HANHUA_DEBUG"))
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        code = app(args=arguments, standalone_mode=False)
        if code == INTERRUPTED:  # newer releases of the parser answer an interrupt themselves
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else 0)
    except (Exception, KeyboardInterrupt) as error:
        if debug and not isinstance(error, (typer.Exit, typer.Abort)):
            traceback.print_exc()
        sys.exit(_tell(error, "--json" in arguments))


def _tell(error: BaseException, as_json: bool) -> int:
    """Say what went wrong; returns the exit code."""
    if isinstance(error, typer.Exit):
        return int(error.exit_code)
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        # a second Ctrl-C ends at once, also amid what libraries do at the end
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        _stderr("stopped; the same command goes on where it was")
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    known = _known(error)
    rank = os.environ.get("RANK", "0")  # of torchrun
    if rank != "0":
        _wait_for_the_first()
        _stderr(f"rank {rank}: {known.message}")
        return known.exit_code
    _stderr(f"error: {known.message}")
    if as_json:
        typer.echo(json.dumps(known.as_dict(), ensure_ascii=False))
    return known.exit_code


def _wait_for_the_first() -> None:
    """Leave the telling to the first process, if the mistake is everyone's.

    torchrun ends all as soon as one ends, so the second would cut off the first before it said
    what is wrong. It ends this one too; who is still here afterwards is alone with its mistake.
    """
    time.sleep(WAIT_FOR_FIRST_SECONDS)


def _known(error: BaseException) -> HanhuaError:
    if isinstance(error, HanhuaError):
        return error
    tell = getattr(error, "format_message", None)  # the parser's own errors
    if callable(tell):
        return UsageError(str(tell()), fix="see `hanhua --help` or `hanhua COMMAND --help`")
    if isinstance(error, MemoryError):
        return HanhuaError(
            "Out of memory.", fix="lower machine.micro_batch_tokens or use a larger machine"
        )
    return HanhuaError(
        "Something went wrong that hanhua did not foresee.",
        found=f"{type(error).__name__}: {error}",
        fix="run again with --debug and report what it prints; finished stages are kept",
    )


def _stderr(text: str) -> None:
    typer.echo(text, err=True)


def emit(value: object, as_json: bool) -> None:
    """Print the result object last, as one line of JSON, when --json was given."""
    if as_json:
        typer.echo(json.dumps(value, ensure_ascii=False))
