"""The pull to the start and the average of weights: by hand, and resumed.

That two processes give what one gives is in test_ranks.py.
"""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest
import torch
from pydantic import ValidationError
from tiny_models import make_llama, make_rows

from hanhua.core.artifact import Digests, identity
from hanhua.core.config import Machine
from hanhua.core.progress import Silent
from hanhua.model.config import LoraConfig
from hanhua.train.checkpoint import checkpoints
from hanhua.train.config import AverageConfig, PhaseConfig, TrainConfig
from hanhua.train.cost.accelerators import accelerator
from hanhua.train.cost.disk import disk
from hanhua.train.cost.memory import peak
from hanhua.train.estimate import job_of
from hanhua.train.keep import ANCHOR, Keeper, State
from hanhua.train.loop import train
from hanhua.train.optim import Masters

OLD_ROWS = 60
PLAIN = {"precision": "fp32", "learning_rate": 1e-2, "batch_tokens": 128, "schedule": "constant",
         "warmup_share": 0.0, "guard": None}  # fmt: skip
ENDS = ("model.embed_tokens.weight", "lm_head.weight")


def run(rows, work, progress=None, minutes=60.0, **values):
    return train(
        make_llama(tied=False), rows, TrainConfig(**{**PLAIN, **values}), work=work, seed=3,
        old_rows=OLD_ROWS, progress=progress or Silent(),
        machine=Machine(device="cpu", threads=1, checkpoint_minutes=minutes),
    )  # fmt: skip


class Killed(Exception):
    pass


class DiesAt(Silent):
    """Progress that ends the run in the middle of a step."""

    def __init__(self, step):
        self.left = step

    @contextmanager
    def bar(self, title, total, unit, *, done=0.0):
        yield self

    def advance(self, amount=1.0, **notes):
        self.left -= 1
        if not self.left:
            raise Killed

    def say(self, text):
        pass


def distance(weights, start):
    """Of body and old rows from where they began; of new rows likewise."""
    old = new = 0.0
    for name, weight in weights.items():
        cut = OLD_ROWS if name in ENDS else len(weight)
        moved = (weight - start[name]).double().square()
        old, new = old + float(moved[:cut].sum()), new + float(moved[cut:].sum())
    return old**0.5, new**0.5


# -- the pull -----------------------------------------------------------------------------------


def test_a_pull_keeps_weights_nearer_to_the_start(tmp_path, rows):
    start = make_llama(tied=False).state_dict()
    found = {
        pull: distance(run(rows, tmp_path / str(pull), steps=12, pull_to_base=pull).weights, start)
        for pull in (0.0, 5.0, 20.0)
    }
    (free, new), (some, _), (much, still_new) = (found[pull] for pull in (0.0, 5.0, 20.0))
    assert 0 < much < 0.9 * some < 0.8 * free
    assert still_new > 0.8 * new  # new rows are as free as before


def gradients(weights, step):
    generator = torch.Generator().manual_seed(step)
    return {n: torch.randn(w.shape, generator=generator) for n, w in weights.items()}


@pytest.mark.parametrize("phase", ["all", "embeddings", "new_rows"])
def test_a_step_goes_its_share_of_the_way_back_first(phase):
    """Against AdamW alone, from weights that were moved back by hand; new rows to the bit."""
    start = {n: p.detach().clone() for n, p in make_llama(tied=False).named_parameters()}
    pulled, plain = (
        Masters(make_llama(tied=False), TrainConfig(**PLAIN, clip=0.0, pull_to_base=pull), OLD_ROWS)
        for pull in (3.0, 0.0)
    )
    moved = 0
    for masters in (pulled, plain):
        masters.begin(PhaseConfig())
    for step in range(4):
        if step == 2:  # by then there is a way back
            for masters in (pulled, plain):
                masters.begin(PhaseConfig(train=phase))
        learns = [n for n, p in pulled.working.items() if p.requires_grad]
        if step < 2 or phase != "new_rows":
            for name in learns:
                cut = OLD_ROWS if name in ENDS else None
                plain.weights[name][:cut].lerp_(start[name][:cut], 0.01 * 3.0)
        for masters in (pulled, plain):
            for name, grad in gradients(start, step).items():
                masters.weights[name].grad = grad.clone() if name in learns else None
            masters.step(0.01)
        for name, weight in pulled.weights.items():
            assert torch.equal(weight, plain.weights[name]), (step, name)
            moved += int((weight != start[name]).any())
    assert moved > 40


def test_rows_of_a_model_without_new_ones_are_all_pulled():
    masters = Masters(make_llama(), TrainConfig(**PLAIN, pull_to_base=1.0))
    assert all(len(masters.pull.starts[w]) == len(w) for w in masters.weights.values())


