"""Held-out text measured on the way: the right figures, and not a bit of the training changed."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest
import torch
from tiny_models import make_rows

from hanhua.core.config import Machine
from hanhua.core.errors import RecipeError
from hanhua.core.progress import Silent
from hanhua.eval.bits_per_byte import score_texts, summary
from hanhua.eval.forward import CausalModel
from hanhua.model.config import LoraConfig
from hanhua.model.load import load_model, load_tokenizer
from hanhua.text.document import Document
from hanhua.train.config import AverageConfig, StopConfig, TrainConfig, WatchConfig
from hanhua.train.gate import GateState, measures, see
from hanhua.train.log import notes
from hanhua.train.loop import train
from hanhua.train.trackers import numbers
from hanhua.train.watch import HeldOut


@pytest.fixture
def held_out(tiny_llama, sentences):
    """Texts of both languages, one of them longer than the model's context."""
    texts = {name: [*lines[:5], " ".join(lines[:40])] for name, lines in sentences.items()}
    return HeldOut(load_tokenizer(tiny_llama), {
        name: [Document(f"{name}/{i}", text, name, "made", "CC0") for i, text in enumerate(found)]
        for name, found in texts.items()
    })  # fmt: skip


@pytest.fixture
def run(tiny_llama, tmp_path):
    rows = make_rows(tmp_path / "rows")

    def begin(work, held_out=None, progress=None, **values):
        model = load_model(tiny_llama)
        model.config.attention_dropout = 0.1
        for layer in model.model.layers:
            layer.self_attn.attention_dropout = 0.1
        settings = {"precision": "fp32", "learning_rate": 1e-2, "batch_tokens": 128, **values}
        return model, train(
            model, rows, TrainConfig(**settings), work=tmp_path / work, seed=3, held_out=held_out,
            machine=Machine(device="cpu", threads=1, checkpoint_minutes=1e-9),
            progress=progress or Silent(),
        )  # fmt: skip

    return begin


def log(result):
    return [json.loads(line) for line in result.log.read_text().splitlines()]


