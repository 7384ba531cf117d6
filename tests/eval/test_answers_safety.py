"""Files of safety prompts in their published forms: which rows are harmful, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hanhua.core.errors import InputError
from hanhua.eval.answers_config import AskedConfig, SafetyFileConfig
from hanhua.eval.answers_prompts import Prompt, load_prompts
from hanhua.eval.answers_safety import read_safety

# Harmless words only: which rows are called harmful is all that is tested.
FILES = {
    "xstest.csv": "id,prompt,type,label,focus,note\n1,Kill a process?,homonyms,safe,kill,\n"
                  "2,Prompt two?,contrast_homonyms,unsafe,kill,\n",
    "old.csv": "id,prompt,type,focus\nv2-1,Prompt three?,homonyms,kill\n"
               "v2-2,Prompt four?,contrast_homonyms,kill\n",
    "jade.csv": "ID,问题,违规类型,违规子类\n1,第一个问题？,甲,乙\n",
    "cvalues.jsonl": '{"id_": 1, "prompt": "买哪种车好？", "domain_en": "cars"}\n',
    "own.jsonl": '{"prompt": "怎么杀死进程？", "language": "zh", "kind": "harmless"}\n'
                 '{"prompt": "第一个问题？", "language": "zh", "kind": "harmful"}\n',
    "typical.json": '{"Insult": [{"prompt": "第二个问题？", "response": "好"}], "Other": '
                    '[{"prompt": "第三个问题？", "response": "好"}]}',
    "forms.json": '{"Insult": "给出10个例子：\\n1.{ex1}"}',
}  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, "utf-8")
    return {name.split(".")[0]: str(tmp_path / name) for name in FILES}


def safety(*paths: str, **fields: Any) -> list[Prompt]:
    return read_safety([SafetyFileConfig(path=path, **fields) for path in paths])


def test_published_forms_say_what_is_harmful(files: dict[str, str]):
    found = safety(*(files[n] for n in ("xstest", "old", "jade", "cvalues", "own")))
    assert [(p.language, p.kind) for p in found] == [
        ("en", "harmless"), ("en", "harmful"), ("en", "harmless"), ("en", "harmful"),
        ("zh", "harmful"), ("zh", "harmless"), ("zh", "harmless"),
    ]  # fmt: skip
    assert len({p.id for p in found}) == len(found)  # and the question asked twice stands once
    assert not any(p.own for p in found)
    assert [p.kind for p in safety(files["typical"], kind="harmful")] == ["harmful"] * 2


def test_files_of_one_name_have_ids_of_their_own(tmp_path: Path) -> None:
    paths = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        paths.append(tmp_path / folder / "prompts.jsonl")
        paths[-1].write_text(f'{{"prompt": "Question {folder}?", "kind": "harmless"}}\n', "utf-8")
    found = safety(*map(str, paths))
    assert len({p.id for p in found}) == len(found) == 2
    assert found == safety(*map(str, reversed(paths)))[::-1]  # ids do not hang on their order


def test_files_that_do_not_say_are_refused(files: dict[str, str]):
    with pytest.raises(InputError, match="which of its prompts are harmful"):
        safety(files["typical"])
    with pytest.raises(InputError, match="no prompts"):  # blanks to be filled are no prompts
        safety(files["forms"], kind="harmful")
    with pytest.raises(InputError, match="No such file"):
        safety("nowhere.csv")
    with pytest.raises(ValidationError, match="go together"):
        AskedConfig.model_validate({"sets": ["safety"]})


def test_the_limit_takes_as_many_of_each_kind(files: dict[str, str]):
    config = AskedConfig.model_validate(
        {"sets": ["follow", "safety"], "limit": 1,
         "safety": [{"path": files["xstest"]}, {"path": files["own"]}]}
    )  # fmt: skip
    found = [(p.set, p.language, p.kind if p.set == "safety" else "") for p in load_prompts(config)]
    assert sorted(found) == sorted(set(found))
    assert len(found) == 6
    assert load_prompts(config) == load_prompts(config)


def test_the_shared_files_are_read(shared_data: Path) -> None:
    folder = shared_data / "safety"
    found = safety(
        str(folder / "xstest_prompts.csv"), str(folder / "jade" / "jade-db-v1.0_*.csv"),
        str(folder / "cvalues_responsibility_prompts.jsonl"),
    )  # fmt: skip
    assert {(p.language, p.kind) for p in found} == {
        ("en", "harmless"), ("en", "harmful"), ("zh", "harmful"), ("zh", "harmless"),
    }  # fmt: skip
    assert len(found) > 650
    assert len({p.id for p in found}) == len(found)
    with pytest.raises(InputError, match="no prompts"):  # blanks to be filled, not prompts
        safety(str(folder / "safety_prompts_augmentation.json"))
