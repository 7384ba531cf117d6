"""`hanhua eval MODEL.gguf`: llama.cpp is started, asked and ended; and the real one agrees."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import gguf
import pytest
import sentencepiece
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from typer.testing import CliRunner

import hanhua.cli.eval  # noqa: F401  adds its command
from hanhua.cli import app
from hanhua.core.errors import DependencyError, InputError, ModelError, ServeError, UsageError
from hanhua.export.gguf import write_gguf
from warm import WARM, Done

SERVER = Path(__file__).with_name("small_llama_server.py")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "llama-server"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} {SERVER} "$@"\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A GGUF file with a header alone: the small server reads no weights."""
    path = tmp_path / "small.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_chat_template("{{ messages }}")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exams")
    (folder / "mmlu" / "test").mkdir(parents=True)
    lines = [f"Which comes {i}?,a fish,b,c,d,{'ABCD'[i % 4]}" for i in range(20)]
    (folder / "mmlu" / "test" / "art_test.csv").write_text("\n".join(lines) + "\n")
    (folder / "village.jsonl").write_text(
        '{"question": "Tom likes", "choices": ["fish", "red"], "answer": 0, "language": "en"}\n'
    )
    return folder


def call(*arguments: object) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["eval", *map(str, arguments), "--json"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout.strip().splitlines()[-1])


def ended(file: Path) -> bool:
    """Whether the process whose id stands there has ended (a zombie has)."""
    stat = Path(f"/proc/{file.read_text()}/stat")
    for _ in range(200):
        try:
            if stat.read_text().rsplit(")", 1)[1].split()[0] in "ZX":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def test_it_is_served_asked_and_the_server_ends(
    file: Path, program: Path, data: Path, tmp_path: Path
) -> None:
    common = (file, "--data", data, "--engine-command", program, "--out", tmp_path / "e", "--quiet",
              "--tasks", "mmlu,fidelity", "--limit", 5, "--prompt", "en=Hello")  # fmt: skip
    scores = call(*common)
    assert ended(tmp_path / "pid")
    assert scores["model"] == "small"
    assert scores["tasks"][0]["n"] == 5
    assert scores["method"]["endpoint"] == "llama.cpp on this machine"
    assert scores["answers"]["sets"]["fidelity"] == {"asked": 10, "not_asked": 0}
    assert json.loads((tmp_path / "e" / "samples.json").read_text())[0]["text"] == "You said Hello"
    before = {p: p.read_bytes() for p in (tmp_path / "e").rglob("*") if p.is_file()}
    n = len((tmp_path / "asked").read_text().splitlines())
    call(*common)
    again = (tmp_path / "asked").read_text().splitlines()[n:]
    assert len(again) == 2, "the first question of a server, and the sample: nothing else anew"
    assert {p: p.read_bytes() for p in (tmp_path / "e").rglob("*") if p.is_file()} == before


