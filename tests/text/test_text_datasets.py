"""Datasets in folders, and on both hubs from a server on this machine that speaks their routes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hanhua.core.errors import InputError
from hanhua.text.hubs.dataset_files import card_configs, choose_files
from hanhua.text.hubs.hub_datasets import (
    dataset_identity,
    dataset_records,
    is_dataset,
    parse_reference,
    read_dataset,
)
from hanhua.text.readers.values import ReadOptions

SHA = "0123456789abcdef0123456789abcdef01234567"
CARD = """---
license: cc0-1.0
configs:
- config_name: news
  default: true
  data_files:
  - split: train
    path: data/news-*.jsonl
  - split: test
    path: data/news_test.jsonl
- config_name: poems
  data_files: poems/**/*.parquet
---
# 数据集
"""


def jsonl(texts):
    return "".join(json.dumps({"text": t}, ensure_ascii=False) + "\n" for t in texts).encode()


@pytest.fixture
def repository(tmp_path):
    """A folder as it is cloned from a hub: two configs, a card, and files that are no data."""
    folder = tmp_path / "repository"
    (folder / "data").mkdir(parents=True)
    (folder / "poems/old").mkdir(parents=True)
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    (folder / ".gitattributes").write_text("*.parquet filter=lfs", encoding="utf-8")
    (folder / "data/news-1.jsonl").write_bytes(jsonl(["早上", "中午"]))
    (folder / "data/news-2.jsonl").write_bytes(jsonl(["晚上"]) + b'{"text": "cut\n')
    (folder / "data/news_test.jsonl").write_bytes(jsonl(["考试"]))
    pq.write_table(pa.table({"text": ["床前明月光"]}), folder / "poems/old/a.parquet")
    return folder


def texts(reference, options=None):
    return [r.text or r.problem for r in dataset_records(reference, options)]


def test_a_repository_is_read_as_its_card_says(repository):
    assert texts(str(repository)) == ["早上", "中午", "晚上", "broken_json"]
    assert texts(f"{repository}@test") == ["考试"]
    assert texts(f"{repository}/poems") == ["床前明月光"]
    assert texts(f"{repository}/poems@train") == ["床前明月光"]
    wheres = [where for where, _ in read_dataset(str(repository))]
    assert wheres == ["news-1.jsonl:1", "news-1.jsonl:2", "news-2.jsonl:1", "news-2.jsonl:2"]
    told = []
    list(read_dataset(str(repository), tell=told.append))
    assert told == sorted(told)
    assert told[-1] == sum(p.stat().st_size for p in repository.glob("data/news-*"))
    with pytest.raises(InputError, match=r"no such split[\s\S]*dev; there is test, train"):
        texts(f"{repository}@dev")
    with pytest.raises(InputError, match=r"no such config[\s\S]*sport; there is news, poems"):
        texts(f"{repository}/sport")


def test_without_a_card_splits_are_told_by_names():
    paths = ["README.md", "LICENSE", "dataset_infos.json", ".git/x.json", "x/train-0.jsonl.gz",
             "x/train-1.jsonl.gz", "x/dev.jsonl", "eval/a.csv", "trains.jsonl"]  # fmt: skip
    choose = lambda split: choose_files(paths, [], None, split, "here")  # noqa: E731
    assert choose(None) == ["x/train-0.jsonl.gz", "x/train-1.jsonl.gz"]
    assert choose("validation") == ["x/dev.jsonl"]
    assert choose("test") == ["eval/a.csv"]
    assert choose_files(["a.jsonl", "b/c.parquet", "x.py"], [], None, None, "") == [
        "a.jsonl", "b/c.parquet",
    ]  # fmt: skip
    assert choose_files(["a/1.csv", "b/1.csv"], [], "b", None, "") == ["b/1.csv"]
    with pytest.raises(InputError, match=r"no data files[\s\S]*here"):
        choose_files(["README.md"], [], None, None, "here")


def test_cards_that_cannot_be_read_say_nothing():
    assert card_configs("# no front matter") == []
    assert card_configs("---\n: : [\n---\n") == []
    assert card_configs("---\nlicense: mit\n---\n") == []
    [config] = card_configs("---\nconfigs:\n- data_files: {train: [a.csv], test: b.csv}\n---\n")
    assert choose_files(["a.csv", "b.csv"], [config], None, "test", "") == ["b.csv"]


def test_saved_datasets_are_read_with_their_shards_and_splits(tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    rows = [f"第{n}行" for n in range(10)]
    saved = datasets.Dataset.from_dict({"text": rows, "label": list(range(10))})
    saved.save_to_disk(str(tmp_path / "one"), num_shards=3)
    assert texts(str(tmp_path / "one")) == rows
    assert dataset_identity(str(tmp_path / "one")).startswith("files:")
    parts = datasets.DatasetDict({"train": saved.shuffle(seed=1).select(range(4)), "test": saved})
    parts.save_to_disk(str(tmp_path / "two"))
    assert texts(f"{tmp_path}/two@test") == rows
    assert texts(f"{tmp_path}/two") == list(parts["train"]["text"])
    with pytest.raises(InputError, match=r"no such split[\s\S]*dev; there is"):
        texts(f"{tmp_path}/two@dev")
    part = tmp_path / "one/data-00002-of-00003.arrow"
    part.write_bytes(part.read_bytes()[:-8])
    with pytest.raises(InputError, match="Arrow file cannot be read"):
        texts(str(tmp_path / "one"))


def test_identity_is_content_and_no_place(repository, tmp_path):
    before = dataset_identity(str(repository))
    shutil.copytree(repository, tmp_path / "moved")
    (tmp_path / "moved/README.md").write_text(CARD + "more", encoding="utf-8")
    assert dataset_identity(str(tmp_path / "moved")) == before
    assert dataset_identity(f"{repository}@test") != before
    (tmp_path / "moved/data/news-2.jsonl").write_bytes(jsonl(["夜里"]))
    assert dataset_identity(str(tmp_path / "moved")) != before


def test_references(repository, tmp_path):
    found = parse_reference("hf:a/b-c/子集@train#v1.0")
    assert (found.hub, found.name, found.config, found.split, found.revision) == (
        "hf", "a/b-c", "子集", "train", "v1.0",
    )  # fmt: skip
    assert str(found) == "hf:a/b-c/子集@train#v1.0"
    assert str(parse_reference("modelscope:a/b@test")) == "ms:a/b@test"
    pinned = f"hf:a/b/c@train#{SHA}"
    assert dataset_identity(pinned) == pinned, "a pinned commit needs no network"
    assert [is_dataset(x) for x in ("hf:a/b", "ms:a/b/c@d", str(repository), "hf:a", str(tmp_path))
            ] == [True, True, True, False, False]  # fmt: skip
    for wrong in ("hf:a", "nowhere/at/all", "ms:a b/c"):
        with pytest.raises(InputError, match=r"no dataset[\s\S]*hf:owner/name"):
            parse_reference(wrong)


def test_offline_is_said(monkeypatch):
    pytest.importorskip("datasets")
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(InputError, match=r"could not be fetched[\s\S]*ms:a/b#master[\s\S]*mirror"):
        texts("ms:a/b")
    with pytest.raises(InputError, match=r"Hugging Face[\s\S]*hf:a/b[\s\S]*HF_HUB_OFFLINE is set"):
        texts("hf:a/b")
    with pytest.raises(InputError, match=r"Hugging Face[\s\S]*hf:a/b"):
        dataset_identity("hf:a/b")


class Hub(ThreadingHTTPServer):
    """Serves one folder as ``tiny/zh`` on both hubs' routes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.asked, self.spoil = folder, [], ""

    def files(self):
        return {p.relative_to(self.folder).as_posix(): p.read_bytes()
                for p in sorted(self.folder.rglob("*")) if p.is_file()}  # fmt: skip


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

    def json(self, value: object, status: int = 200) -> None:
        self.reply(json.dumps(value).encode(), status, Content_Type="application/json")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        url, files = urlsplit(self.path), self.server.files()
        path = unquote(url.path)
        self.server.asked.append(self.path)
        tree = f"/api/datasets/tiny/zh/tree/{SHA}"
        if path.startswith("/api/v1/datasets/tiny/zh/repo"):
            self.modelscope(path, {k: v[0] for k, v in parse_qs(url.query).items()}, files)
        elif path in ("/api/datasets/tiny/zh", f"/api/datasets/tiny/zh/revision/{SHA}"):
            self.json({"id": "tiny/zh", "sha": SHA, "tags": [], "private": False,
                       "siblings": [{"rfilename": name} for name in files]})  # fmt: skip
        elif path.startswith(tree):
            self.json(entries(files, path[len(tree) :].strip("/"), "path", "size", "type", "file"))
        elif "/tiny/zh/resolve/" in path and (name := path.split("/resolve/")[1].split("/", 1)[1]):
            body, tag = files.get(name), {"ETag": f'"{name}"', "X_Repo_Commit": SHA}
            if body is None:
                self.reply(b"", 404, X_Error_Code="EntryNotFound")
            else:
                self.reply(body, **tag)
        else:
            self.json({"error": "Repository not found"}, 404)

    def modelscope(self, path: str, query: dict[str, str], files: dict[str, bytes]) -> None:
        if query["Revision"] != "master":
            self.json({"Code": 10010205001, "Success": False, "Message": "no such revision"})
        elif path.endswith("/tree"):
            found = entries(files, query["Root"].strip("/"), "Path", "Size", "Type", "blob")
            for entry in found:
                entry["Sha256"] = hashlib.sha256(files.get(entry["Path"], b"")).hexdigest()
            self.json({"Code": 200, "Success": True, "Data": {"Files": found}})
        else:
            body = files[query["FilePath"]]
            self.reply(bytes(len(body)) if query["FilePath"] == self.server.spoil else body)


