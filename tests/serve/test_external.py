"""Engines of others: their command lines, and a real child process that is watched."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import httpx
import pytest

from hanhua.core.errors import DependencyError, ModelError, ServeError, UsageError
from hanhua.serve.engine_process import EngineCommand, run_engine
from hanhua.serve.external import choose_engine, find_program, refuse_ours, serve_external
from hanhua.serve.llama_cpp import find_gguf, llama_cpp_command
from hanhua.serve.vllm import vllm_command

from .conftest import read_until

ENGINE = Path(__file__).with_name("small_engine.py")
HERE = {"host": "127.0.0.1", "port": 9, "url": "http://127.0.0.1:9"}


class Lines:
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a command line is made from: no weights are needed for that."""
    model = tmp_path / "my model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps({"max_position_embeddings": 4096}))
    (model / "chat_template.jinja").write_text("{{ messages }}")
    return model


@pytest.fixture
def program(tmp_path: Path) -> str:
    """The small engine as a program that can be executed."""
    path = tmp_path / "vllm"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} {ENGINE} "$@"\n')
    path.chmod(0o755)
    return str(path)


def serve(folder: Path, program: str, **options: object) -> list[str]:
    said = Lines()
    try:
        serve_external("vllm", folder, port=0, engine_command=program, progress=said, **options)  # type: ignore[arg-type]
    finally:
        assert ended(folder / "worker")
    return said.lines


def ended_now(file: Path) -> bool:
    """Whether the process whose id stands there has ended (a zombie has)."""
    try:
        stat = Path(f"/proc/{file.read_text()}/stat").read_text()
    except OSError:
        return True
    return stat.rsplit(")", 1)[1].split()[0] in "ZX"


def ended(file: Path) -> bool:
    """The same, given some time."""
    for _ in range(500):
        if ended_now(file):
            return True
        time.sleep(0.02)
    return False


def test_the_command_line_of_vllm(folder: Path) -> None:
    made = vllm_command("vllm", folder, name="my", secret="s3cret", more=["-tp", "2"], **HERE)  # type: ignore[arg-type]
    assert made.argv == (
        "vllm", "serve", str(folder), "--host", "127.0.0.1", "--port", "9",
        "--served-model-name", "my", "--dtype", "auto", "--max-model-len", "4096",
        "--chat-template", str(folder / "chat_template.jinja"), "-tp", "2",
    )  # fmt: skip
    assert made.environment["VLLM_API_KEY"] == "s3cret"
    assert "s3cret" not in repr(made.argv)
    (folder / "chat_template.jinja").unlink()
    (folder / "config.json").write_text("{}")
    argv = vllm_command("vllm", folder, name="my", **HERE).argv  # type: ignore[arg-type]
    assert argv[-2:] == ("--dtype", "auto")


@pytest.mark.parametrize("text", ["[]", "{", '{"max_position_embeddings": "long"}'])
def test_a_config_that_does_not_read(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelError, match="config does not read"):
        vllm_command("vllm", folder, name="my", **HERE)  # type: ignore[arg-type]


def test_the_command_lines_of_llama_cpp() -> None:
    file = Path("/m/my.gguf")
    made = llama_cpp_command("/e/bin/python", file, name="my", secret="s3cret", **HERE)  # type: ignore[arg-type]
    assert made.argv == (
        "/e/bin/python", "-m", "llama_cpp.server", "--model", "/m/my.gguf", "--model_alias", "my",
        "--host", "127.0.0.1", "--port", "9", "--n_ctx", "0",
    )  # fmt: skip
    assert made.environment == {"API_KEY": "s3cret", "HOST": None, "PORT": None,
                                "CONFIG_FILE": None}  # fmt: skip
    assert made.health_url.endswith("/v1/models")
    made = llama_cpp_command("/b/llama-server", file, name="my", **HERE)  # type: ignore[arg-type]
    assert made.argv[1:5] == ("--model", "/m/my.gguf", "--alias", "my")
    assert set(made.environment) == {"LLAMA_API_KEY"}
    assert made.health_url.endswith("/health")


