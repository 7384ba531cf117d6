"""Our own sets and the refusals: read by the real stage, with the model's name and maker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hanhua.chat.config import ChatDataConfig
from hanhua.chat.conversation import read_conversations
from hanhua.chat.identity import Identity, claim
from hanhua.chat.schemas.refusal import REFUSALS
from hanhua.core.config import Machine
from hanhua.core.errors import InputError
from hanhua.core.files import read_json
from hanhua.core.progress import Silent
from hanhua.core.stage import Context
from hanhua.stages.chatdata import STAGE


def made(out: Path, source: dict[str, Any], **fields: Any) -> tuple[list[Any], dict[str, Any]]:
    out.mkdir(exist_ok=True)
    section = ChatDataConfig.model_validate({"sources": [source], "held_out": 0, **fields})
    STAGE.run(Context(config=section, inputs={}, out=out, work=out, seed=17, machine=Machine(),
                      progress=Silent()))  # fmt: skip
    return list(read_conversations(out / "train.parquet")), read_json(out / "ledger.json")


def test_identity_says_name_and_maker_in_both_languages(tmp_path: Path):
    found, ledger = made(
        tmp_path, {"builtin": "identity"}, model_name="小汉", model_maker="汉化实验室"
    )
    assert ledger["totals"]["kept"] == ledger["totals"]["in"] == len(found) > 120
    assert {c.language for c in found} == {"zh", "en"}
    assert all("小汉" in c.target_text for c in found)
    assert sum("汉化实验室" in c.target_text for c in found) > 25
    own = Identity("小汉", "汉化实验室")
    assert [c.target_text for c in found if claim(c, own) or "{{" in c.target_text] == []
    assert any("ChatGPT" in c.user_text for c in found)  # also asked whether it is another
    assert {(c.source, c.licence) for c in found} == {("hanhua-identity", "Apache-2.0")}


def test_without_a_maker_nobody_is_named_as_maker(tmp_path: Path):
    found, ledger = made(tmp_path, {"builtin": "identity"}, model_name="小汉")
    assert 80 < len(found) < ledger["totals"]["in"]
    assert set(ledger["totals"]["dropped"]) == {"name_blank"}
    with pytest.raises(InputError, match="Nothing in this file can be used"):
        made(tmp_path / "nameless", {"builtin": "identity"})


def test_harmless_look_alikes_are_answered(tmp_path: Path):
    found, ledger = made(tmp_path, {"builtin": "harmless", "limit": 20})
    assert len(found) == 20
    assert ledger["totals"]["dropped"] == {"over_limit": ledger["totals"]["in"] - 20}
    refusals = {text for texts in REFUSALS.values() for text in texts}
    assert not any(c.target_text in refusals for c in found)


def test_prompts_become_refusals_in_their_language(tmp_path: Path):
    (tmp_path / "prompts.csv").write_text(
        "prompt,label\nPrompt one?,unsafe\nPrompt two?,safe\n第三个问题？,unsafe\n,unsafe\n",
        "utf-8",
    )
    source = {"path": str(tmp_path / "prompts.csv"), "schema": "refusal"}
    found, ledger = made(tmp_path / "out", source)
    assert [c.language for c in found] == ["en", "zh"]
    assert all(c.target_text in REFUSALS[c.language] for c in found)
    assert ledger["totals"]["dropped"] == {"harmless": 1, "wrong_fields": 1}
    again, _ = made(tmp_path / "again", source)
    assert [c.target_text for c in again] == [c.target_text for c in found]


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ({"builtin": "identity", "path": "x.json"}, "not both"),
        ({"builtin": "identify"}, "there are identity and harmless"),
        ({"builtin": ["identity"]}, "there are identity and harmless"),
    ],
)
def test_a_source_is_a_path_or_one_of_ours(source: dict[str, Any], match: str):
    with pytest.raises(ValidationError, match=match):
        ChatDataConfig.model_validate({"sources": [source]})