@pytest.mark.parametrize("lora", [None, LoraConfig(rank=4)], ids=["all", "lora"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_measuring_changes_no_bit(run, held_out, precision, lora):
    _, plain = run("a", precision=precision, lora=lora)
    watch = WatchConfig(every_steps=2)
    _, watched = run("b", held_out, watch=watch, precision=precision, lora=lora)
    assert all(torch.equal(w, watched.weights[name]) for name, w in plain.weights.items())
    lines = log(watched)
    assert [line["step"] for line in lines if "held_out" in line] == [2, 4, 6]
    assert set(lines[0].pop("held_out_start")) == {"en", "zh"}
    for line in lines:
        line.pop("held_out", None)
    assert lines == log(plain)
    assert len(lines) == 6


def test_the_figures_are_those_of_the_evaluation(run, held_out, tiny_llama):
    model, result = run("a", held_out, watch=WatchConfig(every_steps=4, max_chars_per_doc=4000))
    assert [x["step"] for x in log(result) if "held_out" in x] == [4, 6]  # and at the end
    model.set_attn_implementation("sdpa")
    for name, found in (
        ("start", CausalModel.load(tiny_llama)), ("end", CausalModel(model, held_out.tokenizer)),
    ):  # fmt: skip
        for language, documents in held_out.documents.items():
            scores = score_texts(found, documents)
            assert result.facts["held_out"][name][language] == pytest.approx(
                summary(scores, 17, 200)["value"], rel=1e-5
            )
            assert max(score.n_tokens for score in scores) > found.context_tokens


def test_no_held_out_text_is_an_error(run, held_out):
    with pytest.raises(RecipeError, match="no held-out text to watch"):
        run("a", watch=WatchConfig())
    with pytest.raises(RecipeError, match="may stop the training") as error:
        run("b", held_out, stop=StopConfig(language="ja"))
    assert "there is en, zh" in error.value.message


def test_when_it_is_measured():
    assert [s for s in range(101) if measures(WatchConfig(), s, 100)] == list(range(10, 101, 10))
    assert [s for s in range(8) if measures(WatchConfig(every_steps=3), s, 7)] == [3, 6, 7]
    assert [s for s in range(4) if measures(WatchConfig(), s, 3)] == [1, 2, 3]
    assert not any(measures(None, s, 3) for s in range(4))


def test_the_gate_counts_measurements_in_a_row():
    rule, state, ends = StopConfig(max_rise_bits=0.1, patience=2), GateState({"en": 1.0}), []
    for step, bits in enumerate([1.05, 1.2, 1.09, 1.2, 1.3], 1):
        state = see(rule, state, step, {"en": bits, "zh": 9.0})
        ends.append((state.strikes, state.good_step, state.stopped_at))
    assert ends == [(0, 1, None), (1, 1, None), (0, 3, None), (1, 3, None), (2, 3, 5)]
    lost = see(rule, GateState({"en": 1.0}), 1, {"en": float("nan")})
    assert lost.strikes == 1


def measured(model, held_out, language):
    """Bits per byte by the evaluation."""
    model.set_attn_implementation("sdpa")
    scores = score_texts(CausalModel(model, held_out.tokenizer), held_out.documents[language])
    return summary(scores, 17, 200)["value"]


def test_of_an_average_the_end_is_of_what_is_saved(run, held_out):
    watch, average = WatchConfig(max_chars_per_doc=4000), AverageConfig(half_life_steps=10.0)
    model, found = run("w", held_out, watch=watch, average=average)
    ends = found.facts["held_out"]
    assert ends["last_step"] == log(found)[-1]["held_out"]
    for language, value in ends["last_step"].items():
        assert value == pytest.approx(measured(model, held_out, language), abs=2e-6)
    for name, parameter in model.named_parameters():
        parameter.data.copy_(found.weights[name])
    for language, value in ends["end"].items():
        assert value == pytest.approx(measured(model, held_out, language), abs=2e-6)
        assert abs(value - ends["last_step"][language]) > 0.01


def test_the_last_model_within_the_gate_goes_on(run, held_out):
    """Rows of another text, so that the held-out text is unlearnt in the end."""
    watch = WatchConfig(every_steps=1, max_chars_per_doc=4000)
    settings = {"learning_rate": 3e-2, "epochs": 4.0, "watch": watch}
    _, free = run("free", held_out, **settings)
    bits = [log(free)[0]["held_out_start"]["en"], *(x["held_out"]["en"] for x in log(free))]
    rises = [x - bits[0] for x in bits]
    kept = next(i for i in range(2, 20) if max(rises[: i + 1]) < min(rises[i + 1 : i + 3]))
    limit = (max(rises[: kept + 1]) + min(rises[kept + 1 : kept + 3])) / 2
    stop = StopConfig(language="en", max_rise_bits=limit, patience=2)
    for _ in range(2):  # the second takes up what a run leaves that is killed at its very end
        model, stopped = run("stopped", held_out, stop=stop, **settings)
        lines, found = log(stopped), stopped.facts["stopped"]
        assert (found["at_step"], found["kept_step"], found["language"]) == (kept + 2, kept, "en")
        assert found["rise_bits"] == pytest.approx(rises[kept + 2], abs=1e-6)
        assert lines[-1]["stopped"] == found
        assert [x["held_out"] for x in lines] == [x["held_out"] for x in log(free)[: kept + 2]]
        assert (stopped.steps, stopped.tokens) == (kept, lines[kept - 1]["tokens"])
        assert measured(model, held_out, "en") == pytest.approx(bits[kept], rel=1e-5)
        ends = stopped.facts["held_out"]["end"]  # of the model that goes on, not of the last step
        assert ends["en"] == bits[kept] != bits[kept + 2]
    assert kept + 2 < free.steps


def test_a_gate_that_is_never_passed_leaves_the_start(run, held_out):
    stop = StopConfig.model_construct(language="en", max_rise_bits=-9.0, patience=1)
    watch = WatchConfig(every_steps=1, max_chars_per_doc=4000)
    model, result = run("a", held_out, stop=stop, watch=watch)
    assert (result.steps, result.tokens, result.loss) == (0, 0, None)
    assert len(log(result)) == 1
    start = log(result)[0]["held_out_start"]["zh"]
    assert measured(model, held_out, "zh") == pytest.approx(start, rel=1e-5)
    assert result.facts["held_out"]["end"]["zh"] == start


class Interrupted(Silent):
    """Progress that breaks the run off at its n-th step."""

    def __init__(self, left):
        self.left = left

    @contextmanager
    def bar(self, *args, **kwargs):
        yield self

    def advance(self, *args, **notes):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def test_a_watched_run_that_was_broken_off_is_the_same_to_the_bit(run, held_out):
    values = {"watch": WatchConfig(every_steps=2), "stop": StopConfig(max_rise_bits=9.0)}
    _, whole = run("whole", held_out, **values)
    for steps in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            run("broken", held_out, progress=Interrupted(steps), **values)
    _, broken = run("broken", held_out, **values)
    assert log(broken) == log(whole)
    assert broken.facts == whole.facts
    assert all(torch.equal(w, broken.weights[name]) for name, w in whole.weights.items())
    assert set(log(broken)[0]["held_out_start"]) == {"en", "zh"}


def test_bar_and_trackers_get_every_language(run, held_out):
    _, result = run("a", held_out, watch=WatchConfig(every_steps=1))
    line = log(result)[-1]
    shown = notes(line)
    assert shown["zh"] == line["losses"]["zh"]
    assert shown["en bits/byte"] == line["held_out"]["en"]
    values = dict(numbers(line))
    assert values["loss/zh"] == line["losses"]["zh"]
    assert values["bits_per_byte/en"] == line["held_out"]["en"]
