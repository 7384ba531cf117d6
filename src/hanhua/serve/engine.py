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
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future
from typing import Any

import torch

from hanhua.serve.errand import Errand, Errands
from hanhua.serve.job import End, EngineClosed, Event, Job, QueueFull, Sink, Stats, Ticket
from hanhua.serve.running import Run, arrange
from hanhua.serve.sampling import choose
from hanhua.serve.served import Served
from hanhua.serve.slots import SlotPool

__all__ = ["Engine", "EngineClosed", "Event", "Job", "QueueFull", "Ticket"]

logger = logging.getLogger("hanhua.serve")


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
        self._runs: list[Run] = []
        self._waiting: deque[Ticket] = deque()
        self._errands = Errands(served)
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

    def send(self, errand: Errand) -> Future[Any]:
        """Hand in work on the model that makes no answer; cancel the future to give it up.

        Raises:
            QueueFull: when too many wait.
            EngineClosed: when the engine has stopped.
        """
        with self._wake:
            if not self.alive:
                raise EngineClosed
            if len(self._errands) >= self.max_waiting:
                raise QueueFull
            future = self._errands.add(errand)
            self._wake.notify()
        return future

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
                while not (self._runs or self._waiting or self._errands or self._closed):
                    self._wake.wait()
                if self._closed:
                    break
                self._admit()
            try:
                self._errands.step()
                self._turn()
            except Exception:
                logger.exception("a step failed; its requests are ended")
                self._end_all("error")
        self._errands.close()
        self._end_all("cancelled")

    def _admit(self) -> None:
        for ticket in list(self._waiting):
            if end := ticket.ended_from_outside:
                self._waiting.remove(ticket)
                self._report(ticket, Event("", 0, end))
        while self._waiting and len(self._runs) < self.max_running:
            run = Run(self._waiting.popleft(), self.served)
            run.slot = len(self._runs)
            self._runs.append(run)

    def _turn(self) -> None:
        for run in self._runs:
            if end := run.ticket.ended_from_outside:
                self._report(run.ticket, run.finish(end))
        self._settle()
        filling = [run for run in self._runs if not run.decoding]
        if filling:
            self._step(filling, max(16, self.prefill_tokens // len(filling)))
            self._settle()
        decoding = [run for run in self._runs if run.decoding]
        if decoding:
            self._step(decoding, 1)
            self._settle()

    @torch.inference_mode()
    def _step(self, runs: list[Run], limit_tokens: int) -> None:
        """Feed up to so many pending tokens of each; those with none left get their next one."""
        fed = [run.pending[:limit_tokens] for run in runs]
        logits_BV = self._pool.forward(runs[0].slot, fed, [run.cached for run in runs])
        self.stats.steps += 1
        for run, tokens in zip(runs, fed, strict=True):
            run.cached += len(tokens)
            run.pending = run.pending[len(tokens) :]
        ready = [i for i, run in enumerate(runs) if not run.pending]
        if len(ready) < len(runs):  # a copy of what is megabytes in a large vocabulary
            logits_BV, runs = logits_BV[ready], [runs[i] for i in ready]
        # Rows beyond the tokenizer are padding of the matrix and mean nothing.
        if runs:
            self._choose(runs, logits_BV[:, : self.served.n_tokens].cpu())

    def _choose(self, runs: list[Run], own_BV: torch.Tensor) -> None:
        """Give each its next token by the model's logits, which may change in place."""
        may_BV = own_BV.clone() if any(run.watched for run in runs) else own_BV
        may_BV[:, self.served.silent_ids] = -torch.inf
        for run, row_V in zip(runs, may_BV, strict=True):
            run.shape(row_V)
        chosen = choose(may_BV, [(run.ticket.job.sampling, run.stream) for run in runs])
        for run, row_V, token in zip(runs, own_BV, chosen, strict=True):
            run.note(row_V, token)
            self._accept(run, token)

    def _accept(self, run: Run, token: int) -> None:
        if not run.produced:
            self.stats.first_tokens += 1
            self.stats.first_token_seconds += time.monotonic() - run.ticket.arrived
            self.stats.prompt_tokens += len(run.ticket.job.prompt)
        self.stats.completion_tokens += 1
        event = run.accept(token)
        if event:
            self._report(run.ticket, event)

    def _report(self, ticket: Ticket, event: Event) -> None:
        if event.end and not ticket.job.judged:
            self.stats.note_end(event.end, time.monotonic() - ticket.arrived)
        try:
            ticket.sink(event)
        except Exception:  # the owner is gone; its request must not take the others along
            ticket.cancel()

    def _settle(self) -> None:
        """Close the gaps of ended requests: a step needs a run of slots."""
        kept = [run for run in self._runs if run.end is None]
        order = arrange(kept)
        moved = (run.cached for run in kept if order[run.slot] != run.slot)
        self._pool.reorder(order, max(moved, default=0))
        self._runs = sorted(kept, key=lambda run: run.slot)

    def _end_all(self, end: End) -> None:
        for run in self._runs:
            if run.end is None:
                self._report(run.ticket, run.finish(end))
        with self._wake:
            waiting, self._waiting = self._waiting, deque()
            self._runs = []
        for ticket in waiting:
            self._report(ticket, Event("", 0, end))
        self._pool = SlotPool(self.served.model)