def test_a_gguf_file_chooses_its_engine(folder: Path, tmp_path: Path) -> None:
    assert choose_engine("auto", folder) == "hanhua"
    assert choose_engine("auto", tmp_path / "none") == "hanhua"
    assert choose_engine("vllm", tmp_path / "none") == "vllm"
    (folder / "beside.gguf").touch()
    assert choose_engine("auto", folder) == "hanhua"  # it is a model folder all the same
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.gguf").touch()
    assert choose_engine("auto", out) == choose_engine("auto", out / "a.gguf") == "llama-cpp"
    assert find_gguf(out) == out / "a.gguf"
    (out / "b.gguf").touch()
    with pytest.raises(ModelError, match="several") as caught:
        find_gguf(out)
    assert caught.value.found == "a.gguf, b.gguf"


def test_an_engine_that_is_not_here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    with pytest.raises(DependencyError) as caught:
        find_program("vllm", None)
    assert "vllm-env/bin/pip install vllm" in str(caught.value.fix)
    assert "--engine-command vllm-env/bin/vllm" in str(caught.value.fix)
    with pytest.raises(DependencyError, match="not here"):
        find_program("llama-cpp", str(folder / "python"))
    (folder / "vllm").write_text("#!/bin/sh\n")
    (folder / "vllm").chmod(0o755)
    assert find_program("vllm", None) == str(folder / "vllm")


def test_what_another_engine_does_not_do_is_refused(
    folder: Path, program: str, tmp_path: Path
) -> None:
    refuse_ours({"--compat": False, "--max-seconds": 0.0})
    with pytest.raises(UsageError) as usage:
        refuse_ours({"--compat": True, "--max-seconds": 0.0})
    assert usage.value.found == "--compat"
    keys = tmp_path / "keys"
    for text in ("one\ntwo\n", "one rpm=5\n"):
        keys.write_text(text)
        with pytest.raises(ServeError, match="takes one key"):
            serve(folder, program, api_key_file=keys)
    for more in ("--api-key s3cret", "--api-key=s3cret"):
        with pytest.raises(UsageError, match="every user") as usage:
            serve(folder, program, engine_args=more)
        assert "s3cret" not in usage.value.message
    with pytest.raises(UsageError, match="does not read"):
        serve(folder, program, engine_args="'")
    with pytest.raises(ModelError, match="no GGUF"):
        serve_external("llama-cpp", folder, port=0, engine_command=program, progress=Lines())  # type: ignore[arg-type]
    (tmp_path / "my.gguf").touch()
    with pytest.raises(ModelError, match="GGUF file"):
        serve(tmp_path / "my.gguf", program)
    assert not (folder / "starts").exists()


