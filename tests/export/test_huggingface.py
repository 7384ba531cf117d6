from __future__ import annotations

import json
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors import safe_open
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from hanhua.chat.template import get_template
from hanhua.core.artifact import Artifact
from hanhua.core.config import Machine
from hanhua.core.errors import ArtifactError
from hanhua.core.progress import Silent
from hanhua.core.stage import Context
from hanhua.export import huggingface
from hanhua.export.config import ExportConfig
from hanhua.stages.export import STAGE
from hanhua.vocab.tokenizer import read_tokenizer
from hard_texts import QWEN2, byte_level, split


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model_artifact(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A chat model as finetune leaves it, with more rows than tokens."""
    folder = tmp_path_factory.mktemp("export") / "finetune-0123456789ab"
    model = LlamaForCausalLM.from_pretrained(tiny_llama)
    model.resize_token_embeddings(384, mean_resizing=False)
    model.save_pretrained(folder / "model")
    tokenizer = replace(read_tokenizer(tiny_llama), chat_template=get_template("hanhua").jinja)
    tokenizer.save(folder / "model")
    return Artifact(folder, "finetune", "0" * 64, {})


def export(model: Artifact, out: Path, **options: object) -> tuple[Path, dict[str, int]]:
    config = ExportConfig(**{"shard_bytes": 1_000_000, **options})  # type: ignore[arg-type]
    out.mkdir(parents=True)
    context = Context(config=config, inputs={"model": model}, out=out, work=out.parent / "work",
                      seed=1, machine=Machine(), progress=Silent())  # fmt: skip
    result = STAGE.run(context)
    return out / "hf", dict(result.counts)


@pytest.fixture(scope="module")
def exported(model_artifact: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(model_artifact, tmp_path_factory.mktemp("out") / "a")[0]


def test_others_load_the_same_weights_tokens_and_template(model_artifact, exported):
    source = model_artifact.path / "model"
    ours, theirs = (
        AutoModelForCausalLM.from_pretrained(p).state_dict() for p in (source, exported)
    )
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    tokenizer = AutoTokenizer.from_pretrained(exported)
    expected = read_tokenizer(source).fast()
    for text in huggingface.HARD_TEXTS:
        assert tokenizer(text)["input_ids"] == expected(text)["input_ids"]
        if "<s>" not in text:
            assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text
    messages = [{"role": "user", "content": "你好"}]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert rendered == "<s>Q: 你好</s>A:"


def test_the_folder_is_whole_and_readable_by_everyone(exported):
    names = {path.name for path in exported.iterdir()}
    assert names >= {"config.json", "generation_config.json", "model.safetensors", "README.md",
                     "tokenizer.json", "tokenizer_config.json", "tokenizer.model",
                     "chat_template.jinja"}  # fmt: skip
    assert {stat.S_IMODE(path.stat().st_mode) for path in exported.iterdir()} == {0o644}
    for path in exported.glob("*.json*"):
        assert "/tmp" not in path.read_text(encoding="utf-8")


def test_generation_config_stops_and_samples(exported):
    found = GenerationConfig.from_pretrained(exported)
    assert found.eos_token_id == 2
    assert found.bos_token_id == 1
    assert found.do_sample is True
    assert (found.temperature, found.top_p, found.top_k) == (0.7, 0.9, 0)


def test_big_models_are_sharded(model_artifact, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface, "GREEDY_TOKENS", 4)
    out = tmp_path / "hf"
    config = ExportConfig.model_construct(**{**ExportConfig().model_dump(), "shard_bytes": 40_000})
    counts = huggingface.export_hf(model_artifact.path / "model", out, config)
    index = json.loads((out / "model.safetensors.index.json").read_text())
    assert counts["weight_files"] == len(set(index["weight_map"].values())) > 1
    for name, file in index["weight_map"].items():
        with safe_open(out / file, framework="pt") as weights:
            assert name in weights.keys()


def test_same_input_same_bytes(model_artifact, exported, tmp_path):
    again, _ = export(model_artifact, tmp_path / "b")
    for path in exported.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name


def spoil_tokenizer(folder: Path) -> None:
    data = json.loads((folder / "tokenizer.json").read_text())
    data["model"]["merges"] = data["model"]["merges"][:-40]
    (folder / "tokenizer.json").write_text(json.dumps(data))


def spoil_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")


def spoil_weights(folder: Path) -> None:
    model = LlamaForCausalLM.from_pretrained(folder)
    model.model.norm.weight.data.neg_()  # what was most probable is now least
    model.save_pretrained(folder)


def spoil_sentencepiece(folder: Path) -> None:
    """What transformers' own converters do when scores are lost."""
    from sentencepiece import sentencepiece_model_pb2 as spm

    proto = spm.ModelProto()
    proto.ParseFromString((folder / "tokenizer.model").read_bytes())
    for piece in proto.pieces:
        piece.score = -1000.0 - piece.score
    (folder / "tokenizer.model").write_bytes(proto.SerializeToString())


@pytest.mark.parametrize(("spoil", "what"), [
    (spoil_tokenizer, "token ids"), (spoil_template, "rendered chat"),
    (spoil_weights, "greedy tokens"), (spoil_sentencepiece, "tokenizer.model"),
])  # fmt: skip
def test_a_folder_that_differs_is_not_exported(model_artifact, exported, tmp_path, spoil, what):
    folder = tmp_path / "spoilt"
    shutil.copytree(exported, folder)
    before = huggingface._reload(model_artifact.path / "model", torch.float32)
    huggingface._compare(before, huggingface._reload(folder, torch.float32), folder)
    spoil(folder)
    with pytest.raises(ArtifactError, match=what):
        huggingface._compare(before, huggingface._reload(folder, torch.float32), folder)


def test_what_transformers_would_compose_is_not_exported(sentences, tmp_path):
    """AutoTokenizer reads a Qwen2 folder with a normalizer that its tokenizer.json lacks."""
    base = byte_level(tmp_path / "base", sentences, pre_tokenizer=split(QWEN2))
    config = Qwen2Config(vocab_size=403, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                         num_attention_heads=2, num_key_value_heads=2)  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(tmp_path / "model")
    read_tokenizer(base).save(tmp_path / "model")
    with pytest.raises(ArtifactError, match="token ids of 'cafe"):
        huggingface.export_hf(tmp_path / "model", tmp_path / "out", ExportConfig())


def test_a_base_model_exports_without_a_template(tiny_llama, tmp_path):
    folder = tmp_path / "base-0123456789ab"
    shutil.copytree(tiny_llama, folder / "model")
    out, counts = export(Artifact(folder, "base", "0" * 64, {}), tmp_path / "out")
    assert not (out / "chat_template.jinja").exists()
    assert "no chat template" in (out / "README.md").read_text()
    assert counts["greedy_tokens_compared"] == 4 * huggingface.GREEDY_TOKENS


def test_a_real_model_in_half_precision(shared_data, tmp_path):
    folder = tmp_path / "base-0123456789ab"
    shutil.copytree(shared_data / "models" / "stories260K-hf", folder / "model")
    out, _ = export(Artifact(folder, "base", "0" * 64, {}), tmp_path / "out")
    source = AutoModelForCausalLM.from_pretrained(folder / "model", dtype="auto")
    assert AutoModelForCausalLM.from_pretrained(out, dtype="auto").dtype == source.dtype


def test_formats_are_checked():
    with pytest.raises(ValidationError):
        ExportConfig(formats=("gguf",))  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        ExportConfig(formats=())
    assert ExportConfig.model_validate({"formats": ["hf"]}).formats == ("hf",)
