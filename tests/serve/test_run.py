from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
import torch

from hanhua.cli.eval import find_target
from hanhua.core.config import model_in_run
from hanhua.core.errors import ArtifactError, InputError, ModelError, ServeError
from hanhua.eval.published import read_results
from hanhua.serve.api import create_app
from hanhua.serve.connection import make_config, make_server
from hanhua.serve.engine import Engine
from hanhua.serve.keys import Key, read_keys
from hanhua.serve.models import Models
from hanhua.serve.run import _listen, is_loopback, model_name, resolve_run, serve

from .conftest import wait_until
from .test_api import TEXT


@pytest.fixture
def run_folder(tmp_path, chat_folder) -> Path:
    """A run as the runner leaves it: ledger and artifacts."""
    run = tmp_path / "runs" / "my"
    stages = {}
    for stage, inner in (("base", "model"), ("finetune", "model"), ("export", "hf")):
        place = run / f"{stage}-0123456789ab" / inner
        place.mkdir(parents=True)
        (place / "config.json").write_text("{}")
        stages[stage] = {"path": f"{stage}-0123456789ab"}
    stages["corpus"] = {"path": "corpus-0123456789ab"}
    (run / "ledger.json").write_text(json.dumps({"name": "my", "stages": stages}))
    return run


def without(run: Path, stage: str) -> None:
    ledger = json.loads((run / "ledger.json").read_text())
    del ledger["stages"][stage]
    (run / "ledger.json").write_text(json.dumps(ledger))


def test_a_run_serves_its_export_else_its_newest_model(run_folder):
    assert resolve_run(run_folder) == run_folder / "export-0123456789ab" / "hf"
    without(run_folder, "export")
    assert resolve_run(run_folder) == run_folder / "finetune-0123456789ab" / "model"
    without(run_folder, "finetune")
    assert resolve_run(run_folder) == run_folder / "base-0123456789ab" / "model"


def test_a_damaged_last_model_is_refused_and_no_earlier_one_taken(run_folder):
    without(run_folder, "export")
    folder = run_folder / "finetune-0123456789ab"
    (folder / "model" / "weights").write_text("1")
    record = {"files": {"model/config.json": {}, "model/weights": {}, "log.jsonl": {}}}
    (folder / "record.json").write_text(json.dumps(record))
    (folder / "ledger.json").write_text("{}")  # the account of a stage prefer
    assert resolve_run(run_folder) == folder / "model", "a lost log does not hinder"
    for gone, found in (("model/weights", "model/weights is missing"),
                        ("model/config.json", "model/config.json, model/weights, log.jsonl is"),
                        ("record.json", "config.json is missing")):  # fmt: skip
        (folder / gone).unlink()
        with pytest.raises(ArtifactError, match="stage finetune is not whole") as caught:
            resolve_run(run_folder)
        assert caught.value.where == str(folder)
        assert str(caught.value.found).startswith(found)
        if gone == "model/config.json":
            with pytest.raises(ModelError, match="no model here"):
                resolve_run(folder)
    shutil.rmtree(folder)
    with pytest.raises(ArtifactError, match="stage finetune") as caught:
        resolve_run(run_folder)
    assert caught.value.found == "no such folder"
    with pytest.raises(ValueError, match="stage finetune is not whole"):  # a recipe's base.model
        model_in_run(run_folder)


def test_artifacts_folders_and_names(run_folder, chat_folder, monkeypatch):
    artifact = run_folder / "finetune-0123456789ab"
    assert resolve_run(artifact) == resolve_run(artifact / "model") == artifact / "model"
    assert resolve_run(chat_folder) == chat_folder
    monkeypatch.chdir(run_folder.parents[1])
    assert resolve_run(Path("my")) == Path("runs/my/export-0123456789ab/hf")
    names = [model_name(p) for p in (Path("my"), run_folder, artifact, artifact / "model")]
    assert names == ["my"] * 4
    assert model_name(chat_folder) == "tiny-chat"


