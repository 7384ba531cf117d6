"""The answer from made runs: curves known beforehand, one draw and several."""

from __future__ import annotations

import random

import pytest

from hanhua.core.errors import ArtifactError
from hanhua.mix.scratch import LOCALISED, SCRATCH, Run, check_equal, left_out, scratch_training
from hanhua.mix.scratch_answer import BOTH, as_result, telling, text
from hanhua.report.scratch import draw_scratch
from hanhua.train.config import AverageConfig, PhaseConfig, TrainConfig

COMPUTE = {arm: {"tokens": 10, "flops": None, "seconds": 1.0} for arm in (LOCALISED, SCRATCH)}
BASE = {"zh": 3.0, "en": 1.0}


def made(draws=1, lengths=4, noise=0.0):
    """Chinese crosses between 4,000 and 8,000 tokens; English of scratch stays far behind."""
    random_, runs = random.Random(5), []
    for draw in range(draws):
        for length in range(lengths):
            luck = random_.gauss(0, noise)
            for arm in (LOCALISED, SCRATCH):
                zh = 2.0 - 0.1 * length if arm == LOCALISED else 2.5 - 0.3 * length
                en = 1.1 if arm == LOCALISED else 4.0 - 0.3 * length
                own = random_.gauss(0, noise)
                losses = {"zh": zh + luck + own, "en": en + luck + own}
                tokens = 1000.0 * 2**length
                start = BASE if arm == LOCALISED else {"zh": 5.0, "en": 5.0}
                runs.append(Run(arm, draw, length, tokens, losses, start, [(tokens, losses)], 1.0))
    return runs


def test_curves_cross_where_they_were_made_to():
    found = as_result(made(), "zh", "en", COMPUTE, ["a note"])
    zh, en, both = (found["languages"][name] for name in ("zh", "en", BOTH))
    assert zh["overtakes"]["kind"] == "within"
    assert zh["overtakes"]["tokens"] == pytest.approx(1000 * 2**2.5, rel=1e-3)
    assert zh["overtakes"]["sure"]
    assert en["overtakes"]["kind"] == both["overtakes"]["kind"] == "beyond"
    assert found["base"] == BASE
    last = both["points"][-1]
    assert last["localised"] == pytest.approx(1.7 / 3 + 1.1)
    assert last["scratch"] == pytest.approx(1.6 / 3 + 3.1)
    said = text(found)
    assert "scratch overtakes at 5,6" in said
    assert "does not overtake within what was run (8,000 tokens)" in said
    assert "note: a note" in said


def test_equal_loss_and_the_head_start_are_read_off_the_curve():
    zh = as_result(made(), "zh", "en", COMPUTE, [])["languages"]["zh"]
    ratios = [one["ratio"] for one in zh["equal_loss"]]
    # scratch comes to 2.0 after 5/3 doublings, and falls three times as fast as localising
    for length, ratio in enumerate(ratios):
        assert ratio == pytest.approx(2 ** ((0.5 + 0.1 * length) / 0.3 - length), rel=1e-4)
    assert telling(zh["equal_loss"])["tokens"] == 8000
    assert zh["start"] == {"loss": 3.0, "scratch_tokens": 1000.0, "before_shortest": True}
    en = as_result(made(), "zh", "en", COMPUTE, [])["languages"]["en"]
    assert {one["bound"] for one in en["equal_loss"]} == {"more"}
    assert telling(en["equal_loss"])["ratio"] == pytest.approx(8)
    assert en["start"]["scratch_tokens"] is None


def test_one_draw_cannot_tell_what_lies_within_a_twentieth():
    runs = [run for run in made(lengths=3) if run.length < 3]  # the gap closes to nothing at last
    near = as_result([*runs], "zh", "en", COMPUTE, [])["languages"]["zh"]["overtakes"]
    assert near["kind"] == "beyond"
    assert near["sure"]
    close = [
        Run(r.arm, r.draw, r.length, r.tokens, {**r.losses, "zh": 2.0 + 0.05 * (r.arm == SCRATCH)},
            r.start, r.moments, 1.0) for r in runs
    ]  # fmt: skip
    found = as_result(close, "zh", "en", COMPUTE, [])
    assert not found["languages"]["zh"]["overtakes"]["sure"]
    assert "CANNOT TELL" in text(found)


def test_several_draws_give_an_interval_that_holds_the_crossing():
    quiet, loud = (
        as_result(made(4, noise=n), "zh", "en", COMPUTE, [])["languages"]["zh"]
        for n in (0.005, 0.2)
    )
    assert quiet["overtakes"]["sure"]
    assert quiet["overtakes"]["low"] < 1000 * 2**2.5 < quiet["overtakes"]["high"]
    assert quiet["spread"] < loud["spread"]
    widths = [[p["high"] - p["low"] for p in one["points"]] for one in (quiet, loud)]
    assert all(a < b for a, b in zip(*widths, strict=True))
    assert not loud["overtakes"]["sure"]


