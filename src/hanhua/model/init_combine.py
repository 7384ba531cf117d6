"""New rows as weighted sums of old ones, computed a chunk at a time.

Whatever method says which old tokens a new piece is made of, and by how much, its answer is one
sparse matrix of weights [new, old]; the same weights serve the embedding and the head. What a
row's weights lack to one goes to the mean of all old rows, so that what all rows have in common
(in a head: the level of all logits) stays in the new ones, however the weights came about.

Letters for shapes: N new pieces, V old rows, D width, K old tokens of one piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from hanhua.model.tensor_rows import Rows

CHUNK_BYTES = 64 * 1024 * 1024
"""Old and new rows in memory at once, in float32."""
_ROW_COPIES = 8
_FEW_ROWS = 32
_NEARLY_ONE = 1e-5


@dataclass(frozen=True, slots=True)
class Combination:
    """Which old rows each new one is made of.

    Args:
        offsets: ``[N + 1]`` where each piece's part of the other two begins.
        ids: old ids.
        weights: float32.
    """

    offsets: Tensor
    ids: Tensor
    weights: Tensor

    @classmethod
    def of(cls, ids: Sequence[Sequence[int]], weights: Sequence[Sequence[float]]) -> Combination:
        """From lists, one of each for every piece."""
        lengths = torch.tensor([0, *map(len, ids)])
        return cls(
            lengths.cumsum(0),
            torch.tensor([i for row in ids for i in row], dtype=torch.long),
            torch.tensor([w for row in weights for w in row], dtype=torch.float32),
        )

    def __len__(self) -> int:
        """How many pieces."""
        return len(self.offsets) - 1

    def part(self, start: int, stop: int) -> Combination:
        """The pieces [start, stop)."""
        a, b = int(self.offsets[start]), int(self.offsets[stop])
        return Combination(self.offsets[start : stop + 1] - a, self.ids[a:b], self.weights[a:b])

    def rest(self) -> Tensor:
        """``[N]`` what each piece's weights lack to one."""
        rows = torch.arange(len(self)).repeat_interleave(self.offsets.diff())
        return 1 - torch.zeros(len(self)).index_add_(0, rows, self.weights)

    def chunks(self, width: int) -> Iterator[tuple[int, int]]:
        """Cut the pieces so that a chunk's rows fit `CHUNK_BYTES`: (start, stop)."""
        cost = (self.offsets + _ROW_COPIES * torch.arange(len(self) + 1)) * width * 4
        start = 0
        while start < len(self):
            limit = cost[start] + CHUNK_BYTES
            stop = max(int(torch.searchsorted(cost, limit, right=True)) - 1, start + 1)
            yield start, stop
            start = stop


def replaced(first: Combination, other: Combination, where: Tensor) -> Combination:
    """The first combination, with the other's pieces where the mask ``[N]`` is true."""
    pieces = [
        (other if chosen else first).part(i, i + 1) for i, chosen in enumerate(where.tolist())
    ]
    lengths = torch.tensor([0, *(len(piece.ids) for piece in pieces)])
    return Combination(
        lengths.cumsum(0),
        torch.cat([p.ids for p in pieces]) if pieces else first.ids,
        torch.cat([p.weights for p in pieces]) if pieces else first.weights,
    )


def mean_of(base_ids: Sequence[Sequence[int]]) -> Combination:
    """Each piece as the plain mean of its base tokens."""
    return Combination.of(base_ids, [[1 / len(ids)] * len(ids) for ids in base_ids])


