from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from hanhua.model.base import make_base
from hanhua.model.config import BaseConfig, ScratchConfig
from hanhua.model.load import load_model, load_tokenizer
from hanhua.model.scratch import new_model

SMALL = ScratchConfig(hidden_size=32, layers=4, heads=4, kv_heads=2, intermediate_size=48,
                      tie_embeddings=True, context_tokens=64)  # fmt: skip


def test_the_seed_alone_makes_the_weights(tiny_llama: Path):
    tokenizer = load_tokenizer(tiny_llama)
    torch.manual_seed(1)
    one = new_model(SMALL, tokenizer, 5).state_dict()
    torch.manual_seed(2)
    two = new_model(SMALL, tokenizer, 5).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    other = new_model(SMALL, tokenizer, 6).state_dict()
    assert not torch.equal(one["model.embed_tokens.weight"], other["model.embed_tokens.weight"])


def test_weights_have_the_spread_they_should(tiny_llama: Path):
    found = new_model(SMALL, load_tokenizer(tiny_llama), 5).state_dict()
    assert found["model.layers.0.mlp.up_proj.weight"].std() == pytest.approx(0.02, rel=0.1)
    assert found["model.layers.0.mlp.down_proj.weight"].std() == pytest.approx(
        0.02 / 8**0.5, rel=0.1
    )
    assert torch.equal(found["model.norm.weight"], torch.ones(32))


def test_a_new_model_knows_nothing(tiny_llama: Path):
    model = new_model(SMALL, load_tokenizer(tiny_llama), 5)
    logits = model(torch.arange(3, 60)[None]).logits
    loss = torch.nn.functional.cross_entropy(logits[0, :-1], torch.arange(4, 60))
    assert loss.item() == pytest.approx(torch.tensor(model.config.vocab_size).log().item(), abs=0.2)


@pytest.mark.parametrize("tied", [True, False])
def test_written_it_loads_with_its_tokenizer(tiny_llama: Path, tmp_path: Path, tied: bool):
    config = SMALL.model_copy(update={"tie_embeddings": tied})
    found = make_base(BaseConfig(scratch=config, tokenizer=str(tiny_llama)), tmp_path / "m", 5)
    model = load_model(tmp_path / "m")
    assert model.config.tie_word_embeddings is tied
    assert sum(p.numel() for p in model.parameters()) == found["params"]
    assert found["vocab"] == found["tokens"] == len(load_tokenizer(tmp_path / "m"))
    assert model.config.bos_token_id == 1
    assert {p.stat().st_mode & 0o777 for p in (tmp_path / "m").iterdir()} == {0o644}
    make_base(BaseConfig(scratch=config, tokenizer=str(tiny_llama)), tmp_path / "n", 5)
    for path in (tmp_path / "m").iterdir():
        assert path.read_bytes() == (tmp_path / "n" / path.name).read_bytes()


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({}, "either model or scratch"),
        ({"model": "a/b", "scratch": {}}, "either model or scratch"),
        ({"scratch": {}}, "needs a tokenizer"),
        ({"model": "a/b", "tokenizer": "a/b"}, "brings its own"),
        ({"scratch": {"heads": 7}, "tokenizer": "a/b"}, "no multiple of heads"),
        ({"scratch": {"kv_heads": 4}, "tokenizer": "a/b"}, "no multiple of kv_heads"),
        ({"scratch": {"hidden_size": 18, "heads": 6}, "tokenizer": "a/b"}, "must be even"),
    ],
)
def test_sections_that_make_no_model_are_refused(section: dict[str, object], message: str):
    with pytest.raises(ValidationError, match=message):
        BaseConfig.model_validate(section)
