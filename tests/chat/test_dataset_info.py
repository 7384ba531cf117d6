"""LLaMA-Factory's dataset_info.json, and what stands behind the # of a path."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hanhua.chat.config import ChatDataConfig, ChatSourceConfig
from hanhua.chat.conversation import Conversation, read_conversations
from hanhua.chat.dataset_info import read_dataset_info
from hanhua.core.artifact import Digests, identity
from hanhua.core.errors import InputError
from hanhua.core.files import read_json
from hanhua.core.progress import Silent
from hanhua.stages.chatdata import make_chatdata

TABLE: dict[str, Any] = {
    "plain": {"file_name": "plain.json"},
    "renamed": {"file_name": "renamed.json",
                "columns": {"prompt": "ask", "response": "say", "system": "told"}},
    "talk": {"file_name": "talk.json", "formatting": "sharegpt", "columns": {"messages": "msgs"},
             "tags": {"role_tag": "who", "content_tag": "what", "user_tag": "me",
                      "assistant_tag": "it", "system_tag": "sys"}},
    "openai": {"file_name": "openai.json", "formatting": "openai",
               "columns": {"messages": "messages"}},
    "pairs": {"file_name": "pairs.json", "ranking": True,
              "columns": {"prompt": "ask", "chosen": "good", "rejected": "bad"}},
    "liked": {"file_name": "liked.json", "formatting": "sharegpt",
              "columns": {"messages": "messages", "kto_tag": "ok"},
              "tags": {"role_tag": "role", "content_tag": "content", "user_tag": "user",
                       "assistant_tag": "assistant"}},
    "far": {"hf_hub_url": "someone/far"},
}  # fmt: skip
MESSAGES = [{"role": "user", "content": "问"}, {"role": "assistant", "content": "答"}]
FILES: dict[str, list[dict[str, Any]]] = {
    "plain": [{"instruction": "问", "input": "", "output": "答"}],
    "renamed": [{"ask": "问", "say": "答", "told": "系统", "output": "另外"}],
    "talk": [{"msgs": [{"who": "sys", "what": "系统"}, {"who": "me", "what": "问"},
                       {"who": "it", "what": "答"}]}],
    "openai": [{"messages": MESSAGES}],
    "pairs": [{"ask": "问", "good": "答", "bad": "错"}],
    "liked": [{"messages": MESSAGES, "ok": True}, {"messages": MESSAGES, "ok": False}],
}  # fmt: skip
SCHEMA = {"plain": "alpaca", "renamed": "alpaca", "talk": "sharegpt", "openai": "sharegpt",
          "pairs": "preference", "liked": "kto"}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "data"
    place.mkdir()
    (place / "dataset_info.json").write_text(json.dumps(TABLE), "utf-8")
    for name, records in FILES.items():
        (place / f"{name}.json").write_text(json.dumps(records, ensure_ascii=False), "utf-8")
    return place


def gather(out: Path, *paths: str, **fields: Any) -> tuple[list[Conversation], dict[str, Any]]:
    section = ChatDataConfig.model_validate(
        {"sources": [{"path": path} for path in paths], "held_out": 0, **fields}
    )
    report = make_chatdata(section, out, Silent())
    return list(read_conversations(out / "train.parquet")), report


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", ["", "/dataset_info.json"])
def test_a_set_by_name(tmp_path: Path, folder: Path, name: str, place: str) -> None:
    found, report = gather(tmp_path / "out", f"{folder}{place}#{name}")
    assert [[(t.role, t.text) for t in c.turns] for c in found] == [
        [("user", "问"), ("assistant", "答")]
    ]
    assert found[0].system == ("系统" if name in ("renamed", "talk") else "")
    assert found[0].rejected == ("错" if name == "pairs" else "")
    assert list(report["schemas"]) == [SCHEMA[name]]
    assert report["sources"][0]["source"] == name
    assert report["dropped"] == ({"not_liked": 1} if name == "liked" else {})


def test_a_folder_with_a_table_is_read_by_it(tmp_path: Path, folder: Path) -> None:
    (folder / "other.json").write_text(json.dumps([{"question": "怎样", "answer": "好"}]), "utf-8")
    found, report = gather(tmp_path / "out", str(folder), dedup="none")
    assert len(found) == len(FILES) + 1
    assert set(report["schemas"]) == {*SCHEMA.values(), "pairs"}
    assert "dataset_info.json" not in {f["name"] for f in report["sources"][0]["files"]}


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("{}#plian", "did you mean plain"),
        ("{}#far", "is on a hub"),
        ("{}/dataset_info.json", "name one set of it"),
        ("{}/plain.json#plain", "is no dataset_info.json"),
        ("{}#0", "a number above 0"),
    ],
)
def test_a_wrong_name_says_what_there_is(folder: Path, path: str, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        ChatSourceConfig.model_validate({"path": path.format(folder)})


def test_a_broken_table_is_an_error(tmp_path: Path, folder: Path) -> None:
    (folder / "dataset_info.json").write_text('{"plain": 3}', "utf-8")
    with pytest.raises(InputError, match=r"no dataset_info\.json that can be read"):
        read_dataset_info(folder / "dataset_info.json")
    with pytest.raises(ValidationError, match=r"no dataset_info\.json that can be read"):
        ChatSourceConfig.model_validate({"path": f"{folder}#plain"})
    with pytest.raises(InputError, match=r"no dataset_info\.json that can be read"):
        gather(tmp_path / "out", str(folder))
    (folder / "dataset_info.json").write_text('{"plain": {"formatting": "x"}}', "utf-8")
    with pytest.raises(InputError, match="known: alpaca, sharegpt"):
        read_dataset_info(folder / "dataset_info.json")


def test_a_number_is_a_limit(folder: Path) -> None:
    named = ChatSourceConfig.model_validate(
        {"path": "plain.json#12"}, context={"root": str(folder)}
    )
    assert (named.path, named.limit, named.info) == (str(folder / "plain.json"), 12, None)
    both = ChatSourceConfig.model_validate({"path": "#plain#3"}, context={"root": str(folder)})
    assert (both.limit, both.dataset, both.name) == (3, "plain", "plain")
    with pytest.raises(ValidationError, match="not both"):
        ChatSourceConfig.model_validate({"path": f"{folder}/plain.json#12", "limit": 3})
    (folder / "odd#5").write_text("[]")
    odd = ChatSourceConfig.model_validate({"path": f"{folder}/odd#5"})
    assert (Path(odd.path).name, odd.limit) == ("odd#5", None), "a file of that name is that file"


def test_the_identity_covers_the_file_and_the_table_but_not_the_place(
    tmp_path: Path, folder: Path
) -> None:
    def found(place: Path) -> dict[str, Any]:
        return identity(ChatSourceConfig.model_validate({"path": f"{place}#talk"}), Digests(), "")

    first = found(folder)
    moved = Path(shutil.copytree(folder, tmp_path / "moved"))
    assert found(moved) == first
    (moved / "dataset_info.json").write_text(json.dumps({"talk": TABLE["talk"]}), "utf-8")
    assert found(moved) != first
    plain = identity(
        ChatSourceConfig.model_validate({"path": str(folder / "plain.json")}), Digests(), ""
    )
    assert not {"info", "dataset", "splits", "labels"} & set(plain), "older artifacts stay good"


def test_the_published_table(tmp_path: Path, shared_data: Path) -> None:
    source = shared_data / "instructions"
    sets = read_dataset_info(source / "llamafactory" / "dataset_info.json")
    assert len(sets) > 80
    assert sets["dpo_en_demo"].schema == "preference"
    assert sets["ultrafeedback_kto"].schema == "kto"
    for path in (source / "llamafactory" / "dataset_info.json",
                 source / "preference" / "dpo_en_demo.json.gz",
                 source / "multiturn" / "glaive_toolcall_en_demo.json.gz"):  # fmt: skip
        shutil.copy(path, tmp_path)
    paths = [f"{tmp_path}#dpo_en_demo", f"{tmp_path}#glaive_toolcall_en_demo#50"]
    found, report = gather(tmp_path / "out", *paths, model_name="小汉")
    assert {name: row["in"] for name, row in report["schemas"].items()} == {
        "preference": 300, "sharegpt": 300}  # fmt: skip
    assert report["dropped"]["tool_calls"] == 153
    assert sum(bool(c.rejected) for c in found) > 250
    assert report["sources"][1]["kept"] == 50
    assert read_json(tmp_path / "out" / "ledger.json")["totals"]["in"] == 600
