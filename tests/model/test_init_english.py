"""English stays: old logits bit for bit, a stated bound on the rest, padding that never comes."""

from __future__ import annotations

import gzip
import json
from itertools import islice
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from init_cases import write_vocab

from hanhua.model.base import make_base
from hanhua.model.config import BaseConfig, ExpandConfig
from hanhua.model.init_combine import statistics
from hanhua.model.init_padding import (
    IMPOSSIBLE,
    fit_row,
    impossible_ids,
    padding_row,
)
from hanhua.model.load import load_model, load_tokenizer
from hanhua.model.measure_rows import added_mass, fitted_padding
from hanhua.model.rows import expand_model
from hanhua.model.tensor_rows import MemoryRows
from hanhua.vocab.tokenizer import read_tokenizer

TINY = Path(__file__).resolve().parents[2] / "src" / "hanhua" / "demo" / "data" / "tiny-en"
ENGLISH = [
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park.",
    "Tom lives in a small town by the river. Every morning he goes to the market to buy fish.",
    "The dog ran after the big red ball.\n\nThey were very happy, and went home to eat.",
]


@pytest.fixture(scope="module", params=["tiny-en", "stories3M-hf"])
def real(request: pytest.FixtureRequest, tmp_path_factory) -> Path:
    """A trained model: the one shipped, and one of the shared data where it is there."""
    if request.param == "tiny-en":
        source = TINY
    else:
        source = request.getfixturevalue("shared_data") / "models" / request.param
        if not source.is_dir():
            pytest.skip(f"needs {source}")
    folder: Path = tmp_path_factory.mktemp(request.param) / "base"
    make_base(BaseConfig(model=str(source)), folder, 1)
    return folder


def test_english_keeps_its_logits_and_the_added_mass_is_bounded(real: Path, tmp_path: Path):
    vocab = write_vocab(real, tmp_path / "vocab")
    done = expand_model(real, vocab, tmp_path / "out", ExpandConfig(), 3)
    found = added_mass(real, tmp_path / "out", [*ENGLISH, "学校 here"],
                       done["old_rows"], done["new_rows"])  # fmt: skip
    assert found["texts"] == len(ENGLISH)
    assert found["texts_left_out"] == 1
    assert found["positions"] > 60
    assert found["logits_identical"]
    assert found["largest_difference"] == 0.0
    assert 0 < found["new_mass"]["mean"] < 0.01
    assert found["padding_mass"]["max"] < 0.01


def test_the_whole_difference_is_the_added_mass(real: Path, tmp_path: Path):
    """Renormalised over old ids nothing changes; else KL is -log(1 - m), at every position."""
    vocab = write_vocab(real, tmp_path / "vocab")
    done = expand_model(real, vocab, tmp_path / "out", ExpandConfig(noise=0.05), 3)
    old = done["old_rows"]
    before, after = load_model(real), load_model(tmp_path / "out")
    ids = load_tokenizer(real)(ENGLISH[0], return_tensors="pt").input_ids
    with torch.no_grad():
        one, two = (m(ids).logits[0].double() for m in (before, after))
    base, expanded = one[:, :old].log_softmax(1), two.log_softmax(1)
    mass = expanded[:, old:].exp().sum(1)
    kl = (base.exp() * (base - expanded[:, :old])).sum(1)
    assert torch.allclose(kl, -torch.log1p(-mass), atol=1e-9)
    assert torch.equal(two[:, :old].log_softmax(1), base)
    found = added_mass(real, tmp_path / "out", ENGLISH[:1], old, done["new_rows"])
    assert found["kl_nats"]["max"] == pytest.approx(float(kl.max()), rel=1e-4)


def test_padding_gets_next_to_nothing(real: Path, tmp_path: Path):
    """Fitted to some texts, measured on others; and never above the bound without a model."""
    vocab = write_vocab(real, tmp_path / "vocab")
    with gzip.open(TINY.parent / "en.jsonl.gz", "rt", encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in islice(file, 60)]
    row = fitted_padding(real, {"en": texts[:50]})
    assert row is not None
    assert fitted_padding(real, {"en": texts[:2]}) is None  # too few positions to trust
    config = ExpandConfig(pad_to=1024)
    done = expand_model(real, vocab, tmp_path / "fitted", config, 3, padding=row)
    expand_model(real, vocab, tmp_path / "plain", config, 3)
    assert done["padded_rows"] > 500
    size = done["old_rows"], done["new_rows"]
    fitted, plain = (
        added_mass(real, tmp_path / name, texts[50:], *size)["padding_mass"]["mean"]
        / done["padded_rows"]
        for name in ("fitted", "plain")
    )
    assert fitted < 1e-6  # of one row
    assert plain < 1e-5
    model, tokenizer = load_model(tmp_path / "plain"), load_tokenizer(real)
    with torch.no_grad():
        p = model(tokenizer(ENGLISH[2], return_tensors="pt").input_ids).logits[0].softmax(1)
    never = impossible_ids(read_tokenizer(real).backend)
    assert bool((p[:, -1] <= p[:, never].mean(1) * 1.01).all())  # rows are saved in half precision
    longest = model.lm_head.weight.detach()[: size[0]].norm(dim=1).max()
    assert float(row.norm()) <= float(longest) * 1.001


def test_every_tokenizer_that_writes_bytes_has_thirteen_impossible_ones(tiny_llama: Path):
    backend = read_tokenizer(tiny_llama).backend
    found = impossible_ids(backend)
    assert len(found) == len(IMPOSSIBLE) == 13
    texts = "".join(chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000)
    assert not set(IMPOSSIBLE) & set(texts.encode())
    assert backend.id_to_token(found[0]) == "<0xC0>"


def test_byte_level_tokenizers_have_them_too():
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator(["À la carte"] * 9, trainer)
    found = impossible_ids(backend)
    assert len(found) == 13
    assert not set(found) & set(backend.encode("À la carte ÿõ").ids)
    assert impossible_ids(Tokenizer(models.BPE())) == []


@settings(deadline=None)
@given(st.integers(0, 50), st.sampled_from([[], [3, 9, 17]]))
def test_the_bound_on_padding_holds_for_any_state(seed: int, never: list[int]):
    draw = torch.Generator().manual_seed(seed)
    old = torch.randn(40, 6, generator=draw, dtype=torch.float64)
    row = padding_row(MemoryRows(old), statistics(MemoryRows(old)), never).double()
    for _ in range(5):
        state = torch.randn(6, generator=draw, dtype=torch.float64) * 3
        logits = old @ state
        share = float((row @ state - logits.logsumexp(0)).exp())
        bound = float(logits.softmax(0)[never].mean()) if never else 1 / 40
        assert share <= bound * (1 + 1e-4)


def test_without_impossible_tokens_padding_is_the_mean_row():
    old = MemoryRows(torch.randn(9, 4))
    known = statistics(old)
    assert torch.equal(padding_row(old, known, []), known.centre)


def test_a_fitted_row_is_short_and_lies_away_from_the_states():
    draw = torch.Generator().manual_seed(1)
    states = torch.randn(200, 8, generator=draw) + torch.tensor([3.0] + [0.0] * 7)
    row = fit_row(states, torch.zeros(200), torch.zeros(8), longest=2.0)
    assert float(row.norm()) <= 2.0 + 1e-5
    assert float((states @ row).exp().mean()) < 0.1  # 1 at the start
    assert float(row[0]) < -1
