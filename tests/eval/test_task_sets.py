from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from pydantic import ValidationError

from hanhua.core.errors import InputError
from hanhua.eval import asked, choose, written
from hanhua.eval.config import TaskConfig, TaskName
from hanhua.eval.fit import encode
from hanhua.eval.forward import CausalModel
from hanhua.eval.score import Request
from hanhua.eval.tasks.categories import CEVAL, CMMLU, MMLU
from hanhua.eval.tasks.exams import EXAMS
from hanhua.eval.tasks.load import load_tasks
from hanhua.eval.tasks.question import LETTERS, Question, Task, Wording
from hanhua.eval.tasks.registry import READERS, ROWSETS
from hanhua.eval.tasks.rows import Place, rows_of
from hanhua.eval.tasks.subjects import CEVAL_SUBJECTS, CMMLU_SUBJECTS
from hanhua.model.generate import Sampling, generate

ARC = {"question": "What is hot?", "choices": {"text": ["ice", "fire"], "label": ["A", "B"]},
       "answerKey": "B"}  # fmt: skip
ROWS: dict[str, tuple[Any, str, list[str], int]] = {
    "arc_easy": (ARC, "Question: What is hot?\nAnswer:", [" ice", " fire"], 1),
    "openbookqa": (
        {"question_stem": "Fire is", "choices": ARC["choices"], "answerKey": "A"},
        "Fire is", [" ice", " fire"], 0,
    ),
    "piqa": (
        {"goal": "To cut", "sol1": "use a knife", "sol2": "sing", "label": 0},
        "Question: To cut\nAnswer:", [" use a knife", " sing"], 0,
    ),
    "boolq": (
        {"passage": "Bern is a town.", "question": "is bern a town", "label": 1},
        "Bern is a town.\nQuestion: is bern a town?\nAnswer:", [" no", " yes"], 1,
    ),
    "hellaswag": (
        {"activity_label": "Cooking", "ctx_a": "[header] How to cook [title] Boil it.",
         "ctx_b": "the man", "endings": ["eats. [step] now", "flies."], "label": "0"},
        "Cooking: How to cook. Boil it. The man", [" eats. now", " flies."], 0,
    ),
    "c3": (
        [["男：你好", "女：再见"],
         [{"question": "谁？", "choice": ["男", "女"], "answer": "女"}], "1"],
        "男：你好\n女：再见\n\n问题：谁？\nA. 男\nB. 女\n答案：", ["A", "B"], 1,
    ),
    "ocnli": (
        {"sentence1": "下雨了", "sentence2": "天晴", "label": "contradiction"},
        "前提：下雨了\n假设：天晴\n这个假设对吗？", ["对", "不一定", "错"], 2,
    ),
    "eprstmt": (
        {"sentence": "很好", "label": "Positive"},
        "评论：很好\n这条评论的态度是：", ["正面", "负面"], 0,
    ),
    "xcopa_zh": (
        {"premise": "那人打开水龙头。", "choice1": "水满了。", "choice2": "水流出来。",
         "question": "effect", "label": 1},
        "那人打开水龙头 所以", [" 水满了。", " 水流出来。"], 1,
    ),
    "xstorycloze_zh": (
        {f"input_sentence_{i}": f"第{i}句。" for i in (1, 2, 3, 4)}
        | {"sentence_quiz1": "好。", "sentence_quiz2": "坏。", "answer_right_ending": 1},
        "第1句。 第2句。 第3句。 第4句。", [" 好。", " 坏。"], 0,
    ),
    "gsm8k": (
        {"question": "1+1?", "answer": "It is 2.\n#### 2"}, "Question: 1+1?\nAnswer:",
        [" It is 2.\n#### 2"], 0,
    ),
}  # fmt: skip


