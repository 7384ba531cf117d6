"""``hanhua chatdata`` as a user calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hanhua.chat.conversation import read_conversations
from hanhua.cli import chatdata
from hanhua.core.errors import InputError, MixtureError, RecipeError, StorageError, UsageError


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """A Chinese and an English set, and two broken records."""
    zh = [{"instruction": f"第{i}个问题是什么？", "input": "", "output": f"这是回答{i}。",
           "domain": ["医疗" if i % 2 else "法律"],
           "task_type": {"major": ["问答"], "minor": []}} for i in range(40)]  # fmt: skip
    en = [{"messages": [{"role": "user", "content": f"Question {i}?"},
                        {"role": "assistant", "content": f"Answer {i}."}]} for i in range(40)]  # fmt: skip # noqa: E501
    zh.append({"instruction": "没有回答", "input": "", "output": ""})
    paths = [tmp_path / "zh.json", tmp_path / "en.jsonl"]
    paths[0].write_text(json.dumps(zh, ensure_ascii=False), "utf-8")
    lines = [json.dumps(record) for record in en]
    lines.insert(2, "{broken")
    paths[1].write_text("\n".join(lines), "utf-8")
    return [str(path) for path in paths]


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    from hanhua.cli import app

    code = app(args=["chatdata", *arguments], standalone_mode=False)
    return code or 0, capsys.readouterr().out


def test_json_accounts_for_every_record(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, files: list[str]
) -> None:
    out = tmp_path / "out"
    code, said = call(capsys, *files, "--out", str(out), "--json", "--quiet", "--licence", "MIT",
                      "--held-out", "3", "--share", "zh=0.5", "--share", "en=0.5",
                      "--set", "tolerance=0.1")  # fmt: skip
    report: dict[str, Any] = json.loads(said.splitlines()[-1])
    assert code == 0
    dropped = sum(report["dropped"].values())
    assert report["records_in"] == report["conversations_kept"] + report["held_out"] + dropped == 82
    assert report["dropped"]["missing_answer"] == 1
    assert report["dropped"]["broken_json"] == 1
    assert report["held_out"] == 6
    for name, records in (("alpaca", 41), ("messages", 41)):
        assert report["schemas"][name]["in"] == records
    assert sum(row["kept"] for row in report["schemas"].values()) == report["conversations_kept"]
    for name in ("zh", "en"):
        assert abs(report["languages"][name]["share"] - 0.5) < 0.1
        assert report["languages"][name]["held_out"] == 3
    assert set(report["domains"]) == {"医疗", "法律", "unnamed"}
    assert report["tasks"]["问答"] == report["languages"]["zh"]["kept"]
    names = {path.name for path in out.iterdir()}
    assert names == {"train.parquet", "held_out.parquet", "ledger.json", "dropped.jsonl",
                     "record.json"}  # fmt: skip
    kept = list(read_conversations(out / "train.parquet"))
    assert {(c.licence, c.domain in {"医疗", "法律", ""}) for c in kept} == {("MIT", True)}
    samples = [json.loads(x) for x in (out / "dropped.jsonl").read_text("utf-8").splitlines()]
    assert "en.jsonl:3" in {s["where"] for s in samples if s["reason"] == "broken_json"}
    assert not list(tmp_path.glob(".*building*"))


def test_a_summary_for_people(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, files: list[str]
) -> None:
    _, said = call(capsys, files[0], f"{files[1]}#10", "--out", str(tmp_path / "out"), "--quiet")
    assert "82 records in, 50 conversations kept, 0 held out" in said
    assert "en (messages, unknown)" in said
    assert "20 法律" in said
    assert "30 over_limit" in said
    assert "train.parquet" in said


def test_mistakes_are_told_and_leave_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, files: list[str]
) -> None:
    out = str(tmp_path / "out")
    for arguments, error in (
        ([*files, "--schema", "alpac"], RecipeError),
        ([f"{tmp_path}#plain"], RecipeError),
        ([str(tmp_path / "absent.json")], InputError),
        ([*files, "--schema", "sharegpt"], InputError),
        ([*files, "--against", str(tmp_path / "absent.json")], InputError),
        ([*files, "--share", "zh"], UsageError),
        ([*files, "--share", "zh=0.5", "--share", "fr=0.5"], MixtureError),
        ([*files, "--dedup", "fuzzy"], RecipeError),
        ([*files, "--set", "max_char=5"], RecipeError),
    ):
        with pytest.raises(error):
            call(capsys, *arguments, "--out", out, "--quiet")
    assert {path.name for path in tmp_path.iterdir()} == {"zh.json", "en.jsonl"}
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(StorageError, match="choose another --out"):
        call(capsys, *files, "--out", out, "--quiet")


def test_the_command_is_on_the_command_line_and_light(tmp_path: Path) -> None:
    code = ("import sys; import hanhua.cli.chatdata; "
            "print([m for m in ('torch', 'numpy', 'pyarrow', 'pydantic') if m in sys.modules])")  # fmt: skip # noqa: E501
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
    assert chatdata.summary
