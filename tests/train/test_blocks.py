"""Blocks computed again, or compiled: less memory, the same steps."""

from __future__ import annotations

import json
import shutil
from functools import partial

import pytest
import torch
from tiny_models import make_llama, make_rows
from torch.utils._python_dispatch import TorchDispatchMode

from hanhua.core.config import Machine
from hanhua.core.errors import RecipeError
from hanhua.core.progress import Silent
from hanhua.model.config import LoraConfig
from hanhua.model.lora import add_adapters
from hanhua.tokens.loader import Batch
from hanhua.train.blocks import prepare_blocks
from hanhua.train.config import PhaseConfig, TrainConfig
from hanhua.train.loop import train
from hanhua.train.objective import flatten, next_token_loss
from hanhua.train.packed import enable


def run(rows, work, dropout=0.2, **machine):
    section = TrainConfig(
        precision="fp32", learning_rate=1e-2, batch_tokens=128, lora=LoraConfig(dropout=dropout),
        phases=[PhaseConfig()],
    )  # fmt: skip
    result = train(
        make_llama(), rows, section, work=work, seed=3, progress=Silent(),
        machine=Machine(device="cpu", threads=1, micro_batch_tokens=64, **machine),
    )  # fmt: skip
    return [json.loads(line) for line in result.log.read_text().splitlines()], result.weights


@pytest.mark.parametrize("how", ["selective", "full"])
def test_what_is_computed_again_takes_the_same_steps(tmp_path, how):
    rows = make_rows(tmp_path / "rows")
    plain = run(rows, tmp_path / "plain")
    again = run(rows, tmp_path / how, activation_checkpointing=how)
    assert again[0] == plain[0]  # dropout too draws the same numbers
    assert all(torch.equal(again[1][name], plain[1][name]) for name in plain[1])


def kept_bytes(how, rows):
    """Bytes that the forward pass keeps for the backward pass, weights not counted."""
    model = make_llama(num_hidden_layers=4)
    enable(model)
    prepare_blocks(model.train(), Machine(device="cpu", activation_checkpointing=how))
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    flat = flatten(Batch(tuple(rows.row(i) for i in range(8))), rows.languages)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        next_token_loss(model, flat, 1.0)
    return sum(n for n, _ in kept.values())


def test_less_is_kept(rows):
    assert kept_bytes("full", rows) < kept_bytes("none", rows) / 4


class Products(TorchDispatchMode):
    """Counts products with weights."""

    n = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.n += function in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default)
        return function(*args, **(kwargs or {}))


def products(how, rows):
    model = make_llama()
    enable(model)
    prepare_blocks(model.train(), Machine(device="cpu", activation_checkpointing=how))
    flat = flatten(Batch(tuple(rows.row(i) for i in range(8))), rows.languages)
    with Products() as found:
        next_token_loss(model, flat, 1.0)[0].backward()
    return found.n


def test_selective_computes_no_product_with_weights_again(rows):
    none, some, full = (products(how, rows) for how in ("none", "selective", "full"))
    assert none == some
    assert full == none + 2 * 6  # of each layer once more; nothing asks for the last


def test_compiled_blocks_cannot_be_computed_again_in_part(tmp_path, rows):
    with pytest.raises(RecipeError, match="compiled block") as error:
        run(rows, tmp_path / "w", activation_checkpointing="selective", compile=True)
    assert "full or none" in error.value.message


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute")
@pytest.mark.skipif(not shutil.which("c++"), reason="no C++ compiler for torch.compile")
def test_compiled_blocks_take_the_same_steps(tmp_path, rows):
    torch._dynamo.reset()
    plain = run(rows, tmp_path / "plain", dropout=0.0)  # compiled dropout draws its own numbers
    torch._dynamo.utils.counters.clear()
    compiled = run(
        rows, tmp_path / "compiled", dropout=0.0, compile=True, activation_checkpointing="full"
    )
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 12  # not one a batch
    for ours, theirs in zip(compiled[0], plain[0], strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], abs=1e-4)


@pytest.mark.filterwarnings("ignore:The .grad attribute")
def test_blocks_are_compiled_once_not_once_each(monkeypatch, rows):
    """What a compiler makes of one block serves all: it gives up after eight versions."""
    monkeypatch.setattr(
        "hanhua.train.blocks.torch.compile", partial(torch.compile, backend="eager")
    )
    flat = flatten(Batch(tuple(rows.row(i) for i in range(8))), rows.languages)
    made = {}
    for layers, lora in ((3, False), (12, False), (3, True), (12, True)):
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        model = make_llama(num_hidden_layers=layers).train()
        if lora:
            add_adapters(model, LoraConfig(rank=2), 0, torch.float32)
        enable(model)
        prepare_blocks(model, Machine(device="cpu", compile=True))
        for _ in range(2):
            next_token_loss(model, flat, 1.0)[0].backward()
        counted = torch._dynamo.utils.counters
        assert not counted["unimplemented"]
        made[layers, lora] = counted["frames"]["total"]
    assert len(set(made.values())) == 1
    assert made[3, False] > 0
