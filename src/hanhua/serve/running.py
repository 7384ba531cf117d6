"""A request that holds a slot: its tokens so far, its text, its grammar, and when it ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch

from hanhua.model.stream import TextStream
from hanhua.serve.job import End, Event, Ticket
from hanhua.serve.logprobs import Chances, TokenChance
from hanhua.serve.served import Served
from hanhua.serve.words import WordFilter


class Run:
    """One answer under way.

    Args:
        ticket: what was asked, and who waits for it.
        served: the model.
    """

    def __init__(self, ticket: Ticket, served: Served) -> None:
        job = ticket.job
        self.ticket, self.served = ticket, served
        self.slot = -1
        self.cached = 0
        self.pending: list[int] = list(job.prompt)
        self.produced = 0
        self.stream = job.sampling.stream()
        stop = (*job.stop, *served.stop_strings)
        self.text = TextStream(served.token_bytes, job.prompt, stop, job.trim)
        self.end: End | None = None
        self._counts: Counter[int] = Counter()
        self._grammar = job.grammar.fresh() if job.grammar else None
        self._filter = WordFilter(job.block) if job.block else None
        self._bytes = b""
        self._chances: list[tuple[int, TokenChance]] = []
        self._chance: TokenChance | None = None

    @property
    def decoding(self) -> bool:
        """Whether only the token chosen last is to be fed."""
        return self.produced > 0

    @property
    def watched(self) -> bool:
        """Whether the model's own logits are needed after the choice."""
        return self.ticket.job.chances is not None

    def shape(self, logits_V: torch.Tensor) -> None:
        """Change logits in place to what this request may choose from.

        Args:
            logits_V: float32, minus infinity for ids that are never produced.
        """
        job = self.ticket.job
        if job.sampling.shapes:
            job.sampling.shape(logits_V, self._counts)
        if self._grammar:
            mask_V = self._grammar.allowed()
            logits_V[~mask_V] = -torch.inf
            if not mask_V.any():  # any choice will do: `accept` ends an answer that cannot go on
                logits_V[0] = 0.0

    def note(self, logits_V: torch.Tensor, token: int) -> None:
        """Remember the chance of the token about to be accepted, where the job wants it."""
        count = self.ticket.job.chances
        if count is not None:
            self._chance = Chances(self.served).read(logits_V, token, count)

    def accept(self, token: int) -> Event | None:
        """Take the next token; returns what is to be reported, if anything."""
        job = self.ticket.job
        self.produced += 1
        self.pending = [token]
        self._counts[token] += 1
        if token in self.served.stop_ids:
            whole = self._grammar is None or self._grammar.whole
            return self.finish("stop" if whole else "error")
        if not self._record(token):
            return self.finish("error")
        text = self._filtered(self.text.push(token))
        if self.blocked:
            return self.finish("content_filter", text)
        if self.text.stopped or (self._grammar and self._grammar.done):
            return self.finish("stop", text)
        if self.produced >= job.max_tokens:
            return self.finish("length", text)
        return Event(text, self.produced, None, self._shown()) if text else None

    @property
    def blocked(self) -> bool:
        """Whether a blocked word came."""
        return self._filter is not None and self._filter.blocked

    def finish(self, end: End, text: str = "") -> Event:
        """End the answer; what is still held back comes out."""
        text += self._filtered(self.text.finish(), last=True)
        if self.blocked:
            end = "content_filter"
        elif self.text.stopped and end == "length":
            end = "stop"
        self.end = end
        return Event(text, self.produced, end, self._rest())

    def _filtered(self, text: str, last: bool = False) -> str:
        return self._filter.push(text, last) if self._filter else text

    def _record(self, token: int) -> bool:
        """Note a token; False where it breaks the grammar, since no token of the model fits it."""
        data = self.served.token_bytes[token]
        if self._grammar and not self._grammar.take(token):
            return False
        if self._chance is not None:
            self._chances.append((len(self._bytes), self._chance))
            self._bytes += data
        return True

    def _shown(self) -> tuple[TokenChance, ...]:
        """Chances of tokens whose text has begun to come out, each once."""
        if not self._chances:
            return ()
        held = len(self._filter.held.encode()) if self._filter else 0
        return self._take(len(self._bytes) - self.text.waiting_bytes - held)

    def _rest(self) -> tuple[TokenChance, ...]:
        """Chances of the last tokens, those of a stop string or blocked word left out."""
        end = len(self._bytes) + 1
        if self.text.stopped:
            stops = [(at + len(stop.encode()), at) for stop in self.text.stop
                     if (at := self._bytes.find(stop.encode())) >= 0]  # fmt: skip
            end = min(stops)[1] if stops else end
        if self.blocked:
            assert self._filter
            # escaped, not replaced: a byte that is no text must count as one here, or what comes
            # after it would be let through
            whole = self._bytes.decode("utf-8", errors="surrogateescape")
            found = self._filter.words.find(whole)
            before = whole[:found].encode("utf-8", errors="surrogateescape")
            end = min(end, len(before)) if found is not None else end
        return self._take(end)

    def _take(self, end: int) -> tuple[TokenChance, ...]:
        shown = tuple(chance for start, chance in self._chances if start < end)
        self._chances = self._chances[len(shown) :]
        return shown


def arrange(runs: Sequence[Run]) -> list[int]:
    """Give requests the slots from 0 on, decoding ones first.

    Who stands among those of its kind already stays there, so that little is copied.

    Returns:
        For each slot, the one whose content it is to take.
    """
    decoding = sum(run.decoding for run in runs)
    order, moving = list(range(len(runs))), []
    free = set(order)
    for run in runs:
        stays = run.slot < decoding if run.decoding else decoding <= run.slot < len(runs)
        if stays:
            free.remove(run.slot)
        else:
            moving.append(run)
    moving.sort(key=lambda run: not run.decoding)
    for run, slot in zip(moving, sorted(free), strict=True):
        order[slot], run.slot = run.slot, slot
    return order
