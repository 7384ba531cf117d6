from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from hanhua.core.errors import InputError
from hanhua.core.progress import Progress, Silent
from hanhua.eval import choose
from hanhua.eval.config import EvalConfig, TaskConfig, TaskName
from hanhua.eval.fit import encode, fit, option_room
from hanhua.eval.forward import CausalModel
from hanhua.eval.measured import Bench, measure_task
from hanhua.eval.resume import Journals
from hanhua.eval.score import Request
from hanhua.eval.tasks.load import load_tasks, pick
from hanhua.eval.tasks.question import Question, Task
from hanhua.eval.tasks.registry import READERS
from hanhua.eval.tasks.subjects import CMMLU_SUBJECTS

CMMLU_TEST = """,Question,A,B,C,D,Answer
0,水稻的主产区是 ,南方,"北方, 草原",西方,海洋,A
1,"下列
哪个是作物",小麦,石头,铁,水,A
"""
CMMLU_DEV = ",Question,A,B,C,D,Answer\n" + "".join(
    f"{i},例题{i},甲,乙,丙,丁,{'ABCD'[i % 4]}\n" for i in range(5)
)


@pytest.fixture
def cmmlu(tmp_path: Path) -> Path:
    for split, text in {"test": CMMLU_TEST, "dev": CMMLU_DEV}.items():
        (tmp_path / split).mkdir()
        (tmp_path / split / "agronomy.csv").write_text(text, encoding="utf-8")
    return tmp_path


def config(**values: Any) -> TaskConfig:
    return TaskConfig.model_validate(values)


def worlds(tmp_path: Path, rows: list[dict[str, Any]]) -> Path:
    path = tmp_path / "village.jsonl"
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    return path


def question(i: int, language: str = "en", **more: Any) -> dict[str, Any]:
    return {
        "question": f"Where does number {i} live?", "choices": ["Bern", "Rome", "Oslo"],
        "answer": i % 3, "language": language, "kind": "place", **more,
    }  # fmt: skip


def test_cmmlu_is_asked_in_the_harness_words(cmmlu: Path) -> None:
    task = load_tasks([config(name="cmmlu", path=str(cmmlu), shots=2)])[0]
    assert task.prompt(task.questions[0], 2) == (
        "以下是关于农学的单项选择题，请直接给出正确答案的选项。\n\n"
        "例题0\nA. 甲\nB. 乙\nC. 丙\nD. 丁\n答案： A\n\n"
        "例题1\nA. 甲\nB. 乙\nC. 丙\nD. 丁\n答案： B\n\n"
        "水稻的主产区是\nA. 南方\nB. 北方, 草原\nC. 西方\nD. 海洋\n答案："
    )
    assert task.wording.options(task.questions[0], "letter") == [" A", " B", " C", " D"]
    assert task.questions[1].text == "下列\n哪个是作物"
    assert (task.language, task.chance) == ("zh", 0.25)


def test_mmlu_is_asked_in_the_harness_words(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "college_physics_test.csv").write_text("What is c?,1,2,3,4,D\n")
    task = load_tasks([config(name="mmlu", path=str(tmp_path))])[0]
    assert task.prompt(task.questions[0], 0) == (
        "The following are multiple choice questions (with answers) about college physics.\n\n"
        "What is c?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer:"
    )
    assert task.questions[0].answer == 3


def test_real_folders_read(shared_data: Path) -> None:
    for name, subjects in {"cmmlu": 34, "mmlu": 29}.items():
        path = shared_data / "benchmarks" / name
        task = load_tasks([config(name=name, path=str(path), shots=5, limit=0)])[0]
        assert len(task.examples) == subjects
        assert len({q.id for q in task.questions}) == len(task.questions) > 3000
    assert len(CMMLU_SUBJECTS) == 67
    files = (shared_data / "benchmarks" / "cmmlu" / "dev").glob("*.csv")
    assert {p.stem for p in files} == set(CMMLU_SUBJECTS)


