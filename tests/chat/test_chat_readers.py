"""The quirks of published sets, each on a record as its publisher writes it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.chat.conversation import Conversation, problem, repair
from hanhua.chat.schemas.fields import split_of
from hanhua.chat.schemas.registry import SCHEMAS, detect
from hanhua.text.verdict import Drop

QA = [("user", "q"), ("assistant", "a")]
TWO = [("user", "q0"), ("assistant", "a0"), *QA]
MESSAGES = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]


def moss_turn(question: str, answer: str, command: str = "None") -> dict[str, str]:
    return {
        "Human": f"<|Human|>: {question}<eoh>\n",
        "Inner Thoughts": "<|Inner Thoughts|>: None<eot>\n",
        "Commands": f"<|Commands|>: {command}<eoc>\n",
        "Tool Responses": "<|Results|>: None<eor>\n",
        "MOSS": f"<|MOSS|>: {answer}<eom>\n",
    }


def read(record: dict[str, Any]) -> tuple[str, Any]:
    schema = detect([record])
    assert schema, "no schema was found"
    return schema.name, schema.read(record)


@pytest.mark.parametrize(
    ("record", "schema", "turns"),
    [
        ({"instruction": "Human:q0\nAssistant:a0\nHuman:q\nAssistant:", "input": "",
          "output": "a"}, "alpaca", TWO),
        ({"instruction": "Human: explain\nAssistant", "input": "", "output": "a"}, "alpaca",
         [("user", "Human: explain\nAssistant"), ("assistant", "a")]),
        ({"instruction": "Human:q\nHuman:q\nAssistant:", "output": "a"}, "alpaca",
         [("user", "Human:q\nHuman:q\nAssistant:"), ("assistant", "a")]),
        ({"instruction": "q", "context": "", "response": "a", "category": "open_qa"}, "alpaca", QA),
        ({"chat": {"turn_10": moss_turn("q", "a"), "turn_9": moss_turn("q0", "a0")},
          "num_turns": 2}, "moss", TWO),
        ({"plain_text": "[Human]: q0<eoh> [MOSS]: a0<eoa> [Human]: q<eoh> [MOSS]: a<eoa>"}, "moss",
         TWO),
        ({"conversation": [{"human": "q0", "assistant": "a0"}, {"human": "q", "assistant": "a"}]},
         "moss", TWO),
        ({"input": "<s>Human: q0\n</s><s>Assistant: a0\n</s><s>Human: q\n</s>",
          "target": "<s>Assistant: a\n</s>"}, "pairs", TWO),
        ({"input": "<s>Human: q\n</s><s>Assistant: ", "target": "a"}, "pairs", QA),
        ({"input": "<s>Human: q\n</s>", "target": "a"}, "pairs", QA),
        ({"source": "q", "target": "a", "category": "c"}, "pairs", QA),
        ({"messages": '[{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]'},
         "messages", QA),
        ({"messages": MESSAGES, "label": True}, "kto", QA),
        ({"prompt": "q", "completion": "a", "label": "true"}, "kto", QA),
        ({"prompt": MESSAGES[:1], "completion": "a", "label": True}, "kto", QA),
    ],
)  # fmt: skip
def test_records_of_published_sets(
    record: dict[str, Any], schema: str, turns: list[tuple[str, str]]
) -> None:
    name, found = read(record)
    assert name == schema
    assert isinstance(found, Conversation)
    assert [(t.role, t.text) for t in found.turns] == turns
    assert problem(found) is None


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"chat": {"turn_1": moss_turn("q", "a", 'Search("x")')}}, "tool_calls"),
        ({"chat": {"turn_1": "q"}}, "wrong_fields"),
        ({"plain_text": "[Human]: q<eoh> and then [MOSS]: a<eoa>"}, "broken_template"),
        ({"messages": MESSAGES, "label": False}, "not_liked"),
        ({"conversation": [{"human": "q", "assistant": "a"}, "more"]}, "wrong_fields"),
        ({"chosen": [{"role": "narrator", "content": "x"}] * 2, "rejected": []}, "unknown_role"),
    ],
)
def test_what_cannot_be_learnt_has_a_reason(record: dict[str, Any], reason: str) -> None:
    _, found = read(record)
    assert isinstance(found, Drop)
    assert found.reason == reason


@pytest.mark.parametrize(
    "record",
    [
        {"conversations": [{"from": "human", "value": "q"}],
         "chosen": {"from": "gpt", "value": "a"}, "rejected": {"from": "gpt", "value": "b"}},
        {"prompt": "q", "chosen": "a", "rejected": "b"},
        {"question": "q", "chosen": "a", "rejected": "b"},
        {"instruction": "q", "input": "", "chosen": "a", "rejected": "b"},
        {"prompt": "q", "chosen": MESSAGES,
         "rejected": [MESSAGES[0], {"role": "x", "content": "b"}]},
        {"prompt": MESSAGES[:1], "chosen": MESSAGES[1:],
         "rejected": [{"role": "assistant", "content": "b"}]},
    ],
)  # fmt: skip
def test_the_worse_answer_is_kept_beside_the_better_one(record: dict[str, Any]) -> None:
    name, found = read(record)
    assert name == "preference"
    assert [(t.role, t.text) for t in found.turns] == QA
    assert found.rejected == "b"


@pytest.mark.parametrize("worse", ["", " ", "a", "\ufffd"])
def test_a_worse_answer_that_says_nothing_goes(worse: str) -> None:
    _, found = read({"prompt": "q", "chosen": "a", "rejected": worse})
    mended, cuts = repair(found)
    assert (mended.rejected, cuts) == ("", ())
    assert problem(mended) is None


def test_linly_is_told_by_its_line_ends() -> None:
    linly = [{"instruction": "q1\\nq2", "input": "", "output": "a\\r\\nb \\\\n"},
             {"instruction": "q", "input": "", "output": "a"}]  # fmt: skip
    schema = detect(linly)
    assert schema
    assert schema.name == "linly"
    found = schema.read(linly[0])
    assert isinstance(found, Conversation)
    assert [t.text for t in found.turns] == ["q1\nq2", "a\nb \\\\n"]
    code = [{"instruction": "print", "input": "", "output": 'print("\\n")\nprint()'}]
    schema = detect(linly + code)
    assert schema
    assert schema.name == "alpaca", "a set with real line ends means \\n as it stands"


def test_task_domain_and_split_of_coig_pc() -> None:
    record = {"instruction": "q", "input": "", "output": "a", "split": "Train",
              "task_type": {"major": ["问答"], "minor": ["阅读理解", "x"]}, "domain": ["医疗"],
              "task_name_in_eng": "cmrc", "other": None}  # fmt: skip
    _, found = read(record)
    assert (found.task, found.domain, split_of(record)) == ("问答/阅读理解", "医疗", "train")
    _, found = read({**record, "task_type": '["摘要"]', "domain": '["新闻", "体育"]'})
    assert (found.task, found.domain) == ("摘要", "新闻"), "a CSV has lists as text"
    _, found = read({"messages": MESSAGES, "category": "qa"})
    assert (found.task, found.domain) == ("qa", "")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("[1]"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["from", "value", "role", "content", "human", "assistant", "turn_1",
                             "zh", "en", "text"]), inner)
    ),
    max_leaves=6,
)  # fmt: skip
names = st.sampled_from(
    ["instruction", "input", "output", "response", "conversation", "messages", "chosen",
     "rejected", "label", "chat", "plain_text", "prompt", "completion", "question", "choices",
     "answer", "answers", "context", "sentence1", "sentence2", "sentence", "translation", "zh",
     "en", "article", "summary", "candidates", "content", "domain", "task_type", "A", "B"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(names, values, max_size=7))
def test_no_record_can_break_a_reader_of_any_format(record: dict[str, Any]) -> None:
    for schema in SCHEMAS.values():
        if schema.fits(record):
            found = schema.read(record)
            if isinstance(found, Conversation):
                problem(repair(found)[0])


def test_a_preference_without_a_worse_answer_is_a_conversation() -> None:
    found = SCHEMAS["preference"].read({"prompt": "a?", "chosen": "b"})
    assert isinstance(found, Conversation)
    assert ([t.text for t in found.turns], found.rejected) == (["a?", "b"], "")


def test_an_answer_that_is_a_list_stays_one() -> None:
    name, found = read({"prompt": "q", "chosen": "[1, 2, 3]", "rejected": "[4]"})
    assert name == "preference"
    assert [t.text for t in found.turns] == ["q", "[1, 2, 3]"]
    assert found.rejected == "[4]"
