"""Fits: the law that foretells is chosen, and intervals cover."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_study import LONGEST, made, truth

from hanhua.core.errors import InputError
from hanhua.mix.fit import fit
from hanhua.mix.laws import named
from hanhua.mix.points import Point, Study


@pytest.fixture(scope="module")
def source():
    return fit(made(), "en", draws=40)


def test_held_out_mixtures_and_tokens_are_foretold_within_one_percent(source):
    study = made()
    early = replace(study, points=tuple(p for p in study.points if p.tokens <= LONGEST / 2))
    for fitted in (source, fit(early, "en", draws=10, laws=[named("anchored")])):
        for share in (0.4, 0.7, 0.9):
            for tokens in (LONGEST / 4, LONGEST):
                true = truth(share, tokens)["en"]
                assert fitted.predict(share, tokens) == pytest.approx(true, rel=0.01)
    assert source.law == min(source.errors, key=source.errors.get)
    assert source.held_out_error == source.errors[source.law] < 0.005
    assert max(source.errors.values()) > 2 * source.held_out_error


def test_shapes_broadcast(source):
    shares, tokens = np.linspace(0.3, 0.9, 7)[:, None], np.array([1e6, 2e6])[None]
    assert source.predict(shares, tokens).shape == (7, 2)
    assert source.predict_draws(shares, tokens).shape == (40, 7, 2)
    assert source.predict_draws(0.5, 1e6).shape == (40,)
    np.testing.assert_allclose(
        source.predict_draws(shares, tokens)[:, 3, 1], source.predict_draws(0.6, 2e6)
    )


def test_one_seed_one_fit(source):
    one, again = (fit(made(), "en", draws=10, laws=[named(source.law)]) for _ in range(2))
    np.testing.assert_array_equal(again.predict_draws(0.5, 1e6), one.predict_draws(0.5, 1e6))


def test_intervals_cover_at_their_rate():
    """Of 90 % intervals, 16 studies: fewer than 11 has a chance below 1 %."""
    covered, widths = 0, []
    for seed in range(16):
        fitted = fit(made(seed, moments=4), "en", draws=40, seed=seed, laws=[named("anchored")])
        low, high = np.quantile(fitted.predict_draws(0.6, LONGEST), (0.05, 0.95))
        covered += low <= truth(0.6, LONGEST)["en"] <= high
        widths.append((high - low) / fitted.base)
    assert covered >= 11
    assert np.median(widths) < 0.01


def test_units_of_loss_do_not_matter(source):
    study = made()
    points = tuple(
        Point(p.run, p.share, p.tokens * 1000, {k: v * 7 for k, v in p.losses.items()})
        for p in study.points
    )
    scaled = Study("zh", "en", {k: v * 7 for k, v in study.base.items()}, points)
    fitted = fit(scaled, "en", draws=10, laws=[named(source.law)])
    assert fitted.held_out_error == pytest.approx(source.held_out_error, rel=1e-3)
    assert fitted.predict(0.5, 1e9) == pytest.approx(7 * source.predict(0.5, 1e6), rel=1e-5)


def test_too_little_is_said():
    study = made(shares=(0.5,))
    with pytest.raises(InputError, match="at 1 mixtures"):
        fit(study, "en")
    with pytest.raises(InputError, match="0 points"):
        fit(made(), "fr")
    with pytest.raises(InputError, match="base"):
        fit(replace(made(), base={}), "en")
