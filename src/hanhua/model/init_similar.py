"""Weights for new pieces from where they stand in text: by similarity, or by sparse reconstruction.

Both look for old tokens near a new piece in one auxiliary space (hanhua.model.auxiliary) and hand
the weights found there to the model's own rows:

- *similar* weighs the nearest old tokens by sparsemax of their cosines, so weights are positive,
  sum to one, and most are nothing (the kind of FOCUS, https://arxiv.org/abs/2305.14481, and
  WECHSEL, https://arxiv.org/abs/2112.06598);
- *omp* picks old tokens one after another, each time the one that explains most of what is left,
  and fits all weights anew (orthogonal matching pursuit; used on tokenizers in
  https://arxiv.org/abs/2506.06607). Weights may be negative.

Letters for shapes: B pieces of a batch, M old tokens of the dictionary, E width of the space,
K tokens chosen.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hanhua.model.init_combine import Combination

TEMPERATURE = 0.1
_BATCH = 512
_DEPENDENT = 1e-4


def sparsemax(scores: Tensor) -> Tensor:
    """The point of the simplex nearest to the scores (https://arxiv.org/abs/1602.02068).

    Args:
        scores: ``[B, M]``.

    Returns:
        ``[B, M]``, non-negative, rows sum to one.
    """
    ordered = scores.sort(dim=1, descending=True).values
    place = torch.arange(1, scores.shape[1] + 1, dtype=scores.dtype)
    above = ordered.cumsum(1) - 1
    support = (place * ordered > above).sum(1, keepdim=True)
    threshold = above.gather(1, support - 1) / support
    weights = (scores - threshold).clamp_min(0)
    return weights / weights.sum(1, keepdim=True)


def similar(targets: Tensor, atoms: Tensor, neighbours: int) -> tuple[Tensor, Tensor]:
    """The nearest atoms of each target and their weights.

    Args:
        targets: ``[B, E]`` of length one.
        atoms: ``[M, E]`` of length one.
        neighbours: most atoms to take.

    Returns:
        places ``[B, K]`` and weights ``[B, K]``, which sum to one.
    """
    scores, places = (targets @ atoms.T).topk(min(neighbours, len(atoms)), dim=1)
    return places, sparsemax(scores / TEMPERATURE)


@dataclass(frozen=True, slots=True)
class Pursuit:
    """What matching pursuit found.

    Args:
        places: ``[B, K]`` atoms in the order chosen.
        weights: ``[B, K]``; 0 where another atom brought nothing.
        residuals: ``[B, K + 1]`` length of what is unexplained after 0, 1, … K atoms.
    """

    places: Tensor
    weights: Tensor
    residuals: Tensor


def pursue(targets: Tensor, atoms: Tensor, count: int) -> Pursuit:
    """Orthogonal matching pursuit of many targets at once.

    The atoms chosen are kept as an orthonormal basis (Gram-Schmidt, twice for float32) and what is
    left of each target is always orthogonal to it, so its length never grows.

    Args:
        targets: ``[B, E]``.
        atoms: ``[M, E]`` of length one.
        count: atoms for each target.
    """
    batch, width = targets.shape
    count = min(count, len(atoms), width)
    basis = targets.new_zeros(batch, count, width)
    triangle = torch.eye(count, dtype=targets.dtype).repeat(batch, 1, 1)
    along = targets.new_zeros(batch, count)
    places = torch.zeros(batch, count, dtype=torch.long)
    left, lengths = targets.clone(), [targets.norm(dim=1)]
    rows = torch.arange(batch)
    for k in range(count):
        scores = (left @ atoms.T).abs()
        if k:
            scores.scatter_(1, places[:, :k], -1.0)
        places[:, k] = scores.argmax(1)
        atom, inside = _apart(atoms[places[:, k]], basis[:, :k])
        size = atom.norm(dim=1)
        useful = size > _DEPENDENT
        direction = torch.where(useful[:, None], atom / size.clamp_min(_DEPENDENT)[:, None], 0.0)
        basis[:, k] = direction
        triangle[:, :k, k] = torch.where(useful[:, None], inside, 0.0)
        triangle[rows, k, k] = torch.where(useful, size, 1.0)
        along[:, k] = (left * direction).sum(1)
        left = left - along[:, k, None] * direction
        lengths.append(torch.minimum(left.norm(dim=1), lengths[-1]))
    weights = torch.linalg.solve_triangular(triangle, along[:, :, None], upper=True)[:, :, 0]
    return Pursuit(places, weights, torch.stack(lengths, 1))


def _apart(atoms: Tensor, basis: Tensor) -> tuple[Tensor, Tensor]:
    """What of each atom ``[B, E]`` lies outside its basis ``[B, k, E]``, and how much inside."""
    inside = atoms.new_zeros(basis.shape[:2])
    for _ in range(2):
        part = torch.einsum("bke,be->bk", basis, atoms)
        atoms = atoms - torch.einsum("bk,bke->be", part, basis)
        inside = inside + part
    return atoms, inside


def combination(
    targets: Tensor, atoms: Tensor, ids: Tensor, method: str, count: int
) -> Combination:
    """The old tokens of each target, by either method.

    Args:
        targets: ``[N, E]``.
        atoms: ``[M, E]``.
        ids: ``[M]`` the atoms' old ids.
        method: "similar" or "omp".
        count: most old tokens of a piece.
    """
    places, weights = [], []
    for batch in torch.split(targets, _BATCH):
        if method == "similar":
            chosen, weight = similar(batch, atoms, count)
        else:
            found = pursue(batch, atoms, count)
            chosen, weight = found.places, found.weights
        places.append(chosen)
        weights.append(weight)
    if not places:
        return Combination.of([], [])
    all_places, all_weights = torch.cat(places), torch.cat(weights)
    kept = all_weights != 0
    lengths = torch.cat([torch.zeros(1, dtype=torch.long), kept.sum(1)])
    return Combination(lengths.cumsum(0), ids[all_places[kept]], all_weights[kept].float())
