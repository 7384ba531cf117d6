"""What the page says in words: both languages, the unit of a loss, what did not fit, domains."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from walked import write_run

from hanhua.core.files import read_json, write_json
from hanhua.report.chart import short
from hanhua.report.cost import DOES
from hanhua.report.html import number, percent
from hanhua.report.render import render
from hanhua.report.run import ORDER
from hanhua.tokens.fates import told


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs"))


def changed(run_dir: Path, to: Path, stage: str, part: str, value: dict[str, object]) -> Path:
    """A copy of the run whose ledger says more of a stage."""
    own = Path(shutil.copytree(run_dir, to / "own"))
    ledger = read_json(own / "ledger.json")
    entry = ledger["stages"][stage]
    entry[part] = {**entry.get(part, {}), **value}
    write_json(own / "ledger.json", ledger)
    return own


def section(run_dir: Path, name: str) -> str:
    text = render(run_dir).read_text(encoding="utf-8")
    found = re.search(rf'<section id="{name}".*?</section>', text, re.DOTALL)
    assert found, name
    return found[0]


def test_cost_says_in_chinese_what_each_stage_does(run_dir: Path) -> None:
    assert set(ORDER) == set(DOES)
    shown = section(run_dir, "cost")
    assert "the corpus</span>" in shown
    assert "清洗、去重并划分文本" in shown


def test_the_loss_of_pairs_is_not_called_one_of_tokens(run_dir: Path) -> None:
    shown = section(run_dir, "training")
    before, prefer = shown.split("偏好微调", 1)
    assert "Loss, nats per token" in before
    assert "Loss of a pair" not in before
    assert "Loss of a pair" in prefer
    assert "Loss, nats per token" not in prefer


def test_pairs_and_conversations_that_did_not_fit_are_told(run_dir: Path, tmp_path: Path) -> None:
    assert "seq_len_tokens" not in section(run_dir, "preference")
    fates = {"whole": 15, "answer_cut": 41, "prompt_too_long": 51, "same_when_cut": 0}
    shown = section(changed(run_dir, tmp_path, "prefer", "counts", {"pairs": fates}), "preference")
    assert "Of 107 pairs for training: 15 whole, 41 with an answer cut off, 51 dropped" in shown
    assert "训练用的 107 对偏好数据中：15 对完整，41 对回答被截断，51 对被丢弃" in shown
    said = told(fates, "pairs", "prefer.seq_len_tokens", 256)
    assert said == ("of 107 pairs: 51 dropped (the question leaves no room), 41 with an answer cut "
                    "off; prefer.seq_len_tokens is 256")  # fmt: skip
    assert told({"whole": 3, "turns_cut": 0}, "conversations", "finetune.seq_len_tokens", 9) is None
    (tmp_path / "chat").mkdir()
    fates = {"whole": 1188, "turns_cut": 12, "answer_cut": 0, "too_long": 0}
    own = changed(run_dir, tmp_path / "chat", "finetune", "counts", {"conversations": fates})
    assert "训练用的 1,200 段对话中：1,188 段完整，12 段去掉了末尾的轮次" in section(
        own, "chatdata"
    )


def test_shares_of_domains_are_counted_on_the_page(run_dir: Path, tmp_path: Path) -> None:
    assert "其中" not in section(run_dir, "mixture")
    shares = {
        "asked": {"zh": 0.3, "zh/news": 0.4, "en": 0.3},
        "counted": {"zh": 0.2996, "zh/news": 0.4008, "en": 0.2996},
    }
    own = changed(run_dir, tmp_path, "tokens", "metrics", {"domains": shares})
    shown = section(own, "mixture")
    assert "中文" in shown
    assert ", the rest" in shown
    assert " / news" in shown
    assert "40.08 %" in shown


def test_one_document_of_a_source_has_no_interval(run_dir: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(run_dir, tmp_path / "own"))
    for name in ("base", "prefer"):
        path = next(own.glob(f"eval-{name}-*")) / "scores.json"
        scores = read_json(path)
        scores["bits_per_byte"]["zh"]["by_source"] = {
            "wiki": {"value": 2.5, "low": 2.25, "high": 2.75, "n_docs": 7},
            "novel": {"value": 3.125, "low": 3.125, "high": 3.125, "n_docs": 1},
        }
        write_json(path, scores)
    shown = section(own, "bits-per-byte")
    assert "[2.25, 2.75]" in shown
    assert ">3.12<" in shown
    assert "[3.12, 3.12]" not in shown


def test_nothing_has_no_sign_and_axes_are_round() -> None:
    assert number(-0.0, 1) == "0.0"
    assert number(-0.0, 1, signed=True) == "+0.0"
    assert percent(-0.0) == "0.0 %"
    assert [short(x) for x in (1024, 4096, 16384, 1500, 80_000)] == [
        "1,024", "4,096", "16,384", "1.5k", "80k",
    ]  # fmt: skip
