"""What a token costs: counted from the model, held against PyTorch's own count."""

from __future__ import annotations

import pytest
import torch
from lora_models import FAMILIES, make_model
from tiny_models import make_llama, make_rows
from torch.utils.flop_counter import FlopCounterMode

from hanhua.core.progress import Lines
from hanhua.model.config import LoraConfig
from hanhua.model.lora import add_adapters
from hanhua.tokens.loader import Batch
from hanhua.train.chunks import shortfall
from hanhua.train.objective import filled, flatten, next_token_loss
from hanhua.train.packed import enable
from hanhua.train.speed import Speed, attention_flops, matmul_limit, weight_flops


def counted(model, rows):
    """FLOPs of a step by PyTorch's count, and the tokens and targets that it is filled up to."""
    enable(model)
    flat = flatten(Batch(tuple(rows.row(i) for i in range(len(rows)))), rows.languages)
    next_token_loss(model, flat, 1.0)  # the first time it looks at the head
    with FlopCounterMode(display=False) as found:
        next_token_loss(model.train(), flat, 1.0)[0].backward()
    by_operation = found.get_flop_counts()["Global"]
    products = sum(n for op, n in by_operation.items() if str(op) in ("aten.mm", "aten.addmm"))
    targets = flat.n_targets + shortfall(flat.n_targets)
    return products, filled(flat).ids.numel(), targets


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("frozen", [False, True])
def test_products_with_weights_are_counted_as_pytorch_counts_them(rows, family, frozen):
    model = make_model(family)
    if frozen:
        add_adapters(model, LoraConfig(rank=2, embeddings=True), 0, torch.float32)
    body, head = weight_flops(model)
    products, tokens, targets = counted(model, rows)
    assert tokens * body + targets * head == pytest.approx(products, rel=1e-6)
    assert tokens > targets > 500


def test_attention_is_counted_at_the_length_that_a_token_sees(tmp_path):
    rows = make_rows(tmp_path / "full", n_rows=1, seq_len_tokens=32)  # one document of 32
    config = make_llama().config
    by_hand = 0
    for position in range(1, 33):  # scores and sums: 4 numbers a pair forward, twice that backward
        by_hand += 12 * position * config.num_attention_heads * 8
    assert attention_flops(config, rows) == pytest.approx(2 * by_hand / 32)


def test_the_share_is_of_the_measured_limit():
    speed = Speed(body_flops=1e6, head_flops=2e6, limit_flops=1e9, last=0.0)
    share = speed.share(100, 50)
    assert 0 < share < 1e-3
    assert matmul_limit(make_llama().config, torch.float32, "cpu") > 1e7


def test_the_bar_shows_it(tmp_path, rows, capsys):
    from hanhua.core.config import Machine
    from hanhua.train.config import TrainConfig
    from hanhua.train.loop import train

    train(
        make_llama(), rows, TrainConfig(precision="fp32", batch_tokens=128), work=tmp_path / "w",
        seed=1, machine=Machine(device="cpu", threads=1), progress=Lines(every_s=0.0),
    )  # fmt: skip
    assert "limit" not in (tmp_path / "w" / "log.jsonl").read_text()
    assert ", of limit " in capsys.readouterr().err
