"""The experts that routers choose, written down in one pass and taken again in another.

Two ways to compute the same thing differ by rounding. In a dense model that stays as small as it
is; where a router chooses, two experts may change places by it, and the outputs are far apart. To
compare two such passes, the second takes the choices of the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

Routes = dict[str, list[Any]]
"""By router, what it gave in each call."""


def routers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Name and module of each router; none of a dense model."""
    recorded = (getattr(model, "_can_record_outputs", None) or {}).get("router_logits")
    kind = getattr(recorded, "target_class", None)
    if kind is None:
        return
    for name, module in model.named_modules():
        if isinstance(module, kind):
            yield name, module


@contextmanager
def written_down(model: nn.Module) -> Iterator[Routes]:
    """What routers give while the with block lasts."""
    found: Routes = {}

    def note(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        found.setdefault(name, []).append(output)

    with _hooks(model, note):
        yield found


@contextmanager
def taken_again(model: nn.Module, routes: Routes) -> Iterator[None]:
    """Routers give what they gave before, all calls joined in one, where tokens can be joined."""

    def give(name: str, module: nn.Module, inputs: Any, output: Any) -> Any:
        return _joined(routes.get(name, []), output)

    with _hooks(model, give):
        yield


@contextmanager
def _hooks(model: nn.Module, hook: Any) -> Iterator[None]:
    handles = [m.register_forward_hook(partial(hook, name)) for name, m in routers(model)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _joined(calls: list[Any], output: Any) -> Any:
    """The calls' tensors end to end, of the shapes of an output; else that output."""
    if isinstance(output, Tensor):
        calls, output = [(call,) for call in calls], (output,)
        found = _joined(calls, output)
        return found[0]
    if not calls or not all(isinstance(part, Tensor) for part in output):
        return output
    joined = []
    for i, part in enumerate(output):
        places = [dim for dim in (0, 1) if sum(c[i].shape[dim] for c in calls) == part.shape[dim]]
        if not places or any(c[i].ndim != part.ndim for c in calls):
            return output
        joined.append(torch.cat([c[i] for c in calls], places[0]))
    return tuple(joined)
