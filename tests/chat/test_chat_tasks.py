"""Plain language tasks put into words."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hanhua.chat.conversation import Conversation, problem
from hanhua.chat.load import load_records
from hanhua.chat.schemas.registry import SCHEMAS, detect
from hanhua.chat.schemas.tasks import TASKS, reader
from hanhua.text.verdict import Drop

SQUAD = {"text": ["河北", "河北省"], "answer_start": [0, 0]}
RECORDS: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "classification": ({"sentence": "孩子跟谁睡", "label": 100, "label_desc": "news_story"},
                       ["孩子跟谁睡"], "news_story"),
    "inference": ({"sentence1": "他走了", "sentence2": "他没走", "label": "contradiction"},
                  ["他走了", "他没走"], "contradiction"),
    "reading": ({"context": "石家庄在河北。", "question": "石家庄在哪里？", "answers": SQUAD},
                ["石家庄在河北。", "石家庄在哪里？"], "河北"),
    "choice": ({"id": 0, "question": "1+1=?", "A": "1", "B": "2", "C": "3", "D": "4",
                "answer": "B"}, ["1+1=?", "A. 1\nB. 2\nC. 3\nD. 4"], "B. 2"),
    "cloze": ({"content": "给你#idiom#，你却", "candidates": ["画蛇添足", "雪中送炭"], "answer": 1},
              ["给你____，你却", "画蛇添足、雪中送炭"], "雪中送炭"),
    "translation": ({"en": "Hi.", "zh": "嗨。"}, [], ""),
    "summary": ({"article": "A long story.", "highlights": "Short."}, ["A long story."], "Short."),
}  # fmt: skip


def test_every_task_has_a_record_here() -> None:
    assert set(RECORDS) == set(TASKS)


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_is_found_and_put_into_words(name: str) -> None:
    record, parts, answer = RECORDS[name]
    schema = detect([record])
    assert schema
    assert schema.name == name
    asked: Counter[str] = Counter()
    for seed in range(40):
        found = reader(name, seed)(record)
        assert isinstance(found, Conversation)
        assert problem(found) is None
        question, said = (turn.text for turn in found.turns)
        assert all(part in question for part in parts), question
        assert "{" not in question
        assert found.task == name
        assert not answer or said == answer
        asked[question] += 1
    assert len(asked) >= 2, "one seed asks in other words than another"
    assert reader(name, 3)(record) == reader(name, 3)(dict(record))


def test_a_set_is_asked_in_all_wordings() -> None:
    read = reader("summary", 0)
    found = [read({"text": f"文章第{i}篇", "summary": "短"}) for i in range(60)]
    questions = {c.turns[0].text.replace(f"文章第{i}篇", "") for i, c in enumerate(found)}  # type: ignore[union-attr]
    assert len(questions) == len(TASKS["summary"].wordings["zh"])


def test_labels_get_names_and_are_offered() -> None:
    record = {"sentence1": "a b c", "sentence2": "a b", "label": "1"}
    assert detect([record]) is None, "a number says nothing"
    found = reader("inference", 0, {"0": "different", "1": "the same"})(record)
    assert isinstance(found, Conversation)
    assert found.turns[1].text == "the same"
    assert "different, the same" in found.turns[0].text
    unknown = reader("inference", 0, {"0": "different"})(record)
    assert isinstance(unknown, Conversation)
    assert problem(unknown) == "missing_answer"


def test_translations_go_both_ways_in_the_language_of_the_text() -> None:
    read = reader("translation")
    found = [read({"en": f"Sentence {i}.", "zh": f"第{i}句。"}) for i in range(30)]
    ways = Counter("zh" if "第" in c.turns[0].text else "en" for c in found)  # type: ignore[union-attr]
    assert min(ways.values()) > 5
    for c in found:
        assert isinstance(c, Conversation)
        into = "英文" if "第" in c.turns[0].text else "Chinese"
        assert into in c.turns[0].text


def test_an_answer_that_points_nowhere_is_missing() -> None:
    found = reader("choice")({"question": "q", "choices": ["x", "y"], "answer": 7})
    assert isinstance(found, Conversation)
    assert problem(found) == "missing_answer"
    assert reader("choice")({"question": "q"}) == Drop("wrong_fields", "question")


REAL = {
    "benchmarks/fewclue/tnews/train_few_all.json": ("classification", 1.0),
    "benchmarks/fewclue/eprstmt/train_few_all.json": ("classification", 1.0),
    "benchmarks/fewclue/chid/train_few_all.json": ("cloze", 1.0),
    "benchmarks/ocnli/train.3k.json.gz": ("inference", 0.99),
    "benchmarks/xquad/xquad.zh.json.gz": ("reading", 1.0),
    "benchmarks/xquad/xquad.en.json.gz": ("reading", 1.0),
    "benchmarks/ceval/val/accountant_val.csv": ("choice", 1.0),
    "parallel/tatoeba_cmn.jsonl.gz": ("translation", 1.0),
}


@pytest.mark.parametrize("name", REAL)
def test_real_task_files(shared_data: Path, name: str) -> None:
    task, least = REAL[name]
    records = []
    for record in load_records(shared_data / name):
        assert not isinstance(record.value, Drop)
        records.append(record.value)
        if len(records) == 600:
            break
    schema = detect(records[:50])
    assert schema
    assert schema.name == task
    found = [schema.read(record) for record in records]
    sound = [c for c in found if isinstance(c, Conversation) and problem(c) is None]
    assert len(sound) >= least * len(records) > 10
    assert {c.task for c in sound} == {task}


def test_names_in_the_table_are_those_of_the_tasks() -> None:
    assert set(TASKS) < set(SCHEMAS)


def test_agievals_options_and_several_right_ones() -> None:
    record = {"passage": None, "question": "下列哪些是水果？", "answer": None,
              "options": ["(A)苹果", "(B)石头", "(C)梨"], "label": ["A", "C"]}  # fmt: skip
    schema = detect([record])
    assert schema is not None
    assert schema.name == "choice"
    found = schema.read(record)
    assert found.turns[-1].text == "A. 苹果\nC. 梨"
    assert "B. 石头" in found.turns[0].text
    assert "(A)" not in found.turns[0].text
    assert not schema.read({**record, "label": ["A", "X"]}).turns[-1].text
