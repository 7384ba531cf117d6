"""FLOPs that a plan counts are those that PyTorch counts when it is done."""

from __future__ import annotations

import json

import pytest
import torch
from counted import product_flops
from pairs_run import make_pair_rows, section
from tiny_models import VOCAB, make_experts, make_llama, make_rows

from hanhua.core.config import Machine
from hanhua.model.facts import _from_file
from hanhua.model.lora import add_adapters
from hanhua.model.shapes import Shapes
from hanhua.tokens.loader import Batch
from hanhua.train import attention, causal
from hanhua.train.blocks import prepare_blocks
from hanhua.train.config import TrainConfig
from hanhua.train.cost.flops import (
    again_flops,
    attention_flops,
    flops,
    forward_flops,
    model_flops,
)
from hanhua.train.cost.job import Job
from hanhua.train.objective import check_head, flatten, next_token_loss
from hanhua.train.optim import Masters
from hanhua.train.packed import enable
from hanhua.train.preference import answer_sums, lay_out, pair_loss


def shapes_of(model) -> Shapes:
    config = model.config
    if config.model_type != "llama":
        facts = _from_file(json.loads(config.to_json_string())) | {"vocab_size": VOCAB}
        return Shapes.of(facts)
    return Shapes(
        hidden_size=config.hidden_size, layers=config.num_hidden_layers,
        heads=config.num_attention_heads, kv_heads=config.num_key_value_heads,
        head_dim=config.head_dim, intermediate_size=config.intermediate_size,
        vocab_size=VOCAB, tied=config.tie_word_embeddings,
    )  # fmt: skip


def ready(section, again="none", kind="llama", **values):
    """A tiny model set up as the loop does it."""
    model = make_llama(**values) if kind == "llama" else make_experts(kind, **values)
    check_head(model)  # runs the model once; then it knows
    enable(model)
    if section.lora is not None:
        add_adapters(model, section.lora, 0, torch.float32)
    prepare_blocks(model, Machine(activation_checkpointing=again))
    Masters(model, section, 1).begin(section.phases[0])
    return model.train()


CASES = {
    "all": {},
    "embeddings": {"phases": [{"train": "embeddings"}]},
    "lora": {"lora": {"rank": 4}},
    "lora with ends": {"lora": {"rank": 4, "embeddings": True}},
    "some targets": {"lora": {"rank": 4, "targets": ["v_proj", "down_proj"]}},
    "ends before adapters": {
        "lora": {"rank": 4, "embeddings": True}, "phases": [{"train": "embeddings"}],
    },
}  # fmt: skip


