"""Loss on held-out answers: by language and domain, in the log, and nothing of training changed."""

from __future__ import annotations

import json

import pytest
import torch
from tiny_models import make_llama, make_rows

from hanhua.chat.conversation import Conversation, Turn, write_conversations
from hanhua.chat.template import get_template
from hanhua.core.config import Machine
from hanhua.core.progress import Silent
from hanhua.model.load import load_tokenizer
from hanhua.train.answers import AnswerWatch, HeldOutAnswers, find_answers
from hanhua.train.config import AverageConfig
from hanhua.train.finetune_config import AnswersConfig, FinetuneConfig
from hanhua.train.loop import train
from hanhua.train.packed import enable
from hanhua.train.shard import Root
from hanhua.train.trackers import numbers


@pytest.fixture(scope="module")
def held_out(tmp_path_factory):
    rows = make_rows(tmp_path_factory.mktemp("answers") / "held", n_rows=9, has_targets=True)
    one = tuple(rows.row(i) for i in range(0, 9, 3))  # of one document each
    return HeldOutAnswers(one, ("en", "zh", "en"), ("law", "", "food"))


def test_it_is_the_mean_over_tokens_of_each_group(held_out):
    model = make_llama()
    plain = make_llama()
    enable(model)
    model.train()
    found = AnswerWatch(Root(model), AnswersConfig(), held_out, 64).measure()
    assert model.training
    sums = []
    for row in held_out.rows:
        ids = torch.from_numpy(row.tokens.astype("int64"))[None]
        with torch.no_grad():
            logits = plain.eval()(ids).logits[0, :-1]
        losses = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none")
        targets = torch.from_numpy(row.targets[1:])
        sums.append((float(losses[targets].sum()), int(targets.sum())))
    english = (sums[0][0] + sums[2][0]) / (sums[0][1] + sums[2][1])
    assert found["languages"]["en"] == pytest.approx(english, rel=1e-5)
    assert found["languages"]["zh"] == pytest.approx(sums[1][0] / sums[1][1], rel=1e-5)
    assert set(found["domains"]) == {"law", "food"}
    assert found["domains"]["law"] == pytest.approx(sums[0][0] / sums[0][1], rel=1e-5)


def test_a_run_that_is_measured_learns_the_same(tmp_path, held_out):
    rows = make_rows(tmp_path / "rows", has_targets=True)
    found = []
    for name, answers in (("with", held_out), ("without", None)):
        config = FinetuneConfig(
            precision="fp32", learning_rate=1e-2, batch_tokens=128, neftune_alpha=5.0,
            answers=AnswersConfig(every_steps=2),
        )  # fmt: skip
        found.append(train(
            make_llama(attention_dropout=0.1), rows, config, work=tmp_path / name, seed=3,
            machine=Machine(device="cpu", threads=1), progress=Silent(), answers=answers,
        ))  # fmt: skip
    assert all(torch.equal(w, found[1].weights[name]) for name, w in found[0].weights.items())
    lines = [json.loads(line) for line in found[0].log.read_text().splitlines()]
    measured = [line["step"] for line in lines if "answers" in line]
    assert measured == [s for s in range(1, len(lines) + 1) if s % 2 == 0 or s == len(lines)]
    assert len(measured) > 2
    assert "answers_start" in lines[0]
    facts = found[0].facts["answers"]
    assert facts["end"]["languages"]["en"] < facts["start"]["languages"]["en"]
    assert "answers" not in found[1].facts
    assert dict(numbers(lines[-1]))["answers/domains/law"] == facts["end"]["domains"]["law"]


def test_of_an_average_the_end_is_of_what_is_saved(tmp_path, held_out):
    config = FinetuneConfig(
        precision="fp32", learning_rate=1e-2, batch_tokens=128, answers=AnswersConfig(),
        average=AverageConfig(half_life_steps=10.0),
    )  # fmt: skip
    model, rows = make_llama(), make_rows(tmp_path / "rows", has_targets=True)
    found = train(
        model, rows, config, work=tmp_path / "w", seed=3, progress=Silent(), answers=held_out,
        machine=Machine(device="cpu", threads=1),
    )  # fmt: skip
    ends = found.facts["answers"]
    watch = AnswerWatch(Root(model), AnswersConfig(), held_out, 64)
    assert ends["last_step"]["languages"] == pytest.approx(watch.measure()["languages"], abs=2e-6)
    for name, parameter in model.named_parameters():
        parameter.data.copy_(found.weights[name])
    assert ends["end"]["languages"] == pytest.approx(watch.measure()["languages"], abs=2e-6)
    assert ends["end"] != ends["last_step"]


def test_conversations_are_taken_evenly_of_each_language(tmp_path, tiny_llama):
    tokenizer, template = load_tokenizer(tiny_llama), get_template("hanhua")
    talks = [
        Conversation(f"c/{i}", "", (Turn("user", "Tom?"), Turn("assistant", "a" * (i + 1))),
                     ("zh", "en")[i % 2], domain=("", "law", f"d{i}")[i // 2 % 3])
        for i in range(48)
    ]  # fmt: skip
    write_conversations(tmp_path / "held_out.parquet", talks)
    found = find_answers(tmp_path / "held_out.parquet", tokenizer, template, 64, 12)
    assert found is not None
    assert sorted(found.languages) == ["en"] * 12 + ["zh"] * 12
    assert {"law", ""} < set(found.domains)
    assert len(set(found.domains) - {""}) == 6  # of nine
    lengths = [len(row.tokens) for row in found.rows]
    assert max(lengths) > 2 * min(lengths)  # from the whole file
    assert find_answers(tmp_path / "none.parquet", tokenizer, template, 64, 10) is None
