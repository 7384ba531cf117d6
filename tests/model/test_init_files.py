"""Safetensors by streaming: read back by safetensors itself, whole or absent, in little memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from init_cases import save_random, weights, write_vocab
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig

from hanhua.core.errors import ModelError
from hanhua.model.config import ExpandConfig
from hanhua.model.plan_rows import plan_expansion
from hanhua.model.rows import expand_model
from hanhua.model.tensor_file import Part, TensorFile, copied, write_tensors
from hanhua.model.tensor_rows import FileRows, MemoryRows
from hanhua.vocab.tokenizer import read_tokenizer

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int8,
          torch.uint8, torch.bool, torch.float8_e4m3fn]  # fmt: skip
SHAPES = st.lists(st.integers(0, 5), max_size=3).map(tuple)


def tensor(shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> torch.Tensor:
    draw = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 3
    return (draw > 0) if dtype == torch.bool else draw.to(dtype)


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(st.text(min_size=1, max_size=5).filter(lambda n: n != "__metadata__"),
                    st.tuples(SHAPES, st.sampled_from(DTYPES)), max_size=5),
    st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2),
)  # fmt: skip
def test_a_copy_reads_back_the_same(tmp_path_factory, spec, metadata):
    folder = tmp_path_factory.mktemp("copy")
    tensors = {name: tensor(*what, seed=i) for i, (name, what) in enumerate(spec.items())}
    save_file(tensors, folder / "a.safetensors", metadata=metadata or None)
    file = TensorFile.open(folder / "a.safetensors")
    write_tensors(folder / "b.safetensors", [copied(file, n) for n in file.entries], file.metadata)
    found = load_file(folder / "b.safetensors")
    assert found.keys() == tensors.keys()
    for name, one in tensors.items():
        assert found[name].dtype == one.dtype
        assert found[name].shape == one.shape
        assert torch.equal(found[name].double(), one.double())
    from_memory = [
        Part(name, file.entries[name].dtype, tuple(one.shape), [one])
        for name, one in tensors.items()
    ]
    write_tensors(folder / "c.safetensors", from_memory, file.metadata)
    for name, one in load_file(folder / "c.safetensors").items():
        assert torch.equal(one.double(), tensors[name].double())
    with safe_open(folder / "b.safetensors", framework="pt") as opened:
        assert (opened.metadata() or {}) == metadata
    assert (folder / "b.safetensors").stat().st_mode & 0o777 == 0o644
    assert sorted(p.name for p in folder.iterdir()) == [
        "a.safetensors", "b.safetensors", "c.safetensors"
    ]  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 9), st.integers(1, 5), st.sampled_from(DTYPES[:4]), st.data())
def test_rows_of_a_file_are_the_rows_of_the_tensor(tmp_path_factory, count, width, dtype, data):
    path = tmp_path_factory.mktemp("rows") / "a.safetensors"
    table = tensor((count, width), dtype, 1)
    save_file({"x": tensor((3,), torch.float32, 0), "w": table}, path)
    seen = data.draw(st.integers(1, count))
    ids = torch.tensor(sorted(data.draw(st.sets(st.integers(0, seen - 1)))), dtype=torch.long)
    start, stop = sorted(data.draw(st.tuples(st.integers(0, seen), st.integers(0, seen))))
    with FileRows(TensorFile.open(path), "w", seen) as rows:
        assert torch.equal(rows.read(start, stop), table[start:stop])
        assert torch.equal(rows.gather(ids), table[ids])
        assert torch.equal(MemoryRows(table).gather(ids), table[ids])


def test_where_the_system_cannot_copy_between_files_a_buffer_does(tmp_path: Path, monkeypatch):
    import hanhua.model.tensor_file as module

    save_file({"a": torch.arange(999), "b": torch.zeros(3)}, tmp_path / "a.safetensors")
    file = TensorFile.open(tmp_path / "a.safetensors")
    monkeypatch.delattr(os, "copy_file_range", raising=False)
    monkeypatch.setattr(module, "_COPY_BYTES", 100)
    write_tensors(tmp_path / "b.safetensors", [copied(file, name) for name in file.entries])
    assert torch.equal(load_file(tmp_path / "b.safetensors")["a"], torch.arange(999))
    (tmp_path / "a.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="ended at byte"):
        write_tensors(tmp_path / "c.safetensors", [copied(file, name) for name in file.entries])
    assert not (tmp_path / "c.safetensors").exists()


def test_a_part_of_the_wrong_length_leaves_no_file(tmp_path: Path):
    part = Part("a", "F32", (4, 4), [torch.zeros(3, 4)])
    with pytest.raises(ValueError, match="48 bytes"):
        write_tensors(tmp_path / "a.safetensors", [part])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("cut", [0, 4, 20, -1])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, cut: int):
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.zeros(4, 4)}, path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ModelError, match="do not read"):
        TensorFile.open(path)


KILLED = """
import os, sys, torch
from pathlib import Path
from hanhua.model.tensor_file import Part, write_tensors
def chunks():
    yield torch.zeros(8, 8)
    print("half", flush=True)
    sys.stdin.read()
