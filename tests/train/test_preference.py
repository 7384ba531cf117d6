"""Preference losses and their gradients against naive ones, and a run that learns from pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pairs_run import VALUES, make_pair_rows, section, tune
from resumed_run import finish, kill_at
from safetensors.torch import load_file
from tiny_models import VOCAB, make_llama

from hanhua.core.progress import Silent
from hanhua.tokens.loader import Batch
from hanhua.tokens.pairs import PairRows
from hanhua.train.config import TrainConfig
from hanhua.train.linear_cross_entropy import IGNORE, linear_cross_entropy, token_losses
from hanhua.train.optim import Masters
from hanhua.train.packed import enable
from hanhua.train.pair_scores import pair_scores
from hanhua.train.prefer_config import PreferConfig
from hanhua.train.preference import Preference, measure_pairs
from hanhua.train.shard import Root

METHODS = [
    {"method": "dpo"}, {"method": "dpo", "label_smoothing": 0.1, "sft_weight": 0.5, "beta": 0.3},
    {"method": "simpo", "gamma": 0.7}, {"method": "orpo", "beta": 0.4},
]  # fmt: skip


def naive(model, row, reference, config):
    """The papers' formulas on full fp64 logits, a document at a time: loss and margin."""
    sums, n, start = [], [], 0
    for length in row.lengths.tolist():
        ids = torch.from_numpy(row.tokens[start : start + length].astype(np.int64))
        on = torch.from_numpy(row.targets[start : start + length])[1:]
        logits = model(ids[None]).logits[0, :-1].log_softmax(-1)
        told = logits.gather(1, ids[1:, None])[:, 0]
        sums.append((told * on).sum())
        n.append(int(on.sum()))
        start += length
    beta, (better, worse), (a, b) = config.beta, sums, (sums[0] / n[0], sums[1] / n[1])
    if config.method == "orpo":
        beta = beta or 0.1
        odds = [torch.exp(x) / (1 - torch.exp(x)) for x in (a, b)]
        ratio = torch.log(odds[0] / odds[1])
        return -a - beta * torch.log(torch.sigmoid(ratio)), ratio
    if config.method == "simpo":
        beta, gamma = beta or 2.0, 1.0 if config.gamma is None else config.gamma
        return -torch.log(torch.sigmoid(beta * (a - b) - gamma)), beta * (a - b)
    beta, wrong = beta or 0.1, config.label_smoothing
    z = beta * ((better - reference[0]) - (worse - reference[1]))
    loss = -(1 - wrong) * torch.log(torch.sigmoid(z)) - wrong * torch.log(torch.sigmoid(-z))
    return loss - config.sft_weight * a, z


@pytest.mark.parametrize("values", METHODS, ids=lambda v: "-".join(map(str, v.values())))
def test_gradients_are_those_of_the_formulas_however_a_step_is_cut(tmp_path, values):
    config = section(**values)
    rows = make_pair_rows(tmp_path / "rows", 7)
    start = make_llama(tied=False, seed=1)
    enable(start)
    reference = measure_pairs(Root(start), rows, 50, Silent())
    rows.keep_reference(reference.numpy())
    rows = rows.with_reference()
    batch = Batch(tuple(rows.row(i) for i in range(len(rows))))
    expected = make_llama(tied=False).double()
    found = [naive(expected, row, reference[i], config) for i, row in enumerate(batch.rows)]
    losses, margins = (torch.stack(x) for x in zip(*found, strict=True))
    losses.mean().backward()
    losses, margins = losses.detach(), margins.detach()
    wanted = {name: p.grad for name, p in expected.named_parameters()}
    cuts = set()
    for micro in (40, 100, 10_000):
        model = make_llama(tied=False)
        enable(model)
        masters = Masters(model, config)
        counted = Preference(config, Silent(), None).gradients(
            Root(model), masters, batch, rows.languages, micro
        )
        cuts.add(len(list(batch.micro_batches(micro))))
        assert float(counted.sums[:, 0].sum()) / 7 == pytest.approx(float(losses.mean()), rel=1e-5)
        assert counted.facts["margin"] == pytest.approx(float(margins.mean()), abs=1e-5)
        assert counted.facts["accuracy"] == pytest.approx(float((margins > 0).double().mean()),
                                                          abs=1e-6)  # fmt: skip
        for name, weight in masters.weights.items():
            scale = float(wanted[name].abs().max())
            assert float((weight.grad - wanted[name]).abs().max()) < 2e-5 * scale, name
    assert cuts == {7, 3, 1}
    assert 0 < float((margins > 0).double().mean()) < 1


def test_at_the_start_dpo_prefers_neither(tmp_path):
    rows = make_pair_rows(tmp_path / "rows", 5)
    model = make_llama()
    enable(model)
    config = section()
    told = Preference(config, Silent(), rows)
    rows = told.prepare(Root(model), rows, 64)
    batch = Batch(tuple(rows.row(i) for i in range(5)))
    masters = Masters(model, config)
    counted = told.gradients(Root(model), masters, batch, rows.languages, 64)
    assert float(counted.sums[:, 0].sum()) / 5 == pytest.approx(math.log(2), abs=1e-6)
    assert counted.facts["margin"] == pytest.approx(0, abs=1e-6)
    assert any(float(w.grad.abs().max()) > 0 for w in masters.weights.values())
    # what is known is not measured again, whatever the model is by then
    again = told.prepare(Root(make_llama(seed=9)), PairRows.open(rows.path), 64)
    assert np.array_equal(again.reference, rows.reference)


