"""Near copies of questions, and questions of benchmarks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanhua.chat.config import ChatDataConfig
from hanhua.chat.conversation import Conversation, Turn, read_conversations
from hanhua.chat.load import load_records
from hanhua.chat.near import asks_the_same, near_copies
from hanhua.chat.schemas.registry import SCHEMAS
from hanhua.chat.select import question_key
from hanhua.core.progress import Silent
from hanhua.stages.chatdata import make_chatdata

PASSAGE = "石家庄是河北省的省会，位于河北省中南部。" * 2 + "它的北面是北京和保定，南面是邢台。"
SAME = [
    ("给出一个机器学习算法的例子，并解释它是如何工作的。",
     "举一个机器学习算法的例子并解释它是如何工作的。"),
    ("您认为当今世界面临的最危险的问题是什么？", "你認為當今世界面臨的最危險的問題是什麼"),
    ("Please give me three simple tips for staying healthy during a long and cold winter in the "
     "north of the country.", "Give me three simple tips for staying healthy during a long and "
     "cold winter in the north of the country!"),
]  # fmt: skip
OTHER = [
    ("请计算一下：小明有3个苹果又买了5个，现在有几个？",
     "请计算一下：小明有3个苹果又买了6个，现在有几个？"),
    ("请把下面这个词翻译成准确而地道的法语：“谢谢”",
     "请把下面这个词翻译成准确而地道的法语：“再见”"),
    (f"{PASSAGE}\n\n根据上文回答：石家庄在哪个省？",
     f"{PASSAGE}\n\n根据上文回答：石家庄的南面是哪里？"),
    (f"{PASSAGE}", f"{PASSAGE}\n\n根据上文回答：石家庄的南面是哪里？"),
]  # fmt: skip


def ask(*questions: str, system: str = "") -> Conversation:
    turns = [t for q in questions for t in (Turn("user", q), Turn("assistant", "a"))]
    return Conversation("a", system, tuple(turns))


@pytest.mark.parametrize(("first", "second"), SAME)
def test_the_same_question_in_other_words_goes(first: str, second: str) -> None:
    unlike = ask("写一首关于春天的七言绝句，要求押韵并且意境优美。")
    found = near_copies([ask(first), unlike, ask(second)], 0.7)
    assert set(found) == {2}
    assert found[2][0] == 0
    assert 0.7 <= found[2][1] <= 1
    assert near_copies([ask(first), ask(second, system="别的")], 0.7) == {}


@pytest.mark.parametrize(("first", "second"), OTHER)
def test_another_question_in_nearly_the_same_words_stays(first: str, second: str) -> None:
    assert not asks_the_same(ask(first), ask(second))
    assert near_copies([ask(first), ask(second)], 0.5) == {}


def test_a_copy_is_found_behind_another_question_about_its_passage() -> None:
    south = f"{PASSAGE}\n\n根据上文回答：石家庄的南面是哪里？"
    again = f"{PASSAGE}\n\n根据上文回答，石家庄的南面是哪里"
    talks = [ask(f"{PASSAGE}\n\n根据上文回答：石家庄在哪个省？"), ask(south), ask(again)]
    assert near_copies(talks, 0.7)[2][0] == 1


def test_short_questions_and_no_questions_are_left_alone() -> None:
    assert near_copies([], 0.75) == {}
    assert near_copies([ask("你好吗"), ask("你好么"), ask("1+1")], 0.5) == {}


@given(st.lists(st.text("天气很好abc 12，。\n", min_size=0, max_size=30), max_size=8))
def test_what_goes_is_like_something_that_stays(texts: list[str]) -> None:
    talks = [ask(text) for text in texts]
    found = near_copies(talks, 0.6)
    for number, (kept, share) in found.items():
        assert kept < number
        assert kept not in found
        assert share >= 0.6
        assert asks_the_same(talks[number], talks[kept])


def test_questions_about_one_passage_are_not_copies(shared_data: Path) -> None:
    path = shared_data / "benchmarks" / "xquad" / "xquad.zh.json.gz"
    read = SCHEMAS["reading"].read
    talks = [read(record.value) for record in load_records(path)]  # type: ignore[arg-type]
    different = {question_key(t): t for t in talks if isinstance(t, Conversation)}
    assert len(different) > 600
    assert near_copies(list(different.values()), 0.75) == {}


def write(path: Path, records: list[dict[str, Any]]) -> str:
    path.write_text(json.dumps(records, ensure_ascii=False), "utf-8")
    return str(path)


def gather(out: Path, *paths: str, **fields: Any) -> tuple[list[Conversation], dict[str, Any]]:
    section = ChatDataConfig.model_validate(
        {"sources": [{"path": path} for path in paths], "held_out": 0, **fields}
    )
    report = make_chatdata(section, out, Silent())
    return list(read_conversations(out / "train.parquet")), report


def test_near_copies_go_across_sets_and_are_sampled(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{name}.json", [{"question": pair[side], "answer": f"{name}{i}"}
                                              for i, pair in enumerate(SAME)])
             for side, name in enumerate(("first", "second"))]  # fmt: skip
    found, report = gather(tmp_path / "near", *paths, dedup="near", near_similarity=0.7)
    copies = report["dropped"].get("duplicate", 0) + report["dropped"]["near_copy"]
    assert (len(found), copies) == (3, 3)
    assert {c.source for c in found} == {"first"}, "of copies the first is kept"
    lines = (tmp_path / "near" / "dropped.jsonl").read_text("utf-8").splitlines()
    sample = next(s for s in map(json.loads, lines) if s["reason"] == "near_copy")
    assert sample["value"].endswith("as first/1")
    assert SAME[0][0] in sample["text"]
    assert SAME[0][1] in sample["text"]
    assert len(gather(tmp_path / "exact", *paths)[0]) > 3


def test_what_a_benchmark_asks_is_not_trained_on(tmp_path: Path) -> None:
    asked = "下列关于税法基本原则的表述中，不正确的是哪一项呢？"
    test = write(tmp_path / "test.json", [{"question": asked}, {"question": "谁发明了造纸术并且改进了它？"}])  # fmt: skip # noqa: E501
    path = write(tmp_path / "train.json", [
        {"question": f"请回答：{asked}", "answer": "第二项"},
        {"question": "出一道题。", "answer": f"好的，{asked}"},
        {"question": "税法的基本原则有哪些？", "answer": "有四项。"},
    ])  # fmt: skip
    found, report = gather(tmp_path / "out", path, contamination=[test])
    assert [c.id for c in found] == ["train/3"]
    assert report["dropped"] == {"contamination": 2}
    assert report["contamination"]["touched"] == {"test.json": [0]}
    lines = (tmp_path / "out" / "dropped.jsonl").read_text("utf-8").splitlines()
    assert all("税法基本原则" in json.loads(line)["value"] for line in lines)
    _, report = gather(tmp_path / "unchecked", path)
    assert report["contamination"]["status"] == "not checked"
