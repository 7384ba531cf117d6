"""A study whose truth is known."""

from __future__ import annotations

import numpy as np

from hanhua.mix.laws import anchored, settling_gain
from hanhua.mix.points import Point, Study

BASE = {"zh": 2.0, "en": 0.9}
SHARES = (0.3, 0.5, 0.65, 0.8, 0.95)
LONGEST = 6e6


def truth(share, tokens):
    part = np.asarray(tokens, float) / LONGEST
    share = np.asarray(share, float)
    en = BASE["en"] * anchored(np.array([-2.3, 2.5, -1.5, -4.2, 0.4]), 1 - share, part)
    zh = BASE["zh"] * settling_gain(np.array([-1.0, 0.25, -1.0, 0.4]), share, part)
    return {"zh": zh, "en": en}


def made(seed=0, shares=SHARES, moments=6, of_run=0.001, of_moment=0.0007, flat=False):
    rng = np.random.default_rng(seed)
    points = []
    for share in shares:
        runs = rng.normal(0, of_run, 2)
        for at in np.arange(1, moments + 1) / moments * LONGEST:
            true = truth(0.6 if flat else share, at)
            off = 1 + runs + rng.normal(0, of_moment, 2)
            losses = {"zh": float(true["zh"] * off[0]), "en": float(true["en"] * off[1])}
            points.append(Point(f"share {share}", share, float(at), losses))
    return Study("zh", "en", BASE, tuple(points))