def test_no_model_is_one_message(tmp_path):
    with pytest.raises(ModelError) as caught:
        resolve_run(tmp_path / "nothing")
    assert caught.value.found == "no such folder"
    assert "runs/NAME" in str(caught.value.fix)
    with pytest.raises(ModelError, match="no model here"):
        resolve_run(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"stages": {"base": {}}}'])
def test_a_broken_ledger_is_one_message(tmp_path, text):
    (tmp_path / "ledger.json").write_text(text)
    with pytest.raises(ArtifactError, match="ledger does not read"):
        resolve_run(tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there_is_one_message(chat_folder):
    with pytest.raises(ServeError, match="no GPU that PyTorch can use"):
        serve(chat_folder, port=0, device="cuda")


def test_a_busy_port_is_known_before_the_model_is_loaded(chat_folder):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(ServeError) as caught:
            serve(chat_folder, port=port)
    assert caught.value.where == f"127.0.0.1:{port}"
    assert "in use" in str(caught.value.found)


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70000), ("203.0.113.7", 0), ("no.such.host.invalid", 0)])  # fmt: skip # noqa: E501
def test_an_address_that_is_not_ours(chat_folder, host, port):
    with pytest.raises(ServeError, match="cannot listen"):
        serve(chat_folder, host=host, port=port)


def test_key_files(tmp_path):
    path = tmp_path / "keys"
    path.write_text("# mine\none\n\n  two  \n")
    assert read_keys(path) == (Key("one", "key-1"), Key("two", "key-2"))
    assert read_keys(None) == ()
    path.write_text("one name=教室 rpm=60\ntwo tpm=1000\n", encoding="utf-8")
    assert read_keys(path) == (Key("one", "教室", 60), Key("two", "key-2", 0, 1000))
    path.write_text("# none\n\n")
    with pytest.raises(ServeError, match="no key"):
        read_keys(path)
    with pytest.raises(ServeError, match="cannot be read"):
        read_keys(tmp_path / "absent")


@pytest.mark.parametrize("line", [
    "secret rpm", "secret rpm=", "secret rpm=-1", "secret rpm=x", "secret rpm=1.5", "secret name=",
    "secret name=a/b", 'secret name=a"b', "secret color=red", "secret other",
    "alice secret-123", "alice secret=1",
    "secret rpm=" + "9" * 30,
    "secret\nsecret name=x", "secret name=a\nother name=a",
])  # fmt: skip
def test_a_bad_line_of_a_key_file_is_named_without_the_key(tmp_path, line):
    path = tmp_path / "keys"
    path.write_text(line)
    with pytest.raises(ServeError) as caught:
        read_keys(path)
    assert "secret" not in str(caught.value).replace(str(path), "")


def test_which_addresses_are_this_machine_only():
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.5", "example.org")))


@pytest.mark.slow
def test_the_process_serves_warns_and_stops_on_a_signal(chat_folder, base_folder):
    code = ("import sys; from pathlib import Path; from hanhua.core.progress import Lines; "
            "from hanhua.serve.run import serve; "
            "serve(Path(sys.argv[1]), host=sys.argv[2], port=0, beside=sys.argv[3:], "
            "progress=Lines(sys.stdout))")  # fmt: skip
    command = [sys.executable, "-c", code, str(chat_folder), "0.0.0.0", str(base_folder)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        try:
            assert process.stdout
            lines = [process.stdout.readline() for _ in range(4)]
            assert "no key is set" in lines[0]
            port = lines[3].split("/v1")[0].rsplit(":", 1)[1]
            answer = httpx.get(f"http://127.0.0.1:{port}/v1/models", timeout=30).json()
            assert [model["id"] for model in answer["data"]] == ["tiny-chat", "tiny"]
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) in (0, -signal.SIGTERM)
        finally:
            process.kill()


