"""Continuous batching over one model: requests join and leave between single-token steps.

One thread owns the model. In every turn it lets waiting requests in, feeds a bounded piece of
their prompts (so that a long prompt does not stall the others), then gives every running request
its next token in one forward pass. Each request keeps its own positions, its own random stream
and its own text, so who else is being served changes nothing about its answer.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch

from hanhua.model.stream import TextStream
from hanhua.serve.sampling import Sampling, choose
from hanhua.serve.served import Served
from hanhua.serve.slots import SlotPool

logger = logging.getLogger("hanhua.serve")

End = Literal["stop", "length", "cancelled", "error"]


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
    """

    prompt: tuple[int, ...]
    max_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    trim: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """New text of an answer, or its end.

    Args:
        text: what came since the last event.
        tokens: tokens produced so far, the end token counted.
        end: why it ended; None while it goes on.
    """

    text: str
    tokens: int
    end: End | None = None


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


class _Run:
    """A request that has a slot."""

    def __init__(self, ticket: Ticket, served: Served) -> None:
        self.ticket = ticket
        self.slot = -1
        self.cached = 0
        self.pending: list[int] = list(ticket.job.prompt)
        self.produced = 0
        self.stream = ticket.job.sampling.stream()
        stop = (*ticket.job.stop, *served.stop_strings)
        self.text = TextStream(served.token_bytes, ticket.job.prompt, stop, ticket.job.trim)
        self.end: End | None = None

    @property
    def decoding(self) -> bool:
        """Whether only the token chosen last is to be fed."""
        return self.produced > 0


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


