"""A model's norms, gates and rotary embeddings, computed by :mod:`hanhua.model.kernels`.

Only where a module computes what the kernel does. That is tried out on numbers, whatever the
module is called; and where other tensors come later on (of another device, say), it computes as
it did before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hanhua.model.kernels import can_run, rms_norm, rotary, silu_gate
from hanhua.model.native import NATIVE

ROTARY = "apply_rotary_pos_emb"
GATED = ("gate_proj", "up_proj", "down_proj")
CLOSE = 1e-4
"""In fp32, of numbers about 1."""
DEVICES = ("cpu", "meta")
"""Where the kernels are of use, now or when the weights have come."""
_classes: dict[tuple[type, str], type] = {}
"""By a module's own class, and which of its parts is computed otherwise."""


def fuse(model: nn.Module) -> int:
    """Let a model's parts be computed in one pass each, where the compiled part is there.

    Values change by rounding only.

    Args:
        model: any; what is fused already stays so, and one on a GPU stays as it is.

    Returns:
        How many norms and gates now are.
    """
    if NATIVE is None or any(p.device.type not in DEVICES for p in model.parameters()):
        return 0
    for module in model.modules():
        if not hasattr(module, "_hanhua_fused"):
            for part in (_norm_forward, _gate_forward):
                forward = part(module)
                if forward is not None:
                    module.__class__ = _with_forward(type(module), part.__name__, forward)
                    break
    for name in {type(module).__module__ for module in model.modules()}:
        _turn(sys.modules.get(name))
    return count_fused(model)


def count_fused(model: nn.Module) -> int:
    """Norms and gates that are computed in one pass."""
    return sum(hasattr(module, "_hanhua_fused") for module in model.modules())


def _with_forward(kind: type, part: str, forward: Callable[..., Any]) -> type:
    """A module's class with another forward pass: unlike one set on the module, it is copied well.

    (A function kept in a copied module would go on with the weights of the first.) All modules of a
    kind get the same class, as compiled blocks are compiled anew for each class that they meet.
    """
    if (kind, part) not in _classes:
        members = {"forward": forward, "_hanhua_fused": True, "__module__": kind.__module__}
        _classes[kind, part] = type(kind.__name__, (kind,), members)
    return _classes[kind, part]


def _norm_forward(module: nn.Module) -> Callable[..., Any] | None:
    """For a module that is ``weight * x / sqrt(mean(x^2) + eps)``."""
    own = dict(module.named_parameters(recurse=False))
    weight, eps = own.get("weight"), getattr(module, "variance_epsilon", None)
    if weight is None or len(own) > 1 or weight.ndim != 1 or not isinstance(eps, float):
        return None
    width = len(weight)
    other = nn.Parameter(torch.linspace(0.5, 1.5, width), requires_grad=False)
    x, before = _numbers(3, width), type(module).forward

    def forward(self: Any, hidden_states: Tensor) -> Any:
        if can_run(hidden_states, self.weight):
            return rms_norm(hidden_states, self.weight, self.variance_epsilon)
        return before(self, hidden_states)

    alike = _alike(module, {"weight": other})
    return forward if _agree(alike, partial(rms_norm, x, other, eps), x) else None


def _gate_forward(module: nn.Module) -> Callable[..., Any] | None:
    """For a module that is ``down(silu(gate(x)) * up(x))``."""
    children = dict(module.named_children())
    if set(children) != {*GATED, "act_fn"} or dict(module.named_parameters(recurse=False)):
        return None
    act, x, before = children["act_fn"], _numbers(2, 8), type(module).forward
    parts: dict[str, Any] = {name: nn.Linear(8, 8, bias=False, device="meta") for name in GATED}
    for shift, part in enumerate(parts.values()):
        part.weight = nn.Parameter(_numbers(8, 8 + shift)[:, shift:], requires_grad=False)
    alike = _alike(module, {**parts, "act_fn": act})

    def forward(self: Any, x: Tensor) -> Any:
        gate, up = self.gate_proj(x), self.up_proj(x)
        if can_run(gate, up):
            return self.down_proj(silu_gate(gate, up))
        return self.down_proj(self.act_fn(gate) * up)

    def theirs(x: Tensor) -> Tensor:
        found: Tensor = before(alike, x)
        return found

    return forward if _agree(theirs, lambda: forward(alike, x), x) else None


def _alike(module: nn.Module, members: Mapping[str, Any]) -> nn.Module:
    """A module of the same class and settings, with other weights and parts."""
    found = type(module).__new__(type(module))
    nn.Module.__init__(found)
    found.__dict__.update({k: v for k, v in module.__dict__.items() if not k.startswith("_")})
    for name, member in members.items():
        setattr(found, name, member)
    return found.eval()


@torch.no_grad()
def _agree(theirs: Callable[..., Any], ours: Callable[[], Any], *given: Tensor) -> bool:
    try:
        return bool(torch.allclose(ours(), theirs(*given), rtol=CLOSE, atol=CLOSE))
    except Exception:  # whatever this is, it is not what the kernel computes
        return False


def _numbers(*shape: int) -> Tensor:
    """Up to 1.5 to either side, without touching the random numbers of a run."""
    count = torch.Size(shape).numel()
    return torch.sin(torch.arange(1.0, count + 1) * 12.9898).mul(1.5).view(shape)


def _turn(code: Any) -> None:
    """Let the code of a model turn queries and keys by the kernel, if it does what that does."""
    theirs = getattr(code, ROTARY, None)
    if theirs is None or hasattr(theirs, "_hanhua_fused"):
        return

    def ours(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, *args: Any, **kwargs: Any) -> Any:
        fits = q.ndim == 4 and cos.ndim == 3 and cos.shape[-1] == q.shape[-1] == k.shape[-1]
        if fits and not args and not kwargs and can_run(q, k, cos, sin):
            return rotary(q, cos, sin), rotary(k, cos, sin)
        return theirs(q, k, cos, sin, *args, **kwargs)

    given = _numbers(2, 3, 5, 8), _numbers(2, 1, 5, 8), _numbers(2, 5, 8), _numbers(2, 5, 8).cos()

    def flat(turn: Callable[..., Any]) -> Tensor:
        return torch.cat([part.flatten() for part in turn(*given)])

    if _agree(lambda: flat(theirs), lambda: flat(ours)):
        ours._hanhua_fused = True  # type: ignore[attr-defined]
        setattr(code, ROTARY, ours)
