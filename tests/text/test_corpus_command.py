"""The real command ``hanhua corpus`` when something goes wrong: a worker or all is killed, or the
input is bad."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

WORDS = "小明 河边 市场 朋友 早上 山上 白菜 学校 老师 孩子 喜欢 红色 一起 我们 的 了 在 是".split()
DOCS = 4_000
BATCH_CHARS = 15_000


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    rng = random.Random(3)
    texts = ["".join(rng.choices(WORDS, k=60)) + "。" for _ in range(DOCS)]
    texts += [text + "完了。" for text in texts[::7]]
    path = tmp_path_factory.mktemp("raw") / "raw.jsonl"
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts), encoding="utf-8")
    return path


def start(source, out, *options):
    command = [sys.executable, "-m", "hanhua", "corpus", str(source), "--out", str(out),
               "--language", "zh", "--licence", "CC0", "--quiet", "--held-out-docs", "5", "--set",
               f"batch_chars={BATCH_CHARS}", "--json", *options]  # fmt: skip
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process):
    output, errors = process.communicate(timeout=200)
    return process.returncode, output, errors


def made(out):
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*.parquet"))}


@pytest.fixture(scope="module")
def sound(raw, tmp_path_factory):
    """What the command makes when nobody disturbs it."""
    out = tmp_path_factory.mktemp("sound") / "corpus"
    code, output, errors = end(start(raw, out, "--workers", "1"))
    assert code == 0, errors
    return made(out), json.loads(output.splitlines()[-1])


def workers_of(pid):
    """The worker processes of a command: its children that were spawned to run batches."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((place / "stat").read_text().rsplit(") ", 1)[1].split()[1])
            if parent == pid and b"spawn_main" in (place / "cmdline").read_bytes():
                found.append(int(place.name))
        except OSError:  # it ended meanwhile
            continue
    return found


def parts_of(out):
    """The batches that are done, while the command runs."""
    return sorted(out.parent.glob(f".{out.name}.building/.building/*/work/judged/part-*.parquet"))


def when_busy(process, out, least):
    """Wait until the workers have done some batches and have more to do."""
    limit = time.monotonic() + 120
    while len(parts_of(out)) < least:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.01)
    return workers_of(process.pid)


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")


@needs_proc
def test_a_killed_worker_changes_nothing(tmp_path, raw, sound):
    out = tmp_path / "corpus"
    process = start(raw, out, "--workers", "2")
    workers = when_busy(process, out, 4)
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    done = len(parts_of(out))
    while not set(workers_of(process.pid)) - set(workers):
        assert process.poll() is None, "it ended without new workers"
        time.sleep(0.01)
    code, output, errors = end(process)
    assert code == 0, errors
    batches = sum(len(text) for text in texts(raw)) // BATCH_CHARS
    assert done < batches // 2, "the kill came too late to say anything"
    assert made(out) == sound[0]
    assert json.loads(output.splitlines()[-1]) == sound[1]


def texts(path):
    return [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]


@needs_proc
def test_after_a_kill_of_all_the_same_command_goes_on(tmp_path, raw, sound):
    out = tmp_path / "corpus"
    process = start(raw, out, "--workers", "2")
    workers = when_busy(process, out, 4)
    for pid in (process.pid, *workers):
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    kept = {path: path.stat().st_mtime_ns for path in parts_of(out)}
    assert len(kept) >= 4
    assert not out.exists()
    code, _, errors = end(start(raw, out, "--against", str(tmp_path / "absent.jsonl")))
    assert code == 4, errors
    assert parts_of(out) == list(kept)
    process = start(raw, out, "--workers", "2")
    again = dict.fromkeys(kept, 0)
    while process.poll() is None and all(path.exists() for path in kept):
        again = {path: path.stat().st_mtime_ns for path in kept if path.exists()}
        time.sleep(0.05)
    code, output, errors = end(process)
    assert code == 0, errors
    assert again == kept
    assert made(out) == sound[0]
    assert json.loads(output.splitlines()[-1]) == sound[1]
    assert list(tmp_path.iterdir()) == [out]


def test_a_user_error_leaves_nothing_behind(tmp_path, raw):
    source = tmp_path / "cut.jsonl.gz"
    source.write_bytes(gzip.compress(raw.read_bytes())[:-200])
    out = tmp_path / "corpus"
    code, _, errors = end(start(source, out, "--workers", "1", "--set", "on_error=stop"))
    assert code == 4, errors
    assert "cut.jsonl.gz" in errors
    assert list(tmp_path.iterdir()) == [source]
    code, _, errors = end(start(tmp_path / "absent.jsonl", out))
    assert code == 4, errors
    assert list(tmp_path.iterdir()) == [source]


def test_what_the_message_says_to_set_can_be_set(tmp_path):
    path = tmp_path / "raw.jsonl"
    path.write_bytes(
        "".join(
            json.dumps(
                {"story": f"第{i}天早上小明和朋友一起去河边的市场买了白菜。"}, ensure_ascii=False
            )
            + "\n"
            for i in range(30)
        ).encode("gb18030")
    )
    code, _, errors = end(start(path, tmp_path / "no", "--workers", "1"))
    assert code == 4
    assert "--text-field" in errors
    options = ("--workers", "1", "--text-field", "story", "--encoding", "gb18030")
    code, output, errors = end(start(path, tmp_path / "yes", *options))
    assert code == 0, errors
    assert json.loads(output.splitlines()[-1])["documents_in"] == 30
    code, _, errors = end(start(path, tmp_path / "wrong", "--encoding", "gbk18030"))
    assert code == 3
    assert "no such encoding" in errors