def start(file: Path, program: Path, data: Path, out: Path) -> Any:
    arguments = ["eval", str(file), "--tasks", "mmlu", "--data", str(data), "--out", str(out),
                 "--engine-command", str(program), "--json"]  # fmt: skip
    return WARM.start(arguments, file.parent, {**os.environ, "COLUMNS": "200"})


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_stopped_it_ends_the_server_and_goes_on_later(
    file: Path, program: Path, data: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    (tmp_path / "mood").write_text("wait")
    running = start(file, program, data, tmp_path / "e")
    asked = tmp_path / "asked"
    while not asked.exists() or len(asked.read_text().splitlines()) < 5:
        assert running.alive()
        time.sleep(0.05)
    os.kill(running.pid, number)
    done: Done = running.end()
    assert done.code == code, done.err
    assert "the same command goes on where it was" in done.err
    assert "Traceback" not in done.err
    assert ended(tmp_path / "pid")
    assert not (tmp_path / "e" / "scores.json").exists()
    (tmp_path / "mood").unlink()
    done = start(file, program, data, tmp_path / "e").end()
    assert done.code == 0, done.err
    assert done.json["tasks"][0]["n"] == 20


def test_a_server_that_does_not_start_or_falls_over_is_told_with_its_words(
    file: Path, program: Path, data: Path, tmp_path: Path
) -> None:
    common = (file, "--tasks", "mmlu", "--data", data, "--out", tmp_path / "e", "--quiet",
              "--engine-command", program)  # fmt: skip
    (tmp_path / "mood").write_text("refuse")
    with pytest.raises(ServeError, match="ended before it answered") as error:
        call(*common)
    assert "failed to load the model" in str(error.value.found)
    assert "--engine-wait" not in str(error.value.fix)
    (tmp_path / "mood").write_text("fall")
    with pytest.raises(ServeError, match="ended while it was asked"):
        call(*common)
    (tmp_path / "mood").unlink()
    assert call(*common)["tasks"][0]["n"] == 20


def test_what_cannot_be_asked_through_it_is_refused_before_it_is_started(
    file: Path, program: Path, data: Path, tmp_path: Path
) -> None:
    common = (file, "--data", data, "--out", tmp_path / "e", "--engine-command", program)
    for tasks in ("bpb", "mmlu,drift"):
        with pytest.raises(UsageError, match="tell the probability of every token") as error:
            call(*common, "--tasks", tasks, "--base", "x")
        assert "hanhua quantise" in str(error.value.fix)
    with pytest.raises(InputError, match="answered by a letter"):
        call(file, "--tasks", "worlds", "--data", worlds(tmp_path, data), *common[3:])
    with pytest.raises(DependencyError, match="program is not here"):
        call(*common[:-1], tmp_path / "nowhere", "--tasks", "mmlu")
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF\x03")
    with pytest.raises(ModelError, match="no whole GGUF file"):
        call(broken, *common[1:], "--tasks", "mmlu")
    assert not (tmp_path / "pid").exists()
    assert not (tmp_path / "e" / "scores.json").exists()


def worlds(tmp_path: Path, data: Path) -> Path:
    folder = tmp_path / "d" / "worlds"
    folder.mkdir(parents=True)
    (folder / "village.jsonl").write_bytes((data / "village.jsonl").read_bytes())
    return folder.parent


@pytest.fixture(scope="module")
def lettered(tmp_path_factory: pytest.TempPathFactory, sentences: dict[str, list[str]]) -> Path:
    """A tiny LLaMA with tokens for " A" to " D"."""
    folder = tmp_path_factory.mktemp("lettered")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences["en"] + ["A B C D B C D A"] * 300),
        model_prefix=str(folder / "tokenizer"),
        model_type="bpe", vocab_size=320, byte_fallback=True, normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        hard_vocab_limit=False, minloglevel=2, num_threads=1,
    )  # fmt: skip
    (folder / "tokenizer.vocab").unlink()
    pieces = sentencepiece.SentencePieceProcessor(str(folder / "tokenizer.model"))
    size = pieces.vocab_size()
    assert all(pieces.piece_to_id(f"▁{letter}") != pieces.unk_id() for letter in "ABCD")
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=size, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
        tie_word_embeddings=True, bos_token_id=1, eos_token_id=2, initializer_range=0.2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def items(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(x) for x in (folder / "items" / "mmlu.jsonl").read_text().splitlines()]


def test_llama_cpp_scores_as_the_folder_does(lettered: Path, data: Path, tmp_path: Path) -> None:
    if not os.environ.get("HANHUA_LLAMA_PYTHON"):
        pytest.skip("set HANHUA_LLAMA_PYTHON to an interpreter that has llama-cpp-python")
    write_gguf(lettered, tmp_path / "tiny.gguf", "f32")
    common = ("--tasks", "mmlu", "--data", data, "--quiet")
    call(lettered, *common, "--out", tmp_path / "a")
    scores = call(tmp_path / "tiny.gguf", *common, "--prompt", "en=Tom", "--out", tmp_path / "b",
                  "--engine-args", "--n_threads 1")  # fmt: skip
    assert scores["tasks"][0]["n"] == 20
    assert json.loads((tmp_path / "b" / "samples.json").read_text())[0]["template"] is None
    told = 0
    for ours, theirs in zip(items(tmp_path / "a"), items(tmp_path / "b"), strict=True):
        assert ours["choice"] == theirs["choice"]
        least = min(theirs["logprobs"])  # of options that are not among the likeliest
        for mine, there in zip(ours["logprobs"], theirs["logprobs"], strict=True):
            assert there == pytest.approx(mine, abs=1e-3) or (there == least and mine < there)
            told += there == pytest.approx(mine, abs=1e-3)
    assert told > 40
