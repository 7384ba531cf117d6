"""A longer context: the angles are those of the papers, the config tells everyone, it trains."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from init_cases import save_random, weights
from pydantic import ValidationError
from transformers import AutoConfig, AutoModelForCausalLM, Gemma3TextConfig, GPT2Config, LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from hanhua.core.artifact import Digests, identity
from hanhua.core.config import Machine
from hanhua.core.errors import ModelError, TrainingError
from hanhua.core.progress import Silent
from hanhua.export.config import ExportConfig
from hanhua.export.huggingface import describe, export_hf
from hanhua.model.base import make_base
from hanhua.model.config import BaseConfig, ContextConfig
from hanhua.model.context import extended_config
from hanhua.model.load import load_model, load_tokenizer
from hanhua.tokens.rows import PackedRows, Row, RowsWriter
from hanhua.train.config import TrainConfig
from hanhua.train.loop import train
from hanhua.train.save import save_trained

METHODS = ("linear", "ntk", "yarn", "llama3")
OLD, NEW = 64, 256
TINY = {
    "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "max_position_embeddings": OLD, "initializer_range": 0.2,
}  # fmt: skip


def expected(method: str, dims: int, theta: float, old: int, new: int) -> tuple[Any, float]:
    """Frequencies ``[D / 2]`` and the factor of query and key, from the papers' formulas."""
    s, places = new / old, np.arange(0, dims, 2)
    plain = theta ** (-places / dims)
    turns = old * plain / (2 * math.pi)
    if method == "linear":
        return plain / s, 1.0
    if method == "ntk":
        return (theta * s ** (dims / (dims - 2))) ** (-places / dims), 1.0
    if method == "yarn":
        # the authors' code lets the ramp run over the pairs' numbers, whole ones at both ends
        at_32, at_1 = (
            dims * math.log(old / (n * 2 * math.pi)) / (2 * math.log(theta)) for n in (32, 1)
        )
        low, high = max(math.floor(at_32), 0), min(math.ceil(at_1), dims - 1)
        ramp = np.clip((np.arange(dims // 2) - low) / (high - low or 0.001), 0, 1)
        return plain / s * ramp + plain * (1 - ramp), 0.1 * math.log(s) + 1
    # Llama 3.1: stays above 4 turns, is divided below 1, between by the place between
    between = np.clip((turns - 1) / (4 - 1), 0, 1)
    return (1 - between) * plain / s + between * plain, 1.0


def lengthened(config: Any, method: str, new: int) -> Any:
    """The config that transformers reads from what is written."""
    raw = json.loads(config.to_json_string(use_diff=False))
    wanted = ContextConfig(tokens=new, method=method)
    values = extended_config(raw, config, wanted, Path("config.json"))
    return type(config).from_dict(values)


ONE = {"num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8, "vocab_size": 8}
"""One head as wide as the model's that is meant."""
SHAPES = {
    "Llama-2-7B": LlamaConfig(**ONE, hidden_size=128, max_position_embeddings=4096),
    "Llama-3-8B": LlamaConfig(
        **ONE, hidden_size=128, max_position_embeddings=8192,
        rope_parameters={"rope_type": "default", "rope_theta": 500000.0},
    ),
    "phi, half of a head": AutoConfig.for_model(
        "phi", **ONE, hidden_size=64, max_position_embeddings=2048
    ),
    "neox, a quarter": AutoConfig.for_model(
        "gpt_neox", **ONE, hidden_size=96, max_position_embeddings=2048
    ),
    "tiny": LlamaConfig(**TINY),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("method", METHODS)
def test_frequencies_are_those_of_the_papers_and_of_transformers(shape: str, method: str) -> None:
    config = SHAPES[shape]
    head = config.hidden_size // config.num_attention_heads
    dims = int(head * config.rope_parameters.get("partial_rotary_factor", 1.0))
    theta, old = config.rope_parameters["rope_theta"], config.max_position_embeddings
    new = lengthened(config, method, 4 * old)
    assert new.max_position_embeddings == 4 * old
    rotary = AutoModelForCausalLM.from_config(new).base_model.rotary_emb
    found, factor = rotary.inv_freq.double().numpy(), rotary.attention_scaling
    frequencies, scale = expected(method, dims, theta, old, 4 * old)
    np.testing.assert_allclose(found, frequencies, rtol=1e-4)
    assert factor == pytest.approx(scale)
    if method != "ntk":
        theirs, again = ROPE_INIT_FUNCTIONS[method](new)
        np.testing.assert_allclose(found, theirs.double().numpy(), rtol=1e-6)
        assert again == factor
    # what all methods share, and where they part
    plain = theta ** (-np.arange(0, dims, 2) / dims)
    assert found[-1] == pytest.approx(plain[-1] / 4, rel=1e-4)
    if shape != "tiny":
        assert found[0] == pytest.approx(1 / 4 if method == "linear" else 1, rel=1e-4)
        assert (found <= plain * (1 + 1e-5)).all()
        assert (found >= plain / 4 * (1 - 1e-5)).all()


@pytest.fixture(scope="module")
def trained(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny LLaMA that learnt a few steps at its context."""
    tmp = tmp_path_factory.mktemp("context")
    size = len(load_tokenizer(tiny_llama))
    config = LlamaConfig(**TINY, vocab_size=size, bos_token_id=1, eos_token_id=2)
    source = save_random(config, tiny_llama, tmp / "source")
    (source / "tokenizer_config.json").write_text(json.dumps({"model_max_length": OLD}))
    return learn(source, write_rows(tmp / "rows", OLD, size), tmp, 8)[0]


def write_rows(folder: Path, length: int, vocab: int) -> PackedRows:
    """Rows of one document each, in which every token follows from the one before."""
    writer = RowsWriter(folder, length, vocab, ["en"])
    for i in range(2048 // length):
        tokens = (np.arange(length) * 7 + i) % 90 + 5
        writer.add(Row(tokens, None, np.array([length], np.int32), "en"))
    writer.close()
    return PackedRows.open(folder)


def learn(folder: Path, rows: PackedRows, work: Path, steps: int) -> tuple[Path, list[float]]:
    model = load_model(folder)
    config = TrainConfig(precision="fp32", learning_rate=3e-3, batch_tokens=1024, steps=steps)
    result = train(
        model, rows, config, work=work / "work", seed=1, progress=Silent(),
        machine=Machine(device="cpu", threads=1),
    )  # fmt: skip
    save_trained(model, result, config, work / "out", tokenizer_from=folder)
    lines = result.log.read_text().splitlines()
    return work / "out" / "model", [json.loads(line)["loss"] for line in lines]


def base(source: Path, out: Path, method: str, tokens: int = NEW) -> dict[str, Any]:
    wanted = ContextConfig(tokens=tokens, method=method)  # type: ignore[arg-type]
    return make_base(BaseConfig(model=str(source), context=wanted), out, 1)


@pytest.mark.parametrize("method", METHODS)
def test_a_lengthened_model_trains_on_rows_as_long(
    method: str, trained: Path, tmp_path: Path
) -> None:
    found = base(trained, tmp_path / "long", method)
    assert found["context"] == NEW
    assert found["lengthened"] == {"method": method, "from_tokens": OLD}
    assert all(torch.equal(a, b) for a, b in zip(
        weights(trained).values(), weights(tmp_path / "long").values(), strict=True))  # fmt: skip
    rows = write_rows(tmp_path / "rows", NEW, len(load_tokenizer(trained)))
    with pytest.raises(TrainingError, match="longer than the model's context"):
        learn(trained, rows, tmp_path / "short", 2)
    out, losses = learn(tmp_path / "long", rows, tmp_path, 8)
    assert losses[-1] < 0.85 * losses[0]
    kind = "default" if method == "ntk" else method
    for folder in (tmp_path / "long", out):
        config = json.loads((folder / "config.json").read_text())
        assert config["rope_parameters"]["rope_type"] == kind
        assert config["max_position_embeddings"] == NEW


def test_the_export_says_it_too(trained: Path, tmp_path: Path) -> None:
    base(trained, tmp_path / "long", "yarn")
    counts = export_hf(tmp_path / "long", tmp_path / "hf", ExportConfig())
    before, after = (
        json.loads((tmp_path / name / "config.json").read_text()) for name in ("long", "hf")
    )
    assert before["rope_parameters"] == after["rope_parameters"]
    assert describe(tmp_path / "hf", counts)["model"]["context"] == f"{NEW} tokens"
    limit = json.loads((tmp_path / "hf" / "tokenizer_config.json").read_text())["model_max_length"]
    assert limit == NEW


def test_linear_puts_a_position_where_a_quarter_of_it_stood(trained: Path, tmp_path: Path) -> None:
    base(trained, tmp_path / "long", "linear")
    old, new = load_model(trained), load_model(tmp_path / "long")
    ids = torch.arange(5, 45)[None]
    places = torch.arange(40)[None]
    with torch.no_grad():
        before = old(ids, position_ids=places).logits
        assert torch.allclose(new(ids, position_ids=4 * places).logits, before, atol=1e-4)
        assert not torch.allclose(new(ids, position_ids=places).logits, before, atol=1e-2)


@pytest.mark.parametrize("method", METHODS)
def test_a_token_alone_is_read_as_before(method: str, trained: Path, tmp_path: Path) -> None:
    """Angles turn query against key; a token that sees only itself has nothing to turn."""
    base(trained, tmp_path / "long", method)
    old, new = load_model(trained), load_model(tmp_path / "long")
    ids = torch.arange(5, 25)[:, None]
    with torch.no_grad():
        before = old(ids).logits
        assert torch.allclose(new(ids).logits, before, atol=1e-5)
        assert torch.allclose(new(ids, position_ids=ids + 200).logits, before, atol=1e-4)
        several = [m(torch.arange(5, 25)[None]).logits for m in (old, new)]
    assert not torch.allclose(*several, atol=1e-3)


def test_an_old_config_loses_its_old_names(trained: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(trained, tmp_path / "source"))
    raw = json.loads((source / "config.json").read_text())
    del raw["rope_parameters"]
    raw |= {"rope_theta": 20000.0, "rope_scaling": None}
    (source / "config.json").write_text(json.dumps(raw))
    base(source, tmp_path / "long", "yarn")
    written = json.loads((tmp_path / "long" / "config.json").read_text())
    assert not {"rope_theta", "rope_scaling"} & written.keys()
    assert written["rope_parameters"] == {
        "rope_theta": 20000.0, "rope_type": "yarn", "factor": 4.0,
        "original_max_position_embeddings": OLD,
    }  # fmt: skip


def test_layers_with_a_window_and_angles_of_their_own_keep_them() -> None:
    config = Gemma3TextConfig(
        max_position_embeddings=OLD, layer_types=["sliding_attention", "full_attention"],
        num_hidden_layers=2,
    )  # fmt: skip
    before = config.rope_parameters
    after = lengthened(config, "linear", NEW).rope_parameters
    assert after["sliding_attention"] == before["sliding_attention"]
    assert after["full_attention"] == {
        **before["full_attention"], "rope_type": "linear", "factor": 4.0,
    }  # fmt: skip


def scaled(tiny_llama: Path, folder: Path) -> Path:
    rope = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}
    size = len(load_tokenizer(tiny_llama))
    return save_random(
        LlamaConfig(**TINY, vocab_size=size, rope_parameters=rope), tiny_llama, folder
    )


def learnt_positions(tiny_llama: Path, folder: Path) -> Path:
    size = len(load_tokenizer(tiny_llama))
    config = GPT2Config(n_embd=32, n_layer=1, n_head=2, n_positions=OLD, vocab_size=size)
    return save_random(config, tiny_llama, folder)


def test_a_single_rotary_pair_has_no_slow_angle_for_ntk_to_stretch() -> None:
    values = {"hidden_size": 16, "num_attention_heads": 2, "max_position_embeddings": OLD}
    config = AutoConfig.for_model("gpt_neox", **{**ONE, **values})  # a quarter of 8
    with pytest.raises(ModelError, match="can't be made longer") as caught:
        lengthened(config, "ntk", NEW)
    assert "too few rotary dimensions" in str(caught.value.found)
    assert lengthened(config, "yarn", NEW).max_position_embeddings == NEW


@pytest.mark.parametrize(
    ("make", "tokens", "reason"),
    [
        (learnt_positions, NEW, "not rotary"),
        (
            scaled,
            NEW,
            "scaled already: {'factor': 2.0, 'rope_theta': 10000.0, 'rope_type': 'linear'",
        ),
        (None, OLD, "it has 64 tokens, 64 are asked for"),
    ],
)
def test_what_can_t_be_longer_is_refused(
    make: Any, tokens: int, reason: str, trained: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    source = make(tiny_llama, tmp_path / "source") if make else trained
    with pytest.raises(ModelError, match="can't be made longer") as caught:
        base(source, tmp_path / "out", "yarn", tokens)
    assert reason in str(caught.value.found)
    assert caught.value.fix


def test_a_section_without_it_means_what_it_meant(tiny_llama: Path) -> None:
    plain = BaseConfig(model="org/name")
    assert set(identity(plain, Digests(), "base")) == {"model", "scratch", "tokenizer"}
    wanted = plain.model_copy(update={"context": ContextConfig(tokens=NEW)})
    found = identity(wanted, Digests(), "base")
    assert found["context"] == {"tokens": NEW, "method": "yarn"}
    with pytest.raises(ValidationError, match="scratch has context_tokens"):
        BaseConfig.model_validate(
            {"scratch": {}, "tokenizer": str(tiny_llama), "context": {"tokens": NEW}}
        )
