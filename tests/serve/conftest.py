"""A tiny real chat model, its engine, and a real server on loopback."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the serve extra: pip install 'hanhua[serve]'")

import httpx
import torch
import uvicorn
from transformers import LlamaConfig, LlamaForCausalLM

from hanhua.chat.template import get_template
from hanhua.serve.api import create_app
from hanhua.serve.beside import base_tokenizers, find_places, load_all
from hanhua.serve.connection import make_config
from hanhua.serve.engine import Engine
from hanhua.serve.keys import Key
from hanhua.serve.models import Models
from hanhua.serve.policy import Policy
from hanhua.serve.run import _listen
from hanhua.serve.served import Served, load_served
from hanhua.vocab.tokenizer import read_tokenizer

CONTEXT_TOKENS = 4096


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def base_folder(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny LLaMA with room for long answers and no template.

    Its random weights are large, so that what it says depends on all that came before; the rows
    of start and end token are zero, so that answers are long.
    """
    folder = tmp_path_factory.mktemp("serve") / "tiny"
    config = LlamaConfig.from_pretrained(tiny_llama)
    config.max_position_embeddings, config.initializer_range = CONTEXT_TOKENS, 0.3
    config.tie_word_embeddings = False
    torch.manual_seed(5)
    model = LlamaForCausalLM(config)
    model.lm_head.weight.data[1:3] = 0
    model.save_pretrained(folder)
    read_tokenizer(tiny_llama).save(folder)
    return folder


@pytest.fixture(scope="session")
def chat_folder(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with the default chat template."""
    folder = tmp_path_factory.mktemp("serve") / "tiny-chat"
    shutil.copytree(base_folder, folder)
    template = get_template("hanhua").jinja
    replace(read_tokenizer(base_folder), chat_template=template).save(folder)
    return folder


@pytest.fixture(scope="session")
def served(chat_folder: Path) -> Served:
    return load_served(chat_folder, name="tiny")


@pytest.fixture
def engine(served: Served) -> Iterator[Engine]:
    engine = Engine(served, max_running=4, max_waiting=4)
    yield engine
    engine.close()


@contextmanager
def running_server(served: Served, **options: object) -> Iterator[tuple[str, Engine]]:
    """A server in a thread: its address and its engine."""
    keys = tuple(Key(secret, f"key-{i}") for i, secret in enumerate(options.pop("keys", ())))  # type: ignore[arg-type,var-annotated]
    policy = options.pop("policy", Policy(keys=keys))
    engine = Engine(served, **options)  # type: ignore[arg-type]
    with serving(Models([engine]), policy) as url:  # type: ignore[arg-type]
        yield url, engine


@contextmanager
def serving(models: Models, policy: Policy, **limits: float) -> Iterator[str]:
    """The application in a thread: its address."""
    with _listen("127.0.0.1", 0) as listener:
        config = make_config(create_app(models, policy), log_level="error", **limits)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            wait_until(lambda: server.started)
            yield url
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()
            assert not any(engine.alive for engine in models.engines)


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """What a program says in its log up to a line with these words."""
    assert process.stderr
    said = ""
    while words not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    return said


def wait_until(condition: object, seconds: float = 20) -> None:
    """Wait for something that other threads bring about."""
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def server(served: Served) -> Iterator[str]:
    """One server for all tests that don't change its limits."""
    with running_server(served) as (url, _):
        yield url


@pytest.fixture
def client(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server, timeout=60) as client:
        yield client


def read_events(text: str) -> list[dict]:
    """The JSON objects of a stream, whose shape is checked on the way."""
    lines = text.split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    assert all(line.startswith("data: ") for line in lines[:-1])
    return [json.loads(line[6:]) for line in lines[:-2]]


@pytest.fixture(scope="session")
def small_run(
    base_folder: Path, sentences: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run: an English base, a chat model with Chinese pieces, and that one in 8 bits."""
    import sentencepiece

    run = tmp_path_factory.mktemp("several") / "small"
    shutil.copytree(base_folder, run / "base-01" / "model")
    chat = run / "finetune-01" / "model"
    chat.mkdir(parents=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences["zh"] + sentences["en"]),
        model_prefix=str(chat / "tokenizer"), model_type="bpe", vocab_size=640, byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True,
        character_coverage=1.0, hard_vocab_limit=False, minloglevel=2, num_threads=1,
    )  # fmt: skip
    (chat / "tokenizer.vocab").unlink()
    tokenizer = replace(read_tokenizer(chat), chat_template=get_template("hanhua").jinja)
    config = LlamaConfig.from_pretrained(base_folder)
    config.vocab_size = tokenizer.backend.get_vocab_size()
    torch.manual_seed(6)
    model = LlamaForCausalLM(config)
    model.lm_head.weight.data[1:3] = 0
    model.save_pretrained(chat)
    tokenizer.save(chat)
    stages = {
        "base": {"path": "base-01", "inputs": {}},
        "finetune": {"path": "finetune-01", "inputs": {"model": "base"}},
        "eval-base": {"path": "eval-base-01", "inputs": {"model": "base"}},
    }
    if importlib.util.find_spec("gguf"):
        from hanhua.export.gguf import write_gguf

        (run / "quantise-01" / "q8_0").mkdir(parents=True)
        write_gguf(chat, run / "quantise-01" / "q8_0" / "model-q8_0.gguf", "q8_0", name="small")
        (run / "quantise-01" / "quantise.json").write_text("{}")
        stages["quantise"] = {"path": "quantise-01", "inputs": {"model": "finetune"}}
    (run / "ledger.json").write_text(json.dumps({"name": "small", "stages": stages}))
    return run


@contextmanager
def running_several(run: Path, *beside: str, **options: object) -> Iterator[tuple[str, Models]]:
    """A server of several models, found and loaded as the command does it."""
    places = find_places(run, beside)
    engines = [Engine(served) for served in load_all(places)]
    models = Models(engines, base_tokenizers(places, print))
    with serving(models, Policy(**options)) as url:  # type: ignore[arg-type]
        yield url, models
