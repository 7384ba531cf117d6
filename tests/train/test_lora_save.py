"""What a stage with LoRA leaves on disk: a plain model, and an adapter that peft reads."""

from __future__ import annotations

import json
import stat

import pytest
import torch
from lora_models import FAMILIES, make_model, run, stir
from safetensors.torch import load_file
from tiny_models import VOCAB, make_llama

from hanhua.core.artifact import Artifact
from hanhua.core.config import Machine
from hanhua.core.errors import TrainingError
from hanhua.core.progress import Silent
from hanhua.core.stage import Context
from hanhua.model.checkpoint import probe_logits
from hanhua.model.config import LoraConfig
from hanhua.model.load import load_model
from hanhua.model.lora import adapters, add_adapters, find_targets, merge_adapters
from hanhua.model.lora_files import _tensors, save_adapter
from hanhua.stages import pretrain
from hanhua.text.document import Document
from hanhua.text.shards import write_documents
from hanhua.train import save
from hanhua.train.config import TrainConfig
from hanhua.train.estimate import estimate
from hanhua.train.optim import Masters
from hanhua.train.save import relative_difference


class Heard(Silent):
    """Progress that keeps what was said."""

    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)


def stage(tmp_path, base, rows, *, old_rows=None, progress=None, corpus=None, more=None, **lora):
    source, out, work = (tmp_path / name for name in ("source", "out", "work"))
    for folder in (source, out, work):
        folder.mkdir()
    (source / "model").symlink_to(base)
    if old_rows:
        (source / "rows.json").write_text(json.dumps({"old_rows": old_rows}))
    values = {"steps": 6, "batch_tokens": 256, "learning_rate": 1e-2, "precision": "fp32"}
    values |= more or {}
    section = TrainConfig(lora=LoraConfig(rank=8, **lora), **values)
    context = Context(
        config=section, out=out, work=work, seed=3, machine=Machine(device="cpu", threads=1),
        inputs={
            "model": Artifact(source, "base", "0" * 64, {}),
            "tokens": Artifact(rows.path.parent, "tokens", "0" * 64, {}),
            **({"corpus": Artifact(corpus, "corpus", "0" * 64, {})} if corpus else {}),
        },
        progress=progress or Silent(),
    )  # fmt: skip
    return pretrain.STAGE.run(context), out


@pytest.mark.parametrize("kind", [{"embeddings": True}, {"dora": True}])
def test_the_stage_leaves_a_plain_model_and_the_adapter(tmp_path, tiny_llama, rows, kind):
    result, out = stage(tmp_path, tiny_llama, rows, **kind)
    before, model = load_model(tiny_llama), load_model(out / "model")
    names = [name for name, _ in before.named_parameters()]
    assert [name for name, _ in model.named_parameters()] == names
    assert {p.name for p in (out / "model").glob("adapter*")} == set()
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o644 for p in (out / "adapter").iterdir())
    found = result.metrics["lora"]
    assert 0 < found["merge_difference"] < 1e-5
    assert result.metrics["reload_max_difference"] == 0.0
    tensors = load_file(out / "adapter" / "adapter_model.safetensors")
    numbers = sum(t.numel() for name, t in tensors.items() if "lm_head" not in name)
    assert numbers == found["trained_parameters"] < result.counts["parameters"]
    settings = json.loads((out / "adapter" / "adapter_config.json").read_text())
    ends = ["embed_tokens", "lm_head"] if "embeddings" in kind else None
    assert settings["modules_to_save"] == ends
    assert (settings["r"], settings["lora_alpha"]) == (8, 16.0)
    assert settings["target_modules"] == [
        "down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"
    ]  # fmt: skip
    same = torch.equal(before.lm_head.weight, model.lm_head.weight)
    assert same == ("embeddings" not in kind)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert relative_difference(probe_logits(model), probe_logits(before)) > 0.01


def test_a_watched_run_that_stops_early_goes_back_to_the_good_adapters(
    tmp_path, tiny_llama, rows, sentences
):
    for language, lines in sentences.items():
        documents = [Document(str(i), x, language, "made", "CC0") for i, x in enumerate(lines[:5])]
        write_documents(tmp_path / "corpus" / "held_out" / f"{language}.parquet", documents)
    more = {
        "watch": {"every_steps": 2}, "stop": {"max_rise_bits": 0.0, "patience": 1}, "guard": None,
        "learning_rate": 3.0,
    }  # fmt: skip
    result, out = stage(
        tmp_path, tiny_llama, rows, corpus=tmp_path / "corpus", more=more, embeddings=True
    )
    assert result.metrics["stopped"]["kept_step"] == result.counts["steps"] == 0
    before, model = load_model(tiny_llama), load_model(out / "model")
    assert torch.equal(probe_logits(model), probe_logits(before))


def test_new_rows_that_nothing_trains_are_told_of(tmp_path, tiny_llama, rows):
    heard = Heard()
    stage(tmp_path, tiny_llama, rows, old_rows=VOCAB - 8, progress=heard)
    assert [line for line in heard.lines if "lora.embeddings is false" in line]


def test_a_merge_that_changes_the_model_is_an_error(tmp_path, tiny_llama, rows, monkeypatch):
    def forgetful(model):
        for _, _, adapter in adapters(model):
            adapter.B.data.zero_()
        merge_adapters(model)

    monkeypatch.setattr(save, "merge_adapters", forgetful)
    with pytest.raises(TrainingError, match="merged model computes other logits") as error:
        stage(tmp_path, tiny_llama, rows)
    assert "in float32" in error.value.message