# -- the average --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The weights of a run behind each of its five steps, the start first."""
    folder = tmp_path_factory.mktemp("path")
    rows = make_rows(folder / "rows")
    start = {n: p.detach().clone() for n, p in make_llama(tied=False).named_parameters()}
    return rows, [start] + [run(rows, folder / str(k), steps=k).weights for k in range(1, 6)]


def test_an_exponential_average_is_that_by_hand(path, tmp_path):
    rows, steps = path
    found = run(rows, tmp_path, steps=5, average=AverageConfig(half_life_steps=2.0))
    keep = 2**-0.5
    for name, weight in found.weights.items():
        mean = steps[0][name].double()
        for weights in steps[1:]:
            mean = keep * mean + (1 - keep) * weights[name].double()
        assert torch.allclose(weight.double(), mean, atol=1e-6), name
        assert weight.dtype == torch.float32
    assert found.facts["averaged_steps"] == 5
    assert distance(found.weights, steps[0])[0] < distance(steps[5], steps[0])[0]


def test_a_last_share_is_the_mean_of_its_steps(path, tmp_path):
    rows, steps = path
    found = run(rows, tmp_path, steps=5, average=AverageConfig(last_share=0.4))
    for name, weight in found.weights.items():
        assert torch.allclose(weight, (steps[4][name] + steps[5][name]) / 2, atol=1e-6), name
    assert found.facts["averaged_steps"] == 2
    assert found.loss == run(rows, tmp_path / "plain", steps=5).loss  # training is what it was


# -- both ---------------------------------------------------------------------------------------

BOTH = [
    {"pull_to_base": 5.0, "average": AverageConfig(half_life_steps=3.0)},
    {"pull_to_base": 5.0, "average": AverageConfig(last_share=0.5)},
]


@pytest.mark.parametrize(("precision", "values"), zip(("bf16", "fp32"), BOTH, strict=True))
def test_a_run_that_was_cut_off_ends_the_same_to_the_bit(tmp_path, rows, values, precision):
    settings = {"steps": 6, "precision": precision, **values}
    whole = run(rows, tmp_path / "whole", **settings)
    for step in (3, 3):
        with pytest.raises(Killed):
            run(rows, tmp_path / "cut", DiesAt(step), minutes=1e-9, **settings)
    assert int(checkpoints(tmp_path / "cut")[-1].name.split("-")[1]) == 4  # 2, and 2 more
    again = run(rows, tmp_path / "cut", **settings)
    assert again.facts == whole.facts
    assert all(torch.equal(again.weights[n], w) for n, w in whole.weights.items())


def test_a_way_back_takes_the_average_back_too(tmp_path):
    """A run that the guard sends back averages over what it kept."""
    average = AverageConfig(half_life_steps=2.0)
    masters = Masters(make_llama(), TrainConfig(**PLAIN, average=average))
    keeper = Keeper(tmp_path, masters, "a run", background=False)
    masters.take_average(1, 8)
    keeper.save(State(step=1), ANCHOR)
    kept = {n: v.clone() for n, v in masters.average.values.items()}
    for weight in masters.weights.values():
        weight.add_(1.0)
    masters.take_average(2, 8)
    assert not torch.equal(masters.average.values[ENDS[0]], kept[ENDS[0]])
    keeper.go_back(ANCHOR)
    assert all(torch.equal(masters.average.values[n], v) for n, v in kept.items())
    assert int(masters.average.count) == 1


# -- the section --------------------------------------------------------------------------------


def test_what_was_made_without_them_keeps_its_identity():
    names = identity(TrainConfig(), Digests(), "pretrain")
    assert not {"pull_to_base", "average"} & names.keys()
    some = identity(TrainConfig(**BOTH[0]), Digests(), "pretrain")
    assert {"pull_to_base", "average"} <= some.keys()
    json.dumps(some)


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"pull_to_base": 1.0, "lora": LoraConfig()}, "pull_to_base is set"),
        ({"average": {}}, "either half_life_steps or last_share"),
        ({"average": {"half_life_steps": 2.0, "last_share": 0.1}}, "either"),
        ({"pull_to_base": -1.0}, "greater than or equal to 0"),
    ],
)
def test_sections_that_mean_nothing_are_refused(values, part):
    with pytest.raises(ValidationError, match=part):
        TrainConfig(**values)


def test_the_plan_counts_their_copies():
    known = {"vocab_size": 55_296, "hidden_size": 4096, "intermediate_size": 11_008, "layers": 32,
             "heads": 32, "tied": False, "seq_len_tokens": 4096}  # fmt: skip
    machine = Machine(accelerator="h100-80gb")
    device = accelerator("h100-80gb", "auto")
    plain, both = (job_of(TrainConfig(**v), known, machine, device) for v in ({}, BOTH[0]))
    trained = plain.trained_parameters
    assert peak(both).weights - peak(plain).weights == 8 * trained
    assert disk(both).checkpoints == disk(plain).checkpoints * 16 // 12
