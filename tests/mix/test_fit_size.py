"""Joint laws of share, tokens and size: planted ones are found, and far sizes are doubted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_study import BASE, LONGEST, SHARES

from hanhua.core.errors import UsageError
from hanhua.core.wish import parse_wish
from hanhua.mix.fit import fit
from hanhua.mix.fit_size import fit_sizes
from hanhua.mix.laws import LAWS, anchored, settling_gain
from hanhua.mix.laws_size import SIZED, sized
from hanhua.mix.points import Point, Study
from hanhua.mix.size_answer import recommend_at

SIZES = (70e6, 160e6, 410e6)
LARGE = 1e9
LAWS_TRIED = tuple(
    law for law in SIZED if law.law.name in ("anchored", "settling_gain", "data_mixing")
)
GRID = np.linspace(SHARES[0], SHARES[-1], 1001)


def truth(size, share, tokens, depth=-0.15, pace=0.25):
    """Of a smaller model English departs further, and it goes more slowly."""
    part = np.asarray(tokens, float) / LONGEST * (size / LARGE) ** pace
    share, far = np.asarray(share, float), (size / LARGE) ** depth
    base = {name: loss * (size / LARGE) ** -0.06 for name, loss in BASE.items()}
    en = anchored(np.array([-2.3, 2.5, -1.5, -4.2, 0.4]), 1 - share, part)
    zh = settling_gain(np.array([-1.0, 0.25, -1.0, 0.4]), share, part)
    return {"zh": base["zh"] * (1 + (zh - 1) / far**0.5), "en": base["en"] * (1 + far * (en - 1))}


def made(size, seed=0, noise=0.0005, **powers):
    rng, points = np.random.default_rng((seed, int(size))), []
    for share in SHARES:
        for at in np.arange(1, 5) / 4 * LONGEST:
            true = truth(size, share, at, **powers)
            losses = {name: float(x * (1 + rng.normal(0, noise))) for name, x in true.items()}
            points.append(Point(f"share {share}", share, float(at), losses))
    base = {name: float(x) for name, x in truth(size, 0.5, 0.0).items()}
    return Study("zh", "en", base, tuple(points))


def studies(sizes=SIZES, **options):
    return {size: made(size, **options) for size in sizes}


def fits_of(each, draws=40):
    return {name: fit_sizes(each, name, draws=draws, laws=LAWS_TRIED) for name in ("zh", "en")}


@pytest.fixture(scope="module")
def joint():
    each = studies()
    return each, fits_of(each)


@pytest.mark.parametrize("law", SIZED, ids=lambda law: law.name)
def test_at_the_largest_size_every_way_is_the_plain_law(law):
    plain = np.array(law.law.low) + 0.4 * (np.array(law.law.high) - np.array(law.law.low))
    share, tokens = np.array([0.2, 0.5, 0.9]), np.array([0.1, 0.5, 1.0])
    exponents = 0.3 * np.array(law.way.high)
    whole = np.concatenate([plain, exponents])
    np.testing.assert_allclose(
        law.form(whole, share, tokens, np.asarray(1.0)), law.law.form(plain, share, tokens)
    )
    none = np.concatenate([plain, law.way.none])
    if "added" not in law.way.name:
        np.testing.assert_allclose(
            law.form(none, share, tokens, np.asarray(0.1)), law.law.form(plain, share, tokens)
        )
    else:
        assert (law.form(none, share, tokens, np.asarray(0.1))
                > law.law.form(plain, share, tokens)).all()  # fmt: skip


@pytest.mark.parametrize("law", [x for x in SIZED if "depth" in x.way.name], ids=lambda x: x.name)
def test_anchored_laws_begin_at_the_base_s_loss_at_every_size(law):
    rng = np.random.default_rng(0)
    low, high = (np.array([*a, *b]) for a, b in ((law.law.low, law.way.low),
                                                 (law.law.high, law.way.high)))  # fmt: skip
    for _ in range(5):
        p = low + (high - low) * rng.random(len(low))
        found = law.form(p, np.array(0.5), np.array(1e-300), np.array(0.2))
        assert found == pytest.approx(1, abs=1e-6)


def test_names_are_found_and_each_law_has_a_way_in_which_size_is_nothing():
    assert all(sized(law.name) is law for law in SIZED)
    assert [law.law.name for law in SIZED if law.way.name == "nothing"] == [x.name for x in LAWS]


def test_a_planted_law_foretells_a_size_that_was_not_run(joint):
    each, fits = joint
    for name, found in fits.items():
        assert found.size_error < 0.01
        assert found.law.endswith("depth and pace"), found.errors
        assert found.errors[found.law] == found.held_out_error < 1.25 * min(found.errors.values())
        at = found.at(LARGE)
        assert at.base == pytest.approx(BASE[name], rel=0.01)
        nearest = fit(each[SIZES[-1]], name, draws=4, laws=[x.law for x in LAWS_TRIED[:8:4]])
        off, before = [], []
        for share in SHARES:
            true = float(truth(LARGE, share, LONGEST)[name])
            off.append(abs(float(at.predict(share, LONGEST)) - true))
            before.append(abs(float(nearest.predict(share, LONGEST)) - true))
        assert np.mean(off) < 0.01 * BASE[name]
        assert np.mean(off) < np.mean(before) / 3


def test_where_size_is_nothing_no_power_is_chosen():
    each = {size: replace(made(LARGE, seed=int(size)), base=dict(BASE)) for size in SIZES}
    found = fit_sizes(each, "en", draws=8, laws=LAWS_TRIED)
    assert found.law == "anchored, size by nothing"
    assert found.held_out_error > min(found.errors.values())  # it is near, and simpler
    share = np.array(SHARES)
    np.testing.assert_allclose(
        found.at(LARGE).predict(share, LONGEST), truth(LARGE, share, LONGEST)["en"], rtol=0.004
    )


def test_a_measured_size_is_its_own_and_another_is_wider(joint):
    found = joint[1]["en"]
    assert [found.measured(size) for size in (70e6, 160e6 * 1.005, 3e8)] == [0, 1, None]
    assert found.reach(160e6) == 0
    assert 0 < found.reach(3e8) < found.reach(LARGE) < found.reach(4e9)
    assert found.reach(10e6) > 1
    assert found.at(160e6).base == joint[0][160e6].base["en"]
    widths = [
        np.ptp(np.quantile(at.predict_draws(0.6, LONGEST), (0.05, 0.95))) / at.base
        for at in map(found.at, (410e6, LARGE, 4e9))
    ]
    assert widths[0] < widths[1] < widths[2]
    assert found.at(LARGE).predict_draws(np.array(SHARES), LONGEST).shape == (40, len(SHARES))


def test_the_share_moves_with_size_as_it_was_planted(joint):
    each, fits = joint
    answer, rows = recommend_at(each, fits, parse_wish("en+2%"), LONGEST, LARGE)
    assert answer.sure, answer.why.en
    assert [row.measured for row in rows] == [True, True, True, False]
    for row in rows:
        true = truth(row.parameters, GRID, LONGEST)["en"]
        base = float(truth(row.parameters, 0.5, 0.0)["en"])
        best = GRID[true <= 1.02 * base].max()
        assert row.share == pytest.approx(best, abs=0.03)
        assert row.low - 0.01 <= best <= row.high + 0.01
        slope = np.interp(answer.share, GRID, np.gradient(true, GRID)) / 100 / base
        assert row.price == pytest.approx(slope, rel=0.2)
        assert row.price_low <= row.price <= row.price_high
    assert rows[-1].share > rows[0].share
    assert rows[-1].price < rows[0].price


def test_far_sizes_and_two_sizes_are_not_sure(joint):
    each, fits = joint
    wish = parse_wish("en+2%")
    near, _ = recommend_at(each, fits, wish, LONGEST, 2.3e9)
    far, _ = recommend_at(each, fits, wish, LONGEST, 7e9)
    small, _ = recommend_at(each, fits, wish, LONGEST, 7e6)
    assert "times the largest size" not in near.why.en
    assert not far.sure
    assert "17.1 times the largest size" in far.why.en
    assert "1/10 of the smallest size" in small.why.en
    with pytest.raises(UsageError, match="too far"):
        recommend_at(each, fits, wish, LONGEST, 70e9)
    two = studies(SIZES[1:])
    only = fits_of(two)
    found, _ = recommend_at(two, only, wish, LONGEST, LARGE)
    assert only["en"].size_error is None
    assert "Only two sizes" in found.why.en
    own, _ = recommend_at(two, only, wish, LONGEST, SIZES[-1])
    assert "Only two sizes" not in own.why.en


def test_a_miss_as_large_as_what_mixtures_differ_by_is_told(joint):
    each, fits = joint
    wish = parse_wish("en+2%")
    poor = {**fits, "en": replace(fits["en"], size_error=0.05)}
    found, _ = recommend_at(each, poor, wish, LONGEST, LARGE)
    assert not found.sure
    assert "left out, by 5.0%" in found.why.en
    own, _ = recommend_at(each, poor, wish, LONGEST, SIZES[1])
    assert "left out, by 5.0%" not in own.why.en