def test_a_busy_port_is_known_before_the_engine_starts(folder: Path, program: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(ServeError, match="cannot listen"):
            serve_external("vllm", folder, port=port, engine_command=program, progress=Lines())  # type: ignore[arg-type]
    assert not (folder / "starts").exists()


def test_an_engine_that_ends_before_it_answers(
    folder: Path, program: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    keys = tmp_path / "keys"
    keys.write_text("s3cret\n")
    with pytest.raises(ServeError, match="ended before it answered") as caught:
        serve(folder, program, engine_args="--refuse", api_key_file=keys)
    assert str(caught.value.found).startswith("exit code 3; its last lines:")
    assert "out of memory: 80 GiB wanted" in str(caught.value.found)
    printed = "".join(capfd.readouterr())
    assert "the key is ***" in printed
    assert "s3cret" not in printed + caught.value.message + (folder / "starts").read_text()
    assert len((folder / "starts").read_text().splitlines()) == 1


def test_an_engine_that_never_answers_is_ended_in_time(folder: Path, program: str) -> None:
    with pytest.raises(ServeError, match=r"did not answer within 0\.6 s") as caught:
        serve(folder, program, engine_args="--deaf", wait_seconds=0.6)
    assert "loading" in str(caught.value.found)


def test_a_second_signal_kills_an_engine_that_does_not_listen(folder: Path, program: str) -> None:
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals reach the main thread only")
    before, over = signal.getsignal(signal.SIGTERM), threading.Event()

    def tell_twice() -> None:
        while not (folder / "worker").exists():
            if over.wait(0.02):
                return
        for _ in range(2):
            if not over.wait(0.1):
                os.kill(os.getpid(), signal.SIGTERM)

    teller = threading.Thread(target=tell_twice)
    teller.start()
    try:
        said = serve(folder, program, engine_args="--deaf")
    finally:
        over.set()
        teller.join()
    assert not any("answers" in line for line in said)
    assert not (folder / "stopped").exists()
    assert signal.getsignal(signal.SIGTERM) == before


def test_an_engine_that_falls_over_is_started_once_more(folder: Path, program: str) -> None:
    said = Lines()
    with pytest.raises(ServeError, match="ended by itself") as caught:
        serve_external("vllm", folder, port=0, engine_command=program, engine_args="--falls 5",
                       progress=said)  # type: ignore[arg-type] # fmt: skip
    assert "exit code 9" in str(caught.value.found)
    assert len((folder / "starts").read_text().splitlines()) == 2
    assert sum("starting it again" in line for line in said.lines) == 1


def test_a_program_that_cannot_be_executed(tmp_path: Path) -> None:
    broken = tmp_path / "vllm"
    broken.write_text("no program")
    broken.chmod(0o755)
    command = EngineCommand(title="vLLM", argv=(str(broken),), environment={}, health_url="")
    with pytest.raises(ServeError, match="cannot be started"):
        run_engine(command, say=print, echo=io.StringIO())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_restarts_and_stops_on_a_signal(
    folder: Path, program: str, tmp_path: Path, number: signal.Signals
) -> None:
    """The whole command as a process: an engine that falls over once, a key, a signal."""
    keys = tmp_path / "keys"
    keys.write_text("s3cret name=class\n")
    code = "from hanhua.cli import main; main()"
    options = ["--engine", "vllm", "--engine-command", program, "--port", "0", "--json"]
    options += ["--engine-args", "--falls 1", "--api-key-file", str(keys)]
    command = [sys.executable, "-c", code, "serve", str(folder), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          start_new_session=True) as process:  # fmt: skip
        try:
            assert process.stderr
            said, answered = "", 0
            while answered < 2:
                line = process.stderr.readline()
                assert line, said
                said += line
                answered += "vLLM answers" in line
            url = said.split("API: ")[1].split("/v1")[0]
            assert ask(f"{url}/v1/models", "wrong") == (401, None)
            assert ask(f"{url}/v1/models", "s3cret") == (200, "my model")
            process.send_signal(number)
            out, rest = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 0, rest
    assert json.loads(out.splitlines()[-1]) == {"stopped": True}
    assert (folder / "stopped").read_text() == number.name
    assert ended(folder / "worker")
    assert "starting it again" in said
    starts = (folder / "starts").read_text()
    assert starts.splitlines()[0] == starts.splitlines()[1]
    assert "s3cret" not in said + rest + starts
    shown = said.split("starting vLLM: ")[1].splitlines()[0]
    assert shlex.split(shown)[1:3] == ["serve", str(folder)]


def test_an_engine_does_not_outlive_us(folder: Path, program: str) -> None:
    """The whole command as a process that is killed: no handler of ours runs."""
    code = "from hanhua.cli import main; main()"
    options = ["--engine", "vllm", "--engine-command", program, "--port", "0"]
    command = [sys.executable, "-c", code, "serve", str(folder), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            read_until(process, "vLLM answers")
            assert not ended_now(folder / "worker")
        finally:
            process.kill()
    assert process.returncode == -signal.SIGKILL
    assert ended(folder / "worker")
    assert (folder / "stopped").read_text() == "SIGTERM"  # it was asked first


def test_an_engine_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    """It ignores SIGTERM; the parent is gone at once."""
    engine = tmp_path / "engine"
    code = f"""
import os, subprocess, sys
from hanhua.serve.watcher import Watcher
deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)"
process = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE,
                           start_new_session=True)
process.stdout.readline()
open({str(engine)!r}, "w").write(str(process.pid))
Watcher(process.pid, grace_seconds=1)
os._exit(0)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert ended(engine)


def ask(url: str, key: str) -> tuple[int, str | None]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            return answer.status, json.load(answer)["data"][0]["id"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, None


def test_an_address_of_everyone_without_a_key_is_warned_of(
    folder: Path, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    said = Lines()
    with pytest.raises(ServeError, match="before it answered"):
        serve_external("vllm", folder, host="0.0.0.0", port=0, engine_command=program,
                       engine_args="--refuse", progress=said)  # type: ignore[arg-type] # fmt: skip
    assert "no key is set" in said.lines[0]


def test_the_server_answers_what_containers_probe(client: httpx.Client) -> None:
    deploy = Path(__file__).resolve().parents[2] / "deploy"
    probed = set(re.findall(r"path: (/\w+), port", (deploy / "kubernetes.yaml").read_text()))
    assert probed == {"/health", "/ready"}
    assert {client.get(path).status_code for path in sorted(probed)} == {200}
