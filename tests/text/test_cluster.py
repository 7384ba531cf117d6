"""The same corpus from Daft, alone and on a local Ray with two workers, as from this machine."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("daft", reason="needs the extra: pip install 'hanhua[cluster]'")

WORDS = "小明 河边 市场 朋友 早上 山上 白菜 学校 老师 孩子 喜欢 红色 一起 我们 的 了 在 是".split()


@pytest.fixture
def raw(tmp_path):
    rng = random.Random(3)
    texts = ["".join(rng.choices(WORDS, k=60)) + "。" for _ in range(900)]
    texts += [text + "完了。" for text in texts[::7]] + [" ".join(text) for text in texts[::11]]
    texts += ["短", "<p>junk</p>" * 40]
    path = tmp_path / "raw.jsonl"
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts), encoding="utf-8")
    return path


def begun(raw, out, *options):
    command = [sys.executable, "-m", "hanhua", "corpus", str(raw), "--out", str(out), "--licence",
               "CC0", "--quiet", "--json", "--language", "zh", "--held-out-docs", "5", "--set",
               "batch_chars=20000", *options]  # fmt: skip
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env={**os.environ, "DAFT_PROGRESS_BAR": "0"})  # fmt: skip


def ended(process, out):
    output, errors = process.communicate(timeout=280)
    assert process.returncode == 0, errors
    files = {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*.parquet"))}
    return files, json.loads(output.splitlines()[-1])


def corpus(raw, out, *options):
    return ended(begun(raw, out, *options), out)


@pytest.mark.parametrize("where", ["native", "local"])
def test_a_cluster_gives_the_same_bytes(tmp_path, raw, where):
    here, report = corpus(raw, tmp_path / "here", "--workers", "1")
    there, again = corpus(raw, tmp_path / where, "--workers", "2", "--cluster", where)
    assert here == there
    assert report == again
    assert report["dropped"]["near_duplicate"] > 50
    assert report["dropped"]["duplicate"] > 50
    assert len(here) == 2


def actors(process):
    """The processes of Ray that hold the kernel, of this command alone."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((place / "stat").read_text().rsplit(") ", 1)[1].split()[1])
            found[int(place.name)] = (parent, (place / "cmdline").read_bytes())
        except OSError:  # it ended meanwhile
            continue
    ours = {process.pid}
    while more := {pid for pid, (parent, _) in found.items() if parent in ours} - ours:
        ours |= more
    return {pid for pid in ours if found.get(pid, (0, b""))[1].startswith(b"ray::UDFActor")}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_a_killed_worker_of_ray_changes_nothing(tmp_path, raw):
    here, report = corpus(raw, tmp_path / "here", "--workers", "1")
    out, limit = tmp_path / "there", time.monotonic() + 200
    process = begun(raw, out, "--workers", "2", "--cluster", "local")

    def parts():
        return list(tmp_path.glob(".there.building/.building/*/work/judged/part-*.parquet"))

    while not (parts() and actors(process)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.01)
    before = actors(process)
    os.kill(min(before), signal.SIGKILL)
    done = len(parts())
    while not actors(process) - before:
        assert process.poll() is None, "it ended without a new worker"
        time.sleep(0.01)
    assert ended(process, out) == (here, report)
    assert done < 4, "the kill came too late to say anything"