@pytest.mark.parametrize("kind", [{}, {"dora": True}, {"embeddings": True}])
def test_frozen_weights_keep_the_digits_that_bf16_arithmetic_has_not(
    tmp_path, tiny_llama, rows, kind
):
    more = {"precision": "bf16", "learning_rate": 1e-9}
    result, out = stage(tmp_path, tiny_llama, rows, more=more, **kind)
    assert result.metrics["precision"] == "bf16"
    before, after = (load_file(f / "model.safetensors") for f in (tiny_llama, out / "model"))
    for name, weight in before.items():
        near = 8e-4 if "dora" in kind else 1e-6  # lengths are those of the rounded rows
        assert (weight - after[name]).norm() <= near * weight.norm(), name
        rounded = (weight - weight.bfloat16().float()).norm()
        assert rounded == 0 or rounded > 1e-3 * weight.norm()
    to_lose = [name for name, w in before.items() if not torch.equal(w, w.bfloat16().float())]
    assert "model.layers.0.mlp.up_proj.weight" in to_lose


def test_a_large_model_is_rounded_once(tmp_path, tiny_llama, rows, monkeypatch):
    monkeypatch.setattr("hanhua.model.checkpoint.SMALL_PARAMETERS", 0)
    result, out = stage(tmp_path, tiny_llama, rows)
    assert result.metrics["dtype"] == "bfloat16"
    assert 1e-4 < result.metrics["lora"]["merge_difference"] < 0.02
    assert load_model(out / "model", torch.bfloat16).dtype == torch.bfloat16


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", [{}, {"rslora": True}, {"dora": True}, {"embeddings": True}])
def test_peft_reads_the_adapter_and_computes_the_same(tmp_path, rows, family, kind):
    peft = pytest.importorskip("peft")
    lora = LoraConfig(rank=4, alpha=6.0, **kind)
    model = make_model(family)
    run(model, rows, tmp_path / "w", lora=lora, steps=4)
    save_adapter(model, lora, tmp_path / "adapter")
    theirs = peft.PeftModel.from_pretrained(make_model(family), tmp_path / "adapter").eval()
    ours = probe_logits(model)
    found = probe_logits(theirs.base_model.model)
    assert relative_difference(found, ours) < 1e-5
    assert relative_difference(probe_logits(make_model(family)), ours) > 0.01
    merge_adapters(model)
    theirs.base_model.merge_adapter()
    for name, layer in find_targets(model, lora):
        merged = theirs.base_model.model.get_submodule(name).base_layer.weight
        assert relative_difference(layer.weight, merged) < 1e-5, name


def test_gradients_and_names_are_pefts(rows):
    peft = pytest.importorskip("peft")
    for kind in ({}, {"use_dora": True}, {"use_rslora": True}):
        lora = LoraConfig(
            rank=4, alpha=6.0, dora="use_dora" in kind, rslora="use_rslora" in kind
        )  # fmt: skip
        model = make_model("llama")
        add_adapters(model, lora, 0, torch.float32)
        stir(model)
        theirs = peft.get_peft_model(
            make_model("llama"),
            peft.LoraConfig(r=4, lora_alpha=6.0, target_modules="all-linear", **kind),
        )
        peft.set_peft_model_state_dict(theirs, _tensors(model, lora))
        assert set(peft.get_peft_model_state_dict(theirs)) == set(_tensors(model, lora))
        ids = torch.from_numpy(rows.row(0).tokens.astype("int64"))[None]
        for one in (model, theirs):
            torch.autograd.backward(one(ids, labels=ids).loss)
        for name, _, adapter in adapters(model):
            other = theirs.base_model.model.get_submodule(name)
            assert relative_difference(adapter.A.grad, other.lora_A.default.weight.grad) < 1e-4
            assert relative_difference(adapter.B.grad, other.lora_B.default.weight.grad) < 1e-4
            if adapter.magnitude is not None:
                length = other.lora_magnitude_vector.default.weight.grad
                assert relative_difference(adapter.magnitude.grad, length) < 1e-4


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("embeddings", [True, False])
def test_the_plan_counts_what_is_trained(tmp_path, rows, tied, embeddings):
    model = make_llama(tied)
    facts = {
        "n_params": sum(p.numel() for p in model.parameters()), "vocab_size": VOCAB,
        "hidden_size": 32, "intermediate_size": 48, "heads": 4, "kv_heads": 2, "layers": 2,
        "tied": tied, "tokens": 1000,
    }  # fmt: skip
    for lora in (
        LoraConfig(rank=4, dora=True, embeddings=embeddings),
        LoraConfig(rank=4, targets=["q_proj", "mlp.down_proj"], embeddings=embeddings),
    ):
        section = TrainConfig(lora=lora, precision="bf16")
        model = make_llama(tied)
        add_adapters(model, lora, 0, torch.bfloat16)
        masters = Masters(model, section)
        found = estimate(section, facts)
        trained = sum(w.numel() for w in masters.weights.values())
        frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
        assert found["trained_parameters"] == trained
        stays = found["memory"]["weights_bytes"] + found["memory"]["optimizer_bytes"]
        assert stays == 14 * trained + 2 * frozen
        assert found["flops"] < estimate(TrainConfig(), facts)["flops"]
