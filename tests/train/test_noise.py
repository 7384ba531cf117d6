"""NEFTune: the noise's scale, whose it is, and a run that is resumed to the bit."""

from __future__ import annotations

import math

import pytest
import torch
from lora_models import make_model
from resumed_run import Slow
from tiny_models import make_llama, make_rows

from hanhua.core.config import Machine
from hanhua.core.progress import Silent
from hanhua.model.config import LoraConfig
from hanhua.tokens.loader import Batch, LoaderState, read_batch
from hanhua.train.finetune_config import FinetuneConfig
from hanhua.train.loop import train
from hanhua.train.noise import embedding_noise, is_text
from hanhua.train.objective import flatten, hidden_states, next_token_loss
from hanhua.train.packed import enable
from hanhua.train.step import seed_step, shared_seed

WIDTH = 32
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def chat_rows(tmp_path_factory):
    """Rows of several documents each, about half of the tokens targets."""
    return make_rows(tmp_path_factory.mktemp("noise") / "rows", has_targets=True)


@pytest.fixture(scope="module")
def batch(chat_rows):
    return read_batch(chat_rows, LoaderState(), 12, 3)[0]


def noise(batch, languages, alpha=5.0, seed=7):
    flat = flatten(batch, languages)
    return embedding_noise(flat, WIDTH, alpha, seed, CPU)[0], flat


def test_each_conversation_has_the_scale_of_its_own_length(batch, chat_rows):
    found, flat = noise(batch, chat_rows.languages)
    lengths = [n for n in flat.lengths if n > 12]
    assert len(set(lengths)) > 2
    for part, n in zip(found.split(flat.lengths), flat.lengths, strict=True):
        bound = 5.0 / math.sqrt(n * WIDTH)
        assert part.abs().max() <= bound
        if n > 12:
            assert part.abs().max() > 0.98 * bound
            assert part.std() == pytest.approx(bound / math.sqrt(3), rel=0.1)
            assert abs(float(part.mean())) < 0.2 * bound
            assert part.norm() == pytest.approx(5.0 / math.sqrt(3), rel=0.1)  # at any length


def test_noise_is_that_of_seed_step_and_conversation_alone(batch, chat_rows):
    whole, flat = noise(batch, chat_rows.languages)
    halves = [noise(Batch(part), chat_rows.languages)[0] for part in (batch.rows[:5],
                                                                      batch.rows[5:])]  # fmt: skip
    assert torch.equal(torch.cat(halves), whole)
    assert not torch.equal(noise(batch, chat_rows.languages, seed=8)[0], whole)
    first, second = whole.split(flat.lengths)[:2]
    n = min(len(first), len(second))
    assert not torch.equal(first[:n] / first.abs().max(), second[:n] / second.abs().max())
    seed_step(3, 4)
    assert shared_seed() == torch.initial_seed()  # the first process; the others add their number
    before = shared_seed()
    seed_step(3, 5)
    assert shared_seed() != before


def test_rehearsed_text_gets_none(tmp_path):
    rows = make_rows(tmp_path / "text")
    found, flat = noise(Batch((rows.row(0), rows.row(1))), rows.languages)
    assert is_text(flat.labels[: flat.lengths[0]])
    assert not found.any()


@pytest.mark.parametrize("family", ["llama", "gemma", "gpt2"])
def test_without_noise_embeddings_and_ids_are_the_same(family, batch, chat_rows):
    model = make_model(family)
    enable(model)
    flat = flatten(Batch(batch.rows[:3]), chat_rows.languages)

    def nothing(flat, width, device):
        return torch.zeros(1, flat.ids.shape[1], width)

    with torch.no_grad():
        assert torch.equal(hidden_states(model, flat), hidden_states(model, flat, nothing))
    if family == "llama":
        plain, noisy = (
            next_token_loss(model, flat, 1.0, given)[1]
            for given in (None, lambda flat, width, device: nothing(flat, width, device) + 1)
        )
        assert not torch.allclose(plain, noisy, atol=1e-3)


def section(alpha=8.0, **values):
    return FinetuneConfig(
        neftune_alpha=alpha, learning_rate=1e-2, precision="fp32", batch_tokens=128, **values
    )


def run(rows, work, config, progress=None, micro=4096, **values):
    machine = Machine(
        device="cpu", threads=1, micro_batch_tokens=micro,
        checkpoint_minutes=1e-9 if progress else 60.0,
    )  # fmt: skip
    return train(
        make_llama(**values), rows, config, work=work, seed=3, machine=machine,
        progress=progress or Silent(),
    )  # fmt: skip


class Killed(Slow):
    """Progress at which a run dies behind its third step."""

    steps = 0

    def advance(self, amount: float = 1, **notes: object) -> None:
        self.steps += 1
        if self.steps > 3:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("tied", "lora"), [(False, None), (True, LoraConfig(rank=4, embeddings=True))]
)
def test_a_resumed_run_is_the_same_to_the_bit(chat_rows, tmp_path, lora, tied):
    config = section(lora=lora, steps=5)
    whole = run(chat_rows, tmp_path / "whole", config, tie_word_embeddings=tied)
    with pytest.raises(KeyboardInterrupt):
        run(chat_rows, tmp_path / "cut", config, Killed(0), tie_word_embeddings=tied)
    again = run(chat_rows, tmp_path / "cut", config, tie_word_embeddings=tied)
    assert whole.log.read_text() == again.log.read_text()
    assert whole.log.read_text().count("\n") == whole.steps == 5
    assert all(torch.equal(whole.weights[name], again.weights[name]) for name in whole.weights)
    quiet = run(
        chat_rows, tmp_path / "quiet", section(0.0, lora=lora, steps=1), tie_word_embeddings=tied
    )
    assert not torch.equal(*(next(iter(x.weights.values())) for x in (whole, quiet)))


def test_micro_batches_do_not_change_the_noise(chat_rows, tmp_path):
    found = [run(chat_rows, tmp_path / str(m), section(steps=3), micro=m) for m in (40, 4096)]
    for name, weight in found[0].weights.items():
        assert torch.allclose(weight, found[1].weights[name], atol=2e-4), name