write_tensors(Path(sys.argv[1]), [Part("a", "F32", (16, 8), chunks())])
"""


def test_killed_half_way_no_file_looks_whole(tmp_path: Path):
    path = tmp_path / "model.safetensors"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        os.kill(process.pid, signal.SIGKILL)
    left = list(tmp_path.iterdir())
    assert len(left) == 1  # it was at work
    assert not path.exists()
    assert not list(tmp_path.glob("*.safetensors"))


def grown_llama(folder: Path, tokenizer_from: Path, **options: object) -> Path:
    size = read_tokenizer(tokenizer_from).backend.get_vocab_size()
    config = LlamaConfig(
        vocab_size=size, hidden_size=32, intermediate_size=64, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, dtype="float32", **options
    )  # fmt: skip
    return save_random(config, tokenizer_from, folder, max_shard_size="60KB")


@pytest.mark.parametrize("tied", [True, False])
def test_the_plan_says_what_the_expansion_then_does(tiny_llama: Path, tmp_path: Path, tied: bool):
    base = grown_llama(tmp_path / "base", tiny_llama, tie_word_embeddings=tied)
    vocab = write_vocab(base, tmp_path / "vocab")
    done = expand_model(base, vocab, tmp_path / "out", ExpandConfig(), 1)
    plan = plan_expansion(base, done["new_rows"])
    for name in ("old_rows", "new_rows", "padded_rows", "tied"):
        assert plan[name] == done[name]
    before, after = weights(base), weights(tmp_path / "out")
    assert plan["params_before"] == sum(t.numel() for t in before.values())
    assert plan["params_after"] == sum(t.numel() for t in after.values())
    assert plan["added_bytes"] == 4 * (plan["params_after"] - plan["params_before"])
    rewritten = [p for p in (tmp_path / "out").glob("*.safetensors") if os.stat(p).st_nlink == 1]
    written = sum(p.stat().st_size for p in rewritten)
    assert 0 < len(rewritten) < len(list(base.glob("*.safetensors")))
    assert plan["bytes_to_write"]["least"] == pytest.approx(written, rel=0.01)
    extra = plan["rows"] - plan["old_rows"]
    assert plan["extra_flops_per_token"] == {"forward": 2 * 32 * extra, "training": 6 * 32 * extra}


def test_seventy_billion_are_planned_from_the_config_alone(tmp_path: Path):
    config = LlamaConfig(vocab_size=32000, hidden_size=8192, intermediate_size=28672,
                         num_hidden_layers=80, num_attention_heads=64, num_key_value_heads=8,
                         dtype="bfloat16")  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    plan = plan_expansion(tmp_path / "config.json", 23296)
    assert plan["params_before"] == 68_976_648_192
    assert plan["rows"] == 55296
    assert plan["added_bytes"] == 2 * 2 * 23296 * 8192
    assert plan["peak_memory_bytes"] < 2e9
    assert plan["bytes_to_write"]["least"] == 2 * 2 * 55296 * 8192
    assert plan["bytes_to_write"]["most"] == 2 * plan["params_after"]


def test_no_tensor_is_ever_whole_in_memory(tiny_llama: Path, tmp_path: Path, monkeypatch):
    """With a budget of a few rows, the same bytes come out, and no read is longer than it."""
    import hanhua.model.init_combine as module

    base = grown_llama(tmp_path / "base", tiny_llama, tie_word_embeddings=False)
    vocab = write_vocab(base, tmp_path / "vocab")
    settings_ = ExpandConfig(noise=0.0)
    expand_model(base, vocab, tmp_path / "one", settings_, 1)
    reads: list[int] = []
    real_read, real_gather = FileRows.read, FileRows.gather

    def read(self: FileRows, start: int, stop: int) -> torch.Tensor:
        reads.append(stop - start)
        return real_read(self, start, stop)

    def gather(self: FileRows, ids: torch.Tensor) -> torch.Tensor:
        reads.append(len(ids))
        return real_gather(self, ids)

    monkeypatch.setattr(FileRows, "read", read)
    monkeypatch.setattr(FileRows, "gather", gather)
    monkeypatch.setattr(module, "CHUNK_BYTES", 40 * 32 * 4)
    expand_model(base, vocab, tmp_path / "two", settings_, 1)
    assert max(reads) <= 40
    assert len(reads) > 20
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name in one:
        assert torch.allclose(one[name], two[name], atol=1e-6), name
