"""The stage prefer on a tiny chat model: real files in, a better model and its figures out."""

from __future__ import annotations

import json
import random
import shutil

import pytest
from test_stages import run

from hanhua.chat.template import get_template
from hanhua.core.artifact import Artifact
from hanhua.core.errors import ModelError
from hanhua.model.load import load_model, load_tokenizer
from hanhua.stages import prefer
from hanhua.train.prefer_config import PreferConfig


@pytest.fixture(scope="module")
def pairs(tmp_path_factory, sentences):
    """Of two answers the one that names the market is better, in both languages."""
    folder = tmp_path_factory.mktemp("pairs")
    pick = random.Random(5)
    lines = []
    for i in range(180):
        language = ("en", "zh")[i % 2]
        word = {"en": "market", "zh": "市场"}[language]
        good = [s for s in sentences[language] if word in s]
        bad = [s for s in sentences[language] if word not in s]
        lines.append({
            "prompt": f"{i}?", "chosen": pick.choice(good), "rejected": pick.choice(bad)
        })  # fmt: skip
    lines += [{"prompt": "x" * 500, "chosen": "a", "rejected": "b"}, {**lines[0]},
              {"prompt": "same", "chosen": "a", "rejected": "a"}]  # fmt: skip
    path = folder / "pairs.json"
    path.write_text(json.dumps(lines, ensure_ascii=False), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def chat(tmp_path_factory, tiny_llama):
    """A base that has a template."""
    folder = tmp_path_factory.mktemp("chat")
    shutil.copytree(tiny_llama, folder / "model")
    load_tokenizer(tiny_llama).save_pretrained(folder / "model")
    (folder / "model" / "chat_template.jinja").write_text(get_template("hanhua").jinja)
    return Artifact(folder, "base", "0" * 64, {})


def section(pairs, **values):
    settings = {
        "sources": [{"path": str(pairs), "licence": "CC0"}], "seq_len_tokens": 96,
        "batch_tokens": 192 * 8, "learning_rate": 1e-2, "held_out": 9, "precision": "fp32",
        }  # fmt: skip
    return PreferConfig(**{**settings, **values})


@pytest.mark.parametrize("values", [{}, {"method": "simpo", "lora": {"rank": 8}}])
def test_it_learns_which_answer_is_better(chat, pairs, tmp_path, values):
    done = run(prefer, section(pairs, **values), tmp_path / "out", {"model": chat})
    found = done.metrics["held_out_pairs"]
    assert found["all"]["n"] == done.counts["held_out"] == 18
    assert set(found) == {"all", "en", "zh"}
    assert found["all"]["after"]["accuracy"]["value"] >= 0.9
    assert found["all"]["before"]["accuracy"]["value"] < 0.8
    change = found["all"]["change"]["margin"]
    assert change["value"] > 4 * change["se"]
    assert done.counts["pairs"]["prompt_too_long"] == 1
    assert done.metrics["dropped"] == {"duplicate": 1, "identical_answers": 1}
    assert sum(done.counts["pairs_by_language"].values()) == done.counts["rows"] == 180 - 18
    assert done.metrics["template"] == "hanhua"
    ledger = json.loads((done.path / "ledger.json").read_text())
    assert ledger["sources"][0]["licence"] == "CC0"
    assert load_tokenizer(done.path / "model").chat_template == get_template("hanhua").jinja
    assert load_model(done.path / "model").generation_config.eos_token_id == 2
    lines = [json.loads(x) for x in (done.path / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["accuracy"] > 0.8
    assert {"margins", "accuracies", "losses", "pairs"} <= set(lines[0])
    assert (done.path / "adapter").is_dir() == ("lora" in values)


def test_a_model_without_a_template_needs_one_named(tiny_llama, pairs, tmp_path):
    (tmp_path / "base").mkdir()
    shutil.copytree(tiny_llama, tmp_path / "base" / "model")
    base = Artifact(tmp_path / "base", "base", "0" * 64, {})
    with pytest.raises(ModelError, match="no chat template") as error:
        run(prefer, section(pairs), tmp_path / "out", {"model": base})
    assert "prefer.template" in str(error.value.fix)
    named = section(pairs, template="chatml", steps=1)
    with pytest.raises(ModelError, match="lacks tokens of the chat template"):
        run(prefer, named, tmp_path / "other", {"model": base})
    named = section(pairs, template="hanhua", steps=1, held_out=0)
    done = run(prefer, named, tmp_path / "named", {"model": base})
    assert load_tokenizer(done.path / "model").chat_template == get_template("hanhua").jinja
    assert done.metrics["held_out_pairs"] == {}