def write(path: Path, rows: list[Any]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    return str(path)


def load(**values: Any) -> Task:
    return load_tasks([TaskConfig.model_validate({"limit": 0, **values})])[0]


def test_every_name_is_read_and_states_where_it_is_from() -> None:
    assert set(get_args(TaskName)) == set(READERS)
    for entry in (*ROWSETS.values(), *EXAMS.values()):
        assert entry.source.startswith("https://")
        assert entry.licence
        assert entry.version >= 1
        assert all(w.name for w in entry.wordings.values())


@pytest.mark.parametrize("name", ROWS)
def test_a_set_is_asked_in_its_words(name: str, tmp_path: Path) -> None:
    row, prompt, options, answer = ROWS[name]
    task = load(name=name, path=write(tmp_path / "any.jsonl", [row]))
    question = task.questions[0]
    assert task.prompt(question, 0) == prompt
    assert task.wording.options(question, task.answers) == options
    assert question.answer == answer


def test_the_authors_own_forms_read_alike(tmp_path: Path) -> None:
    choices = [{"text": "ice", "label": "A"}, {"text": "fire", "label": "B"}]
    authors = {"question": {"stem": "What is hot?", "choices": choices}, "answerKey": "B"}
    adapters = {"instruction": "Please choose the correct answer to the question: What is hot?\n\n"
                "Answer1: ice Answer2: fire\n\nAnswer format: answer1/answer2",
                "answer": "answer2"}  # fmt: skip
    rows = [ARC, authors, adapters]
    found = load(name="arc_easy", path=write(tmp_path / "a.jsonl", rows)).questions
    assert len({(q.text, q.choices, q.answer) for q in found}) == 1


def test_a_wrong_row_is_named(tmp_path: Path) -> None:
    for name in set(ROWS) - {"c3"}:
        path = write(tmp_path / f"{name}.jsonl", [ROWS[name][0], {"colour": "red"}])
        with pytest.raises(InputError, match="no question of this set") as error:
            load(name=name, path=path)
        assert str(error.value.where) == f"{path}:2"
    with pytest.raises(InputError, match="no such wording"):
        load(name="arc_easy", path=write(tmp_path / "b.jsonl", [ARC]), wording="original")
    with pytest.raises(InputError, match="no option"):
        load(name="gsm8k", path=write(tmp_path / "c.jsonl", [ROWS["gsm8k"][0]]), answers="letter")
    with pytest.raises(ValidationError, match="path or dataset"):
        TaskConfig.model_validate({"name": "piqa"})


def test_splits_are_found_by_name_and_examples_drawn_as_the_harness_draws(tmp_path: Path) -> None:
    def rows(kind: str, n: int) -> list[Any]:
        return [{**ARC, "question": f"{kind} {i}?"} for i in range(n)]

    for config in ("ARC-Easy", "ARC-Challenge"):
        for split, n in {"test": 3, "train": 8, "validation": 2}.items():
            write(tmp_path / config / f"{split}-00000.jsonl", rows(f"{config} {split}", n))
    task = load(name="arc_challenge", path=str(tmp_path), shots=2)
    assert [q.text for q in task.questions] == [f"ARC-Challenge test {i}?" for i in range(3)]
    draw = random.Random(1234)
    pool = [f"ARC-Challenge train {i}?" for i in range(8)]
    for question in task.questions:
        assert [e.text for e in task.shown(question, 2)] == draw.sample(pool, 2)
    # One question alone is shown the same examples.
    few = load(name="arc_challenge", path=str(tmp_path), shots=2, limit=1)
    q = few.questions[0]
    assert few.prompt(q, 2) == task.prompt(q, 2)
    with pytest.raises(InputError, match="validation split"):
        load(name="piqa", path=write_only(tmp_path / "x", rows("x", 1)))


def test_where_the_validation_split_is_asked_one_example_is_drawn_to_spare(tmp_path: Path) -> None:
    """The harness then takes every question for one that might be drawn; found item by item."""

    def row(name: str) -> dict[str, Any]:
        return {"goal": name, "sol1": "wait", "sol2": "go", "label": 0}

    write(tmp_path / "validation.jsonl", [row(f"asked {i}") for i in range(6)])
    pool = [*(f"shown {i}" for i in range(3)), "asked 2"]
    write(tmp_path / "train.jsonl", [row(name) for name in pool])
    task = load(name="piqa", path=str(tmp_path), shots=2)
    draw, spared = random.Random(1234), 0
    for question in task.questions:
        drawn = draw.sample(pool, 3)
        spared += question.text in drawn
        kept = [name for name in drawn if name != question.text][:2]
        assert [e.text for e in task.shown(question, 2)] == kept
    assert spared
    with pytest.raises(InputError, match="Too few solved examples"):
        load(name="piqa", path=str(tmp_path), shots=4)


def test_what_lies_beside_a_set_is_not_asked(tmp_path: Path) -> None:
    sums = [{**ROWS["gsm8k"][0], "question": f"{i}+1?"} for i in range(3)]
    write(tmp_path / "gsm8k" / "test.jsonl", sums)
    write(tmp_path / "gsm8k" / "test_socratic.jsonl", [*sums[:2], {**sums[0], "question": "Why?"}])
    found = load(name="gsm8k", path=str(tmp_path / "gsm8k")).questions
    assert [q.text for q in found] == ["0+1?", "1+1?", "2+1?"]
    said = [{"sentence": f"第{i}句", "label": "Positive", "id": i} for i in range(4)]
    for name, rows in {"dev_0": said[:2], "dev_1": said[2:3] * 2, "dev_few_all": said}.items():
        write(tmp_path / "eprstmt" / f"{name}.jsonl", rows)
    found = load(name="eprstmt", path=str(tmp_path / "eprstmt")).questions
    assert [q.text for q in found] == ["第0句", "第1句", "第2句", "第2句", "第3句"]
    assert len({q.id for q in found}) == len(found)
    for folder in ("data", "data-gmt"):
        row = {**ROWS["xcopa_zh"][0], "premise": f"{folder}。"}
        write(tmp_path / "xcopa" / folder / "zh" / "test.zh.jsonl", [row])
        write(tmp_path / "xcopa" / folder / "zh" / "val.zh.jsonl", [row])
    found = load(name="xcopa_zh", path=str(tmp_path / "xcopa")).questions
    assert [q.text for q in found] == ["data 所以"]


def write_only(folder: Path, rows: list[Any]) -> str:
    write(folder / "test.jsonl", rows)
    return str(folder)


def test_a_dataset_is_read_as_its_files_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's own library over local files: only the fetching is left out."""
    pytest.importorskip("datasets")
    write(tmp_path / "owner" / "set" / "test.jsonl", [ARC, ARC | {"answerKey": "A"}])
    monkeypatch.chdir(tmp_path)  # the library takes owner/set for a folder that is there
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    hub = [row for _, row in rows_of(Place("", "hf:owner/set"), "test")]
    local = [row for _, row in rows_of(Place(str(tmp_path / "owner" / "set")), "test")]
    assert [r["answerKey"] for r in hub] == [r["answerKey"] for r in local] == ["B", "A"]


def test_original_wordings_differ_from_the_harness_where_they_should(tmp_path: Path) -> None:
    for split in ("val", "dev"):
        path = tmp_path / split / f"law_{split}.csv"
        path.parent.mkdir()
        path.write_text(
            "id,question,A,B,C,D,answer,explanation\n0,谁 ,甲,乙,丙,丁,B,因为\n", "utf-8"
        )
    prompts = {
        wording: load(name="ceval", path=str(tmp_path), shots=1, wording=wording)
        for wording in ("harness", "original")
    }
    asked_ = {w: t.prompt(t.questions[0], 1) for w, t in prompts.items()}
    assert asked_["harness"].startswith("以下是中国关于法学的单项选择题")
    assert "\n答案： B\n\n谁\nA. 甲" in asked_["harness"]
    assert asked_["original"].startswith("以下是中国关于法学考试的单项选择题")
    assert "\n答案：B\n\n谁 \nA. 甲" in asked_["original"]


def test_line_ends_within_a_question_stay(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    raw = b'"Which?\r\nI. All\r\nII. None",I,II,both,neither,C\r\n'
    (tmp_path / "test" / "anatomy_test.csv").write_bytes(raw)
    (question,) = load(name="mmlu", path=str(tmp_path)).questions
    assert question.text == "Which?\r\nI. All\r\nII. None"
    assert question.choices == ("I", "II", "both", "neither")


def test_categories_cover_all_subjects() -> None:
    assert set(CMMLU) == set(CMMLU_SUBJECTS)
    assert set(CEVAL) == set(CEVAL_SUBJECTS)
    assert (len(MMLU), len(CMMLU), len(CEVAL)) == (57, 67, 52)
    assert {c for cs in MMLU.values() for c in cs} == {
        "STEM",
        "Humanities",
        "Social sciences",
        "Other",
    }
    assert sum("China specific" in c for c in CMMLU.values()) == 15
    assert sum("Hard" in c for c in CEVAL.values()) == 8


def test_averages_weigh_subjects_alike() -> None:
    subjects = {"anatomy": [1, 1, 1, 0], "law": [0], "agronomy": [1]}
    questions = tuple(
        Question(f"{s}/{i}", s, "?", ("a", "b"), 0, "zh")
        for s, rights in subjects.items() for i in range(len(rights))
    )  # fmt: skip
    wording = Wording("", "", lambda _: "", "", "", "")
    task = Task(name="t", version=1, language="zh", source="", licence="", wording=wording,
                answers="letter", shots=0, questions=questions, categories=CMMLU)  # fmt: skip
    rights = [r for group in subjects.values() for r in group]
    answers = [
        choose.Answer(q.id, q.subject, 0, 1 - r, 0, (0.0, 0.0), 0, False)
        for q, r in zip(questions, rights, strict=True)
    ]
    found = asked.averages(task, answers)
    assert found["macro"] == pytest.approx((0.75 + 0 + 1) / 3)
    assert found["by_category"]["STEM"] == {"n": 4, "subjects": 1, "macro": 0.75, "accuracy": 0.75}
    assert set(found["by_category"]) == {"STEM", "Other"}


SCHOOL = {
    "passage": "P. ", "question": "Who?", "options": ["(A)I", "(B)you"], "label": ["A", "B"],
}  # fmt: skip


def school(folder: Path, **files: dict[str, Any]) -> str:
    """AGIEval's folder with a question of each exam."""
    for exam, change in files.items():
        write(folder / f"{exam.replace('_', '-')}.jsonl", [SCHOOL | change])
    return str(folder)


def test_agieval_and_gaokao_have_a_file_each(tmp_path: Path) -> None:
    school(tmp_path / "ag", lsat_ar={}, gaokao_history={"passage": None, "label": "B"})
    english = load(name="agieval_en", path=str(tmp_path / "ag"))
    assert english.prompt(english.questions[0], 0) == (
        "P. Q: Who? Answer Choices: (A)I (B)you\nA: Among A through B, the answer is"
    )
    assert english.wording.options(english.questions[0], "text") == [" (A)I", " (B)you"]
    assert (english.questions[0].answer, english.questions[0].also) == (0, (1,))
    chinese = load(name="agieval_zh", path=str(tmp_path / "ag"))
    assert chinese.prompt(chinese.questions[0], 0) == (
        "问题：Who? 选项：(A)I (B)you\n答案：从A到B, 我们应选择"
    )
    many = [{"question": "谁\nA. 甲\nB. 乙\nC. 丙", "answer": ["C"]},
            {"question": "多选", "answer": ["A", "B"]}]  # fmt: skip
    path = tmp_path / "History.json"
    path.write_text(json.dumps({"keywords": "x", "example": many}), "utf-8")
    gaokao = load(name="gaokao", path=str(path))
    assert [(q.choices, q.answer) for q in gaokao.questions] == [(("A", "B", "C"), 2)]
    with pytest.raises(InputError, match="did you mean lsat-ar"):
        load(name="agieval_en", path=str(tmp_path / "ag"), subjects=["lsat_ar"])


def test_agieval_in_its_own_words_reads_a_letter_from_what_is_written(
    base: CausalModel, tmp_path: Path
) -> None:
    path = school(tmp_path, lsat_ar={}, jec_qa_ca={}, gaokao_mathqa={"label": "AB"})
    english = load(name="agieval_en", path=path, wording="original")
    (one,) = english.questions
    assert english.wording.then is not None
    prompt = english.prompt(one, 0)
    assert prompt.endswith("\nA: Among A through B, the answer is")
    assert english.wording.then(one, prompt, "you") == (
        f"{prompt}\nyou\nTherefore, among A through E, the answer is"
    )
    # One letter is read, so a question with two right ones has no right answer.
    assert not written.judge(english, one, "A").right
    chinese = load(name="agieval_zh", path=path, wording="original")
    math_, law = chinese.questions
    assert (math_.subject, law.subject) == ("gaokao-mathqa", "jec-qa-ca")
    assert not written.judge(chinese, math_, "AB").right
    assert written.judge(chinese, law, "B and (A), B").right
    assert not written.judge(chinese, law, "A").right
    assert written.judge(chinese, law, "none").read == "[invalid]"
    answers = written.ask(base, replace(english, max_new_tokens=8))
    assert len(answers) == 1
    assert answers[0].reference == "AB"
    alone = written.ask(
        base, replace(english, max_new_tokens=8, wording=replace(english.wording, then=None))
    )
    assert answers[0].text != alone[0].text  # it was asked twice


def test_agieval_shows_the_solved_examples_of_its_table(tmp_path: Path) -> None:
    path = school(tmp_path / "v1", lsat_ar={"label": "B"}, jec_qa_ca={})
    solved = [str(SCHOOL | {"question": "I?", "label": label}) for label in ("A", ["A"])]
    (tmp_path / "few_shot_prompts.csv").write_text(
        f',lsat-ar,jec-qa-ca\nsample 1,"{solved[0]}","{solved[1]}"\nexplanation 1,so,so\n', "utf-8"
    )
    english = load(name="agieval_en", path=path, wording="original", shots=1)
    assert english.prompt(english.questions[0], 1) == (
        "Here are the answers for the problems in the exam.\n"
        "Problem 1.   P.  I?\nChoose from the following options:    (A)I (B)you\n"
        "The answer is therefore A\n<END>\n"
        "Problem 2.   P.  Who?\nChoose from the following options:    (A)I (B)you\n"
    )
    assert written.judge(english, english.questions[0], "A thing: the answer is B.").right
    chinese = load(name="agieval_zh", path=path, wording="original", shots=1)
    assert "答案是 ['A']\n<END>\n问题 2.   " in chinese.prompt(chinese.questions[0], 1)
    assert written.judge(chinese, chinese.questions[0], "答案是 AB").right
    assert load(name="agieval_en", path=path, shots=1).shots == 0  # the harness's has none
    with pytest.raises(InputError, match="Too few solved examples"):
        load(name="agieval_en", path=path, wording="original", shots=2)
    with pytest.raises(InputError, match="written out in this wording"):
        load(name="agieval_en", path=path, wording="original", answers="letter")


def test_truthfulqa_counts_the_probability_on_true_answers(
    base: CausalModel, tmp_path: Path
) -> None:
    targets = {"choices": ["fish", "a school", "corn"], "labels": [1, 1, 0]}
    row = {"question": "What?", "mc1_targets": targets, "mc2_targets": targets}
    path = write(tmp_path / "v.jsonl", [row])
    task = load(name="truthfulqa_mc2", path=path)
    answer = choose.ask(base, task)[0]
    shares = [math.exp(x) for x in answer.logprobs]
    assert answer.score == pytest.approx((shares[0] + shares[1]) / sum(shares))
    assert choose.summary(task, [answer], 1, 200)["accuracy"] == pytest.approx(answer.score)
    assert task.chance == pytest.approx(2 / 3)


def test_lengths_are_counted_without_the_space(
    base: CausalModel, naive: Callable[[CausalModel, Request], list[float]], tmp_path: Path
) -> None:
    choices = {"text": ["fish", "the big river"], "label": ["A", "B"]}
    words = ("fish", "corn", "tea", "him")
    rows = [{**ARC, "choices": choices, "question": f"Tom likes {word}?"} for word in words]
    task = load(name="arc_easy", path=write(tmp_path / "t.jsonl", rows))
    answers = choose.ask(base, task)
    for request, answer in zip(encode(base, task, task.questions, 0), answers, strict=True):
        true = naive(base, request)
        assert answer.logprobs == pytest.approx(true, abs=1e-4)
        per_char = [true[0] / 4, true[1] / 13]
        assert answer.likeliest_by_char == per_char.index(max(per_char))


@pytest.mark.parametrize(("text", "last", "strict"), [
    ("so 3+4 = 7\n#### 7", "7", "7"),
    ("It costs $1,234.", "1234", "[invalid]"),
    ("nothing", "[invalid]", "[invalid]"),
    ("#### 12 or 13", "13", "12"),
])  # fmt: skip
def test_numbers_are_read_as_the_harness_reads_them(text: str, last: str, strict: str) -> None:
    assert (written.last_number(text), written.strict_number(text)) == (last, strict)


def test_a_written_answer_is_generated_read_and_scored(base: CausalModel, tmp_path: Path) -> None:
    rows = [
        {"question": f"{i} + {i}?", "answer": f"It is {2 * i}.\n#### {2 * i}"} for i in range(6)
    ]
    write(tmp_path / "train.jsonl", rows)
    task = load(name="gsm8k", path=write_only(tmp_path, rows[:3]), shots=2)
    task = replace(task, max_new_tokens=8)
    answers = written.ask(base, task)
    assert [a.id for a in answers] == [q.id for q in task.questions]
    assert all(0 < len(a.text) and a.score in (0.0, 1.0) for a in answers)
    alone = written.ask(base, replace(task, questions=task.questions[1:2]))
    assert alone[0].text == answers[1].text
    scores = asked.summary(task, answers, 1, 200)
    assert (scores["n"], scores["metric"]) == (3, "exact match (number)")
    again = asked.from_rows(task, [a.as_item() for a in answers])
    assert again == answers
    assert written.judge(task, task.questions[2], "I think 4").right
    assert not written.judge(task, task.questions[2], "I think 5").right


def test_bbh_shows_bare_answers_or_steps(tmp_path: Path) -> None:
    (tmp_path / "cot-prompts").mkdir()
    (tmp_path / "cot-prompts" / "logic.txt").write_text(
        "canary\n-----\nSay if it is so.\n\nQ: not True\nA: Let's think step by step.\n"
        "It is not. So the answer is False.\n", "utf-8",
    )  # fmt: skip
    (tmp_path / "logic.json").write_text(
        json.dumps({"canary": "x", "examples": [{"input": "not False", "target": "True"}]}), "utf-8"
    )
    short = load(name="bbh", path=str(tmp_path), shots=1)
    assert short.prompt(short.questions[0], 1) == (
        "Say if it is so.\n\nQ: not True\nA: False\n\nQ: not False\nA:"
    )
    steps = load(name="bbh", path=str(tmp_path), shots=1, wording="original")
    assert steps.prompt(steps.questions[0], 1).endswith(
        "So the answer is False.\n\nQ: not False\nA: Let's think step by step.\n"
    )
    with pytest.raises(InputError, match="Too few solved examples"):
        load(name="bbh", path=str(tmp_path), shots=2)
    assert written.judge(steps, steps.questions[0], "Hm. So the answer is True.").right
    spaced = written.judge(short, short.questions[0], " True")
    assert (spaced.right, spaced.strict) == (True, 0.0)
    assert written.judge(short, short.questions[0], " True", alone="True").strict == 1.0


def test_white_space_before_a_written_answer_is_kept(base: CausalModel, tmp_path: Path) -> None:
    (tmp_path / "logic.json").write_text(
        json.dumps({"examples": [{"input": "not False", "target": "True"}]}), "utf-8"
    )
    steps = load(name="bbh", path=str(tmp_path), wording="original")
    (request,) = encode(base, steps, steps.questions, 0)
    prompt = steps.prompt(steps.questions[0], 0)
    assert prompt.endswith("step by step.\n")
    assert [*request.context] == [base.start, *base.encode([prompt])[0]]
    assert [*request.context] != [base.start, *base.encode([prompt.rstrip()])[0]]


def test_a_start_token_does_not_end_a_written_answer(base: CausalModel) -> None:
    ids = base.encode(["Tom likes the"])[0]
    head = base.head.weight
    kept = head.detach().clone()
    try:
        with torch.no_grad():  # the start token is now the likeliest always
            states = base.hidden(torch.tensor([ids]))[0, -1]
            head[base.start] = 100 * states
        ends, goes_on = (
            generate(base.model, base.tokenizer, [ids],
                     Sampling(max_new_tokens=4, past_start=past))[0]
            for past in (False, True)
        )  # fmt: skip
    finally:
        with torch.no_grad():
            head.copy_(kept)
    assert (ends.ids, ends.finish) == ((base.start,), "stop")
    assert goes_on.ids[0] == base.start
    assert len(goes_on.ids) > 1


def test_ceval_in_its_own_words_asks_for_the_token_of_a_letter_by_itself(
    base: CausalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for split in ("val", "dev"):
        path = tmp_path / split / f"law_{split}.csv"
        path.parent.mkdir()
        path.write_text("id,question,A,B,C,D,answer\n0,谁,甲,乙,丙,丁,B\n", "utf-8")
    task = load(name="ceval", path=str(tmp_path), shots=1, wording="original")
    assert (task.version, load(name="ceval", path=str(tmp_path)).version) == (3, 2)
    letters = [base.encode([letter])[0] for letter in "ABCD"]
    assert {len(ids) for ids in letters} == {2}  # this small vocabulary has no token for "▁A"
    (request,) = encode(base, task, task.questions, 1)
    assert [list(option) for option in request.options] == [ids[1:] for ids in letters]
    # As if it had: LLaMA's has both, and they differ.
    usual = base.encode
    monkeypatch.setattr(base, "encode", lambda texts: [
        [300 + ord(t)] if t in LETTERS else usual([t])[0] for t in texts
    ])  # fmt: skip
    (request,) = encode(base, task, task.questions, 1)
    assert request.options == tuple((300 + ord(letter),) for letter in "ABCD")


def test_a_set_without_questions_is_refused(tmp_path: Path) -> None:
    many = {"keywords": "x", "example": [{"question": "多选", "answer": ["A", "B"]}]}
    (tmp_path / "History.json").write_text(json.dumps(many))
    (tmp_path / "logic.json").write_text('{"canary": "x", "examples": []}')
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "agronomy.csv").write_text(",Question,A,B,C,D,Answer\n")
    for name, path in (("gaokao", "History.json"), ("bbh", "logic.json"), ("cmmlu", "")):
        with pytest.raises(InputError, match=r"[Nn]o question"):
            load(name=name, path=str(tmp_path / path))


def test_translations_are_scored_by_sacrebleu(tmp_path: Path) -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    rows = [{"en": f"Tom has {i} fish.", "zh": f"汤姆有{i}条鱼。"} for i in range(4)]
    task = load(name="ntrex_en_zh", path=write(tmp_path / "n.jsonl", rows), shots=1)
    assert task.prompt(task.questions[0], 1) == (
        "English phrase: Tom has 0 fish.\nChinese phrase: 汤姆有0条鱼。\n\n"
        "English phrase: Tom has 1 fish.\nChinese phrase:"
    )
    texts = ["汤姆有1条鱼。", "汤姆有鱼。", "没有"]
    answers = [written.judge(task, q, t) for q, t in zip(task.questions, texts, strict=True)]
    assert answers[0].score == pytest.approx(1)
    assert 1 > answers[1].score > answers[2].score
    found = asked.summary(task, answers, 1, 200)
    references = [[q.choices[0] for q in task.questions]]
    assert found["chrf"] == pytest.approx(sacrebleu.CHRF().corpus_score(texts, references).score)
    assert "tok:zh" in found["bleu_signature"]
    change = asked.score_change(*[[a.as_item() for a in answers]] * 2, seed=1, draws=200)
    assert change is not None
    assert (change["value"], change["n"]) == (0, 3)


def test_an_empty_option_is_asked_and_never_the_likeliest_by_length(
    base: CausalModel, tmp_path: Path
) -> None:
    """Published sets have such rows; the harness divides by zero there too, and takes another."""
    row = {"goal": "To cut", "sol1": "", "sol2": "sing", "label": 0}
    task = load(name="piqa", path=write(tmp_path / "e.jsonl", [row, row]))
    for answer in choose.ask(base, task):
        assert (answer.likeliest_by_byte, answer.likeliest_by_char) == (1, 1)
        assert all(map(math.isfinite, answer.logprobs))
