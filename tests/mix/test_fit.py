"""Fits: the law that foretells is chosen, and intervals cover."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_study import LONGEST, made, truth

from hanhua.core.errors import InputError
from hanhua.core.wish import parse_wish
from hanhua.mix.bootstrap import drifts, replicates
from hanhua.mix.fit import fit
from hanhua.mix.laws import named
from hanhua.mix.misfit import misfit_of, waves
from hanhua.mix.points import Point, Study
from hanhua.mix.recommend import recommend


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


def with_seeds(study, apart):
    """The study, each run a second time with all losses higher by a part."""
    again = [
        replace(p, run=f"{p.run}+1", losses={k: v * (1 + apart) for k, v in p.losses.items()})
        for p in study.points
    ]
    return replace(study, points=(*study.points, *again))


def test_seeds_widen_intervals_that_a_law_would_make_too_narrow():
    study, law = made(of_run=0.0, of_moment=0.0), [named("anchored")]
    one = fit(study, "en", draws=40, laws=law)
    assert one.seed_spread == 0
    widths = []
    for apart in (0.0, 0.004, 0.016):
        several = fit(with_seeds(study, apart), "en", draws=40, laws=law)
        between = apart / np.sqrt(2) * one.predict(0.65, LONGEST / 2) / one.base
        assert several.seed_spread == pytest.approx(between, rel=0.1, abs=1e-9)
        assert several.spread >= several.seed_spread * several.base
        widths.append(np.ptp(np.quantile(several.predict_draws(0.6, LONGEST), (0.05, 0.95))))
    assert widths[0] < widths[1] < widths[2]


def test_the_scatter_of_seeds_is_a_floor():
    law, zeros = named("anchored"), np.zeros(8)
    runs = np.repeat(np.arange(4), 2)
    drawn = replicates(law, zeros, zeros, runs, 400, 0, (0.01, 30.0))
    assert np.std(drawn) == pytest.approx(0.01, rel=0.15)
    assert (drawn[:, 0] == drawn[:, 1]).all()  # a run that came out low is low at all moments
    assert not replicates(law, zeros, zeros, runs, 4, 0).any()


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


def bent(share, tokens):
    """A truth that no law has: beyond the longest run Chinese falls slower, by 5 % a doubling."""
    beyond = max(np.log2(tokens / LONGEST), 0)
    return {"zh": truth(share, tokens)["zh"] * 1.05**beyond, "en": truth(share, tokens)["en"]}


def test_what_the_law_misses_ahead_is_set_right_at_all_shares():
    plain = made(of_run=0.0003, of_moment=0.0002)
    losses = {name: float(loss) for name, loss in bent(0.65, 2 * LONGEST).items()}
    study = replace(plain, points=(*plain.points, Point("far", 0.65, 2 * LONGEST, losses)))
    assert study.longest == plain.longest == LONGEST
    alone, told = (fit(one, "zh", draws=40) for one in (plain, study))
    assert told.parameters.tolist() == alone.parameters.tolist()
    assert alone.ahead is None
    assert told.off_ahead() == pytest.approx([1 / 1.05 - 1], abs=0.01)
    for share in (0.35, 0.65, 0.9):
        true = {times: bent(share, times * LONGEST)["zh"] for times in (1.0, 1.4, 2.0)}
        for times, loss in true.items():
            assert told.predict(share, times * LONGEST) == pytest.approx(loss, rel=0.01)
        assert told.predict(share, LONGEST) == alone.predict(share, LONGEST)
        assert alone.predict(share, 2 * LONGEST) < 0.97 * true[2.0]
    assert told.predict(0.65, 2 * LONGEST) == pytest.approx(losses["zh"])
    # what was seen is known, and what lies beyond it is all the less so
    spread = [told.predict_draws(0.65, times * LONGEST).std() for times in (1, 2, 4)]
    assert spread[1] < 0.2 * spread[2]
    assert told.drift > alone.drift


def tilted(share, tokens):
    """A truth that no law has: beyond the longest run Chinese falls slower, and more so at 0.95."""
    beyond = max(np.log2(tokens / LONGEST), 0)
    return {"zh": truth(share, tokens)["zh"] * (1 + 0.04 * (share - 0.2)) ** beyond}


def test_two_runs_ahead_tell_how_the_miss_differs_over_shares():
    plain = made(of_run=0.0003, of_moment=0.0002)

    def ahead(*shares):
        points = [
            Point(f"far{share}", share, 2 * LONGEST, {"zh": float(losses["zh"]), "en": 1.0})
            for share in shares for losses in [tilted(share, 2 * LONGEST)]
        ]  # fmt: skip
        study = replace(plain, points=(*plain.points, *points))
        assert study.longest == plain.longest
        return fit(study, "zh", draws=200)

    one, two = ahead(0.65), ahead(0.35, 0.9)
    assert len(two.off_ahead()) == 2
    ends = np.array([0.2, 0.5, 0.95])
    true = np.array([tilted(share, 2 * LONGEST)["zh"] for share in ends])
    off, alone = (abs(fitted.predict(ends, 2 * LONGEST) / true - 1) for fitted in (two, one))
    assert off.max() < 0.004
    assert alone.max() > 2 * off.max()  # the case is there: one tells of the level alone
    # and what was seen is known better
    narrow, wide = (
        np.std(fitted.predict_draws(0.9, 2 * LONGEST)) / fitted.predict(0.9, 2 * LONGEST)
        for fitted in (two, one)
    )  # fmt: skip
    assert narrow < 0.7 * wide


def test_a_run_ahead_is_no_mixture_of_its_own():
    study = made(moments=4)
    far = replace(
        study, points=(*study.points, Point("far", 0.65, 3 * LONGEST, {"zh": 1.0, "en": 1.0}))
    )
    assert far.longest == LONGEST
    one = replace(study, points=tuple(p for p in study.points if p.share == 0.65))
    assert one.longest == LONGEST  # where no two were run, all count


def test_what_a_law_may_miss_grows_with_each_doubling():
    times = np.array([0.5, 1.0, 2.0, 4.0])
    plain, told = (np.log(drifts(0.01, times, 400, 0, ahead)) for ahead in (1.0, 2.0))
    once = plain[:, 2]  # at a doubling as much as the law missed of its own last
    assert np.median(np.abs(once)) == pytest.approx(0.01 * 0.816, rel=0.15)  # Student's t of 2
    np.testing.assert_allclose(plain, once[:, None] * [0, 0, 1, 3], atol=1e-12)
    # where it was measured nothing is unknown, and what it grows by beyond
    np.testing.assert_allclose(told, once[:, None] * [0, 0, 0, 1], atol=1e-12)


def test_what_a_law_leaves_over_shares_is_set_right_and_no_more_than_it_tells():
    shares = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    logs, between = np.zeros(5), np.array([0.2, 0.4, 0.6, 0.8])
    true = 0.01 * np.cos(2 * np.arcsin(np.sqrt(np.append(shares, between))))
    found = misfit_of(shares, logs, 0.01, 0.0005, 4.0)
    heights = found.heights(logs - true[:5])
    np.testing.assert_allclose(waves(between) @ heights, true[5:], atol=0.001)
    # runs that scatter as far as they lie off the law tell little of its shape
    vague = misfit_of(shares, logs, 0.01, 0.05, 4.0)
    assert np.abs(vague.heights(logs - true[:5])).max() < 0.1 * np.abs(heights).max()
    now, more = found.unknown(4000, 0)
    at, far = (waves(place) @ now.T for place in (shares, np.array([0.0, 1.0])))
    assert np.median(np.abs(at)) < 0.001  # about what one run's luck is
    assert np.median(np.abs(far)) > 1.3 * np.median(np.abs(at))
    assert (more[:, 0] == 0).all()
    assert np.median(np.abs(waves(shares) @ more.T)) > 0.003


def no_law(share, tokens):
    """Losses that go with logarithms, as none of the laws does."""
    zh = 0.9 + 1.6 / (1 + 0.35 * np.log1p(3e-5 * share * tokens))
    kept = 0.004 * np.log1p(1e-4 * (1 - share) * tokens)
    en = 1 + 0.05 * np.log1p(tokens / 2e4) * share**1.5 - kept
    return {"zh": zh, "en": en}


def test_intervals_of_a_share_cover_where_no_law_has_the_truths_shape():
    """Of 90 % intervals, 7 studies: fewer than 5 has a chance below 3 %. By replicates alone it was
    4, all of them called sure."""
    grid, covered, wide = np.linspace(0.1, 0.9, 801), 0, []
    at = no_law(grid, 2e5)
    best = grid[np.argmin(at["zh"] / 2.5 + at["en"])]
    for seed in range(7):
        rng, points = np.random.default_rng(seed), []
        runs = [(s, t, 0) for s in (0.1, 0.3, 0.5, 0.7, 0.9) for t in (5e4, 1e5, 2e5)]
        for share, tokens, order in [*runs, (0.5, 2e5, 1), (0.5, 2e5, 2)]:
            true = no_law(share, tokens)
            losses = {name: float(x * (1 + rng.normal(0, 0.002))) for name, x in true.items()}
            points.append(Point(f"{share}+{order}", share, tokens, losses, order))
        study = Study("zh", "en", {"zh": 2.5, "en": 1.0}, tuple(points))
        fits = {name: fit(study, name, draws=40, seed=seed) for name in ("zh", "en")}
        answer = recommend(study, fits, parse_wish("best"), 2e5)
        covered += answer.low <= best <= answer.high
        wide.append(answer.high - answer.low)
    assert covered >= 5
    assert np.median(wide) < 0.6
