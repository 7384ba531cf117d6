"""The same on a GPU: attention in documents, loss, steps, going on, adapters, compiled blocks."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest
import torch
import torch.nn.functional as F
from test_linear_cross_entropy import IGNORE, reference
from test_nf4 import needs_it, quantised_layers
from tiny_models import VOCAB, make_llama

from hanhua.core.config import Machine
from hanhua.core.progress import Silent
from hanhua.model.config import LoraConfig
from hanhua.train import chunks
from hanhua.train.attention import _attend, packed_attention
from hanhua.train.checkpoint import checkpoints
from hanhua.train.config import TrainConfig
from hanhua.train.linear_cross_entropy import linear_cross_entropy
from hanhua.train.loop import train
from hanhua.train.setup import in_background
from hanhua.train.varlen import can_attend

LENGTHS = [130, 1, 257, 64, 64, 300]
LONG = [512, 512, 512]
WIDE = {"hidden_size": 64, "intermediate_size": 128}


def off(ours, theirs):
    """How far apart, as a part of the length."""
    ours, theirs = ours.detach().float(), theirs.detach().float()
    return float((ours - theirs).norm() / theirs.norm())


@pytest.mark.parametrize("kv_heads", [4, 2])
@pytest.mark.parametrize("window", [None, 50])
@pytest.mark.parametrize("lengths", [LENGTHS, LONG])
def test_kernels_attend_in_each_document_alone(gpu, kv_heads, window, lengths):
    torch.manual_seed(0)
    tokens = sum(lengths)
    given = [torch.randn(1, h, tokens, 64, device=gpu) for h in (4, kv_heads, kv_heads)]
    low = [x.bfloat16().requires_grad_() for x in given]
    assert can_attend(low[0], low[2]) == (gpu == "cuda")
    module = torch.nn.Module()
    out, _ = packed_attention(module, *low, None, document_lengths=lengths, sliding_window=window)
    high = [x.detach().float().requires_grad_() for x in low]
    parts = zip(*(x.split(lengths, 2) for x in high), strict=True)
    expected = torch.cat([_attend(*part, window, 0.0, 64**-0.5) for part in parts], 2)
    expected = expected.transpose(1, 2)
    assert off(out, expected) < 1e-2
    weigh = torch.randn_like(expected)
    (out.float() * weigh).sum().backward()
    (expected * weigh).sum().backward()
    for ours, theirs in zip(low, high, strict=True):
        assert off(ours.grad, theirs.grad) < 2e-2


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_loss_equals_pytorch(gpu, monkeypatch, dtype, bias):
    monkeypatch.setattr(chunks, "GPU_BUFFER_BYTES", 300 * dtype.itemsize * 64)
    torch.manual_seed(1)
    hidden = torch.randn(150, 16, device=gpu).to(dtype).requires_grad_()
    weight = torch.randn(300, 16, device=gpu).to(dtype).requires_grad_()
    extra = torch.randn(300, device=gpu).to(dtype).requires_grad_() if bias else None
    labels = torch.randint(0, 300, (150,), device=gpu)
    labels[torch.rand(150, device=gpu) < 0.3] = IGNORE
    assert chunks.chunk_and_tile(105, 300, hidden.element_size(), cuda=True)[0] < 105
    expected, gradients = reference(hidden, weight, labels, extra, 0.25)
    loss, losses = linear_cross_entropy(hidden, weight, labels, extra, scale=0.25)
    loss.backward()
    near = 1e-5 if dtype == torch.float32 else 1e-2
    assert off(loss, expected) < near
    assert off(losses.sum() * 0.25, expected) < near
    found = [x.grad for x in (hidden, weight, extra) if x is not None]
    assert all(off(a, b) < near for a, b in zip(found, gradients, strict=True))


def steps(gpu, rows, work, *, precision="fp32", lora=None, progress=None, n=12, **machine):
    """A short run on the GPU: its losses and what came out."""
    section = TrainConfig(
        precision=precision, learning_rate=1e-2, batch_tokens=256, steps=n, lora=lora
    )
    result = train(
        make_llama(**WIDE), rows, section, work=work, seed=3, progress=progress or Silent(),
        machine=Machine(device=gpu, micro_batch_tokens=128, **machine),
    )  # fmt: skip
    lines = (work / "log.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines], result


@pytest.fixture
def on_cpu(rows, tmp_path):
    section = TrainConfig(precision="fp32", learning_rate=1e-2, batch_tokens=256, steps=12)
    train(
        make_llama(**WIDE), rows, section, work=tmp_path / "cpu", seed=3, progress=Silent(),
        machine=Machine(device="cpu", threads=1, micro_batch_tokens=128),
    )  # fmt: skip
    lines = (tmp_path / "cpu/log.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


@pytest.mark.filterwarnings("ignore:The .grad attribute", "ignore:TensorFloat32")
@pytest.mark.parametrize("machine", [
    {}, {"activation_checkpointing": "full"}, {"activation_checkpointing": "selective"},
    {"compile": True}, {"compile": True, "activation_checkpointing": "full"},
], ids=["plain", "full", "selective", "compiled", "compiled-full"])  # fmt: skip
def test_steps_on_a_gpu_are_those_on_a_cpu(gpu, rows, tmp_path, on_cpu, machine):
    losses, _ = steps(gpu, rows, tmp_path / "gpu", **machine)
    assert losses == pytest.approx(on_cpu, abs=2e-3)
    losses, result = steps(gpu, rows, tmp_path / "low", precision="bf16", **machine)
    assert losses == pytest.approx(on_cpu, abs=0.1)
    assert losses[-1] < losses[0] - 0.5
    assert all(weight.dtype == torch.float32 for weight in result.weights.values())


class Interrupted:
    """Progress that stops a run at a step."""

    def __init__(self, at):
        self.left = at

    @contextmanager
    def bar(self, title, total, unit, *, done=0):
        yield self

    def advance(self, amount=1, **notes):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt

    def say(self, text):
        pass


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_goes_on_from_what_was_written_in_the_background(gpu, rows, tmp_path, precision):
    often = {"checkpoint_minutes": 1e-9, "precision": precision}
    assert in_background(Machine(device="cuda"))
    if gpu == "cpu":
        often["background_checkpoints"] = True
    whole, result = steps(gpu, rows, tmp_path / "whole", **often)
    with pytest.raises(KeyboardInterrupt):
        steps(gpu, rows, tmp_path / "cut", progress=Interrupted(7), **often)
    kept = checkpoints(tmp_path / "cut")
    assert 0 < int(kept[-1].name.split("-")[1]) < 12
    losses, again = steps(gpu, rows, tmp_path / "cut", **often)
    assert losses == pytest.approx(whole, abs=1e-4 if precision == "fp32" else 2e-2)
    for name, weight in result.weights.items():
        assert off(again.weights[name], weight) < (1e-3 if precision == "fp32" else 5e-2), name


@needs_it
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_adapters_learn_over_a_base_in_four_bits(gpu, rows, tmp_path, precision):
    model = make_llama(**WIDE)
    section = TrainConfig(
        precision=precision, learning_rate=1e-2, batch_tokens=256, steps=12,
        lora=LoraConfig(rank=4, base_bits=4),
    )  # fmt: skip
    train(
        model, rows, section, work=tmp_path / "w", seed=3, progress=Silent(),
        machine=Machine(device=gpu, micro_batch_tokens=128),
    )  # fmt: skip
    assert quantised_layers(model)
    lines = (tmp_path / "w/log.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert losses[-1] < losses[0] - 0.3


def test_packed_documents_lose_what_each_loses_alone(gpu, rows, tmp_path):
    from hanhua.tokens.loader import Batch
    from hanhua.train.objective import flatten, next_token_loss
    from hanhua.train.packed import enable

    model = make_llama(**WIDE).to(gpu)
    flat = flatten(Batch([rows.row(i) for i in range(6)]), rows.languages)
    total, n = 0.0, 0
    with torch.no_grad():
        for ids in flat.ids[0].split(flat.lengths):
            logits = model(ids[None].to(gpu), use_cache=False).logits[0, :-1]
            total += float(F.cross_entropy(logits, ids[1:].to(gpu), reduction="sum"))
            n += len(ids) - 1
    enable(model)
    assert n == flat.n_targets > VOCAB
    for dtype, near in ((torch.float32, 1e-4), (torch.bfloat16, 2e-2)):
        loss, _ = next_token_loss(model.to(dtype), flat, 1 / n)
        assert float(loss.detach()) == pytest.approx(total / n, abs=near)