def test_worlds_split_by_language(tmp_path: Path) -> None:
    rows = [question(i) for i in range(4)]
    rows += [question(i, "zh", question="谁？", choices=["安娜", "本"], answer=1) for i in range(2)]
    path = worlds(tmp_path, rows)
    english, chinese = load_tasks([config(name="worlds", path=str(path))])
    assert (english.name, chinese.name) == ("worlds-en", "worlds-zh")
    ask = english.prompt(english.questions[0], 0)
    assert ask == "Question: Where does number 0 live?\nAnswer:"
    assert english.wording.options(english.questions[0], "text") == [" Bern", " Rome", " Oslo"]
    assert chinese.prompt(chinese.questions[0], 0) == "问题：谁？\n答案："
    assert chinese.wording.options(chinese.questions[0], "text") == ["安娜", "本"]
    assert (english.chance, chinese.chance) == (pytest.approx(1 / 3), 0.5)


def test_a_journal_is_of_its_questions_subjects_and_answers(tmp_path: Path) -> None:
    """A row has its question's subject, so a changed one makes the journal stale."""

    def ask(task: Task, progress: Progress) -> list[choose.Answer]:
        return [choose.Answer(q.id, q.subject, q.answer, 0, 0, (0.0,), 0, False)
                for q in task.questions]  # fmt: skip

    bench = Bench(journals=Journals(tmp_path / "journals", {}), items=tmp_path, base_items=None,
                  seed=1, draws=200, progress=Silent())  # fmt: skip
    task = load_tasks([config(name="worlds", path=str(worlds(tmp_path, [question(0)])))])[0]
    first = task.questions[0]
    for changed in (first, replace(first, subject="people"), replace(first, also=(1,))):
        measure_task(ask, replace(task, questions=(changed,)), bench)
        row = json.loads((tmp_path / f"{task.name}.jsonl").read_text())
        assert row["subject"] == changed.subject
    prints = {
        measure_task(ask, replace(task, questions=(q,)), bench)["fingerprint"]
        for q in (first, replace(first, subject="people"), replace(first, also=(1,)))
    }
    assert len(prints) == 3


def test_a_question_may_be_continued(tmp_path: Path) -> None:
    path = worlds(tmp_path, [question(0, question="Anna lives in", form="continue")])
    task = load_tasks([config(name="worlds", path=str(path))])[0]
    assert task.name == "village"
    assert task.prompt(task.questions[0], 0) == "Anna lives in"


@pytest.mark.parametrize(("row", "found"), [
    ({"answer": 3}, "answer: 3"),
    ({"answer": True}, "answer: True"),
    ({"choices": ["a"]}, "choices: ['a']"),
    ({"choices": ["Bern", "Bern", "Rome"], "answer": 0}, "the right choice is there twice"),
    ({"question": ""}, "question: ''"),
    ({"language": None}, "language: None"),
    ({"colour": "red"}, "unknown key 'colour'"),
    ({"form": "essay"}, "form: 'essay'"),
])  # fmt: skip
def test_a_line_that_is_no_question(tmp_path: Path, row: dict[str, Any], found: str) -> None:
    path = worlds(tmp_path, [question(0), question(1) | row])
    with pytest.raises(InputError, match="no multiple-choice question") as error:
        load_tasks([config(name="worlds", path=str(path))])
    assert str(error.value.where) == f"{path}:2"
    assert found in str(error.value.found)


def test_broken_data_are_named(cmmlu: Path, tmp_path: Path) -> None:
    path = worlds(tmp_path, [question(0, id="a"), question(1, id="a")])
    with pytest.raises(InputError, match="one id"):
        load_tasks([config(name="worlds", path=str(path))])
    path.write_text("{\n")
    with pytest.raises(InputError, match="not JSON"):
        load_tasks([config(name="worlds", path=str(path))])
    path.write_text("")
    with pytest.raises(InputError, match="No questions"):
        load_tasks([config(name="worlds", path=str(path))])
    with pytest.raises(InputError, match="no mmlu folder"):
        load_tasks([config(name="mmlu", path=str(cmmlu))])
    with pytest.raises(InputError, match="did you mean agronomy"):
        load_tasks([config(name="cmmlu", path=str(cmmlu), subjects=["agronmy"])])
    test = cmmlu / "test" / "agronomy.csv"
    test.write_text(CMMLU_TEST + "2,谁,甲,乙,丙,丁,E\n", encoding="utf-8")
    with pytest.raises(InputError, match="no question with 4 options") as error:
        load_tasks([config(name="cmmlu", path=str(cmmlu))])
    assert str(error.value.where) == f"{test}:5"
    (cmmlu / "dev" / "agronomy.csv").write_text(CMMLU_DEV[:40], encoding="utf-8")
    test.write_text(CMMLU_TEST, encoding="utf-8")
    with pytest.raises(InputError, match="Too few solved examples"):
        load_tasks([config(name="cmmlu", path=str(cmmlu), shots=3)])
    with pytest.raises(InputError, match="one name"):
        load_tasks([config(name="cmmlu", path=str(cmmlu))] * 2)


