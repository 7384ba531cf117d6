"""Work on the model that makes no answer: embeddings, and the chances of a given prompt's tokens.

Errands are generators on the engine's thread. It lets the oldest take one step between two turns
of the answers, so that a long one does not hold up those who wait for their next token. Each has
its own cache and is computed alone, so its result does not depend on who else is served.
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any

import torch

from hanhua.serve.logprobs import Chances, TokenChance
from hanhua.serve.served import Served
from hanhua.serve.slots import SlotPool

logger = logging.getLogger("hanhua.serve")

Errand = Callable[[Served], Generator[None, None, Any]]
PIECE_TOKENS = 128
"""Tokens fed in one step; with every token's logits kept, this bounds the memory they take."""


class Errands:
    """The errands under way, the oldest first.

    Args:
        served: the model that they are for.
    """

    def __init__(self, served: Served) -> None:
        self.served = served
        self._line: deque[tuple[Generator[None, None, Any], Future[Any]]] = deque()

    def __len__(self) -> int:
        """How many are not finished."""
        return len(self._line)

    def add(self, errand: Errand) -> Future[Any]:
        """Put one at the end of the line."""
        future: Future[Any] = Future()
        self._line.append((errand(self.served), future))
        return future

    def step(self) -> None:
        """Let the oldest go on; an error becomes its result and harms nobody else."""
        if not self._line:
            return
        work, future = self._line[0]
        if future.cancelled():
            self._line.popleft()
            return
        try:
            next(work)
        except StopIteration as end:
            self._line.popleft()
            self._answer(future, end.value)
        except Exception:
            logger.exception("an errand failed")
            self._line.popleft()
            self._answer(future, None)

    @staticmethod
    def _answer(future: Future[Any], value: Any) -> None:
        if future.set_running_or_notify_cancel():
            if value is None:
                future.set_exception(RuntimeError("the errand failed"))
            else:
                future.set_result(value)

    def close(self) -> None:
        """Give up all."""
        for _, future in self._line:
            with contextlib.suppress(CancelledError):
                future.cancel()
        self._line.clear()


def embed(texts: Sequence[Sequence[int]]) -> Errand:
    """An errand for the embeddings of texts: the mean of the last states, of length one.

    Args:
        texts: ids of each, at least one.
    """

    def work(served: Served) -> Generator[None, None, list[list[float]]]:
        found = []
        for ids in texts:
            pool = SlotPool(served.model)
            total_D = torch.zeros(served.width)
            for start in range(0, len(ids), PIECE_TOKENS):
                states_TD = pool.hidden(ids[start : start + PIECE_TOKENS], start)
                total_D += states_TD.sum(0).cpu()
                yield
            found.append(torch.nn.functional.normalize(total_D, dim=0).tolist())
        return found

    return work


def score(texts: Sequence[Sequence[int]], top: int) -> Errand:
    """An errand for the chance of every token of texts, given those before it.

    Args:
        texts: ids of each, at least one.
        top: alternatives to report for each token.
    """

    def work(served: Served) -> Generator[None, None, list[list[TokenChance]]]:
        found = []
        for ids in texts:
            chances, pool = Chances(served), SlotPool(served.model)
            rows = [TokenChance(*chances.named(ids[0]), None)]
            for start in range(0, len(ids) - 1, PIECE_TOKENS):
                piece = ids[start : min(start + PIECE_TOKENS, len(ids) - 1)]
                logits_TV = pool.every(piece, start)[:, : served.n_tokens].cpu()
                following = ids[start + 1 : start + 1 + len(piece)]
                for logits_V, token in zip(logits_TV, following, strict=True):
                    rows.append(chances.read(logits_V, token, top))
                yield
            found.append(rows)
        return found

    return work
