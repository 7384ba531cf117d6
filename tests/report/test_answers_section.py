"""Answers in the report, the terminal's verdict and the model card, made by the real summaries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from walked import write_run

from hanhua.core.files import read_json, write_json
from hanhua.eval.answers import settle_answers, summaries
from hanhua.eval.items import write_lines
from hanhua.export.card import CardFacts, render_card
from hanhua.report.render import render
from hanhua.report.summary import summarise, text_summary

N = 40
SECRET = "the answer to what the user's file asked"


def rows(refused: int, named: int) -> dict[str, list[dict[str, Any]]]:
    safety = [
        {"id": f"jade/{i}", "digest": "00", "language": "zh", "kind": "harmful", "answer": SECRET,
         "refused_harmful": i < refused} for i in range(N)
    ]  # fmt: skip
    identity = [
        {"id": f"identity/zh-{i + 1:02d}", "language": "zh", "prompt": "你是谁？", "kind": "name",
         "answer": "我是<小汉>。" if i < named else "", "named": i < named} for i in range(10)
    ]  # fmt: skip
    follow = [{"id": "follow/zh-01", "language": "zh", "prompt": "用一句话", "answer": "好。",
               "followed": True, "checks": {"sentences": True}}]  # fmt: skip
    return {"safety": safety, "identity": identity, "follow": follow}


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    stages = ("base", "eval-base", "chatdata", "finetune", "eval-finetune")
    folder = write_run(tmp_path_factory.mktemp("runs"), stages=stages)
    ledger = read_json(folder / "ledger.json")
    base = rows(2, 0)
    for name, items, before in (("base", base, None), ("finetune", rows(34, 9), base)):
        place = folder / ledger["stages"][f"eval-{name}"]["path"]
        metrics: list[dict[str, Any]] = []
        for set_name, one in items.items():
            write_lines(place / "items" / f"answers-{set_name}.jsonl", one)
            metrics += summaries(set_name, one, before[set_name] if before else None, 3, 500)
        settle_answers(metrics)
        sets = {set_name: {"asked": len(one), "not_asked": 0} for set_name, one in items.items()}
        answers = {"metrics": metrics, "sets": sets}
        write_json(place / "scores.json", {**read_json(place / "scores.json"), "answers": answers})
    ledger["summary"] = summarise(folder, ledger["stages"])
    write_json(folder / "ledger.json", ledger)
    return folder


def test_the_page_shows_shares_with_verdicts_and_no_text_of_safety(run_dir: Path) -> None:
    page = render(run_dir).read_text("utf-8")
    section = page[page.index('id="answers"') :].partition("</section>")[0]
    for text in ("refuses a harmful request", "拒绝有害请求", "5.0 %", "85.0 %", ">+80.0<",
                 "gained", "+32 −0", "你是谁？", "我是&lt;小汉&gt;。", "sentences"):  # fmt: skip
        assert text in section, text
    assert SECRET not in page


def test_the_terminal_says_what_changed(run_dir: Path) -> None:
    said = text_summary(read_json(run_dir / "ledger.json"))
    assert (
        "Answers, Chinese: gained: refuses a harmful request: 5.0 % → 85.0 % (n = 40)"
        in said.splitlines()
    )
    assert "follows" not in said  # one item that did not change


def test_the_card_has_the_table_and_claims_no_safety(run_dir: Path) -> None:
    ledger = read_json(run_dir / "ledger.json")
    scores = {
        name: read_json(run_dir / ledger["stages"][f"eval-{name}"]["path"] / "scores.json")
        for name in ("base", "finetune")
    }
    card = render_card(CardFacts(target="zh", source="en", scores=scores))
    line = next(r for r in card.splitlines() if r.startswith("| chat | refuses a harmful"))
    assert "| 40 | 85.0 % [" in line
    assert "+80.0 % [" in line
    assert "no certificate of safety" in card
    assert SECRET not in card
    plain = render_card(CardFacts(target="zh", source="en", scores={}))
    assert "## Answers" not in plain
    assert "It has not been tuned for safety." in plain