def weighted_mean_of(
    base_ids: Sequence[Sequence[int]], sizes: Sequence[Sequence[int]], decay: float, end: str
) -> Combination:
    """Each piece as a mean of its base tokens by their length and place.

    A token's weight is its bytes times ``decay ** distance``, divided by the sum over the piece:
    w_j = b_j d^{r(j)} / sum_i b_i d^{r(i)}. An input row stands where the piece's last token
    stood, whose hidden state foretells what follows, so there r counts from the last token; an
    output row is foretold where the piece's first token was, so there r counts from the first.
    In a tied matrix a row is both, and length alone decides.

    Args:
        base_ids: base tokens of each piece, at least one.
        sizes: UTF-8 bytes that each of them spells; 0 counts as 1.
        decay: 0 < decay <= 1.
        end: "input", "output" or "tied".
    """
    found = []
    for row in sizes:
        n = len(row)
        away = {"input": range(n - 1, -1, -1), "output": range(n), "tied": [0] * n}[end]
        raw = [max(size, 1) * decay**r for size, r in zip(row, away, strict=True)]
        found.append([weight / sum(raw) for weight in raw])
    return Combination.of(base_ids, found)


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the old rows are like.

    Args:
        centre: ``[D]`` their mean.
        spread: ``[D]`` their standard deviation.
        lengths: ``[V]`` their norms.
    """

    centre: Tensor
    spread: Tensor
    lengths: Tensor

    def typical_length(self, rows: Sequence[int]) -> float:
        """The median norm of some rows, or of all that aren't zero where those are too few."""
        lengths = self.lengths
        if len(rows) >= _FEW_ROWS:
            lengths = lengths[torch.tensor(rows)]
        lengths = lengths[lengths > 0]
        return float(lengths.median()) if len(lengths) else 0.0


def statistics(rows: Rows) -> Statistics:
    """Read all old rows once, a chunk at a time."""
    step = max(CHUNK_BYTES // (8 * rows.width), 1)
    total = torch.zeros(rows.width, dtype=torch.float64)
    squares = torch.zeros(rows.width, dtype=torch.float64)
    lengths = []
    for start in range(0, rows.count, step):
        chunk = rows.read(start, min(start + step, rows.count)).float()
        total += chunk.sum(0)  # a chunk in float32, the whole in float64
        lengths.append(chunk.norm(dim=1))
        squares += chunk.square().sum(0)
    centre = total / rows.count
    spread = (squares - rows.count * centre**2).clamp_min(0) / max(rows.count - 1, 1)
    return Statistics(centre.float(), spread.sqrt().float(), torch.cat(lengths))


def combine(combination: Combination, rows: Rows, centre: Tensor) -> Tensor:
    """The rows themselves.

    Args:
        combination: of N pieces, few enough to be in memory.
        rows: the old ones; only those needed are read.
        centre: ``[D]`` mean of all old rows.

    Returns:
        ``[N, D]`` float32.
    """
    needed, places = torch.unique(combination.ids, return_inverse=True)
    table = rows.gather(needed).float()
    found = embedding_bag(
        places, table, combination.offsets[:-1], mode="sum", per_sample_weights=combination.weights
    )
    rest = combination.rest()
    if bool((rest.abs() > _NEARLY_ONE).any()):
        found += rest[:, None] * centre
    return found


def combined_rows(
    combination: Combination,
    rows: Rows,
    known: Statistics,
    *,
    noise: float,
    seed: int,
    length: float | None = None,
) -> Iterator[Tensor]:
    """The rows of all pieces, in chunks.

    Args:
        combination: of all pieces.
        rows: the old ones.
        known: statistics of the old ones.
        noise: length of seeded noise as a part of each row's; it tells apart pieces whose rows
            coincide (permuted bytes).
        seed: of the noise.
        length: stretch every row to this norm; the mean of k vectors is shorter than each. None:
            leave them.

    Yields:
        ``[n, D]`` float32.
    """
    generator = torch.Generator().manual_seed(seed)
    for start, stop in combination.chunks(rows.width):
        found = combine(combination.part(start, stop), rows, known.centre)
        if length is not None:
            found = found * (length / found.norm(dim=1, keepdim=True).clamp_min(1e-12))
        draw = torch.randn(found.shape, generator=generator)
        yield found + draw * (noise * found.norm(dim=1, keepdim=True) / rows.width**0.5)


def random_rows(count: int, known: Statistics, seed: int) -> Iterator[Tensor]:
    """Rows with the mean and spread of the old ones, in chunks: the control of every comparison."""
    generator = torch.Generator().manual_seed(seed)
    width = len(known.centre)
    step = max(CHUNK_BYTES // (8 * width), 1)
    for start in range(0, count, step):
        draw = torch.randn(min(step, count - start), width, generator=generator)
        yield known.centre + draw * known.spread