def entries(files, root, path_key, size_key, type_key, file_word):
    """What stands right under a folder, as both hubs list it, each in its words."""
    inside = {n: b for n, b in files.items() if n.startswith(f"{root}/" if root else "")}
    folders = {n[: n.index("/", len(root) + 1)] for n in inside if "/" in n[len(root) + 1 :]}
    listed = {n: (file_word, len(b)) for n, b in inside.items() if "/" not in n[len(root) + 1 :]}
    listed |= dict.fromkeys(folders, ("tree" if file_word == "blob" else "directory", 0))
    return [{path_key: n, type_key: kind, size_key: size, "oid": "0" * 40}
            for n, (kind, size) in sorted(listed.items())]  # fmt: skip


@pytest.fixture
def hub(repository, tmp_path, monkeypatch):
    server = Hub(repository)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_modelscope_gives_the_same_and_keeps_it(hub, monkeypatch):
    assert texts("ms:tiny/zh") == ["早上", "中午", "晚上", "broken_json"]
    assert texts("modelscope:tiny/zh/poems") == ["床前明月光"]
    identity = dataset_identity("ms:tiny/zh")
    assert identity.startswith("ms:tiny/zh files:")
    assert not any("news_test" in asked for asked in hub.asked), "only what is read is fetched"
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:1")
    assert texts("ms:tiny/zh") == ["早上", "中午", "晚上", "broken_json"]
    assert dataset_identity("ms:tiny/zh") == identity
    with pytest.raises(InputError, match="could not be fetched"):
        texts("ms:tiny/zh@test")


