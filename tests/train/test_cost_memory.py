"""Memory that a plan predicts is what PyTorch's allocator gives out when the loop trains."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from counted import peak_bytes
from tiny_models import make_experts, make_llama

from hanhua.core.config import Machine
from hanhua.core.progress import Silent
from hanhua.model import checkpoint
from hanhua.model.native import NATIVE
from hanhua.model.shapes import Shapes
from hanhua.tokens.pairs import PairRows
from hanhua.tokens.rows import PackedRows, Row, RowsWriter
from hanhua.train.blocks import prepare_blocks
from hanhua.train.config import TrainConfig
from hanhua.train.cost import memory
from hanhua.train.cost.activations import kept_by_block
from hanhua.train.cost.job import Job
from hanhua.train.cost.memory import moments
from hanhua.train.loop import train
from hanhua.train.packed import enable
from hanhua.train.prefer_config import PreferConfig
from hanhua.train.preference import Preference

# PyTorch 2.11's profiler says what it does between cycles, of which there is one here
pytestmark = pytest.mark.filterwarnings("ignore:Warning. Profiler clears events")
VOCAB, ROW = 2048, 256
COMPILES = [
    pytest.mark.slow, pytest.mark.filterwarnings("ignore:The .grad attribute"),
    pytest.mark.skipif(not shutil.which("c++"), reason="no C++ compiler for torch.compile"),
]  # fmt: skip


def make_full_rows(path, n, vocab=VOCAB):
    rng = np.random.default_rng(0)
    writer = RowsWriter(path, ROW, vocab, ["en"])
    for _ in range(n):
        writer.add(Row(rng.integers(0, vocab, ROW), None, np.array([ROW], np.int32), "en"))
    writer.close()
    return PackedRows.open(path)


def compare(
    tmp_path, micro_rows=4, rows=4, again="none", tied=True, precision="fp32", kind="llama",
    **section,
):  # fmt: skip
    """Peak of two steps of the loop, counted by PyTorch, and as predicted."""
    from test_cost_flops import shapes_of

    packed = make_full_rows(tmp_path / "rows", 2 * rows)
    config = TrainConfig(
        batch_tokens=rows * ROW, steps=2, guard=None, precision=precision, **section
    )
    machine = Machine(
        device="cpu", threads=1, micro_batch_tokens=micro_rows * ROW, activation_checkpointing=again
    )
    found = {}

    def work():
        sizes = {"vocab_size": VOCAB, "hidden_size": 96, "num_hidden_layers": 4,
                 "max_position_embeddings": ROW}  # fmt: skip
        if kind == "llama":
            model = make_llama(tied, intermediate_size=256, **sizes)
        else:
            model = make_experts(kind, **sizes, **OF_EXPERTS[kind])
        found["shapes"] = shapes_of(model)
        train(model, packed, config, work=tmp_path / "w", seed=0, machine=machine,
              progress=Silent())  # fmt: skip

    counted = peak_bytes(work)
    job = Job(
        shapes=found["shapes"].with_rows(VOCAB), section=config, precision=precision,
        row_tokens=ROW, micro_batch_tokens=micro_rows * ROW, again=again,
    )  # fmt: skip
    predicted = [m for phase in job.phases for m in moments(job, phase) if m.moment != "save"]
    return counted, max(predicted, key=lambda m: m.total)


CASES = {
    "one micro-batch": {},
    "untied": {"tied": False},
    "two micro-batches": {"micro_rows": 2},
    "small pieces": {"micro_rows": 1, "rows": 2, "tied": False},
    "bf16": {"precision": "bf16", "micro_rows": 1, "rows": 2},
    "all again": {"again": "full"},
    "between products again": {"again": "selective"},
    "adapters": {"lora": {"rank": 8, "targets": ["q_proj", "v_proj"]}},
    "adapters and ends": {"lora": {"rank": 8, "embeddings": True}, "micro_rows": 2},
    "dropout and lengths": {"lora": {"rank": 8, "dropout": 0.1, "dora": True}},
    "ends only": {"phases": [{"train": "embeddings"}]},
    "experts": {"kind": "mixtral"},
    "experts, small pieces in bf16": {
        "kind": "qwen2_moe", "precision": "bf16", "micro_rows": 1, "rows": 2,
    },
    "experts, all again": {"kind": "qwen3_moe", "again": "full"},
    "experts, between products again": {"kind": "mixtral", "again": "selective"},
    "adapters of experts": {"kind": "olmoe", "lora": {"rank": 8}},
    "experts without adapters": {
        "kind": "gpt_oss", "lora": {"rank": 8, "targets": ["q_proj", "v_proj"]},
    },
}  # fmt: skip
FEW = {"num_experts": 16, "num_experts_per_tok": 4}
OF_EXPERTS = {
    "mixtral": {"intermediate_size": 256}, "gpt_oss": {"intermediate_size": 256},
    "qwen3_moe": {**FEW, "moe_intermediate_size": 64},
    "olmoe": {**FEW, "intermediate_size": 64},
    "qwen2_moe": {
        **FEW, "moe_intermediate_size": 64, "shared_expert_intermediate_size": 128,
        "mlp_only_layers": [],
    },
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_predicted_is_counted(tmp_path, name):
    torch.set_num_threads(1)
    counted, predicted = compare(tmp_path, **CASES[name])
    assert predicted.total == pytest.approx(counted, rel=0.1), predicted
    assert predicted.total > 3e6


def make_full_pairs(path, n, vocab):
    """Pairs of answers alone, each half a row."""
    rng = np.random.default_rng(0)
    writer = RowsWriter(path, ROW, vocab, ["en"], has_targets=True)
    halves = np.array([ROW // 2] * 2, np.int32)
    for _ in range(n):
        writer.add(Row(rng.integers(0, vocab, ROW), np.ones(ROW, np.bool_), halves, "en"))
    writer.close(longest_document=ROW // 2)
    return PairRows.open(path)


def test_of_pairs_the_answers_are_the_fullest_moment_where_the_ends_are_frozen(tmp_path):
    from test_cost_flops import shapes_of

    torch.set_num_threads(1)
    vocab = 8192
    packed = make_full_pairs(tmp_path / "rows", 8, vocab)
    config = PreferConfig(
        sources=[{"path": __file__}], seq_len_tokens=ROW // 2, batch_tokens=4 * ROW, steps=2,
        precision="fp32", lora={"rank": 8, "targets": ["q_proj", "v_proj"]},
    )  # fmt: skip
    machine = Machine(device="cpu", threads=1, micro_batch_tokens=4 * ROW)
    found = {}

    def work():
        model = make_llama(vocab_size=vocab, hidden_size=96, max_position_embeddings=ROW)
        found["shapes"] = shapes_of(model)
        train(model, packed, config, work=tmp_path / "w", seed=0, machine=machine,
              progress=Silent(), objective=Preference(config, Silent(), None))  # fmt: skip

    counted = peak_bytes(work)
    job = Job(
        shapes=found["shapes"].with_rows(vocab), section=config, precision="fp32", row_tokens=ROW,
        micro_batch_tokens=4 * ROW,
    )  # fmt: skip
    predicted = {m.moment: m for m in moments(job, "all")}
    assert max(predicted, key=lambda name: predicted[name].total) == "answers"
    assert predicted["answers"].total == pytest.approx(counted, rel=0.1)
    assert predicted["loss"].total < 0.8 * counted


def kept_by_a_block(model, tokens):
    """Bytes of a token that a block's forward pass keeps, weights aside, each tensor once."""
    ids = torch.arange(tokens)[None] % VOCAB
    places = {"position_ids": torch.arange(tokens)[None], "document_lengths": [tokens]}
    weights = {p.data_ptr() for p in model.parameters()}
    block, found = model.model.layers[1], {}
    forward = block.forward

    def keep(x):
        storage = x.untyped_storage()
        if storage.data_ptr() not in weights:
            found[storage.data_ptr()] = storage.nbytes()
        return x

    def watched(*args, **kwargs):
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            return forward(*args, **kwargs)

    model(ids, **places).logits.sum().backward()  # compiles, where that is asked for
    block.forward = watched
    model(ids, **places).logits.sum().backward()
    return sum(found.values()) / tokens