def test_a_lead_that_scratch_loses_is_told():
    turned = [
        Run(SCRATCH if r.arm == LOCALISED else LOCALISED, r.draw, r.length, r.tokens, r.losses,
            BASE, r.moments, 1.0) for r in made()
    ]  # fmt: skip
    found = as_result(turned, "zh", "en", COMPUTE, [])
    zh = found["languages"]["zh"]
    assert zh["overtakes"]["kind"] == "beyond"
    assert zh["lead_lost"]["tokens"] == pytest.approx(1000 * 2**2.5, rel=1e-3)
    assert "in shorter runs it was ahead, up to about 5,6" in text(found)
    unsure = as_result(powers((1.0, 1.0, 0.5), (1.1, 0.88, 0.5)), "zh", "en", COMPUTE, [])
    assert not unsure["languages"]["zh"]["lead_lost"]["sure"]
    assert "it may have been ahead in shorter runs" in text(unsure)


def test_unequal_tokens_are_refused():
    first, *others = made()
    check_equal([first, *others])
    other = Run(first.arm, 0, 0, first.tokens + 1, first.losses, first.start, (), 1.0)
    with pytest.raises(ArtifactError, match="equally many tokens"):
        check_equal([other, *others])


def test_scratch_keeps_the_schedule_and_leaves_out_what_needs_a_base():
    section = TrainConfig(
        learning_rate=1e-3, batch_tokens=512, warmup_share=0.1, pull_to_base=0.1,
        new_rows_lr_scale=2.0, average=AverageConfig(half_life_steps=5),
        phases=(PhaseConfig(train="new_rows", share=0.2, learning_rate=8e-3), PhaseConfig()),
    )  # fmt: skip
    found = scratch_training(section, None)
    kept = {"schedule", "warmup_share", "batch_tokens", "epochs", "weight_decay", "min_lr_share"}
    assert found.model_dump(include=kept) == section.model_dump(include=kept)
    assert found == TrainConfig(learning_rate=1e-3, batch_tokens=512, warmup_share=0.1)
    assert scratch_training(section, 5e-3).learning_rate == 5e-3
    said = ", ".join(left_out(section))
    for part in ("new_rows only", "pull_to_base", "new_rows_lr_scale", "half_life_steps"):
        assert part in said
    assert left_out(found) == []


def powers(local, scratch):
    """Chinese after two power laws ``(floor, height, falls)``, of the runs of ``made``."""
    found = []
    for run in made():
        floor, height, falls = local if run.arm == LOCALISED else scratch
        zh = floor + height * 2.0 ** (-falls * run.length)
        found.append(
            Run(run.arm, 0, run.length, run.tokens, {**run.losses, "zh": zh}, run.start, (), 1.0)
        )
    return found


def test_an_extrapolated_crossing_bears_its_label():
    found = as_result(powers((1.2, 1.0, 0.4), (0.7, 3.0, 0.45)), "zh", "en", COMPUTE, [])
    where = found["languages"]["zh"]["overtakes"]
    assert where["kind"] == "beyond"
    assert where["extrapolated"]["tokens"] > 8000
    assert "EXTRAPOLATED, not measured" in text(found)
    near = as_result(powers((1.2, 1.0, 0.4), (1.4, 2.2, 0.45)), "zh", "en", COMPUTE, [])
    assert near["languages"]["zh"]["overtakes"]["extrapolated"]["tokens"] is None
    assert "EXTRAPOLATED" not in text(near)
    assert "do not cross up to 16" in text(near)


PAGES = [
    (made(), "scratch overtakes at 5,6", "从零训练在 5,6"),
    (powers((1.2, 1.0, 0.4), (0.7, 3.0, 0.45)), "Extrapolated, not measured", "外推值，并非实测"),
    (powers((2.0, 1.0, 0.4), (1.0, 1.0, 0.4)), "ahead from the shortest run", "就已领先"),
    (powers((1.0, 1.0, 0.4), (1.01, 1.0, 0.4)), "lie too near each other", "相距太近"),
    (
        powers((1.0, 3.0, 0.4), (2.4, 1.0, 0.4)),
        "In shorter runs it was ahead, up to",
        "在较短的实验中",
    ),
]


@pytest.mark.parametrize(("runs", "en", "zh"), PAGES, ids=[page[1][:20] for page in PAGES])
def test_the_page_says_so_in_both_languages(runs, en, zh, tmp_path):
    found = as_result(runs, "zh", "en", COMPUTE, ["a <note>"])
    page = draw_scratch(found, tmp_path, "made").read_text(encoding="utf-8")
    assert en in page
    assert zh in page
    assert "a &lt;note&gt;" in page
    assert page.count("<svg") == 3
