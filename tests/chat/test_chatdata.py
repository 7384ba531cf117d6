from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hanhua.chat.clean import clean
from hanhua.chat.config import ChatDataConfig
from hanhua.chat.conversation import Conversation, Turn, problem, read_conversations
from hanhua.chat.select import question_key
from hanhua.core.config import Machine
from hanhua.core.errors import InputError, MixtureError
from hanhua.core.files import read_json
from hanhua.core.progress import Silent
from hanhua.core.stage import Context, Result
from hanhua.stages.chatdata import STAGE, estimate
from hanhua.text.verdict import Drop


def config(*paths: Path, **fields: Any) -> ChatDataConfig:
    each = fields.pop("each", {})
    sources = [{"path": str(path), "licence": "MIT", **each} for path in paths]
    return ChatDataConfig.model_validate({"sources": sources, **fields})


def run(out: Path, section: ChatDataConfig, seed: int = 17) -> Result:
    out.mkdir(parents=True, exist_ok=True)
    return STAGE.run(
        Context(config=section, inputs={}, out=out, work=out, seed=seed, machine=Machine(),
                progress=Silent())
    )  # fmt: skip


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps(records, ensure_ascii=False), "utf-8")
    return path


def alpaca(question: str, answer: str) -> dict[str, Any]:
    return {"instruction": question, "input": "", "output": answer}


def talk_of(*texts: str) -> dict[str, Any]:
    roles = ("human", "gpt")
    return {"conversations": [{"from": roles[i % 2], "value": t} for i, t in enumerate(texts)]}


@pytest.fixture
def sets(tmp_path: Path) -> list[Path]:
    """A Chinese and an English set with one of each flaw."""
    zh = [alpaca(f"第{i}个问题是什么？", f"这是第{i}个回答。" * (1 + i % 3)) for i in range(60)]
    zh += [alpaca("没有回答", ""), alpaca("第1个问题是什么", "重复"), alpaca("7*8=", "56")]
    zh += [alpaca("你是谁", "我是OpenAI训练的ChatGPT。"), alpaca("坏", "锟\ufffd")]
    en = [
        talk_of(f"Question {i}?", f"This is answer number {i}.", "More?", f"And more of {i}.")
        for i in range(60)
    ]
    calls = [{"from": "human", "value": "x"}, {"from": "function_call", "value": "{}"}]
    backwards = [{"from": "gpt", "value": "Hi."}, *talk_of("Why?", "So.", "?")["conversations"]]
    en += [{"conversations": calls}, {"conversations": backwards}, talk_of("x" * 9000, "y")]
    return [write(tmp_path / "chinese.json", zh), write(tmp_path / "english.json", en)]


def test_every_record_is_accounted_for(tmp_path: Path, sets: list[Path]) -> None:
    out = tmp_path / "out"
    result = run(out, config(*sets, held_out=3))
    ledger = read_json(out / "ledger.json")
    for row in [*ledger["sources"], ledger["totals"]]:
        assert row["in"] == row["kept"] + row["held_out"] + sum(row["dropped"].values())
    chinese, english = ledger["sources"]
    assert chinese["dropped"] == {"missing_answer": 1, "duplicate": 1, "identity": 1, "broken_text": 1}  # fmt: skip # noqa: E501
    assert english["dropped"] == {"tool_calls": 1, "too_long": 1}
    assert english["changed"] == {"leading_answer": 1, "trailing_question": 1}
    assert (chinese["schema"], english["schema"]) == ("alpaca", "sharegpt")
    assert chinese["languages"] == {"zh": 58}, "a sum has no letters: it goes with its set"
    assert chinese["files"][0]["in"] == 65
    train = list(read_conversations(out / "train.parquet"))
    held = list(read_conversations(out / "held_out.parquet"))
    assert len(train) == ledger["totals"]["kept"] == result.counts["conversations"]
    assert len(held) == ledger["totals"]["held_out"] == 6
    assert {c.language for c in held} == {"zh", "en"}
    assert {question_key(c) for c in train}.isdisjoint(map(question_key, held))
    assert not [c for c in train + held if problem(c)]
    assert len({c.id for c in train + held}) == len(train) + len(held)
    assert {c.licence for c in train} == {"MIT"}
    assert ledger["totals"]["bytes"] == sum(
        len((c.system + "".join(t.text for t in c.turns)).encode()) for c in train
    )
    assert result.metrics["template"] == "hanhua"


