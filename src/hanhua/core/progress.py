"""Bars with rate and time left, on stderr, so that stdout stays for results.

On a terminal rich draws them; elsewhere (a log, CI) a plain line is printed now and then.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO


class Bar(Protocol):
    """One running count."""

    def advance(self, amount: float = 1, **notes: Any) -> None:
        """Add to the count; notes (loss=…, lr=…) are shown behind it."""


class Progress(Protocol):
    """What a stage tells the person who waits."""

    @contextmanager
    def bar(self, title: str, total: float | None, unit: str, *, done: float = 0) -> Iterator[Bar]:
        """A bar for the time of the with block.

        Args:
            title: what is going on.
            total: how much there is; None where it isn't known.
            unit: of the count.
            done: what an earlier go did: counted, but not in the rate.
        """
        yield _Silent()

    def say(self, text: str) -> None:
        """One line."""


class _Silent:
    def advance(self, amount: float = 1, **notes: Any) -> None:
        """Count nothing."""


class Silent:
    """Shows nothing: for tests and for use as a library."""

    @contextmanager
    def bar(self, title: str, total: float | None, unit: str, *, done: float = 0) -> Iterator[Bar]:
        """A bar that is not drawn."""
        yield _Silent()

    def say(self, text: str) -> None:
        """Say nothing."""


def duration(seconds: float) -> str:
    """Seconds as a person writes them: 42 s, 3:07 min, 2:15 h."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)}:{int(seconds % 60):02d} min"
    return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d} h"


def human(number: float) -> str:
    """A count as a person reads it: 950, 12.3k, 4.56M."""
    for limit, divisor, suffix in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(number) >= 0.9995 * limit:  # 999,900 is 1M, not 1e+03k
            return f"{number / divisor:.3g}{suffix}"
    return f"{number:.0f}" if number == int(number) else f"{number:.4g}"


class _Line:
    """A bar as plain lines: at most one every few seconds, and one at the end."""

    def __init__(
        self, title: str, total: float | None, unit: str, out: TextIO, every_s: float, before: float
    ) -> None:
        self.title, self.total, self.unit, self.out, self.every_s = title, total, unit, out, every_s
        self.done = self.before = before
        self.notes: dict[str, Any] = {}
        self.start = self.last = time.monotonic()

    def advance(self, amount: float = 1, **notes: Any) -> None:
        """Add to the count, and print when it is time."""
        self.done += amount
        self.notes.update(notes)
        now = time.monotonic()
        if now - self.last >= self.every_s:
            self.last = now
            self.show(now)

    def show(self, now: float) -> None:
        """Print the line."""
        rate = (self.done - self.before) / max(now - self.start, 1e-9)
        count = human(self.done) + (f" of {human(self.total)}" if self.total else "")
        left = ""
        if self.total and rate > 0 and self.done < self.total:
            left = f", {duration((self.total - self.done) / rate)} left"
        notes = "".join(f", {key} {_note(value)}" for key, value in self.notes.items())
        self.out.write(
            f"  {self.title}: {count} {self.unit}, {human(rate)} {self.unit}/s{left}{notes}\n"
        )
        self.out.flush()


def _note(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class Lines:
    """Progress for a log."""

    def __init__(self, out: TextIO | None = None, every_s: float = 10.0) -> None:
        self.out = out or sys.stderr
        self.every_s = every_s

    @contextmanager
    def bar(self, title: str, total: float | None, unit: str, *, done: float = 0) -> Iterator[Bar]:
        """A bar drawn as lines."""
        line = _Line(title, total, unit, self.out, self.every_s, done)
        yield line
        if time.monotonic() - line.start >= self.every_s:
            line.show(time.monotonic())

    def say(self, text: str) -> None:
        """One line."""
        self.out.write(text + "\n")
        self.out.flush()


class _RichBar:
    def __init__(self, live: Any, task: Any, unit: str) -> None:
        self.live, self.task, self.unit = live, task, unit
        self.notes: dict[str, Any] = {}

    def advance(self, amount: float = 1, **notes: Any) -> None:
        """Add to the count."""
        self.notes.update(notes)
        speed = self.live.tasks[self.task].speed or 0.0
        text = "".join(f" {key} {_note(value)}" for key, value in self.notes.items())
        rate = f"{human(speed)} {self.unit}/s" if speed else ""
        self.live.update(self.task, advance=amount, rate=rate, notes=text)


class Terminal:
    """Progress for a person at a terminal."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True)

    @contextmanager
    def bar(self, title: str, total: float | None, unit: str, *, done: float = 0) -> Iterator[Bar]:
        """A live bar that goes when it is done."""
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        live = RichProgress(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}% {task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[notes]}"),
            console=self.console,
            transient=True,
        )
        with live:
            task = live.add_task(title, total=total, completed=int(done), rate="", notes="")
            yield _RichBar(live, task, unit)

    def say(self, text: str) -> None:
        """One line, above any bar."""
        self.console.print(text, markup=False, highlight=False)


def default_progress(quiet: bool = False) -> Progress:
    """Silent when asked, live on a terminal, lines elsewhere."""
    if quiet:
        return Silent()
    return Terminal() if sys.stderr.isatty() else Lines()