@pytest.mark.parametrize("again", ["none", "full", "selective"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_products_with_weights_are_those_that_ran(tmp_path, name, tied, again):
    section = TrainConfig(precision="fp32", **CASES[name])
    model = ready(section, again, tied=tied, vocab_size=VOCAB)
    rows = make_rows(tmp_path / "rows", n_rows=4, has_targets=True)
    flat = flatten(Batch(tuple(rows.row(i) for i in range(4))), rows.languages)
    tokens = flat.ids.shape[1]

    def step():
        torch.autograd.backward(next_token_loss(model, flat, 1.0)[0])

    counted, _ = product_flops(step)
    job = Job(
        shapes=shapes_of(model), section=section, precision="fp32", row_tokens=32,
        target_share=flat.n_targets / tokens, again=again,
    )  # fmt: skip
    attention = job.shapes.layers * attention_flops(job)
    again_weights = again_flops(job) - (attention if again != "none" else 0)
    expected = model_flops(job, section.phases[0].train) - 3 * attention + again_weights
    assert counted == pytest.approx(tokens * expected)
    assert flat.n_targets < 0.7 * tokens
    assert (again_weights > 0) == (again == "full")


@pytest.mark.parametrize("again", ["none", "full", "selective"])
@pytest.mark.parametrize(
    ("kind", "name"),
    [("mixtral", name) for name in CASES]
    + [(kind, "all") for kind in ("qwen2_moe", "qwen3_moe", "olmoe", "granitemoe", "gpt_oss")]
    + [("qwen2_moe", "lora")],
)
def test_of_experts_those_that_a_token_meets(tmp_path, kind, name, again):
    section = TrainConfig(precision="fp32", **CASES[name])
    values = {"mlp_only_layers": []} if kind == "qwen2_moe" else {}
    model = ready(section, again, kind, **values)
    rows = make_rows(tmp_path / "rows", n_rows=4, has_targets=True)
    flat = flatten(Batch(tuple(rows.row(i) for i in range(4))), rows.languages)
    tokens = flat.ids.shape[1]

    def step():
        torch.autograd.backward(next_token_loss(model, flat, 1.0)[0])

    counted, _ = product_flops(step)
    shapes = shapes_of(model)
    job = Job(shapes=shapes, section=section, precision="fp32", row_tokens=32,
              target_share=flat.n_targets / tokens, again=again)  # fmt: skip
    attention = shapes.layers * attention_flops(job)
    again_weights = again_flops(job) - (attention if again != "none" else 0)
    expected = model_flops(job, section.phases[0].train) - 3 * attention + again_weights
    assert counted == pytest.approx(tokens * expected, rel=1e-3)
    assert shapes.parameters == sum(p.numel() for p in model.parameters() if p.ndim) - sum(
        p.numel() for n, p in model.named_parameters() if ".lora." in n
    )
    assert shapes.active_matrices < 0.8 * shapes.block_matrices


@pytest.mark.parametrize("lora", [None, {"rank": 4}], ids=["all", "lora"])
def test_of_pairs_the_head_runs_twice_and_the_reference_is_a_forward_pass(tmp_path, lora):
    config = section(precision="fp32", lora=lora)
    model = ready(config)
    rows = make_pair_rows(tmp_path / "rows", 6)
    pairs = lay_out(Batch(tuple(rows.row(i) for i in range(6))), rows.languages)
    tokens = pairs.flat.ids.shape[1]
    job = Job(
        shapes=shapes_of(model), section=config, precision="fp32", row_tokens=32,
        target_share=pairs.flat.n_targets / tokens,
    )  # fmt: skip
    attention = job.shapes.layers * attention_flops(job)
    measured, _ = product_flops(lambda: answer_sums(model, pairs))
    assert measured == pytest.approx(tokens * (forward_flops(job) - attention))

    def step():
        torch.autograd.backward(pair_loss(model, pairs, config, 1.0)[0])

    learnt, _ = product_flops(step)
    assert learnt == pytest.approx(tokens * (flops(job).computed - 3 * attention))
    assert learnt > tokens * (flops(job).model - 3 * attention)
    assert pairs.flat.n_targets < 0.8 * tokens


def test_attention_is_of_what_a_token_sees(monkeypatch):
    # neither PyTorch's own kernel nor ours is counted
    monkeypatch.setattr(causal, "_has_amx", lambda: False)
    monkeypatch.setattr(attention, "can_attend_within", lambda *given: False)
    section, length = TrainConfig(precision="bf16"), 96
    model = ready(section)
    assert model.dtype == torch.bfloat16
    ids = torch.arange(length)[None] % VOCAB

    def forward():
        with torch.no_grad():
            model.base_model(
                input_ids=ids, position_ids=torch.arange(length)[None],
                document_lengths=[length], use_cache=False,
            )  # fmt: skip

    _, counted = product_flops(forward)
    job = Job(shapes=shapes_of(model), section=section, precision="bf16", row_tokens=length)
    # tiles compute whole squares of scores, of which the upper half is thrown away
    square = 2 * length / (length + 1)
    # rel: in some versions of transformers the rotary angles are a product too
    expected = length * job.shapes.layers * attention_flops(job) * square
    assert counted == pytest.approx(expected, rel=1e-3)


def test_phases_count_by_their_shares():
    model = make_llama()
    shapes = shapes_of(model)

    def of(*phases):
        section = TrainConfig(phases=[{"train": t, "share": s} for t, s in phases])
        return flops(Job(shapes=shapes, section=section, precision="fp32", row_tokens=32)).model

    first, whole = of(("embeddings", 1.0)), of(("all", 1.0))
    assert of(("embeddings", 0.25), ("all", 0.75)) == pytest.approx(0.25 * first + 0.75 * whole)
    assert first < 0.8 * whole
