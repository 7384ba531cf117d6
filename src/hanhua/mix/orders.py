"""Runs of several orders of the documents, lined up: an order's luck is no matter of share.

Runs of one order read the same rows first, whatever their share, and are lucky or unlucky
together. Where only some mixtures are run in another order, its luck would bend the law at those
mixtures. So every point is taken apart into its mixture at its length and its order, by least
squares, and the order's part is taken away.
"""

from __future__ import annotations

import numpy as np

from hanhua.mix.laws import Floats


def line_up(share: Floats, tokens: Floats, loss: Floats, orders: Floats) -> Floats:
    """Losses as the mean of all orders would have them.

    Args:
        share: ``[n]`` of the mixture.
        tokens: ``[n]`` counts.
        loss: ``[n]``.
        orders: ``[n]`` number of the documents' order, from 0.

    Returns:
        ``[n]``; the losses as they are, where there is one order, or one that has no mixture and
        length in common with the others.
    """
    many = int(orders.max()) + 1
    if many < 2:
        return loss
    _, cells = np.unique(np.stack([share, tokens], 1), axis=0, return_inverse=True)
    of_cell = (cells.reshape(-1, 1) == np.arange(int(cells.max()) + 1)).astype(float)
    of_order = (orders[:, None] == np.arange(many)).astype(float)
    design = np.concatenate([of_cell, of_order[:, 1:]], 1)
    if np.linalg.matrix_rank(design) < design.shape[1]:
        return loss
    shifts = np.append(0.0, np.linalg.lstsq(design, loss, rcond=None)[0][of_cell.shape[1] :])
    return np.asarray(loss - (shifts - shifts.mean())[orders])
