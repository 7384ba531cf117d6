from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hanhua.core.errors import InputError
from hanhua.core.progress import Progress, Silent
from hanhua.eval.choose import Answer
from hanhua.eval.config import TaskConfig
from hanhua.eval.contaminated import looked_for, read_accounts
from hanhua.eval.measured import Bench, measure_task
from hanhua.eval.resume import Journals
from hanhua.eval.tasks.load import load_tasks
from hanhua.eval.tasks.question import Task
from hanhua.text.contamination.questions import read_question_files


def village(path: Path, places: Sequence[str]) -> Path:
    path.parent.mkdir(exist_ok=True)
    lines = (
        {"question": f"Which of the people of the village lives in the house {place}, and why?",
         "choices": ["Anna", "Ben"], "answer": 0, "language": "en"}
        for place in places
    )  # fmt: skip
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def ask(task: Task, progress: Progress) -> list[Answer]:
    return [Answer(q.id, q.subject, 0, 0, 0, (0.0, -1.0), 0, False) for q in task.questions]


def measure(
    out: Path, account: dict[str, Any], path: Path, **more: dict[str, Any]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    configs = [TaskConfig(name="worlds", path=str(path))]
    task = load_tasks(configs)[0]
    bench = Bench(
        journals=Journals(None, {}), items=out, base_items=None, seed=1, draws=200,
        progress=Silent(), looked_for=looked_for({"corpus": account, **more}, configs),
    )  # fmt: skip
    scores = measure_task(ask, task, bench)
    return scores, [json.loads(x) for x in (out / f"{task.name}.jsonl").read_text().splitlines()]


def test_questions_are_marked_in_files_that_were_checked_whatever_they_are_called(
    tmp_path: Path,
) -> None:
    checked = village(tmp_path / "a" / "test.jsonl", ["by the river", "on the hill"])
    account = read_question_files([checked]).account([1])
    renamed = tmp_path / "b.jsonl"
    renamed.write_bytes(checked.read_bytes())
    for path in (checked, renamed):
        scores, rows = measure(tmp_path / "items", account, path)
        assert [row["contaminated"] for row in rows] == [False, True]
        assert (scores["untouched"]["n"], scores["untouched"]["touched"]) == (1, 1)
    clean = read_question_files([checked]).account([])
    assert measure(tmp_path / "items", clean, checked)[0]["untouched"]["touched"] == 0


def test_what_instructions_held_is_marked_beside_what_documents_held(tmp_path: Path) -> None:
    path = village(tmp_path / "a" / "test.jsonl", ["by the river", "on the hill", "at the lake"])
    questions = read_question_files([path])
    scores, rows = measure(
        tmp_path / "items", questions.account([0]), path, chatdata=questions.account([0, 1])
    )
    assert [row["contaminated"] for row in rows] == [True, True, False]
    assert [row.get("contaminated_by") for row in rows] == [
        ["corpus", "chatdata"], ["chatdata"], None,
    ]  # fmt: skip
    assert scores["untouched"]["touched_by"] == {"chatdata": 2, "corpus": 1}
    assert (scores["untouched"]["n"], scores["untouched"]["touched"]) == (1, 2)


def test_ledgers_are_named_by_the_stage_that_wrote_them(tmp_path: Path) -> None:
    for folder, stage in (("a", "chatdata"), ("b", "chatdata"), ("c", None)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "ledger.json").write_text('{"contamination": {"status": "checked"}}')
        if stage:
            record = json.dumps({"stage": stage, "fingerprint": "x"})
            (tmp_path / folder / "record.json").write_text(record)
    found = read_accounts([tmp_path / folder / "ledger.json" for folder in "abc"])
    assert list(found) == ["chatdata", "chatdata-2", "c"]


def test_of_a_file_that_was_not_checked_nothing_is_said(tmp_path: Path) -> None:
    checked = village(tmp_path / "a" / "test.jsonl", ["by the river", "on the hill"])
    other = village(tmp_path / "b" / "test.jsonl", ["at the lake", "in the wood"])
    for touched in ([], [1]):
        account = read_question_files([checked]).account(touched)
        scores, rows = measure(tmp_path / "items", account, other)
        assert scores.get("untouched") is None
        assert not any("contaminated" in row for row in rows)


def test_an_old_account_counts_where_a_name_fits_one_file(tmp_path: Path) -> None:
    path = village(tmp_path / "a" / "test.jsonl", ["by the river", "on the hill"])
    old = {"status": "checked", "questions": 2, "too_short": 0, "touched": {"test.jsonl": [0]}}
    assert [r["contaminated"] for r in measure(tmp_path / "items", old, path)[1]] == [True, False]
    village(tmp_path / "b" / "test.jsonl", ["at the lake"])
    many = looked_for(
        {"corpus": old}, [TaskConfig(name="worlds", path=str(tmp_path / "*" / "test.jsonl"))]
    )
    assert many is not None
    assert not many.texts
    assert looked_for({"corpus": {"status": "not checked"}}, []) is None


@pytest.mark.parametrize("content", [None, "{", "[1]", "{}", '{"contamination": 3}'])
def test_what_is_no_ledger_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ledger.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError) as error:
        read_accounts([path])
    assert error.value.where == str(path)
