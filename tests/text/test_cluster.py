"""The same corpus from Daft, alone and on a local Ray with two workers, as from this machine."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

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


def corpus(raw, out, *options):
    command = [sys.executable, "-m", "hanhua", "corpus", str(raw), "--out", str(out), "--licence",
               "CC0", "--quiet", "--json", "--language", "zh", "--held-out-docs", "5", "--set",
               "batch_chars=20000", *options]  # fmt: skip
    made = subprocess.run(command, capture_output=True, text=True, timeout=280,
                          env={**os.environ, "DAFT_PROGRESS_BAR": "0"})  # fmt: skip
    assert made.returncode == 0, made.stderr
    files = {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*.parquet"))}
    return files, json.loads(made.stdout.splitlines()[-1])


@pytest.mark.parametrize("where", ["native", "local"])
def test_a_cluster_gives_the_same_bytes(tmp_path, raw, where):
    here, report = corpus(raw, tmp_path / "here", "--workers", "1")
    there, again = corpus(raw, tmp_path / where, "--workers", "2", "--cluster", where)
    assert here == there
    assert report == again
    assert report["dropped"]["near_duplicate"] > 50
    assert report["dropped"]["duplicate"] > 50
    assert len(here) == 2