def test_dropped_records_can_be_looked_at(tmp_path: Path, sets: list[Path]) -> None:
    run(tmp_path / "out", config(*sets))
    lines = (tmp_path / "out" / "dropped.jsonl").read_text("utf-8").splitlines()
    found = {line["reason"]: line for line in map(json.loads, lines)}
    assert set(found) == {"missing_answer", "duplicate", "identity", "broken_text", "tool_calls",
                          "too_long"}  # fmt: skip
    assert found["duplicate"]["value"] == "as chinese/2"
    assert found["identity"]["value"] == "我是OpenAI训练"
    assert found["missing_answer"]["where"].startswith("chinese.json:")
    assert "没有回答" in found["missing_answer"]["text"]
    run(tmp_path / "none", config(*sets, dropped_samples=0))
    assert (tmp_path / "none" / "dropped.jsonl").read_text() == ""


def test_the_artifact_depends_on_content_and_seed_only(tmp_path: Path, sets: list[Path]) -> None:
    fields = {"shares": {"zh": 0.5, "en": 0.5}, "held_out": 3, "model_name": "小汉"}
    run(tmp_path / "a", config(*sets, **fields))
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    copies = [Path(shutil.copy(path, moved / path.name)) for path in sets]
    run(tmp_path / "b", config(*copies, **fields))
    names = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert names == ["dropped.jsonl", "held_out.parquet", "ledger.json", "train.parquet"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    run(tmp_path / "c", config(*sets, **fields), seed=18)
    train = "train.parquet"
    assert (tmp_path / "a" / train).read_bytes() != (tmp_path / "c" / train).read_bytes()


def test_shares_are_counted_in_what_was_written(tmp_path: Path, sets: list[Path]) -> None:
    out = tmp_path / "out"
    result = run(out, config(*sets, shares={"zh": 0.3, "en": 0.7}, held_out=0, tolerance=0.03))
    size = {"zh": 0, "en": 0}
    for conversation in read_conversations(out / "train.parquet"):
        size[conversation.language] += conversation.target_bytes
    counted = result.metrics["shares"]["counted"]
    assert result.metrics["shares"]["asked"] == {"zh": 0.3, "en": 0.7}
    assert counted["zh"] == pytest.approx(size["zh"] / sum(size.values()))
    assert abs(counted["zh"] - 0.3) <= 0.03
    assert result.metrics["dropped"]["share"] > 0
    with pytest.raises(MixtureError, match="too little of de"):
        run(tmp_path / "x", config(*sets, shares={"de": 0.5, "en": 0.5}))


def test_the_model_gets_its_own_name(tmp_path: Path, sets: list[Path]) -> None:
    out = tmp_path / "out"
    result = run(out, config(*sets, model_name="小汉", held_out=0))
    answers = [c.turns[-1].text for c in read_conversations(out / "train.parquet")]
    assert "我是小汉。" in answers
    assert result.metrics["changed"]["identity"] == 1


def test_a_limit_takes_a_spread_out_part(tmp_path: Path, sets: list[Path]) -> None:
    out = tmp_path / "out"
    result = run(out, config(*sets, each={"limit": 20}, held_out=0))
    kept = [c.id for c in read_conversations(out / "train.parquet")]
    assert result.counts["conversations"] == 40
    numbers = [int(i.split("/")[1]) for i in kept if i.startswith("english")]
    assert numbers == sorted(numbers)
    assert max(numbers) > 30, "not only the beginning"
    assert result.metrics["dropped"]["over_limit"] == 2 * (61 - 20)


def test_a_source_can_be_a_folder_and_name_its_language_and_format(
    tmp_path: Path, sets: list[Path]
) -> None:
    folder = tmp_path / "sums"
    folder.mkdir()
    for name in ("a", "b"):
        write(folder / f"{name}.json", [alpaca(f"{name}{i}+1=", str(i)) for i in range(5)])
    fields = {"each": {"language": "zh", "schema": "alpaca"}, "held_out": 0}
    run(tmp_path / "out", config(folder, folder / "a.json", **fields, dedup="none"))
    rows = read_json(tmp_path / "out" / "ledger.json")["sources"]
    assert [row["source"] for row in rows] == ["sums", "a"]
    assert rows[0]["languages"] == {"zh": 10}
    assert [file["name"] for file in rows[0]["files"]] == ["a.json", "b.json"]
    run(tmp_path / "one", config(folder, folder / "a.json", **fields))
    assert read_json(tmp_path / "one" / "ledger.json")["totals"]["dropped"] == {"duplicate": 5}


def test_copies_of_held_out_questions_are_not_trained_on(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", [alpaca(f"问题{i % 30}", f"回答{i}") for i in range(60)])
    run(tmp_path / "out", config(path, dedup="none", held_out=3))
    row = read_json(tmp_path / "out" / "ledger.json")["totals"]
    assert (row["held_out"], row["dropped"]) == (3, {"held_out_copy": 3})


def test_only_the_splits_asked_for(tmp_path: Path) -> None:
    records = [
        {**alpaca(f"问题{i}", "答"), "split": "test" if i % 3 else "Train"} for i in range(9)
    ]
    path = write(tmp_path / "coig.json", records)
    result = run(tmp_path / "out", config(path, each={"splits": ["train"]}, held_out=0))
    row = read_json(tmp_path / "out" / "ledger.json")["sources"][0]
    assert (row["splits"], row["dropped"]) == ({"train": 3, "test": 6}, {"other_split": 6})
    assert result.counts["conversations"] == 3
    plain = write(tmp_path / "plain.json", [alpaca("问题", "答")])
    with pytest.raises(InputError, match="names its split"):
        run(tmp_path / "no", config(plain, each={"splits": ["train"]}))


def test_named_labels_make_a_task_of_numbers(tmp_path: Path) -> None:
    records = [{"sentence1": f"甲{i}", "sentence2": f"乙{i}", "label": i % 2} for i in range(8)]
    path = write(tmp_path / "pairs.json", records)
    with pytest.raises(InputError, match="no format that is known"):
        run(tmp_path / "no", config(path))
    labels = {"0": "意思不同", "1": "意思相同"}
    run(tmp_path / "out", config(path, each={"labels": labels}, held_out=0))
    found = list(read_conversations(tmp_path / "out" / "train.parquet"))
    assert {c.turns[1].text for c in found} == set(labels.values())
    assert all("意思不同、意思相同" in c.turns[0].text for c in found)
    with pytest.raises(InputError, match="Names of labels"):
        run(tmp_path / "alpaca", config(path, each={"labels": labels, "schema": "alpaca"}))


def test_tasks_and_domains_are_counted_by_source(tmp_path: Path, sets: list[Path]) -> None:
    coig = [{**alpaca(f"问题{i}", "答"), "domain": ["医疗", "x"],
             "task_type": {"major": ["问答"], "minor": ["常识"]}} for i in range(5)]  # fmt: skip
    path = write(tmp_path / "coig.json", coig)
    result = run(tmp_path / "out", config(*sets, path, held_out=0))
    rows = read_json(tmp_path / "out" / "ledger.json")["sources"]
    assert (rows[2]["tasks"], rows[2]["domains"]) == ({"问答/常识": 5}, {"医疗": 5})
    assert set(rows[0]["tasks"]) == {"unnamed"}
    assert result.metrics["domains"]["医疗"] == 5
    assert sum(result.metrics["tasks"].values()) == result.counts["conversations"]
    kept = [c for c in read_conversations(tmp_path / "out" / "train.parquet") if c.domain]
    assert {(c.task, c.domain, c.source) for c in kept} == {("问答/常识", "医疗", "coig")}


def test_a_file_of_no_known_format_shows_its_fields(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", [{"title": "x", "body": "y"}])
    with pytest.raises(InputError, match=r"no format that is known[\s\S]*title, body[\s\S]*alpaca"):
        run(tmp_path / "out", config(path))


def test_a_file_of_which_nothing_can_be_used_is_an_error(tmp_path: Path, sets: list[Path]) -> None:
    path = write(tmp_path / "a.json", [alpaca("q", "")] * 3)
    with pytest.raises(InputError, match=r"Nothing in this file[\s\S]*missing_answer: 3"):
        run(tmp_path / "out", config(sets[0], path))
    with pytest.raises(InputError, match=r"Nothing in this file[\s\S]*read as sharegpt"):
        run(tmp_path / "out", config(sets[0], each={"schema": "sharegpt"}))


@pytest.mark.parametrize("content", ["", "[]"])
def test_a_file_without_records_is_told_from_an_unknown_format(tmp_path: Path, content) -> None:
    path = tmp_path / "a.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match="There is no record in this file") as caught:
        run(tmp_path / "out", config(path))
    assert "alpaca" not in caught.value.message


def test_a_file_of_other_models_only_asks_for_a_name(tmp_path: Path) -> None:
    said = [alpaca(f"Who are you, {i}?", "I am ChatGPT, made by OpenAI.") for i in range(3)]
    path = write(tmp_path / "a.json", said)
    with pytest.raises(InputError, match=r"identity: 3[\s\S]*model_name"):
        run(tmp_path / "out", config(path))
    run(tmp_path / "named", config(path, model_name="小汉", model_maker="汉工", held_out=0))
    found = list(read_conversations(tmp_path / "named" / "train.parquet"))
    assert len(found) == 3
    assert all("小汉" in c.turns[1].text for c in found)


def test_a_malformed_file_is_an_error_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(b"\n\n{not JSON"))
    with pytest.raises(InputError, match=r"a\.json\.gz:3"):
        run(tmp_path / "out", config(tmp_path / "a.json.gz"))


def talk(*texts: str, system: str = "") -> Conversation:
    roles = ("user", "assistant")
    turns = tuple(Turn(roles[i % 2], t) for i, t in enumerate(texts))  # type: ignore[arg-type]
    return Conversation("a", system, turns)


def test_long_conversations_are_cut_at_a_turn(tmp_path: Path) -> None:
    short = config(tmp_path, max_chars=10, max_turns=4)
    found = clean(talk("aaa", "bbb", "cc", "ddddd", "e", "f"), short)
    assert not isinstance(found, Drop)
    assert ([t.text for t in found[0].turns], found[1]) == (["aaa", "bbb"], ("cut_at_turn",))
    found = clean(talk("a", "b", "c", "d", "e", "f"), short)
    assert not isinstance(found, Drop)
    assert len(found[0].turns) == 4
    assert clean(talk("a" * 9, "bb"), short) == Drop("too_long", 11)
    assert clean(talk("a", "b"), config(tmp_path, min_turns=4)) == Drop("too_few_turns", 2)


def test_a_system_text_is_given_to_those_that_have_none(tmp_path: Path) -> None:
    section = config(tmp_path, system=" 请用中文回答。")
    found = clean(talk("a", "b"), section)
    assert not isinstance(found, Drop)
    assert (found[0].system, found[1]) == ("请用中文回答。", ("system_added",))
    own = clean(talk("a", "b", system="own"), section)
    assert not isinstance(own, Drop)
    assert own[0].system == "own"


def test_names_left_blank_are_dropped_without_a_name(tmp_path: Path) -> None:
    blank = talk("hi", "Ask {{name}}.")
    assert clean(blank, config(tmp_path)) == Drop("name_blank", "{{name}} or {{author}}")
    found = clean(blank, config(tmp_path, model_name="小汉"))
    assert not isinstance(found, Drop)
    assert found[0].turns[1].text == "Ask 小汉."


def test_the_section_refuses_what_does_not_hold_together(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"add up to 0.9, not to 1"):
        config(tmp_path, shares={"zh": 0.5, "en": 0.4})
    with pytest.raises(ValidationError, match="extra_forbidden"):
        config(tmp_path, sahres=None)


def test_the_plan_knows_the_size(tmp_path: Path, sets: list[Path]) -> None:
    found = estimate(config(*sets), {})
    assert found["bytes"] == sum(path.stat().st_size for path in sets)
    assert found["seconds"] > 0


def test_a_real_mixture(tmp_path: Path, shared_data: Path) -> None:
    folder = shared_data / "instructions"
    paths = [folder / "llamafactory" / name for name in ("alpaca_en_demo.json", "alpaca_zh_demo.json", "identity.json")]  # fmt: skip # noqa: E501
    paths += [folder / "zh" / "flagalpha_dev_sft.csv", folder / "zh" / "pCLUE_train_9.json",
              folder / "multiturn" / "sharegpt_zh_1K_format.jsonl.gz"]  # fmt: skip
    section = config(*paths, shares={"zh": 0.5, "en": 0.5}, model_name="小汉", model_maker="汉化")
    result = run(tmp_path / "out", section)
    ledger = read_json(tmp_path / "out" / "ledger.json")
    for row in ledger["sources"]:
        assert row["in"] == row["kept"] + row["held_out"] + sum(row["dropped"].values())
    assert abs(result.metrics["shares"]["counted"]["zh"] - 0.5) < 0.001
    assert result.counts["held_out_by_language"] == {"en": 50, "zh": 50}
    assert result.metrics["changed"]["identity"] > 80
