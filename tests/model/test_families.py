"""Models of many families go the whole way: base, new rows, training, saving, scores, serving."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from init_cases import read_pieces, write_vocab
from safetensors import safe_open
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM

from hanhua.core.config import Machine
from hanhua.core.progress import Silent
from hanhua.eval.forward import CausalModel
from hanhua.export.config import ExportConfig
from hanhua.export.huggingface import export_hf
from hanhua.model.base import make_base
from hanhua.model.config import BaseConfig, ExpandConfig
from hanhua.model.ends import embedding_factor
from hanhua.model.generate import Sampling, generate
from hanhua.model.load import load_model, load_tokenizer
from hanhua.model.merge import average, interpolated, merge, shared_tokens
from hanhua.model.rows import expand_model
from hanhua.serve.engine import Engine, Job
from hanhua.serve.sampling import Sampling as ServeSampling
from hanhua.serve.served import load_served
from hanhua.tokens.loader import Batch
from hanhua.tokens.rows import PackedRows, Row, RowsWriter
from hanhua.train.config import TrainConfig
from hanhua.train.loop import train
from hanhua.train.objective import flatten, next_token_loss
from hanhua.train.packed import enable
from hanhua.train.save import load_to_train, save_trained
from hanhua.vocab.tokenizer import read_tokenizer

LLAMA = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128,
}  # fmt: skip
FULL = {key: value for key, value in LLAMA.items() if key != "num_key_value_heads"}
WIDE = {**LLAMA, "head_dim": 8}
GPT2 = {
    "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128, "resid_pdrop": 0.0,
    "embd_pdrop": 0.0, "attn_pdrop": 0.0,
}  # fmt: skip
OPT = {**FULL, "word_embed_proj_dim": 32, "ffn_dim": 48, "dropout": 0.0}
EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
WINDOW = {"sliding_window": 24}
FINE = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "shared_expert_intermediate_size": 40,
}
DEEPSEEK = {
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "n_shared_experts": 1,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "kv_lora_rank": 16,
    "q_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "v_head_dim": 8,
    "num_key_value_heads": 4,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": LLAMA,
    "mistral": {**LLAMA, **WINDOW},
    "qwen2": {**LLAMA, "tie_word_embeddings": True},
    "qwen3": WIDE,
    "gemma": WIDE,
    "gemma2": {**WIDE, **WINDOW, "final_logit_softcapping": 2.0, "attn_logit_softcapping": 2.0},
    "gemma3_text": {**WIDE, **WINDOW},
    "phi": FULL,
    "phi3": LLAMA,
    "gpt2": GPT2,
    "gpt_neox": FULL,
    "opt": OPT,
    "granite": {**LLAMA, "logits_scaling": 4.0, "embedding_multiplier": 3.0},
    "cohere": {**LLAMA, "logit_scale": 0.25},
    "mixtral": {**LLAMA, **EXPERTS},
    "gpt_oss": {**WIDE, **WINDOW, **EXPERTS},
    "qwen2_moe": {**LLAMA, **FINE},
    "qwen3_moe": {**WIDE, **FINE},
    "olmoe": {**LLAMA, **FINE},
    "granitemoe": {**LLAMA, **EXPERTS, "logits_scaling": 4.0},
    "deepseek_v3": {**FULL, **DEEPSEEK},
}
BENT = {"gemma2", "granite", "cohere", "granitemoe"}
"""What comes out of the head is not the logits."""
PUBLISHED = {
    "mixtral": "model.layers.1.block_sparse_moe.experts.3.w2.weight",
    "qwen2_moe": "model.layers.1.mlp.experts.3.down_proj.weight",
    "qwen3_moe": "model.layers.1.mlp.experts.3.down_proj.weight",
    "olmoe": "model.layers.1.mlp.experts.3.down_proj.weight",
    "granitemoe": "model.layers.1.block_sparse_moe.input_linear.weight",
    "gpt_oss": "model.layers.1.mlp.experts.gate_up_proj",
    "deepseek_v3": "model.layers.1.mlp.experts.3.down_proj.weight",
}
"""A weight of the experts as the family's publishers name it, of mixtures of experts."""
SENTENCEPIECE = {"llama", "mistral", "gemma", "gemma2", "gemma3_text", "phi3", "mixtral"}
"""Families whose tokenizer is SentencePiece; the others' is byte-level."""
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen cuts text."""
SHORT = {"mistral", "gemma2", "gemma3_text", "gpt_oss"}
"""The server reads no further than the window."""


def plain_model(folder: Path) -> Any:
    """By transformers alone, in plain products: some versions leave Gemma 2's cap out elsewhere."""
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory: pytest.TempPathFactory, sentences: dict[str, list[str]]) -> Path:
    """A folder with a byte-level tokenizer, English only."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([  # type: ignore[assignment]
        pre_tokenizers.Split(Regex(SPLIT), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    tokenizer.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=["<|pad|>", "<|start|>", "<|end|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(sentences["en"], trainer)
    folder = tmp_path_factory.mktemp("byte-level")
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"bos_token": "<|start|>", "eos_token": "<|end|>", "pad_token": "<|pad|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(names))
    return folder


def save_model(kind: str, tokenizer_from: Path, folder: Path) -> Path:
    """A model of a family with random weights, none of them at its neutral start."""
    torch.manual_seed(5)
    rows = len(read_tokenizer(tokenizer_from).fast())
    named = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "initializer_range": 0.2}
    config = AutoConfig.for_model(kind, vocab_size=rows, **named, **FAMILIES[kind])
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.05)
        for name, buffer in model.named_buffers():
            if name.endswith("e_score_correction_bias"):
                buffer.normal_(0, 0.2)
    model.save_pretrained(folder)
    read_tokenizer(tokenizer_from).save(folder)
    return folder


def write_rows(model: Path, sentences: dict[str, list[str]], out: Path) -> PackedRows:
    """A few sentences of both languages, two or three to a row."""
    core = load_tokenizer(model).backend_tokenizer
    writer = RowsWriter(out, 64, core.get_vocab_size(), ["en", "zh"])
    for language in ("en", "zh"):
        texts = [f"{s}\n" for s in sentences[language][:8]]
        ids = [[1, *core.encode(text, add_special_tokens=False).ids][:31] for text in texts]
        for i in range(0, len(ids), 2):
            lengths = np.array([len(x) for x in ids[i : i + 2]], np.int32)
            tokens = np.concatenate(ids[i : i + 2])
            writer.add(Row(tokens, None, lengths, language))
    writer.close()
    return PackedRows.open(out)


def packed_loss(model: Any, rows: PackedRows) -> float:
    flat = flatten(Batch(tuple(rows.row(i) for i in range(len(rows)))), rows.languages)
    with torch.no_grad():
        return next_token_loss(model, flat, 1 / flat.n_targets)[0].item()


def plain_loss(model: Any, rows: PackedRows) -> float:
    """transformers alone, a document at a time."""
    total, count = 0.0, 0
    for i in range(len(rows)):
        row = rows.row(i)
        for ids in torch.from_numpy(row.tokens.astype("int64")).split(row.lengths.tolist()):
            with torch.no_grad():
                logits = model(ids[None]).logits[0, :-1]
            total += float(F.cross_entropy(logits, ids[1:], reduction="sum"))
            count += len(ids) - 1
    return total / count


@dataclass(frozen=True)
class Way:
    """Where a model came by."""

    kind: str
    base: Path
    expanded: Path
    trained: Path
    rows: PackedRows
    found: dict[str, Any]
    first_loss: float
    plain: Any
    """The trained model as transformers loads it."""


@pytest.fixture(scope="module", params=FAMILIES)
def way(
    request: pytest.FixtureRequest, tiny_llama: Path, byte_level: Path,
    sentences: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory,
) -> Way:  # fmt: skip
    kind, tmp = request.param, tmp_path_factory.mktemp(request.param)
    tokenizer = tiny_llama if kind in SENTENCEPIECE else byte_level
    source, base, grown = save_model(kind, tokenizer, tmp / "source"), tmp / "b", tmp / "e"
    facts = make_base(BaseConfig(model=str(source)), base, 1)
    found = expand_model(base, write_vocab(base, tmp / "vocab"), grown, ExpandConfig(), 3)
    rows = write_rows(grown, sentences, tmp / "rows")
    config = TrainConfig(precision="fp32", learning_rate=3e-3, batch_tokens=512, steps=2)
    model = load_to_train(grown, config)
    result = train(
        model, rows, config, work=tmp / "work", seed=1, old_rows=found["old_rows"],
        machine=Machine(device="cpu", threads=1), progress=Silent(), source=grown,
    )  # fmt: skip
    save_trained(model, result, config, tmp / "out", tokenizer_from=grown)
    first = json.loads(result.log.read_text().splitlines()[0])["loss"]
    trained = tmp / "out" / "model"
    plain = plain_model(trained)
    return Way(kind, base, grown, trained, rows, {**found, **facts}, first, plain)


def test_new_rows_leave_what_the_base_computes(way: Way) -> None:
    old = AutoModelForCausalLM.from_pretrained(way.base)
    new = AutoModelForCausalLM.from_pretrained(way.expanded)
    assert way.found["params"] == sum(p.numel() for p in old.parameters())
    assert way.found["context"] == 128
    ids = torch.arange(5, 45)[None]
    with torch.no_grad():
        before, after = old(ids).logits, new(ids).logits
    assert torch.allclose(before, after[..., : way.found["old_rows"]], atol=1e-5)
    assert after.shape[-1] == new.config.vocab_size == sum(
        way.found[name] for name in ("old_rows", "new_rows", "padded_rows")
    )  # fmt: skip
    bias = new.get_output_embeddings().bias
    assert (bias is not None) == (way.kind == "phi")
    if bias is not None:
        piece = read_pieces(way.base.parent / "vocab")[0]
        mean = old.get_output_embeddings().bias[piece["base_ids"]].mean()
        assert torch.allclose(bias[piece["id"]], mean, atol=1e-6)
    factor = 32**0.5 if way.kind.startswith("gemma") else 1.0
    assert embedding_factor(old.get_input_embeddings()) == pytest.approx(factor, rel=1e-5)


def test_packed_training_is_transformers_loss_of_each_document(way: Way) -> None:
    start = plain_model(way.expanded)
    assert way.first_loss == pytest.approx(plain_loss(start, way.rows), abs=1e-4)
    packed = load_model(way.trained)
    enable(packed)
    expected = plain_loss(way.plain, way.rows)
    assert packed_loss(packed, way.rows) == pytest.approx(expected, abs=1e-4)
    assert expected < way.first_loss - 0.01  # it learnt
    with torch.no_grad():
        ids = torch.arange(5, 25)[None]
        raw = way.plain.get_output_embeddings()(way.plain.base_model(ids).last_hidden_state)
        bent = not torch.allclose(way.plain(ids).logits, raw, atol=1e-3)
    assert bent == (way.kind in BENT)


def test_scores_and_answers_are_those_of_transformers(way: Way) -> None:
    tokenizer, prompt = load_tokenizer(way.trained), [1, 40, 41, 42, 43]
    silent = [0, *([] if tokenizer.unk_token_id is None else [tokenizer.unk_token_id])]
    greedy = list(prompt)
    for _ in range(6):
        with torch.no_grad():
            logits = way.plain(torch.tensor([greedy])).logits[0, -1, : len(tokenizer)]
        logits[silent] = -torch.inf
        greedy.append(int(logits.argmax()))
    served = load_served(way.trained)
    assert served.context_tokens == (24 if way.kind in SHORT else 128)
    causal = CausalModel(served.model, tokenizer)
    with torch.no_grad():
        states = causal.hidden(torch.tensor([greedy]))[0]
        expected = way.plain(torch.tensor([greedy])).logits[0]
    assert torch.allclose(causal.logits(states), expected, atol=1e-4)
    ours = generate(way.plain, tokenizer, [prompt], Sampling(max_new_tokens=6))[0]
    assert list(ours.ids) == greedy[5 : 5 + len(ours.ids)]
    engine = Engine(served)
    try:
        job = Job(prompt=tuple(prompt), max_tokens=6, sampling=ServeSampling(temperature=0.0))
        assert "".join(event.text for event in engine.events(job)) == ours.text
    finally:
        engine.close()


@pytest.mark.parametrize("way", ["gemma2", "phi", "gpt2", "gpt_neox", *PUBLISHED], indirect=True)
def test_the_export_is_the_same_model(way: Way, tmp_path: Path) -> None:
    counts = export_hf(way.trained, tmp_path / "hf", ExportConfig())
    assert counts["greedy_tokens_compared"] > 0
    for folder in (way.base, way.expanded, way.trained, tmp_path / "hf"):
        with safe_open(folder / "model.safetensors", framework="pt") as file:
            assert PUBLISHED.get(way.kind, "") in "".join(file.keys())  # as others load it


@pytest.mark.parametrize("way", PUBLISHED, indirect=True)
def test_experts_are_averaged_with_those_of_the_base(way: Way, tmp_path: Path) -> None:
    terms = interpolated(average([way.trained]), way.expanded, 0.25, way.expanded)
    merge(terms, shared_tokens([way.trained, way.expanded]), tmp_path / "merged")
    found, trained, start = (
        dict(load_model(folder).named_parameters())
        for folder in (tmp_path / "merged", way.trained, way.expanded)
    )
    experts = [name for name in found if "experts" in name]
    assert experts
    assert any(not torch.equal(trained[name], start[name]) for name in experts)
    for name in experts:
        assert torch.allclose(found[name], torch.lerp(start[name], trained[name], 0.25), atol=1e-6)