def prepared(compiled):
    """A small model in bf16, as the loop makes one ready."""
    model = make_llama(
        vocab_size=VOCAB, hidden_size=96, intermediate_size=256, max_position_embeddings=ROW
    )
    model = model.to(torch.bfloat16)
    enable(model)
    prepare_blocks(model, Machine(device="cpu", compile=compiled))
    return model.train()


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=COMPILES)])
def test_a_block_keeps_what_is_counted(compiled):
    """Byte by byte; a compiled one, where our passes stand aside, keeps no more."""
    from test_cost_flops import shapes_of

    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    model = prepared(compiled)
    job = Job(shapes=shapes_of(model), section=TrainConfig(), precision="bf16", row_tokens=ROW,
              compiled=compiled)  # fmt: skip
    shared = 2 * 2 * job.shapes.head_dim  # cosines and sines, which all blocks keep together
    counted = kept_by_block(job, "all") + shared
    if NATIVE is None or not NATIVE.tiles():
        counted -= 4 * job.shapes.heads  # attention by PyTorch's products keeps no sums
    assert kept_by_a_block(model, ROW) == counted
    if compiled:
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0


def test_saving_holds_the_model_twice(tmp_path):
    from test_cost_flops import shapes_of

    found, tokenizer = {}, tmp_path / "tokenizer"
    tokenizer.mkdir()

    def work():
        model = make_llama(vocab_size=VOCAB, hidden_size=256, intermediate_size=512)
        found["shapes"] = shapes_of(model).with_rows(VOCAB)
        weights = {name: p.detach() for name, p in model.named_parameters()}
        checkpoint.save_model(model, tmp_path / "out", weights=weights, tokenizer_from=tokenizer)

    counted = peak_bytes(work)
    job = Job(shapes=found["shapes"], section=TrainConfig(), precision="fp32", row_tokens=ROW)
    assert memory.host_bytes(job) == pytest.approx(counted, rel=0.1)


def test_which_moment_is_fullest_depends_on_the_pieces():
    shapes = Shapes(
        hidden_size=1024, layers=24, heads=16, kv_heads=16, head_dim=64, intermediate_size=2816,
        vocab_size=32_000, tied=False,
    )  # fmt: skip

    def fullest(batch_tokens=65_536, **values):
        section = TrainConfig(batch_tokens=batch_tokens)
        job = Job(shapes=shapes, section=section, precision="bf16", row_tokens=512, cuda=True,
                  **values)  # fmt: skip
        return memory.peak(job).moment

    assert fullest(micro_batch_tokens=32_768) == "loss"
    assert fullest(batch_tokens=512) == "gradients"
    assert fullest(micro_batch_tokens=32_768, again="full") == "backward"
