from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.serve.served import Served
from hanhua.serve.slots import SlotPool


def alone(served: Served, ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        return served.model(torch.tensor([ids])).logits[0, -1]


row = st.lists(st.integers(3, 300), min_size=1, max_size=70)


@given(rows=st.lists(row, min_size=1, max_size=5), data=st.data())
@settings(max_examples=15, deadline=None)
def test_ragged_rows_fed_in_pieces_equal_each_row_alone(served, rows, data):
    """However rows are cut, joined and moved, each computes what it computes by itself."""
    pool = SlotPool(served.model)
    cached = [0] * len(rows)
    last = [torch.zeros(1)] * len(rows)
    open_ = list(range(len(rows)))  # slot -> row
    while open_:
        pieces = [
            rows[r][cached[r] : cached[r] + data.draw(st.integers(1, 40), label="piece")]
            for r in open_
        ]
        logits = pool.forward(0, pieces, [cached[r] for r in open_])
        for slot, (r, piece) in enumerate(zip(open_, pieces, strict=True)):
            cached[r] += len(piece)
            last[r] = logits[slot]
        order = data.draw(st.permutations(range(len(open_))), label="order")
        order = [slot for slot in order if cached[open_[slot]] < len(rows[open_[slot]])]
        pool.reorder(order, max((cached[open_[slot]] for slot in order), default=0))
        open_ = [open_[slot] for slot in order]
    for ids, logits in zip(rows, last, strict=True):
        torch.testing.assert_close(logits, alone(served, ids), atol=2e-5, rtol=1e-4)


def test_a_step_may_start_at_any_slot(served):
    pool = SlotPool(served.model)
    pool.forward(0, [[5, 6, 7], [8, 9]], [0, 0])
    tail = pool.forward(2, [[10, 11, 12, 13]], [0])
    torch.testing.assert_close(tail[0], alone(served, [10, 11, 12, 13]), atol=2e-5, rtol=1e-4)
    head = pool.forward(0, [[4]], [3])
    torch.testing.assert_close(head[0], alone(served, [5, 6, 7, 4]), atol=2e-5, rtol=1e-4)


def test_a_slot_that_was_not_fed_yet_moves_too(served):
    """Requests leave while another has just been let in, beyond what the cache has room for."""
    pool = SlotPool(served.model)
    pool.forward(0, [[5, 6, 7], [8, 9]], [0, 0])
    pool.reorder([1, 2], 3)  # the first has left, the third holds nothing
    found = pool.forward(0, [[4], [10, 11]], [2, 0])
    torch.testing.assert_close(found[0], alone(served, [8, 9, 4]), atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(found[1], alone(served, [10, 11]), atol=2e-5, rtol=1e-4)


def test_the_cache_grows_with_use(served):
    pool = SlotPool(served.model)
    assert pool.bytes() == 0
    pool.forward(0, [[5] * 10], [0])
    small = pool.bytes()
    pool.forward(0, [[5] * 100] * 3, [0] * 3)
    assert pool.bytes() > small > 0


def test_a_masked_place_never_leaks(served):
    """A slot that held other text before gives the same logits as a fresh one."""
    pool = SlotPool(served.model)
    pool.forward(0, [[50] * 60], [0])
    again = pool.forward(0, [[5, 6, 7]], [0])
    assert again[0].tolist() == pytest.approx(alone(served, [5, 6, 7]).tolist(), abs=2e-5)
