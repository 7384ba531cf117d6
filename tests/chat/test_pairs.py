"""Preference files to pairs: every form, every reason to drop, held out and shares."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanhua.chat.conversation import Turn
from hanhua.chat.pair_build import gather_pairs
from hanhua.chat.pair_config import PairDataConfig
from hanhua.chat.pairs import Pair, read_pair
from hanhua.core.errors import InputError, MixtureError
from hanhua.core.progress import Silent

ASKED = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Yes?"},
         {"from": "human", "value": "A joke?"}]  # fmt: skip
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "A joke?"}]


def said(text):
    return {"role": "assistant", "content": text}


FORMS = [
    ({"conversations": ASKED, "chosen": {"from": "gpt", "value": "Knock."},
      "rejected": {"from": "gpt", "value": "No."}}, "", 3),
    ({"conversations": ASKED, "chosen": "Knock.", "rejected": "No."}, "", 3),
    ({"messages": MESSAGES, "chosen": "Knock.", "rejected": "No."}, "Be brief.", 1),
    ({"messages": MESSAGES, "chosen": [said("Knock.")], "rejected": [said("No.")]}, "Be brief.", 1),
    ({"prompt": MESSAGES, "chosen": [said("Knock.")], "rejected": [said("No.")]}, "Be brief.", 1),
    ({"prompt": "A joke?", "chosen": [*MESSAGES, said("Knock.")],
      "rejected": [*MESSAGES, said("No.")]}, "Be brief.", 1),
    ({"chosen": [*MESSAGES, said("Knock.")], "rejected": [*MESSAGES, said("No.")]}, "Be brief.", 1),
    ({"prompt": "A joke?", "chosen": "Knock.", "rejected": "No."}, "", 1),
    ({"system": "Be brief.", "question": "A joke?", "chosen": "Knock.", "rejected": "No."},
     "Be brief.", 1),
    ({"instruction": "Translate.", "input": "A joke?", "chosen": "Knock.", "rejected": "No."},
     "", 1),
    ({"chosen": "\n\nHuman: Hi\n\nAssistant: Yes?\n\nHuman: A joke?\n\nAssistant: Knock.",
      "rejected": "\n\nHuman: Hi\n\nAssistant: Yes?\n\nHuman: A joke?\n\nAssistant: No."}, "", 3),
]  # fmt: skip


@pytest.mark.parametrize(("record", "system", "asked"), FORMS)
def test_forms(record, system, asked):
    pair = read_pair(record, 1000)
    assert isinstance(pair, Pair), pair
    assert pair.chosen.system == system
    assert len(pair.chosen.turns) == asked + 1
    assert pair.chosen.turns[-1] == Turn("assistant", "Knock.")
    assert pair.chosen.turns[-2].text.endswith("A joke?")
    assert pair.worse.turns == (*pair.chosen.turns[:-1], Turn("assistant", "No."))


@pytest.mark.parametrize(("record", "reason"), [
    ({"prompt": "Hi", "chosen": "Yes"}, "wrong_fields"),
    ({"prompt": "Hi", "chosen": "Yes", "rejected": 3}, "wrong_fields"),
    ({"prompt": "Hi", "chosen": "Yes", "rejected": " Yes\n"}, "identical_answers"),
    ({"prompt": "Hi", "chosen": "Yes", "rejected": " "}, "missing_answer"),
    ({"chosen": "Yes", "rejected": "No"}, "no_prompt"),
    ({"prompt": "Hi", "chosen": "Yes" * 400, "rejected": "No"}, "too_long"),
    ({"prompt": "Hi", "chosen": "Yes\ufffd", "rejected": "No"}, "broken_text"),
    ({"chosen": [{"role": "user", "content": "A?"}, said("Yes")],
      "rejected": [{"role": "user", "content": "B?"}, said("No")]}, "prompts_differ"),
    ({"messages": [{"role": "robot", "content": "?"}], "chosen": "a", "rejected": "b"},
     "unknown_role"),
    ({"messages": ASKED[:2], "chosen": "a", "rejected": "b"}, "role_order"),
])  # fmt: skip
def test_what_is_no_pair_says_why(record, reason):
    found = read_pair(record, 1000)
    assert not isinstance(found, Pair)
    assert found.reason == reason


@given(st.dictionaries(
    st.sampled_from(["prompt", "messages", "conversations", "chosen", "rejected", "instruction"]),
    st.one_of(st.none(), st.text(max_size=9), st.integers(), st.lists(st.text(max_size=3)),
              st.lists(st.dictionaries(st.sampled_from(["role", "content", "from", "value"]),
                                       st.one_of(st.text(max_size=9), st.integers()))),
              st.dictionaries(st.sampled_from(["content", "value"]), st.text(max_size=9))),
))  # fmt: skip
def test_any_record_is_a_pair_or_a_reason(record):
    found = read_pair(record, 1000)
    if isinstance(found, Pair):
        assert found.chosen.turns[-1].text.strip() != found.rejected.strip()
        assert found.chosen.turns[-1].role == found.worse.turns[-1].role == "assistant"


def record(i, language):
    question = f"第{i}个问题是什么？" if language == "zh" else f"What is question {i}?"
    better = f"这是第{i}个问题的好回答。" if language == "zh" else f"A good answer to {i}."
    return {"prompt": question, "chosen": better, "rejected": "不知道" if language == "zh" else "?"}


@pytest.fixture
def files(tmp_path):
    """200 English and 100 Chinese pairs."""
    for language, n in (("en", 200), ("zh", 100)):
        lines = [json.dumps(record(i, language), ensure_ascii=False) for i in range(n)]
        (tmp_path / f"{language}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def gather(folder, *names, seed=1, **values):
    sources = [{"path": str(folder / name), "licence": "CC0"} for name in names]
    return gather_pairs(PairDataConfig(sources=sources, **values), "en", seed, Silent())


def test_every_record_is_accounted_for(files):
    extra = [record(0, "en"), record(1, "en"), {"prompt": "x", "chosen": "y", "rejected": "y"}]
    extra[1] = {**extra[1], "chosen": extra[1]["rejected"], "rejected": extra[1]["chosen"]}
    extra.append({"prompt": "new?", "chosen": "yes", "rejected": "no"})
    (files / "more.json").write_text(json.dumps(extra))
    found = gather(files, "en.jsonl", "zh.jsonl", "more.json", held_out=15)
    totals = found.ledger["totals"]
    assert totals["in"] == 304
    assert totals["dropped"] == {"duplicate": 1, "contradiction": 1, "identical_answers": 1}
    assert totals["kept"] == len(found.train) == 301 - 15 - 10
    assert totals["held_out"] == len(found.held_out) == 15 + 10  # of zh at most a tenth
    assert {pair.chosen.language for pair in found.train} == {"en", "zh"}
    questions = [{p.chosen.user_text for p in part} for part in (found.train, found.held_out)]
    assert not questions[0] & questions[1]
    reasons = {json.loads(line)["reason"] for line in found.dropped}
    assert reasons == set(totals["dropped"])
    # languages lie among each other, and another seed gives another order
    firsts = [pair.chosen.language for pair in found.train[:40]]
    assert 3 < firsts.count("zh") < 37
    other = gather(files, "en.jsonl", "zh.jsonl", "more.json", held_out=15, seed=2)
    assert [p.chosen.id for p in other.train] != [p.chosen.id for p in found.train]


def test_shares_are_met_and_counted(files):
    found = gather(files, "en.jsonl", "zh.jsonl", held_out=0, shares={"zh": 0.5, "en": 0.5})
    assert found.shares["counted"]["zh"] == pytest.approx(0.5, abs=0.02)
    sizes = dict.fromkeys(("zh", "en"), 0)
    for pair in found.train:
        sizes[pair.chosen.language] += len(pair.chosen.turns[-1].text.encode())
    assert sizes["zh"] / sum(sizes.values()) == pytest.approx(found.shares["counted"]["zh"])
    assert found.ledger["totals"]["dropped"]["share"] > 0
    with pytest.raises(MixtureError, match="too little of ja") as error:
        gather(files, "en.jsonl", shares={"ja": 0.5, "en": 0.5})
    assert error.value.where == "prefer.shares"


def test_files_without_pairs_are_errors(files):
    (files / "chat.jsonl").write_text(json.dumps({"instruction": "Hi", "output": "Yes"}))
    with pytest.raises(InputError, match="no pair in this file") as error:
        gather(files, "en.jsonl", "chat.jsonl")
    assert str(error.value.where).endswith("chat.jsonl")
    assert "wrong_fields: 1" in str(error.value.found)
    same = {"prompt": "Hi", "chosen": "a", "rejected": "a"}
    (files / "same.jsonl").write_text(json.dumps(same))
    with pytest.raises(InputError, match="no pair in this file") as error:
        gather(files, "same.jsonl")
    assert "identical_answers: 1" in str(error.value.found)


def test_real_sets(shared_data):
    folder = shared_data / "instructions" / "preference"
    found = gather(folder, "dpo_zh_500.jsonl.gz", "dpo_en_demo.json.gz", held_out=20)
    totals = found.ledger["totals"]
    assert totals["in"] == 800
    assert len(found.train) + len(found.held_out) + sum(totals["dropped"].values()) == 800
    assert len(found.train) > 700
    assert {pair.chosen.language for pair in found.held_out} >= {"en", "zh"}


def write(path, records):
    path.write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")
    return path


def test_near_copies_are_pairs_alike_in_question_and_answers(tmp_path):
    question = "Which of the seas between Europe and Africa is the saltiest, and why is it so?"
    good = "The eastern Mediterranean, since much water goes into the air there and few rivers come"
    one = {"prompt": question, "chosen": f"{good}.", "rejected": "No idea, ask somebody else today"}
    near = {**one, "chosen": f"{good} in."}
    other = {**one, "chosen": "It is the Red Sea, which has no rivers at all and lies in the heat"}
    write(tmp_path / "p.json", [one, near, other])
    found = gather(tmp_path, "p.json", held_out=0, dedup="near")
    assert found.ledger["totals"]["dropped"] == {"near_copy": 1}
    assert {pair.chosen.turns[-1].text for pair in found.train} == {one["chosen"], other["chosen"]}
    assert len(gather(tmp_path, "p.json", held_out=0).train) == 3


def test_pairs_that_hold_a_benchmark_question_go(files):
    asked = {"question": "Which planet of the sun has the largest number of known moons today?",
             "choices": ["Saturn", "Mars"], "answer": 0}  # fmt: skip
    (files / "questions.jsonl").write_text(json.dumps(asked), encoding="utf-8")
    held = {"prompt": f"Tell me: {asked['question']}", "chosen": "Saturn.", "rejected": "Mars!"}
    write(files / "more.json", [held])
    names = [str(files / "questions.jsonl")]
    found = gather(files, "en.jsonl", "more.json", held_out=0, contamination=names)
    assert found.ledger["totals"]["dropped"] == {"contamination": 1}
    assert found.ledger["contamination"]["questions"] == 1
    assert len(found.train) == 200
    assert len(gather(files, "en.jsonl", "more.json", held_out=0).train) == 201


def test_answers_of_both_kinds_get_the_models_own_name(tmp_path):
    records = [
        {"prompt": "Who are you?", "chosen": "I am ChatGPT, at your service.", "rejected": "Go."},
        {
            "prompt": "你是谁？",
            "chosen": "我是小汉。",
            "rejected": "我是OpenAI训练的ChatGPT。别问。",
        },
        {"prompt": "Name?", "chosen": "I am ChatGPT.", "rejected": "I am Vicuna."},
        {"prompt": "Sea?", "chosen": "It is salty.", "rejected": "No."},
    ]
    write(tmp_path / "p.json", records)
    found = gather(tmp_path, "p.json", held_out=0, model_name="小汉")
    assert found.ledger["totals"]["dropped"] == {"identical_answers": 1}
    texts = [text for pair in found.train for text in (pair.chosen.turns[-1].text, pair.rejected)]
    assert len(texts) == 6
    assert sum("小汉" in text for text in texts) == 3
    assert not any("ChatGPT" in text for text in texts)
    dropped = gather(tmp_path, "p.json", held_out=0, model_name="")
    assert dropped.ledger["totals"]["dropped"] == {"identity": 3}
    assert len(gather(tmp_path, "p.json", held_out=0).train) == 4