@pytest.mark.parametrize("softcap", [None, 3.0])
def test_weights_of_tokens(softcap):
    torch.manual_seed(0)
    hidden = torch.randn(50, 8, requires_grad=True)
    head = torch.randn(VOCAB, 8, requires_grad=True)
    bias = torch.randn(VOCAB, requires_grad=True)
    labels, weights = torch.randint(0, VOCAB, (50,)), torch.randn(50)
    labels[::3] = IGNORE
    options = {"logit_scale": 0.5, "softcap": softcap}
    loss, losses = linear_cross_entropy(
        hidden, head, labels, bias, scale=0.1, weights_N=weights, **options
    )
    loss.backward()
    alone = token_losses(hidden, head, labels, bias, **options)
    assert torch.allclose(alone, losses, atol=1e-5)
    h, w, b = (x.detach().double().requires_grad_() for x in (hidden, head, bias))
    logits = 0.5 * (h @ w.t() + b)
    logits = logits if softcap is None else softcap * torch.tanh(logits / softcap)
    each = torch.nn.functional.cross_entropy(logits, labels, reduction="none", ignore_index=IGNORE)
    whole = 0.1 * (each * weights.double()).sum()
    whole.backward()
    assert float(loss.detach()) == pytest.approx(float(whole.detach()), rel=1e-5)
    for ours, theirs in ((hidden, h), (head, w), (bias, b)):
        assert torch.allclose(ours.grad.double(), theirs.grad, atol=1e-6)


@pytest.mark.parametrize("values", [{}, {"method": "simpo"}, {"method": "orpo", "beta": 1.0},
                                    {"lora": {"rank": 4}, "learning_rate": 3e-2}])  # fmt: skip
def test_held_out_pairs_are_told_apart_afterwards(tmp_path, values):
    log, before, after, held_out = tune(tmp_path, **values)
    languages = [held_out.row(i).language for i in range(len(held_out))]
    found = pair_scores(before, after, held_out.answer_tokens(), languages)
    assert set(found) == {"all", "en", "zh"}
    whole = found["all"]
    assert whole["n"] == len(held_out) == 40
    assert whole["before"]["accuracy"]["value"] < 0.75
    assert whole["after"]["accuracy"]["value"] > 0.9
    change = whole["change"]["margin"]
    assert change["value"] > 4 * change["se"]
    assert whole["gained"]["value"] > 0.9
    assert log[-1]["loss"] < log[0]["loss"]
    assert log[-1]["accuracy"] > 0.9
    assert set(log[-1]["margins"]) <= {"en", "zh"}
    assert log[0]["pairs"] == 8


def test_killed_and_resumed_is_the_same_to_the_bit(tmp_path, start):
    import pairs_run

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(start(whole, 0.0, run=pairs_run.run))
    kill_at(killed, 4, start(killed, 0.03, run=pairs_run.run))
    kept = (killed / "rows" / "reference.bin").read_bytes()
    lines = (killed / "work" / "log.jsonl").read_text().splitlines()
    assert 4 <= len(lines) < 10
    finish(start(killed, 0.0, run=pairs_run.run))
    logs = [(folder / "work" / "log.jsonl").read_bytes() for folder in (whole, killed)]
    assert logs[0] == logs[1]
    assert logs[0].count(b"\n") == 10
    one, other = (load_file(folder / "weights.safetensors") for folder in (whole, killed))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert kept == (whole / "rows" / "reference.bin").read_bytes()


def test_two_processes_take_the_steps_of_one(tmp_path, start):
    import pairs_run
    from ranks_run import free_port

    make_llama().save_pretrained(tmp_path / "base")
    for size in (1, 2):
        make_pair_rows(tmp_path / f"rows-{size}", 21)
        port = free_port()
        going = [
            start(tmp_path, rank, size, port, run=pairs_run.run_rank) for rank in range(size)
        ]  # fmt: skip
        for process in going:
            finish(process)
    one, two = (load_file(tmp_path / f"{size}.safetensors") for size in (1, 2))
    assert one.keys() == two.keys()
    assert all(torch.allclose(one[name], two[name], atol=2e-4) for name in one)
    references = [PairRows.open(tmp_path / f"rows-{n}").with_reference().reference for n in (1, 2)]
    assert np.allclose(*references, atol=1e-4)
    logs = [(tmp_path / f"work-{n}" / "log.jsonl").read_text().splitlines() for n in (1, 2)]
    assert len(logs[0]) == len(logs[1]) == 6


@pytest.mark.parametrize(("values", "part"), [
    ({"gamma": 1.0}, "gamma belongs to simpo"),
    ({"method": "orpo", "sft_weight": 1.0}, "sft_weight belongs to dpo and simpo"),
    ({"method": "orpo", "label_smoothing": 0.1}, "label_smoothing belongs"),
    ({"shares": {"zh": 0.5}}, "add up to 0.5"),
])  # fmt: skip
def test_sections_that_do_not_hold_are_refused(values, part):
    with pytest.raises(ValueError, match=part):
        PreferConfig(**{"sources": [{"path": "pairs.json"}], **values})


def test_other_sections_know_nothing_of_pairs():
    assert not {"method", "beta", "sources"} & set(TrainConfig.model_fields)
    assert VALUES["precision"] == "fp32"