def test_limits_are_even_and_nested() -> None:
    questions = [
        Question(f"{s}/{i}", s, "?", ("a", "b"), 0, "en")
        for s, n in {"x": 100, "y": 100, "z": 3}.items()
        for i in range(n)
    ]
    few, many = pick(questions, 15), pick(questions, 60)
    assert {q.id for q in few} < {q.id for q in many}
    assert [sum(q.subject == s for q in few) for s in "xyz"] == [6, 6, 3]
    assert len(many) == 60
    assert list(few) == [q for q in questions if q in few]  # file order is kept
    assert pick(questions, 0) == pick(questions, 999) == tuple(questions)


def test_answers_equal_the_naive_way(
    base: CausalModel, naive: Callable[[CausalModel, Request], list[float]], tmp_path: Path
) -> None:
    task = load_tasks([config(name="worlds", path=str(worlds(tmp_path, [question(i) for i in range(9)])))])[0]  # fmt: skip # noqa: E501
    answers = choose.ask(base, task)
    requests = encode(base, task, task.questions, 0)
    assert {len(o) for r in requests for o in r.options} != {1}
    for request, answer in zip(requests, answers, strict=True):
        true = naive(base, request)
        assert answer.logprobs == pytest.approx(true, abs=1e-4)
        assert answer.choice == true.index(max(true))
    scores = choose.summary(task, answers, 1, 300, {a.id: a.right for a in answers})
    assert scores["n"] == 9
    assert scores["accuracy"] == pytest.approx(sum(a.right for a in answers) / 9)
    assert scores["low"] <= scores["accuracy"] <= scores["high"]
    assert scores["difference"]["value"] == 0
    assert scores["by_subject"]["place"]["n"] == 9


def test_what_does_not_fit_is_counted(base: CausalModel, cmmlu: Path) -> None:
    """The tiny model's context is 128 tokens and it spells Chinese in bytes."""
    task = load_tasks([config(name="cmmlu", path=str(cmmlu), shots=5)])[0]
    answers = choose.ask(base, task)
    assert all(a.cut and a.shots == 0 for a in answers)
    scores = choose.summary(task, answers, 1, 300)
    assert (scores["with_fewer_shots"], scores["cut"]) == (2, 2)
    fitted = fit(base, task, option_room(base))
    assert all(len(request.context) <= base.context_tokens for request, *_ in fitted)
    assert all(request.context[0] == base.start for request, *_ in fitted)


def test_examples_go_before_questions_do(
    base: CausalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "context_tokens", 200)
    for split, size in {"test": 3, "dev": 5}.items():
        (tmp_path / split).mkdir()
        rows = "".join(f"Tom likes fish {'a' * 4 * i}?,a,b,c,d,A\n" for i in range(size))
        (tmp_path / split / f"x_{split}.csv").write_text(rows)
    task = load_tasks([config(name="mmlu", path=str(tmp_path), shots=5)])[0]
    fitted = fit(base, task, option_room(base))
    assert {cut for *_, cut in fitted} == {False}
    assert {shots for _, shots, _ in fitted} & {1, 2, 3}
    for (request, shots, _), q in zip(fitted, task.questions, strict=True):
        more = encode(base, task, [q], shots + 1)[0]
        assert len(request.context) <= base.context_tokens < len(more.context)


def test_config_refuses_shots_without_examples() -> None:
    with pytest.raises(ValidationError, match="shots must be 0"):
        config(name="worlds", path="x", shots=1)
    full = EvalConfig.model_validate({"prompts": {"zh": ["你好"]}, "tasks": []})
    assert full.prompts == {"zh": ("你好",)}
    assert set(get_args(TaskName)) == set(READERS)
