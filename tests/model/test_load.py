"""Whatever can be wrong with a model folder is said in one message with a way out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from hanhua.core.errors import ModelError
from hanhua.model.base import make_base
from hanhua.model.config import BaseConfig
from hanhua.model.load import load_model, load_tokenizer, resolve


@pytest.fixture
def folder(tiny_llama: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_llama, tmp_path / "model"))


def edit_config(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def cut_off(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])


def point_elsewhere(folder: Path) -> None:
    index = {"metadata": {}, "weight_map": {"lm_head.weight": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def only_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


FAULTS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), "No config.json", "tokenizer.model"),
    "config is no JSON": (lambda f: (f / "config.json").write_text("{"), "not parse", "Expecting"),
    "config is a list": (lambda f: (f / "config.json").write_text("[]"), "not parse", "list"),
    "other kind": (lambda f: edit_config(f, model_type="bert"), "not supported", "'bert'"),
    "remote code": (
        lambda f: edit_config(f, model_type="baichuan", auto_map={"AutoConfig": "x.Y"}),
        "not supported", "'baichuan'",
    ),
    "bad field": (lambda f: edit_config(f, hidden_size="wide"), "refuses", "hidden_size"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "weights are missing", "no such"),
    "only a pickle": (only_pickle, "weights are missing", "pytorch_model.bin"),
    "shard missing": (point_elsewhere, "weights are missing", "no such file"),
    "cut off": (cut_off, "do not read", ""),
    "a Git LFS pointer": (
        lambda f: (f / "model.safetensors").write_text("version https://git-lfs.github.com\n"),
        "do not read", "",
    ),
    "wider config": (
        lambda f: edit_config(f, intermediate_size=80),
        "not fit", "[32, 64]; config.json asks for [32, 80]",
    ),
    "more layers": (lambda f: edit_config(f, num_hidden_layers=3), "is missing", "none;"),
    "fewer layers": (lambda f: edit_config(f, num_hidden_layers=1), "no part", "9 such"),
    "weight gone": (
        lambda f: edit_weights(f, lambda t: t.pop("model.norm.weight")), "is missing", "[32]",
    ),
    "head needed": (lambda f: edit_config(f, tie_word_embeddings=False), "is missing", "none;"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_said(folder: Path, fault: str):
    damage, message, found = FAULTS[fault]
    damage(folder)
    with pytest.raises(ModelError, match=message) as caught:
        load_model(folder)
    assert found in str(caught.value.found)
    assert str(folder) in str(caught.value.where)
    assert caught.value.fix


def test_a_sound_folder_loads_in_the_type_asked_for(folder: Path):
    assert load_model(folder).dtype == torch.float32
    assert load_model(str(folder), torch.bfloat16).dtype == torch.bfloat16
    assert not load_model(folder).training


def test_a_folder_that_is_not_there(tmp_path: Path):
    with pytest.raises(ModelError, match="No such model") as caught:
        resolve(str(tmp_path / "nothing"))
    assert "org/name" in str(caught.value.fix)


def test_a_model_without_a_tokenizer(folder: Path):
    (folder / "tokenizer.model").unlink()
    with pytest.raises(ModelError, match="No tokenizer"):
        load_tokenizer(folder)
    with pytest.raises(ModelError, match="No tokenizer"):
        make_base(BaseConfig(model=str(folder)), folder.with_name("out"), 1)


def test_a_tokenizer_larger_than_the_model(folder: Path, tmp_path: Path):
    size = len(load_tokenizer(folder))
    (folder / "added_tokens.json").write_text(json.dumps({"<pad>": size}))
    with pytest.raises(ModelError, match="more tokens than the model has rows") as caught:
        make_base(BaseConfig(model=str(folder)), tmp_path / "out", 1)
    assert str(size + 1) in str(caught.value.found)


def test_the_base_is_a_copy_that_keeps_its_weights(folder: Path, tmp_path: Path):
    (folder / "model.safetensors").chmod(0o444)
    found = make_base(BaseConfig(model=str(folder)), tmp_path / "out", 1)
    one, two = (p / "model.safetensors" for p in (folder, tmp_path / "out"))
    assert one.read_bytes() == two.read_bytes()
    assert (one.stat().st_mode & 0o777, two.stat().st_mode & 0o777) == (0o444, 0o644)
    assert one.stat().st_ino != two.stat().st_ino
    assert found["layers"] == 2
    assert found["params"] == sum(p.numel() for p in load_model(folder).parameters())


def test_generation_config_is_made_where_it_is_missing_and_refused_where_broken(
    folder: Path, tmp_path: Path
):
    (folder / "generation_config.json").unlink()
    make_base(BaseConfig(model=str(folder)), tmp_path / "out", 1)
    made = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert made == {"bos_token_id": 1, "eos_token_id": 2}
    (folder / "generation_config.json").write_text("{")
    with pytest.raises(ModelError, match="not JSON"):
        make_base(BaseConfig(model=str(folder)), tmp_path / "again", 1)


def test_a_base_on_shared_data(shared_data: Path, tmp_path: Path):
    base = shared_data / "models" / "stories3M-hf"
    found = make_base(BaseConfig(model=str(base)), tmp_path / "m", 1)
    assert (found["params"], found["vocab"], found["layers"]) == (3_148_224, 4096, 6)
    model, tokenizer = load_model(tmp_path / "m"), load_tokenizer(tmp_path / "m")
    ids = tokenizer("Once upon a time, there was a little", return_tensors="pt").input_ids
    assert tokenizer.decode(model(ids).logits[0, -1].argmax()).strip() in ("girl", "boy")
