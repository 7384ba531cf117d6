"""How held-out loss depends on the share of a language and on the tokens trained: laws.

Each law is a plain function of its parameters, of the language's own share, and of the tokens as
a part of the longest run's. Losses are in units of the base model's loss, so one set of bounds
fits bits per byte and nats a token. Parameters come first and broadcast: ``[parameters, ...]``.

``anchored`` and ``anchored_gain`` start from the base's loss, which was measured and need not be
fitted. That is what makes them hold beyond the tokens seen (docs/adr/0006-mixture-laws.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[Any]
Form = Callable[[Floats, Floats, Floats], Floats]
SMALLEST_SHARE = 1e-3
"""Added to a share where a law would divide by it, so that a share of 0 has a loss."""


@dataclass(frozen=True, slots=True)
class Law:
    """A law and the box in which its parameters are sought.

    Args:
        name: as it stands in reports.
        form: parameters ``[p, ...]``, own share, tokens as a part -> loss over the base's loss.
        low: ``[p]`` least parameters.
        high: ``[p]`` greatest parameters.
        of_share: how many of the parameters say how the share matters; the others tell of time.
        source: where it was published.
    """

    name: str
    form: Form
    low: tuple[float, ...]
    high: tuple[float, ...]
    of_share: int
    source: str


def d_cpt(parameters: Floats, share: Floats, tokens: Floats) -> Floats:
    """``E + B r^n / D^b + C / (r + e)^c``, for one model size (arXiv 2406.01375)."""
    floor, b, grows, falls, c, power, offset = parameters
    late = np.exp(b) * np.maximum(share, SMALLEST_SHARE) ** grows * tokens**-falls
    return np.asarray(floor + late + np.exp(c) * (share + offset) ** -power)


def critical_ratio(parameters: Floats, share: Floats, tokens: Floats) -> Floats:
    """``E - A r^s + B D^-b``: powers of share and tokens, added (after arXiv 2407.17467)."""
    floor, a, power, b, falls = parameters
    return np.asarray(floor - np.exp(a) * share**power + np.exp(b) * tokens**-falls)


def data_mixing(parameters: Floats, share: Floats, tokens: Floats) -> Floats:
    """``E + A e^(-s r) + B D^-b``: exponential in the share, power in tokens (arXiv 2403.16952)."""
    floor, a, rate, b, falls = parameters
    return np.asarray(floor + np.exp(a - rate * share) + np.exp(b) * tokens**-falls)


def joint_term(parameters: Floats, share: Floats, tokens: Floats) -> Floats:
    """``E + B / (D^b r^n)``: one term for data and what helps it (after arXiv 2407.02118).

    There the second factor is the model's size; within one size it is the share.
    """
    floor, b, falls, power = parameters
    return np.asarray(floor + np.exp(b) * tokens**-falls * (share + SMALLEST_SHARE) ** -power)


def anchored(parameters: Floats, share: Floats, tokens: Floats) -> Floats:
    """``1 + e^(k - s r) (1 - e^(-D/t)) - e^m D^q``: a quick jump, then slow gain.

    The jump is the shift of data: it dies away within a part of the run, and is the smaller the
    more of the language is kept. The gain is a power of tokens and the same at every share.
    """
    jump, rate, soon, gain, power = parameters
    shift = np.exp(jump - rate * share) * -np.expm1(-tokens * np.exp(-soon))
    return np.asarray(1 + shift - np.exp(gain) * tokens**power)


def anchored_gain(parameters: Floats, share: Floats, tokens: Floats) -> Floats:
    """``E + (1 - E) (1 + D r^n / c)^-b``: a power law through the base's loss at no tokens.

    For the language to gain: what counts is how much of it was seen, and a share of 0 gains none.
    """
    floor, power, early, falls = parameters
    seen = tokens * np.maximum(share, 1e-9) ** power * np.exp(-early)
    return np.asarray(floor + (1 - floor) * (1 + seen) ** -falls)


def settling_gain(parameters: Floats, share: Floats, tokens: Floats) -> Floats:
    """``1 - e^m r^n (1 - e^(-(D/t)^q))``: from the base's loss, a gain that comes to an end.

    For runs whose learning rate falls towards their end, where a power law promises too much.
    """
    gain, power, late, stretch = parameters
    seen = (tokens * np.exp(-late)) ** stretch
    return np.asarray(1 + np.exp(gain) * np.maximum(share, 1e-9) ** power * np.expm1(-seen))


LAWS: tuple[Law, ...] = (
    Law("d_cpt", d_cpt, (0, -8, -3, 0, -8, 0, 1e-3), (1.5, 1, 3, 2, 1, 3, 0.3), 4,
        "arXiv 2406.01375"),
    Law("critical_ratio", critical_ratio, (0, -8, 0.05, -8, 0), (2, 1, 3, 1, 2), 2,
        "arXiv 2407.17467"),
    Law("data_mixing", data_mixing, (0, -8, 0, -8, 0), (1.5, 1, 20, 1, 2), 2,
        "arXiv 2403.16952"),
    Law("joint_term", joint_term, (0, -8, 0, 0), (1.5, 1, 2, 2), 2, "arXiv 2407.02118"),
    Law("anchored", anchored, (-8, 0, -5, -9, 0.05), (2, 20, 2, 0, 1), 2, "our own"),
    Law("settling_gain", settling_gain, (-6, 0, -6, 0.1), (0, 2, 3, 1), 2, "our own"),
    Law("anchored_gain", anchored_gain, (0, 0, -12, 0.01), (1, 3, 4, 3), 1, "our own"),
)  # fmt: skip


def named(name: str) -> Law:
    """The law of a name.

    Raises:
        KeyError: when there is none.
    """
    return {law.name: law for law in LAWS}[name]