def test_a_stop_amid_long_answers_ends_them_with_a_word_and_without_a_traceback(served, caplog):
    """Streams get an error and an end that clients can read; a body that never comes is cut off."""
    engine = Engine(served)
    models = Models([engine])
    ask = {"prompt": "Tom", "max_tokens": 4000, "n": 8, "stream": True}
    ask["logit_bias"] = {"1": -100, "2": -100}  # both end an answer
    with _listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        config = make_config(create_app(models), log_config=None)
        server = make_server(config, models, seconds=0.2)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        wait_until(lambda: server.started)
        head = f"POST {TEXT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        url = f"http://127.0.0.1:{port}{TEXT}"
        with (
            socket.create_connection(("127.0.0.1", port)) as slow,
            httpx.stream("POST", url, json=ask, timeout=60) as answer,
        ):
            slow.sendall(f"{head}Content-Length: 99\r\n\r\n{{".encode())
            lines = answer.iter_lines()
            next(lines)
            server.should_exit = True
            rest = [line for line in lines if line]
            thread.join(30)
            assert not thread.is_alive()
    assert rest[-1] == "data: [DONE]"
    assert json.loads(rest[-2][6:])["error"]["message"] == "The server is shutting down."
    assert engine.stats.ended == {"cancelled": 8}  # the case: it was under way
    assert any("cut off" in record.getMessage() for record in caplog.records)  # and so was the body
    assert not any(record.exc_info for record in caplog.records)


def test_a_stage_is_the_one_of_the_ledger_not_the_newest(run_folder, monkeypatch):
    """Settings tried and taken back leave a newer artifact that is not of the run as it stands."""
    tried = run_folder / "finetune-ba9876543210" / "model"
    tried.mkdir(parents=True)
    (tried / "config.json").write_text("{}")
    mine = run_folder / "finetune-0123456789ab"
    os.utime(mine, (1, 1))
    assert mine.stat().st_mtime < tried.parent.stat().st_mtime
    assert resolve_run(run_folder / "finetune") == mine / "model"
    assert find_target(str(run_folder / "finetune")).folder == mine / "model"
    assert model_name(run_folder / "finetune") == "my"
    monkeypatch.chdir(run_folder.parents[1])
    assert resolve_run(Path("my/base")) == Path("runs/my/base-0123456789ab/model")
    monkeypatch.chdir(run_folder.parent)  # where my/base could be a repository of a hub
    assert find_target("my/base").folder == Path("my/base-0123456789ab/model")


def test_a_stage_that_is_not_there_or_has_no_model_is_named(run_folder):
    for stage, what in (("finetun", "no such stage"), ("corpus", "no model of its own")):
        with pytest.raises(ModelError, match=what) as caught:
            resolve_run(run_folder / stage)
        assert caught.value.fix == "name one of base, finetune, export"


def test_scores_are_found_by_run_and_stage(run_folder):
    ledger = json.loads((run_folder / "ledger.json").read_text())
    for stage, bits in (("base", 2.0), ("finetune", 1.0)):
        folder = run_folder / f"eval-{stage}-0123456789ab"
        folder.mkdir()
        scores = {
            "model": stage,
            "bits_per_byte": {"zh": {"value": bits, "n_docs": 2, "low": bits, "high": bits}},
            "tasks": [],
        }
        (folder / "scores.json").write_text(json.dumps(scores))
        (folder / "record.json").write_text("{}")
        ledger["stages"][f"eval-{stage}"] = {"path": folder.name}
    with pytest.raises(InputError, match="no scores") as caught:
        read_results(run_folder)
    assert caught.value.found == "no eval stage"
    (run_folder / "ledger.json").write_text(json.dumps(ledger))
    for name in ("", "finetune", "eval-finetune"):
        found = read_results(run_folder / name)
        assert (found.model, found.measured["bits_per_byte/zh"].value) == ("my/finetune", 1.0)
    assert read_results(run_folder / "base").model == "my/base"
    with pytest.raises(InputError, match="no scores of that stage") as caught:
        read_results(run_folder / "prefer")
    assert caught.value.found == "finetune, base"