def test_what_modelscope_does_not_have_or_spoils(hub):
    for reference, found in (("ms:tiny/none", "404"), ("ms:tiny/zh#v9", "no such revision")):
        with pytest.raises(InputError, match=found):
            texts(reference)
    hub.spoil = "data/news-2.jsonl"
    values = read_dataset("ms:tiny/zh", ReadOptions())
    assert [next(values)[1]["text"], next(values)[1]["text"]] == ["早上", "中午"]
    with pytest.raises(InputError, match="arrived broken"):
        next(values)


READ = """
import sys
from hanhua.core.errors import InputError
from hanhua.text.hubs.hub_datasets import dataset_identity, dataset_records
pinned = dataset_identity("hf:tiny/zh@train")
print(pinned)
for reference in (pinned, "hf:tiny/zh/news@test", "hf:tiny/zh@nowhere", "hf:tiny/none"):
    try:
        print([(r.where, r.text) for r in dataset_records(reference)])
    except InputError as error:
        print(repr(error.message))
"""


@pytest.mark.slow
def test_hugging_face_is_streamed(hub, tmp_path):
    pytest.importorskip("datasets")
    (hub.folder / "data/news-2.jsonl").write_bytes(jsonl(["晚上"]))
    address = f"http://127.0.0.1:{hub.server_address[1]}"
    environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hf"),
                   "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1",
                   "PYTHONIOENCODING": "utf-8"}  # fmt: skip
    done = subprocess.run([sys.executable, "-c", READ], env=environment, capture_output=True,
                          text=True, encoding="utf-8", timeout=120, check=True)  # fmt: skip
    pinned, news, test, split, none = done.stdout.splitlines()
    assert pinned == f"hf:tiny/zh@train#{SHA}"
    assert news == str([("zh:1", "早上"), ("zh:2", "中午"), ("zh:3", "晚上")])
    assert test == str([("zh:1", "考试")])
    assert "nowhere" in split
    assert "hf:tiny/none" in none
