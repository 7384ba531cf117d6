"""What goes into the engine and what comes out: jobs, tickets, events, counts."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from hanhua.serve.logprobs import TokenChance
from hanhua.serve.sampling import Sampling
from hanhua.serve.words import BlockWords

if TYPE_CHECKING:
    from hanhua.serve.grammar import Grammar

End = Literal["stop", "length", "content_filter", "timeout", "cancelled", "error"]


class QueueFull(Exception):
    """More requests wait than the engine was told to keep."""


class EngineClosed(Exception):
    """The engine is shutting down or its thread has died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One answer to make.

    Args:
        prompt: token ids, at least one.
        max_tokens: end after so many; prompt and answer must fit the model's context.
        sampling: how tokens are chosen.
        stop: strings that end the answer.
        trim: leave out white space before the answer, which belongs to a chat template.
        chances: report each token's log probability and so many alternatives'; None: don't.
        grammar: of the answer, which ends when nothing can follow; None: free text.
        block: words that end the answer; None: none.
        max_seconds: end after so long, waiting included; 0: never.
        judged: the owner may end the answer otherwise than the engine did, so it is the owner
            who notes the end in the counts.
    """

    prompt: tuple[int, ...]
    max_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    trim: bool = False
    chances: int | None = None
    grammar: Grammar | None = None
    block: BlockWords | None = None
    max_seconds: float = 0.0
    judged: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """New text of an answer, or its end.

    Args:
        text: what came since the last event.
        tokens: tokens produced so far, the end token counted.
        end: why it ended; None while it goes on.
        chances: of the tokens whose text this is, where the job asked for them.
    """

    text: str
    tokens: int
    end: End | None = None
    chances: tuple[TokenChance, ...] = ()


Sink = Callable[[Event], None]


@dataclass(slots=True, eq=False)
class Ticket:
    """A request in the engine, as its owner holds it."""

    job: Job
    sink: Sink
    arrived: float = field(default_factory=time.monotonic)
    cancelled: bool = False

    def cancel(self) -> None:
        """Give up; the slot is free before the next token."""
        self.cancelled = True

    @property
    def ended_from_outside(self) -> End | None:
        """Why it ends without its own doing: its owner gave up, or its time is over."""
        if self.cancelled:
            return "cancelled"
        limit = self.job.max_seconds
        return "timeout" if limit and time.monotonic() - self.arrived > limit else None


@dataclass(slots=True)
class Stats:
    """Counts since the start, for /metrics."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    first_token_seconds: float = 0.0
    first_tokens: int = 0
    answer_seconds: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def note_end(self, end: str, seconds: float) -> None:
        """Count an answer that ended, from any thread.

        Args:
            end: how.
            seconds: since it was asked for.
        """
        with self._lock:
            self.ended[end] += 1
            self.answer_seconds += seconds
