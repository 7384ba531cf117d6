from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.chat.config import SchemaName
from hanhua.chat.conversation import Conversation, problem, repair
from hanhua.chat.load import load_records
from hanhua.chat.schemas.registry import SCHEMAS, detect
from hanhua.text.verdict import Drop

Q, A = {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}
QA = [("user", "q"), ("assistant", "a")]


def read(record: dict[str, Any]) -> tuple[str, Any]:
    schema = detect([record])
    assert schema, "no schema was found"
    return schema.name, schema.read(record)


@pytest.mark.parametrize(
    ("record", "schema", "turns", "system"),
    [
        ({"instruction": "q", "input": "", "output": "a"}, "alpaca", QA, ""),
        ({"instruction": "q", "output": "a"}, "alpaca", QA, ""),
        ({"instruction": "q ", "input": "<noinput>", "output": "a"}, "alpaca", QA, ""),
        ({"instruction": "译", "input": "hi", "output": "a"}, "alpaca",
         [("user", "译\n\nhi"), ("assistant", "a")], ""),
        ({"system": "s", "instruction": "", "input": "q", "output": 42}, "alpaca",
         [("user", "q"), ("assistant", "42")], "s"),
        ({"instruction": "q", "input": "", "output": "a", "history": [["q0", "a0"]]}, "alpaca",
         [("user", "q0"), ("assistant", "a0"), *QA], ""),
        ({"conversations": [Q, A]}, "sharegpt", QA, ""),
        ({"id": "1", "instruction": "s", "conversations": [Q, A]}, "sharegpt", QA, "s"),
        ({"system": "s", "conversations": [Q, {"from": "yayi", "value": "a"}]}, "sharegpt", QA,
         "s"),
        ({"conversations": [{"from": "system", "value": "s"}, Q, A]}, "sharegpt", QA, "s"),
        ({"conversation": [{"role": "user", "content": "q"},
                           {"role": "assistant", "content": "a"}]}, "sharegpt", QA, ""),
        ({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"},
                       {"role": "assistant", "content": "a"}]}, "messages", QA, "s"),
        ({"messages": [{"from": "human", "content": "q"}, {"from": "assistant", "content": "a"}]},
         "messages", QA, ""),
        ({"conversations": [Q], "chosen": "a", "rejected": "b"}, "preference", QA, ""),
        ({"conversations": [Q], "chosen": A, "rejected": Q}, "preference", QA, ""),
        ({"text": "<s>Human: q\n</s><s>Assistant: a\n</s>"}, "templated", QA, ""),
        ({"text": "<s>System: s\n</s><s>Human: q</s>\n<s>Assistant: a</s>\n"}, "templated", QA,
         "s"),
        ({"text": "<s>Human: <s>x</s>?\n</s><s>Assistant: </s>!\n</s>"}, "templated",
         [("user", "<s>x</s>?"), ("assistant", "</s>!")], ""),
        ({"input": "q", "target": "a", "type": "nli", "answer_choices": ["a"]}, "pairs", QA, ""),
        ({"prompt": "q", "response": "a"}, "pairs", QA, ""),
        ({"question": "q", "answer": "a"}, "pairs", QA, ""),
        ({"instruction": "q", "instances": [{"input": "", "output": "a"}]}, "self-instruct", QA,
         ""),
    ],
)  # fmt: skip
def test_records_of_every_format(
    record: dict[str, Any], schema: str, turns: list[tuple[str, str]], system: str
) -> None:
    name, found = read(record)
    assert name == schema
    assert isinstance(found, Conversation)
    assert [(t.role, t.text) for t in found.turns] == turns
    assert found.system == system
    assert problem(found) is None


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"conversations": [Q, {"from": "function_call", "value": "{}"}, A]}, "tool_calls"),
        ({"conversations": [Q, {"from": "narrator", "value": "x"}]}, "unknown_role"),
        ({"conversations": [Q, {"from": "gpt", "value": None}]}, "wrong_fields"),
        ({"conversations": [Q, "a"]}, "wrong_fields"),
        ({"conversations": [Q, {"from": "system", "value": "late"}, A]}, "unknown_role"),
        ({"instruction": "q", "input": "", "output": "a", "history": ["q0"]}, "wrong_fields"),
        ({"instruction": "q", "input": "", "output": "a", "history": "q0"}, "wrong_fields"),
        ({"text": "<s>Human: q\n</s> and more"}, "broken_template"),
        ({"instruction": "q", "instances": []}, "wrong_fields"),
    ],
)
def test_broken_records_have_a_reason(record: dict[str, Any], reason: str) -> None:
    _, found = read(record)
    assert isinstance(found, Drop)
    assert found.reason == reason


