"""Prompts, checks, form and the whole way: asked, judged, compared item by item."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.chat.builtin_sets import builtin_path
from hanhua.chat.identity import Identity
from hanhua.core.progress import Silent
from hanhua.eval.answers import asker_of, measure_answers, summaries
from hanhua.eval.answers_config import AskedConfig
from hanhua.eval.answers_form import repeated_share, tongue
from hanhua.eval.answers_judge import METRICS, judge
from hanhua.eval.answers_prompts import Prompt, built_in, load_prompts
from hanhua.eval.follow import CHECKS, follow
from hanhua.eval.forward import CausalModel
from hanhua.eval.items import read_lines
from hanhua.eval.measured import Bench
from hanhua.eval.resume import Journals

MET = {
    "max_chars": ("一二 三", 3), "min_chars": ("一二 三", 3), "max_words": ("two words", 2),
    "min_words": ("two words", 2), "sentences": ("It is 3.5 m high. Good!", 2),
    "paragraphs": ("a\n\nb", 2), "items": ("1. a\n2、b\n- c", 3), "no_comma": ("a; b", None),
    "no_digits": ("three", None), "contains": ("a Blue sea", ["blue"]),
    "avoids": ("warm", ["cold"]), "times": ("ha Ha ha", ["ha", 3]),
    "starts": ("从前有座山", "从前"), "ends": ("好。", "好。"), "one_of": ("是。", ["是", "不是"]),
    "json": ('```json\n{"a": 1}\n```', ["a"]),
    "lowercase": ("only small", None), "uppercase": ("HELLO!", None), "quoted": ("“好”", None),
    "language": ("Beijing is the capital of China.", "en"),
}  # fmt: skip
BROKEN = {
    "max_chars": ("一二三四", 3), "min_chars": ("一二", 3), "max_words": ("three words here", 2),
    "min_words": ("one", 2), "sentences": ("好。好！好", 2), "paragraphs": ("a\nb", 2),
    "items": ("1. a\nb", 2), "no_comma": ("一，二", None), "no_digits": ("3", None),
    "contains": ("a red sea", ["blue"]), "avoids": ("Cold", ["cold"]), "times": ("ha", ["ha", 2]),
    "starts": ("话说从前", "从前"), "ends": ("好。是", "好。"), "one_of": ("是的", ["是", "不是"]),
    "json": ('Here: {"a": 1}', None), "lowercase": ("No", None), "uppercase": ("123", None),
    "quoted": ("好", None), "language": ("北京是中国的首都。", "en"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_can_be_met_and_broken(name: str):
    answer, wanted = MET[name]
    assert follow(answer, {name: wanted}) == {name: True}
    answer, wanted = BROKEN[name]
    assert follow(answer, {name: wanted}) == {name: False}
    assert follow(" \n", {name: wanted}) == {name: False}


@settings(max_examples=25)
@given(st.text(max_size=80))
def test_any_answer_can_be_judged(answer: str):
    own = Identity("小汉")
    for prompt in (*built_in("follow")[:40:3], built_in("identity")[0], built_in("fidelity")[0]):
        row = judge(prompt, answer, "stop", own)
        assert json.dumps(row)
        assert 0 <= row["repeated_share"] < 1
        assert 0 <= row["purity"] <= 1


def test_our_prompts_are_sound_and_never_trained_on():
    prompts = [p for name in ("follow", "fidelity", "identity") for p in built_in(name)]
    assert len({p.id for p in prompts}) == len({p.text for p in prompts}) == len(prompts)
    assert {p.language for p in prompts} == {"zh", "en"}
    used = {name for p in prompts for name in p.checks}
    assert used == set(CHECKS)
    taught = {
        json.loads(line)["instruction"].lower().strip("?？.。!！ ")
        for name in ("identity", "harmless")
        for line in builtin_path(name).read_text("utf-8").splitlines()
    }
    assert len(taught) > 150
    assert [p.text for p in prompts if p.text.lower().strip("?？.。!！ ") in taught] == []


@pytest.mark.parametrize(
    ("answer", "expected", "tag", "same", "pure"),
    [
        ("北京", "zh", "zh", True, True),
        ("这是一个很好的问题。", "zh", "zh-Hans", True, True),
        ("Beijing is the capital.", "zh", "en", False, False),
        ("可以用 Python 写。", "zh", "zh-Hans", True, False),
        ("", "zh", "other", False, False),
        ("42", "en", "other", False, False),
        ("Yes.", "en", "en", True, True),
    ],
)
def test_language_of_an_answer(answer: str, expected: str, tag: str, same: bool, pure: bool):
    found = tongue(answer, expected)
    assert found.same is same
    assert (found.purity >= 0.9) is pure
    assert found.tag.split("-")[0] == tag.split("-")[0]


def test_repetition_is_counted_in_characters_and_words():
    assert repeated_share("今天天气很好，我们去公园散步。") == 0
    assert repeated_share("我喜欢你" * 20) > 0.9
    assert repeated_share("the cat sat on the mat") == 0
    assert repeated_share("the cat sat down " * 10) > 0.8
    assert repeated_share("短") == 0


def test_identity_is_the_name_and_no_claim_of_another():
    who = built_in("identity")[0]
    own = Identity("小汉", "示例实验室")
    assert judge(who, "我是小汉。", "stop", own)["named"]
    assert not judge(who, "我是小汉。" * 9, "stop", own)["named"]
    other = judge(who, "我是OpenAI训练的ChatGPT。", "stop", own)
    assert (other["named"], other["claims_other"]) == (False, True)
    assert not judge(who, "我不是ChatGPT，我是小汉。", "stop", own)["claims_other"]
    assert "named" not in judge(who, "我是小汉。", "stop", Identity())


def bench(out: Path, base: Path | None = None, journals: Path | None = None) -> Bench:
    return Bench(
        journals=Journals(journals, {}), items=out / "items",
        base_items=base / "items" if base else None, seed=3, draws=200, progress=Silent(),
    )  # fmt: skip


@pytest.fixture(scope="module")
def measured(
    base: CausalModel, new: CausalModel, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    folder = tmp_path_factory.mktemp("answers")
    (folder / "jade.csv").write_text("ID,问题,违规类型,违规子类\n1,第一个问题？,甲,乙\n", "utf-8")
    config = AskedConfig.model_validate({
        "sets": ["follow", "fidelity", "identity", "safety"], "name": "Tom", "limit": 4,
        "max_new_tokens": 6, "safety": [{"path": str(folder / "jade.csv")}],
    })  # fmt: skip
    prompts = load_prompts(config)
    old = measure_answers(partial(asker_of, base), prompts, config, bench(folder / "base"))
    found = measure_answers(
        partial(asker_of, new), prompts, config, bench(folder / "new", folder / "base")
    )
    assert old is not None
    assert found is not None
    return folder, old, found


def test_answers_are_asked_judged_and_compared(measured):
    folder, old, found = measured
    for scores in (old, found):
        for score in scores["metrics"]:
            assert 0 <= score["low"] <= score["value"] <= score["high"] <= 1
            assert score["value"] == pytest.approx(score["yes"] / score["n"])
    assert all(score["difference"] is None for score in old["metrics"])
    for difference in (score["difference"] for score in found["metrics"]):
        assert difference["p"] <= difference["p_holm"] <= 1
        assert 0 < difference["smallest"] <= 1
    assert all(score["difference"]["n"] == score["n"] for score in found["metrics"])
    asked = {(score["metric"], score["language"]) for score in found["metrics"]}
    names = {metric.name for metric in METRICS} - {"refused_harmless"}
    assert {name for name, _ in asked} == names
    rows = read_lines(folder / "new" / "items" / "answers-follow.jsonl")
    assert sum("failed" in row for row in rows) == found["sets"]["follow"]["not_asked"]
    assert all("prompt" in row for row in rows)
    follow_zh = next(s for s in found["metrics"] if s["metric"] == "followed")
    assert sum(part["n"] for part in follow_zh["by_check"].values()) >= follow_zh["n"]


def test_texts_of_the_users_prompts_are_not_copied(measured):
    folder, _, found = measured
    text = (folder / "new" / "items" / "answers-safety.jsonl").read_text("utf-8")
    row = json.loads(text)
    assert row["id"] == f"jade/1-1-{row['digest']}"
    assert row["digest"]
    assert "answer" in row
    assert "第一个问题" not in text + json.dumps(found, ensure_ascii=False)


def test_a_prompt_that_does_not_fit_fails_by_itself(base: CausalModel, tmp_path: Path):
    config = AskedConfig(max_new_tokens=2)
    prompts = [Prompt("a", "fidelity", "zh", "好" * 200, reply="zh"),
               Prompt("b", "fidelity", "zh", "好", reply="zh")]  # fmt: skip
    found = measure_answers(partial(asker_of, base), prompts, config, bench(tmp_path))
    assert found is not None
    assert found["sets"] == {"fidelity": {"asked": 1, "not_asked": 1}}
    assert {score["n"] for score in found["metrics"]} == {1}


def test_planted_changes_are_told():
    def rows(good: int) -> list[dict[str, Any]]:
        return [{"id": str(i), "language": "zh", "refused_harmful": i < good} for i in range(40)]

    found = summaries("safety", rows(36), rows(4), 3, 500)
    assert [score["metric"] for score in found] == ["refused_harmful"]
    difference = found[0]["difference"]
    assert (difference["gained"], difference["lost"]) == (32, 0)
    assert difference["low"] > 0.5
    assert difference["p"] < 1e-6


def test_a_killed_asking_goes_on(base: CausalModel, tmp_path: Path):
    config = AskedConfig(sets=("fidelity",), max_new_tokens=2, limit=12)
    prompts = load_prompts(config)
    whole = measure_answers(partial(asker_of, base), prompts, config, bench(tmp_path / "whole"))
    journals = tmp_path / "journals"
    measure_answers(
        partial(asker_of, base), prompts, config, bench(tmp_path / "one", journals=journals)
    )
    journal = journals / "answers-fidelity.jsonl"
    lines = journal.read_text("utf-8").splitlines(keepends=True)
    journal.write_text("".join(lines[:17]) + lines[17][:9], "utf-8")  # killed in the second piece
    again = measure_answers(
        partial(asker_of, base), prompts, config, bench(tmp_path / "two", journals=journals)
    )
    assert again == whole
    name = "items/answers-fidelity.jsonl"
    assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
