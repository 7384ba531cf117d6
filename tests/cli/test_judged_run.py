"""Whole runs that are judged: by a gate, and by what the instructions held of the questions."""

from __future__ import annotations

import json
from collections.abc import Callable

from hanhua.core.errors import GateError

from .conftest import Project

GATED = """\
  gates: {min_zh_gain: 0.9, max_en_rise: 50.0}
"""


def ask_in_chinese(project: Project, n: int) -> None:
    """Add a task of n Chinese questions with two options."""
    rows = [{"question": f"第{i}号早上在市场上买的是什么？", "choices": ["鱼", "白菜"],
             "answer": i % 2, "language": "zh"} for i in range(n)]  # fmt: skip
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (project.folder / "market.jsonl").write_text(text, encoding="utf-8")
    project.edit(
        "    - {name: worlds, path: questions.jsonl}\n",
        "    - {name: worlds, path: market.jsonl}\n",
    )


def test_a_gate_ends_the_run_and_keeps_what_was_made(project: Project) -> None:
    ask_in_chinese(project, 40)
    project.edit("  prompts:", GATED + "  prompts:")
    done = project.call("run", "recipe.yaml")
    assert done.code == GateError.exit_code == 13, done.err
    assert "min_zh_gain is 90" in done.err
    assert "Traceback" not in done.out + done.err
    run = project.folder / "runs" / "small"
    stages = json.loads((run / "ledger.json").read_text())["stages"]
    assert {"pretrain", "eval-base", "eval-expand", "eval-pretrain"} <= set(stages)
    assert not {"chatdata", "finetune", "export"} & set(stages), "nothing behind it is begun"
    for name in ("pretrain", "eval-pretrain"):
        record = json.loads((run / stages[name]["path"] / "record.json").read_text())
        assert all((run / stages[name]["path"] / file).is_file() for file in record["files"])
    scores = json.loads((run / stages["eval-pretrain"]["path"] / "scores.json").read_text())
    gain = next(row for row in scores["verdicts"] if row["claim"] == "market")["difference"]
    assert gain["n"] == 40
    assert gain["high"] < 0.9
    assert "market" in (run / "report.html").read_text(encoding="utf-8")
    made = {path: path.stat().st_mtime_ns for path in run.glob("*-*/record.json")}
    again = project.call("run", "recipe.yaml")
    assert again.code == 13
    assert "min_zh_gain is 90" in again.err
    assert {path: path.stat().st_mtime_ns for path in run.glob("*-*/record.json")} == made


def test_questions_in_instructions_are_marked_for_the_chat_model_alone(
    copied: Callable[[], Project],
) -> None:
    project = copied()
    rows = json.loads((project.folder / "chat.json").read_text(encoding="utf-8"))
    asked = [
        "What is it that the old teacher of the village school bought at the market that morning?",
        "Which of the two children by the river was told to go home before it began to rain?",
    ]
    rows.append({"instruction": asked[0], "input": "", "output": "A fish."})
    (project.folder / "chat.json").write_text(json.dumps(rows, ensure_ascii=False), "utf-8")
    lines = [json.dumps({"question": text, "choices": ["fish", "corn"], "answer": 0,
                         "language": "en"}) for text in asked]  # fmt: skip
    (project.folder / "village.jsonl").write_text("\n".join(lines) + "\n")
    project.edit("questions.jsonl}", "village.jsonl}")
    project.edit("  held_out: 4\n", "  held_out: 4\n  contamination: [village.jsonl]\n")
    done = project.call("run", "recipe.yaml", "--quiet")
    assert done.code == 0, done.err
    run = project.folder / "runs" / "small"
    ledger = json.loads((run / "ledger.json").read_text())
    scores = {name: tasks[0] for name, tasks in ledger["summary"]["tasks"].items()}
    clean = scores["finetune"]["untouched"]
    assert (clean["touched"], clean["touched_by"], clean["n"]) == (1, {"chatdata": 1}, 1)
    assert scores["finetune"]["n"] == 2, "the score with them stays"
    assert "untouched" not in scores["pretrain"]
    chat, base = (run / ledger["stages"][f"eval-{name}"]["path"] for name in ("finetune", "base"))
    marks = [json.loads(line)["contaminated"]
             for line in (chat / "items" / "village.jsonl").read_text().splitlines()]  # fmt: skip
    assert marks == [True, False]
    told = project.call("compare", str(base), str(chat), "--json").json
    row = next(row for row in told["verdicts"] if row["claim"] == "village")
    assert row["untouched"]["touched_by"] == {"chatdata": 1}
    assert "chatdata 1" in (run / "report.html").read_text(encoding="utf-8")