class Engine:
    """Serves several requests at once on one model.

    Args:
        served: the model, its tokenizer and its limits.
        max_running: requests that share a step; each holds a part of the cache.
        max_waiting: requests that may wait beyond those.
        prefill_tokens: prompt tokens fed between two steps.
    """

    def __init__(
        self, served: Served, *, max_running: int = 8, max_waiting: int = 64,
        prefill_tokens: int = 512,
    ) -> None:  # fmt: skip
        self.served = served
        self.max_running, self.max_waiting = max_running, max_waiting
        self.prefill_tokens = prefill_tokens
        self.stats = Stats()
        self._pool = SlotPool(served.model)
        self._runs: list[_Run] = []
        self._waiting: deque[Ticket] = deque()
        self._wake = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name="hanhua-engine", daemon=True)
        self._thread.start()

    # What others call, from any thread.

    @property
    def alive(self) -> bool:
        """Whether new requests would be served."""
        return not self._closed and self._thread.is_alive()

    @property
    def running(self) -> int:
        """Requests that hold a slot."""
        return len(self._runs)

    @property
    def waiting(self) -> int:
        """Requests that wait for a slot."""
        return len(self._waiting)

    @property
    def cache_bytes(self) -> int:
        """Memory that the attention cache holds."""
        return self._pool.bytes()

    def submit(self, jobs: Sequence[Job], sinks: Sequence[Sink]) -> list[Ticket]:
        """Hand in jobs, all of them or none; events come on the engine's thread.

        Raises:
            QueueFull: when they would not all fit the waiting line.
            EngineClosed: when the engine has stopped.
        """
        tickets = [Ticket(job, sink) for job, sink in zip(jobs, sinks, strict=True)]
        with self._wake:
            if not self.alive:
                raise EngineClosed
            free = self.max_running - len(self._runs) + self.max_waiting - len(self._waiting)
            if len(tickets) > free:
                raise QueueFull
            self._waiting.extend(tickets)
            self._wake.notify()
        return tickets

    def events(self, job: Job) -> Generator[Event, None, None]:
        """Serve one job and yield its events; leaving the loop early cancels it."""
        events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        [ticket] = self.submit([job], [events.put])
        try:
            while True:
                event = events.get()
                yield event
                if event.end:
                    return
        finally:
            ticket.cancel()

    @property
    def patience_seconds(self) -> int:
        """About how long until a full waiting line has room again, 1 to 60 s."""
        mean = self.stats.answer_seconds / max(1, sum(self.stats.ended.values()))
        return max(1, min(60, round(mean / self.max_running)))

    def close(self) -> None:
        """End every request as cancelled and stop the thread."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()

    # What only the engine's thread does.

    def _loop(self) -> None:
        while True:
            with self._wake:
                while not (self._runs or self._waiting or self._closed):
                    self._wake.wait()
                if self._closed:
                    break
                self._admit()
            try:
                self._turn()
            except Exception:
                logger.exception("a step failed; its requests are ended")
                self._end_all("error")
        self._end_all("cancelled")

    def _admit(self) -> None:
        for ticket in [ticket for ticket in self._waiting if ticket.cancelled]:
            self._waiting.remove(ticket)
            self._report(ticket, Event("", 0, "cancelled"))
        while self._waiting and len(self._runs) < self.max_running:
            run = _Run(self._waiting.popleft(), self.served)
            run.slot = len(self._runs)
            self._runs.append(run)

    def _turn(self) -> None:
        for run in self._runs:
            if run.ticket.cancelled:
                self._finish(run, "cancelled")
        self._settle()
        filling = [run for run in self._runs if not run.decoding]
        if filling:
            self._step(filling, max(16, self.prefill_tokens // len(filling)))
            self._settle()
        decoding = [run for run in self._runs if run.decoding]
        if decoding:
            self._step(decoding, 1)
            self._settle()

    def _step(self, runs: list[_Run], limit_tokens: int) -> None:
        """Feed up to so many pending tokens of each; those with none left get their next one."""
        fed = [run.pending[:limit_tokens] for run in runs]
        logits_BV = self._pool.forward(runs[0].slot, fed, [run.cached for run in runs])
        self.stats.steps += 1
        for run, tokens in zip(runs, fed, strict=True):
            run.cached += len(tokens)
            run.pending = run.pending[len(tokens) :]
        ready = [i for i, run in enumerate(runs) if not run.pending]
        if not ready:
            return
        rows = [(runs[i].ticket.job.sampling, runs[i].stream) for i in ready]
        # Rows beyond the tokenizer are padding of the matrix and mean nothing.
        may_BV = logits_BV[ready, : self.served.n_tokens].cpu()
        may_BV[:, self.served.silent_ids] = -torch.inf
        chosen = choose(may_BV, rows)
        for i, token in zip(ready, chosen, strict=True):
            self._accept(runs[i], token)

    def _accept(self, run: _Run, token: int) -> None:
        if not run.produced:
            self.stats.first_tokens += 1
            self.stats.first_token_seconds += time.monotonic() - run.ticket.arrived
            self.stats.prompt_tokens += len(run.ticket.job.prompt)
        run.produced += 1
        run.pending = [token]
        self.stats.completion_tokens += 1
        if token in self.served.stop_ids:
            self._finish(run, "stop")
            return
        text = run.text.push(token)
        if run.text.stopped:
            self._finish(run, "stop", text)
        elif run.produced >= run.ticket.job.max_tokens:
            self._finish(run, "length", text)
        elif text:
            self._report(run.ticket, Event(text, run.produced))

    def _finish(self, run: _Run, end: End, text: str = "") -> None:
        text += run.text.finish()
        if run.text.stopped:
            end = "stop" if end == "length" else end
        run.end = end
        self._report(run.ticket, Event(text, run.produced, end))

    def _report(self, ticket: Ticket, event: Event) -> None:
        if event.end:
            self.stats.ended[event.end] += 1
            self.stats.answer_seconds += time.monotonic() - ticket.arrived
        try:
            ticket.sink(event)
        except Exception:  # the owner is gone; its request must not take the others along
            ticket.cancel()

    def _settle(self) -> None:
        """Close the gaps of ended requests, decoding ones first: a step needs a run of slots."""
        kept = [run for run in self._runs if run.end is None]
        kept.sort(key=lambda run: not run.decoding)
        order = [run.slot for run in kept]
        self._pool.reorder(order, max((run.cached for run in kept), default=0))
        for slot, run in enumerate(kept):
            run.slot = slot
        self._runs = kept

    def _end_all(self, end: End) -> None:
        for run in self._runs:
            if run.end is None:
                self._finish(run, end)
        with self._wake:
            waiting, self._waiting = self._waiting, deque()
            self._runs = []
        for ticket in waiting:
            self._report(ticket, Event("", 0, end))
        self._pool = SlotPool(self.served.model)
