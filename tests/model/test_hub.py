"""Fetching from both hubs, against a server on this machine that speaks their routes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from hanhua.core.errors import ModelError
from hanhua.model.hub import split_ref
from hanhua.model.load import load_model, load_tokenizer, resolve

SHA = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves one folder as ``tiny/llama`` on both hubs' routes."""

    daemon_threads = False

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.asked: list[str] = []
        self.spoil = ""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def reply(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        self.server.asked.append(f"{self.command} {self.path}")
        if url.path.startswith("/api/v1/models/tiny/llama/repo"):
            self.modelscope(url.path, query)
        elif url.path == "/api/models/tiny/llama/revision/main":
            self.reply(json.dumps({"id": "tiny/llama", "sha": SHA, "siblings": []}).encode())
        elif url.path == f"/api/models/tiny/llama/tree/{SHA}":
            self.reply(json.dumps([
                {"type": "file", "path": p.name, "size": p.stat().st_size, "oid": digest(p)[:40]}
                for p in sorted(self.server.folder.iterdir())
            ]).encode())  # fmt: skip
        elif url.path.startswith(f"/tiny/llama/resolve/{SHA}/"):
            path = self.server.folder / url.path.rsplit("/", 1)[1]
            self.reply(path.read_bytes(), ETag=f'"{digest(path)[:40]}"', X_Repo_Commit=SHA)
        else:
            self.reply(b'{"error": "Repository not found"}', 404, X_Error_Code="RepoNotFound")

    def modelscope(self, path: str, query: dict[str, str]) -> None:
        if query["Revision"] != "master":
            body = {"Code": 10010205001, "Success": False, "Message": "no such revision"}
            self.reply(json.dumps(body).encode())
        elif path.endswith("/files"):
            files = [
                {"Path": p.name, "Type": "blob", "Size": p.stat().st_size, "Sha256": digest(p)}
                for p in sorted(self.server.folder.iterdir())
            ]
            files.append({"Path": "onnx", "Type": "tree", "Size": 0, "Sha256": ""})
            self.reply(
                json.dumps({"Code": 200, "Success": True, "Data": {"Files": files}}).encode()
            )
        else:
            body = (self.server.folder / query["FilePath"]).read_bytes()
            broken = query["FilePath"] == self.server.spoil
            self.reply(bytes(len(body)) if broken else body)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def hub(tiny_llama: Path) -> Iterator[Hub]:
    (tiny_llama / "training_args.bin").write_bytes(b"not wanted")
    server = Hub(tiny_llama)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
    (tiny_llama / "training_args.bin").unlink()


@pytest.fixture
def modelscope(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", hub.address)
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return hub


def test_references_are_taken_apart():
    assert split_ref("a/b") == ("hf", "a/b", None)
    assert split_ref("hf:a/b@v1.0") == ("hf", "a/b", "v1.0")
    assert split_ref("modelscope:a/b") == ("modelscope", "a/b", None)


def test_modelscope_gives_the_same_model(modelscope: Hub, tiny_llama: Path):
    folder = resolve("modelscope:tiny/llama")
    assert {p.name for p in folder.iterdir()} == {
        p.name for p in tiny_llama.iterdir() if p.name != "training_args.bin"
    }
    assert all(p.read_bytes() == (tiny_llama / p.name).read_bytes() for p in folder.iterdir())
    assert load_model("modelscope:tiny/llama").config.hidden_size == 32
    assert load_tokenizer("modelscope:tiny/llama")("Tom")["input_ids"][0] == 1
    weights = [line for line in modelscope.asked if "model.safetensors" in line]
    assert len(weights) == 1  # the second and third time nothing is fetched again


def test_modelscope_files_stay_usable_without_network(modelscope: Hub, monkeypatch):
    folder = resolve("modelscope:tiny/llama")
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:1")
    assert resolve("modelscope:tiny/llama") == folder


@pytest.mark.parametrize(
    ("ref", "found"),
    [("modelscope:tiny/none", "404"), ("modelscope:tiny/llama@v9", "no such revision")],
)
def test_what_modelscope_does_not_have(modelscope: Hub, ref: str, found: str):
    with pytest.raises(ModelError, match="could not be fetched") as caught:
        resolve(ref)
    assert found in str(caught.value.found)
    assert modelscope.address in str(caught.value.where)
    assert "MODELSCOPE_ENDPOINT" in str(caught.value.fix)


def test_a_file_that_arrives_broken_is_not_kept(modelscope: Hub, tmp_path: Path):
    modelscope.spoil = "tokenizer.model"
    with pytest.raises(ModelError, match="could not be fetched") as caught:
        resolve("modelscope:tiny/llama")
    assert "SHA-256" in str(caught.value.found)
    assert not list((tmp_path / "cache").rglob("*tokenizer.model*"))
    modelscope.spoil = ""
    assert (resolve("modelscope:tiny/llama") / "tokenizer.model").exists()


def test_modelscope_unreachable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="could not be fetched") as caught:
        resolve("modelscope:tiny/llama")
    assert "refused" in str(caught.value.found)


SCRIPT = """
import sys
from hanhua.core.errors import ModelError
from hanhua.model.hub import download
try:
    print(download(sys.argv[1]))
except ModelError as error:
    print(error.message)
"""


def hugging_face(ref: str, home: Path, **env: str) -> str:
    """Resolve in another process: the hub's client reads its settings when imported."""
    keep = {k: v for k, v in os.environ.items() if not k.lower().endswith("proxy")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, ref], capture_output=True, text=True, check=True,
        env=keep | {"HF_HOME": str(home), "HF_HUB_OFFLINE": "0"} | env,
    )  # fmt: skip
    return done.stdout


def test_hugging_face_through_its_endpoint(hub: Hub, tmp_path: Path):
    out = hugging_face("hf:tiny/llama@main", tmp_path, HF_ENDPOINT=hub.address)
    folder = Path(out.strip())
    assert load_model(folder).config.hidden_size == 32
    names = {p.name for p in folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.model"} <= names
    assert "training_args.bin" not in names
    # what was fetched stays usable offline
    asked = len(hub.asked)
    again = hugging_face("tiny/llama", tmp_path, HF_ENDPOINT=hub.address, HF_HUB_OFFLINE="1")
    assert again == out
    assert len(hub.asked) == asked


@pytest.mark.parametrize("offline", ["0", "1"])
def test_what_hugging_face_does_not_have(hub: Hub, tmp_path: Path, offline: str):
    out = hugging_face("tiny/none", tmp_path, HF_ENDPOINT=hub.address, HF_HUB_OFFLINE=offline)
    assert "could not be fetched" in out
    assert f"hf:tiny/none at {hub.address}" in out
    assert "HF_ENDPOINT" in out
    assert ("HF_HUB_OFFLINE is set" in out) == (offline == "1")
