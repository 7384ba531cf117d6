"""A model as a GGUF file: the same weights, ids, template and answers, in two or three readers."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from hanhua.chat.template import get_template
from hanhua.core.errors import ArtifactError, DependencyError, ModelError, UsageError
from hanhua.export.gguf import write_gguf
from hanhua.export.gguf_layout import layout
from hanhua.export.gguf_proof import prove_gguf
from hanhua.export.gguf_read import check_vocab, load_gguf, read_weights
from hanhua.export.huggingface import HARD_TEXTS
from hanhua.export.llama_cpp import LlamaCpp
from hanhua.export.methods import DIRECT
from hanhua.model.load import load_model
from hanhua.vocab.tokenizer import read_tokenizer
from hard_texts import HARD_LINES, byte_level

gguf = pytest.importorskip("gguf", reason='needs the extra: pip install "hanhua[gguf]"')

SIZES = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128, "initializer_range": 0.2,
    "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None,
}  # fmt: skip
LLAMA3 = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 64}  # fmt: skip
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 2.0,
        "original_max_position_embeddings": 64}  # fmt: skip
KINDS: dict[str, Callable[[int], torch.nn.Module]] = {
    "llama-tied": lambda n: LlamaForCausalLM(
        LlamaConfig(vocab_size=n + 5, tie_word_embeddings=True, **SIZES)
    ),
    "llama-untied-llama3": lambda n: LlamaForCausalLM(
        LlamaConfig(vocab_size=n, tie_word_embeddings=False, rope_parameters=LLAMA3, **SIZES)
    ),
    "llama-yarn": lambda n: LlamaForCausalLM(
        LlamaConfig(vocab_size=n, tie_word_embeddings=True, rope_parameters=YARN, **SIZES)
    ),
    "qwen2-bytes": lambda n: Qwen2ForCausalLM(
        Qwen2Config(vocab_size=512, tie_word_embeddings=False, **SIZES)
    ),
    "qwen3-bytes": lambda n: Qwen3ForCausalLM(
        Qwen3Config(vocab_size=512, tie_word_embeddings=True, head_dim=32, **SIZES)
    ),
}


RENDER = """
import json, sys, llama_cpp
from llama_cpp.llama_chat_format import Jinja2ChatFormatter
model = llama_cpp.Llama(sys.argv[1], vocab_only=True, verbose=False)
bos, eos = (model._model.token_get_text(i) for i in (model.token_bos(), model.token_eos()))
form = Jinja2ChatFormatter(model.metadata["tokenizer.chat_template"], eos_token=eos, bos_token=bos)
print(json.dumps(form(messages=json.loads(sys.argv[2])).prompt))
"""
"""A conversation as llama-cpp-python lays it out by the template in the file."""


@dataclass
class Folders:
    """A model folder of each kind."""

    by_kind: dict[str, Path]

    def __getitem__(self, kind: str) -> Path:
        return self.by_kind[kind]


@pytest.fixture(scope="module")
def folders(tiny_llama: Path, sentences, tmp_path_factory) -> Folders:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("kinds")
    bytes_ = byte_level(root / "bytes", sentences)
    found = {}
    for kind, make in KINDS.items():
        torch.manual_seed(5)
        files = read_tokenizer(bytes_ if "bytes" in kind else tiny_llama)
        files = replace(files, chat_template=get_template("hanhua").jinja)
        model = make(files.backend.get_vocab_size())
        for module in model.modules():  # biases of 0 and norms of 1 would hide a mistake
            if getattr(module, "bias", None) is not None:
                torch.nn.init.normal_(module.bias, std=0.5)
            if "RMSNorm" in type(module).__name__:
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
        model.save_pretrained(root / kind)
        files.save(root / kind)
        found[kind] = root / kind
    return Folders(found)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_weights_logits_and_tokenizer(kind: str, folders, tmp_path):
    folder, path = folders[kind], tmp_path / "m.gguf"
    counts = write_gguf(folder, path, "f32", name="tiny")
    found = prove_gguf(folder, path, "f32", LlamaCpp())
    assert found["weights_relative_error"] == 0
    assert found["logits_relative_error"] < 1e-6
    assert found["greedy_same"] == found["greedy_tokens"] > 90
    assert counts["parameters"] == sum(p.numel() for p in load_model(folder).parameters())
    names = {tensor.name for tensor in gguf.GGUFReader(path).tensors}
    assert ("output.weight" in names) == (not load_model(folder).config.tie_word_embeddings)
    assert ("rope_freqs.weight" in names) == ("llama3" in kind)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.gguf"]


@pytest.mark.parametrize("kind", ["llama-tied", "qwen2-bytes"])
def test_transformers_reads_the_file_by_itself(kind: str, folders, tmp_path):
    pytest.importorskip("accelerate", reason="transformers reads GGUF files with accelerate only")
    path = write_and(folders[kind], tmp_path, "f32")
    theirs = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name)
    ours = load_model(folders[kind])
    ids = torch.arange(3, 40)[None]
    with torch.inference_mode():
        assert torch.allclose(theirs(ids).logits, ours(ids).logits, atol=1e-4)


def write_and(folder: Path, out: Path, kind: str) -> Path:
    path = out / f"{kind}.gguf"
    write_gguf(folder, path, kind)
    return path


def test_fewer_bits_are_nearer_the_more_there_are(folders, tmp_path):
    source = dict(load_model(folders["llama-untied-llama3"]).state_dict())
    errors, sizes = {}, {}
    for kind in DIRECT:
        path = write_and(folders["llama-untied-llama3"], tmp_path, kind)
        read = read_weights(path, folders["llama-untied-llama3"])
        assert read.keys() == source.keys()
        errors[kind] = float(sum((read[n] - source[n]).square().sum() for n in source)) ** 0.5
        sizes[kind] = path.stat().st_size
        norms = [n for n in source if "norm" in n]
        assert all(torch.equal(read[n], source[n]) for n in norms)
        assert len(norms) == 5
    assert errors["f32"] == 0
    order = ["f32", "f16", "bf16", "q8_0", "q5_1", "q4_1"]
    assert [errors[k] for k in order] == sorted(errors[k] for k in order)
    assert errors["q5_0"] < errors["q4_0"]
    assert sizes["f32"] > sizes["f16"] > sizes["q8_0"] > sizes["q5_1"] > sizes["q4_0"]


def test_the_head_keeps_eight_bits(folders, tmp_path):
    for kind, head in (("llama-tied", "token_embd.weight"), ("qwen2-bytes", "output.weight")):
        path = write_and(folders[kind], tmp_path, "q4_0")
        types = {t.name: t.tensor_type.name for t in gguf.GGUFReader(path).tensors}
        assert types.pop(head) == "Q8_0"
        assert set(types.values()) == {"F32", "Q4_0"}


def test_the_same_bytes_twice(folders, tmp_path):
    first = write_and(folders["llama-tied"], tmp_path, "q4_1").read_bytes()
    assert write_and(folders["llama-tied"], tmp_path, "q4_1").read_bytes() == first


def test_a_file_of_another_model_is_refused(folders, tmp_path):
    path = write_and(folders["llama-tied"], tmp_path, "f16")
    with pytest.raises(ModelError, match="another model"):
        load_gguf(path, folders["llama-untied-llama3"])
    with pytest.raises(ArtifactError, match="tokenizer"):
        check_vocab(path, folders["qwen2-bytes"])
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ModelError, match="no whole GGUF"):
        load_gguf(path, folders["llama-tied"])


@pytest.mark.parametrize(
    ("config", "what"),
    [
        (LlamaConfig(hidden_act="gelu"), "hidden_act gelu"),
        (MistralConfig(sliding_window=64, max_position_embeddings=128), "sliding window of 64"),
        (LlamaConfig(rope_parameters={"rope_type": "dynamic", "factor": 2.0,
                                      "rope_theta": 1e4}), "rope_type dynamic"),
        (LlamaConfig(rope_parameters={"rope_type": "yarn", "factor": 4.0, "beta_fast": 64,
                                      "rope_theta": 1e4}), "YaRN with other settings"),
    ],
)  # fmt: skip
def test_what_llama_cpp_would_compute_otherwise_is_refused(config, what):
    with pytest.raises(ModelError) as caught:
        layout(config, Path("m"))
    assert what in str(caught.value.found)


def test_weights_beyond_sixteen_bits(folders, tmp_path):
    model = load_model(folders["llama-tied"])
    model.model.layers[0].mlp.up_proj.weight.data[0, 0] = 1e6
    model.save_pretrained(tmp_path / "big")
    read_tokenizer(folders["llama-tied"]).save(tmp_path / "big")
    with pytest.raises(ModelError, match="does not fit the type") as caught:
        write_gguf(tmp_path / "big", tmp_path / "out" / "m.gguf", "f16")
    assert "up_proj" in str(caught.value.where)
    assert list((tmp_path / "out").iterdir()) == []
    write_gguf(tmp_path / "big", tmp_path / "out" / "m.gguf", "f32")


def test_llama_cpp_that_is_not_here(tmp_path):
    with pytest.raises(DependencyError, match=r"llama\.cpp"):
        LlamaCpp().answers(tmp_path / "m.gguf")
    with pytest.raises(UsageError, match="not there"):
        LlamaCpp.find(tmp_path)
    program = tmp_path / "llama-quantize"
    program.write_text("not to be run")
    program.chmod(0o600)
    assert LlamaCpp.find(program).program == LlamaCpp.find(tmp_path).program == program
    with pytest.raises(UsageError, match="cannot be started"):
        LlamaCpp.find(program).quantise(tmp_path / "a.gguf", tmp_path / "b.gguf", "q4_k_m")
    with pytest.raises(UsageError, match="cannot be started"):
        LlamaCpp(python=tmp_path / "gone").answers(tmp_path / "m.gguf")


@pytest.fixture
def llama() -> LlamaCpp:
    python = os.environ.get("HANHUA_LLAMA_PYTHON")
    if not python:
        pytest.skip("set HANHUA_LLAMA_PYTHON to an interpreter that has llama-cpp-python")
    return LlamaCpp(None, Path(python))


@pytest.mark.parametrize("kind", KINDS)
def test_llama_cpp_gives_the_same_ids_and_answers(kind: str, llama, folders, tmp_path):
    path = write_and(folders[kind], tmp_path, "f32")
    found = prove_gguf(folders[kind], path, "f32", llama)["llama_cpp"]
    assert found["lines_same"] == found["lines"] > len(HARD_TEXTS)
    assert found["greedy_same"] > 90
    # as tokenizer.json says: AutoTokenizer puts Qwen2's own normalizer in place of this one's
    tokenizer = read_tokenizer(folders[kind]).fast()
    ids = llama.answers(path, HARD_LINES)["ids"]
    assert ids == [tokenizer(line)["input_ids"] for line in HARD_LINES]
    turns = [("user", HARD_LINES[1]), ("assistant", HARD_LINES[5]), ("user", HARD_LINES[6])]
    messages = [{"role": role, "content": text} for role, text in turns]
    text = subprocess.run([llama.python, "-c", RENDER, path, json.dumps(messages)], text=True,
                          capture_output=True, check=True).stdout.splitlines()[-1]  # fmt: skip
    assert json.loads(text) == tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True
    )


def test_llama_cpp_rounds_the_same_way(llama, folders, tmp_path):
    whole = write_and(folders["llama-tied"], tmp_path, "f32")
    for kind in ("q8_0", "q5_1", "q5_0", "q4_1", "q4_0"):
        write_gguf(folders["llama-tied"], tmp_path / "ours.gguf", kind, pure=True)
        llama.quantise(whole, tmp_path / "theirs.gguf", kind, pure=True)
        ours, theirs = (
            {t.name: t for t in gguf.GGUFReader(tmp_path / f"{n}.gguf").tensors}
            for n in ("ours", "theirs")
        )
        assert ours.keys() == theirs.keys()
        assert all(np.array_equal(ours[n].data, theirs[n].data) for n in ours), kind
    assert json.dumps(sorted(t.tensor_type.name for t in ours.values())).count("Q4_0") == 15