def test_tasks_are_kept() -> None:
    assert read({"input": "q", "target": "a", "type": "nli"})[1].task == "nli"
    coig = {"instruction": "q", "input": "", "output": "a",
            "task_type": {"major": ["翻译"], "minor": []}}  # fmt: skip
    assert read(coig)[1].task == "翻译"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["from", "value", "role", "content", "input"]), inner)
    ),
    max_leaves=6,
)
names = st.sampled_from(
    ["instruction", "input", "output", "history", "conversations", "messages", "chosen",
     "rejected", "text", "target", "instances", "system", "type", "prompt", "response"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(names, values, max_size=6))
def test_no_record_can_break_a_reader(record: dict[str, Any]) -> None:
    for schema in SCHEMAS.values():
        if schema.fits(record):
            found = schema.read(record)
            if isinstance(found, Conversation):
                problem(repair(found)[0])


def test_the_table_and_the_recipe_name_the_same_formats() -> None:
    assert {*SCHEMAS, "auto"} == set(SchemaName.__args__)  # type: ignore[attr-defined]
    assert detect([{"title": "no conversation"}]) is None


REAL = {
    "en/lima.json.gz": ("alpaca", 667, {None: 667}),
    "en/seed_tasks.jsonl": ("self-instruct", 175, {None: 175}),
    "llamafactory/identity.json": ("alpaca", 91, {None: 91}),
    "multiturn/fastchat_dummy_conversation.json": ("sharegpt", 500, {None: 500}),
    "multiturn/flagalpha_dev_sft_sharegpt.csv.gz": (
        "templated", 133, {None: 129, "broken_text": 2, "empty_text": 1, "role_order": 1}),
    "multiturn/glaive_toolcall_en_demo.json.gz": (
        "sharegpt", 300, {None: 147, "tool_calls": 153}),
    "multiturn/oaast_sft_zh.json.gz": ("alpaca", 492, {None: 492}),
    "multiturn/sharegpt_zh_1K_format.jsonl.gz": ("sharegpt", 693, {None: 693}),
    "multiturn/yayi_train_example_multi_rounds.json": ("sharegpt", 2, {None: 2}),
    "preference/dpo_en_demo.json.gz": ("preference", 300, {None: 300}),
    "preference/dpo_zh_500.jsonl.gz": ("preference", 500, {None: 489, "broken_text": 11}),
    "zh/alpaca_06382-09407_zh.json.gz": ("alpaca", 3022, {None: 3020, "missing_answer": 2}),
    "zh/flagalpha_dev_sft.csv": ("templated", 200, {None: 200}),
    "zh/pCLUE_train_9.json": ("pairs", 705, {None: 705}),
    "zh/yayi_train_example.json": ("alpaca", 3, {None: 3}),
}  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_real_files_are_read_to_the_last_record(shared_data: Path, name: str) -> None:
    schema_name, count, verdicts = REAL[name]
    records = list(load_records(shared_data / "instructions" / name))
    assert len(records) == count
    schema = detect(r.value for r in islice(records, 50) if not isinstance(r.value, Drop))
    assert schema
    assert schema.name == schema_name
    found: Counter[str | None] = Counter()
    for record in records:
        assert not isinstance(record.value, Drop)
        read = schema.read(record.value)
        found[read.reason if isinstance(read, Drop) else problem(repair(read)[0])] += 1
    assert found == verdicts


def test_single_column_text_is_parsed_back_without_loss(shared_data: Path) -> None:
    path = shared_data / "instructions" / "zh" / "flagalpha_dev_sft.csv"
    for record in load_records(path):
        assert not isinstance(record.value, Drop)
        found = SCHEMAS["templated"].read(record.value)
        assert isinstance(found, Conversation)
        names = {"user": "Human", "assistant": "Assistant"}
        again = "".join(f"<s>{names[t.role]}: {t.text}\n</s>" for t in found.turns)
        assert "".join(again.split()) == "".join(record.value["text"].split())
