"""``hanhua study scratch`` on a small project: two arms, equal rows, an answer and a page."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO

import pytest

from hanhua.cli import app, study
from hanhua.core.artifact import Artifact
from hanhua.core.errors import HanhuaError, RecipeError, UsageError
from hanhua.core.walk import plan
from hanhua.eval.bits_per_byte import choose
from hanhua.mix.domain_corpus import domain_losses
from hanhua.recipe import load_recipe
from hanhua.stages.study import arm_walk
from hanhua.text.shards import read_language

from .conftest import Done, make_project

assert study  # it adds its command to the app
ASKED = ("--tokens", "1280", "--lengths", "2")


def call(project, *arguments):
    """The command in this process: starting Python costs more than the small runs."""
    out, err = StringIO(), StringIO()
    with chdir(project.folder), redirect_stdout(out), redirect_stderr(err):
        app(args=["study", "scratch", *arguments], standalone_mode=False)
    return Done(0, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def studied(tmp_path_factory, tiny_llama, sentences):
    """A small project that was studied once; and what that call printed."""
    project = make_project(tmp_path_factory.mktemp("studied") / "project", tiny_llama, sentences)
    phases = (
        "  batch_tokens: 64\n  phases:\n"
        "    - {train: new_rows, share: 0.3, learning_rate: 4e-3}\n    - {train: all}\n"
    )
    project.edit("  batch_tokens: 512\n", phases)
    small = "mix: {docs: 2, moments: 4}\nmachine: {threads: 1, workers: 1}"
    project.edit("machine: {threads: 1}", small)
    return project, call(project, "recipe.yaml", *ASKED, "--seeds", "2", "--json")


def folder(project):
    return project.folder / "runs" / "small-scratch"


def artifacts(project, stage):
    paths = sorted(folder(project).glob(f"{stage}-*/record.json"))
    return [Artifact.load(path.parent) for path in paths]


def test_the_answer_is_one_json_object(studied):
    project, done = studied
    found = done.json
    assert json.loads((folder(project) / "scratch.json").read_text(encoding="utf-8")) == found
    assert set(found["languages"]) == {"zh", "en", "both"}
    assert len(found["lengths"]) == found["seeds"] == 2
    for one in found["languages"].values():
        assert [point["tokens"] for point in one["points"]] == pytest.approx(found["lengths"], 1e-3)
        for point in one["points"]:
            gap = point["scratch"] - point["localised"]
            assert point["gap"] == pytest.approx(gap, abs=3e-6)
            assert point["low"] <= point["gap"] <= point["high"]
        assert one["points"][-1]["localised"] < one["start"]["loss"] or one["start"]["loss"] < 1.1
        assert one["overtakes"]["kind"] in ("before", "within", "beyond")
    assert "scratch or continue: 2 lengths" in done.err
    # the base is random itself and the runs are short: nobody could tell
    unsure = [not one["overtakes"]["sure"] for one in found["languages"].values()]
    assert done.err.count("CANNOT TELL") == sum(unsure)


def test_both_arms_read_the_same_rows_and_begin_at_other_weights(studied):
    project, done = studied
    pretrained = artifacts(project, "pretrain")
    assert len(pretrained) == 8
    inputs = [one.record["inputs"] for one in pretrained]
    begun = {one["model"]["stage"] for one in inputs}
    assert begun == {"expand", "anew"}
    for stage in begun:
        of_arm = [one for one in inputs if one["model"]["stage"] == stage]
        assert len(of_arm) == 4
    # two draws: two orders of rows, two random models, one expanded base
    assert len({one["tokens"]["fingerprint"] for one in inputs}) == 2
    assert len({one["model"]["fingerprint"] for one in inputs}) == 3
    both = done.json["compute"]
    assert both["localised"]["tokens"] == both["scratch"]["tokens"]
    assert 0 < both["localised"]["flops"] < both["scratch"]["flops"]  # a phase froze weights
    # the first steps of the arms read the same text: as many targets of each language
    logs = {}
    for one in pretrained:
        lines = [json.loads(x) for x in (one.path / "log.jsonl").read_text("utf-8").splitlines()]
        key = one.record["inputs"]["tokens"]["fingerprint"], len(lines)
        logs.setdefault(key, []).append([(x["targets"], x["tokens"]) for x in lines])
    assert len(logs) == 4
    assert all(len(pair) == 2 and pair[0] == pair[1] for pair in logs.values())


def test_scratch_learns_all_weights_from_its_first_step(studied):
    project, done = studied
    for one in artifacts(project, "pretrain"):
        phases = one.record["identity"]["phases"]
        if one.record["inputs"]["model"]["stage"] == "anew":
            assert [phase["train"] for phase in phases] == ["all"]
            assert one.record["identity"]["learning_rate"] == 1e-3
        else:
            assert [phase["train"] for phase in phases] == ["new_rows", "all"]
    assert any("phases that train new_rows only" in note for note in done.json["notes"])


@pytest.mark.parametrize("average", ["{last_share: 0.6}", "{half_life_steps: 30}"])
def test_what_is_compared_is_what_was_saved(studied, tmp_path, average):
    copy = type(studied[0])(tmp_path / "copy")
    shutil.copytree(studied[0].folder, copy.folder)
    for gone in folder(copy).glob("pretrain-*"):
        shutil.rmtree(gone)
    given = ("--seeds", "1", "--set", f"pretrain.average={average}", "--json")
    done = call(copy, "recipe.yaml", *ASKED, *given)
    corpus = next(folder(copy).glob("corpus-*"))
    texts = {
        name: choose(list(read_language(corpus, name, "held_out")), 2, 1000)
        for name in ("zh", "en")
    }
    half_lives, apart = set(), 0.0
    for one in artifacts(copy, "pretrain"):
        saved = domain_losses(one.path / "model", texts)
        last = json.loads((one.path / "log.jsonl").read_text("utf-8").splitlines()[-1])
        arm = "scratch" if one.record["inputs"]["model"]["stage"] == "anew" else "localised"
        for name in texts:
            points = done.json["languages"][name]["points"]
            (point,) = (p for p in points if p["tokens"] == last["tokens"])
            assert point[arm] == pytest.approx(saved[name], abs=1e-6)
            apart = max(apart, abs(saved[name] - last["held_out"][name]))
        half_lives.add((one.record["identity"].get("average") or {}).get("half_life_steps"))
    assert apart > 0.01  # the mean is another model than the last step's
    assert any("models that are saved" in note for note in done.json["notes"])
    if "half_life" in average:  # of a recipe that reads 6000 tokens
        assert half_lives == {None, *(round(30 * tokens / 6000, 3) for tokens in (640, 1280))}


def test_what_both_arms_share_is_made_once(studied):
    project, _ = studied
    made = [path.name.rpartition("-")[0] for path in folder(project).glob("*-*") if path.is_dir()]
    assert {name: made.count(name) for name in made} == {
        "base": 1, "corpus": 1, "vocab": 1, "expand": 1, "anew": 2, "tokens": 2, "pretrain": 8,
    }  # fmt: skip


def test_a_second_call_runs_only_what_is_missing(studied, tmp_path):
    project, done = studied
    copy = type(project)(tmp_path / "copy")
    shutil.copytree(project.folder, copy.folder)
    gone = next(
        one.path for one in artifacts(copy, "pretrain")
        if one.record["inputs"]["model"]["stage"] == "anew"
    )  # fmt: skip
    shutil.rmtree(gone)
    again = call(copy, "recipe.yaml", *ASKED, "--seeds", "2", "--json")
    assert again.err.count("pretrain: continue pretraining") == 1
    assert again.err.count("done before") > 7
    assert gone.is_dir()
    for key in ("languages", "moments", "lengths"):
        assert again.json[key] == done.json[key]  # the one made again is the one that was
    # what a kill left of another run is there still after finished runs were read
    left = folder(copy) / ".building/pretrain-killed/work"
    left.mkdir(parents=True)
    call(copy, "recipe.yaml", *ASKED, "--seeds", "2")
    assert left.is_dir()
    # another learning rate for scratch leaves the other arm as it is
    rate = ("--scratch-learning-rate", "3e-3", "--lengths", "2", "--tokens", "1280")
    other = call(copy, "recipe.yaml", *rate, "--json")
    assert other.err.count("pretrain: continue pretraining") == 2
    assert other.json["seeds"] == 1
    assert "peak learning rate 0.003" in other.json["notes"][0]


def test_the_page_asks_nothing_of_the_network(studied):
    project, _ = studied
    page = (folder(project) / "scratch.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 3
    assert "<circle" in page
    assert "从零训练" in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_draw_nothing_is_the_recipes_own_rows(studied):
    project, _ = studied
    recipe = load_recipe(project.recipe)

    def prints(walk):
        with chdir(project.folder):
            return {step.name: step.fingerprint for step in plan(walk, "pretrain")}

    own = recipe.walk(project.folder / "runs")
    walks = [arm_walk(own, scratch=s, draw=d) for s, d in ((False, 0), (True, 0), (False, 1))]
    plain, local, scratch, drawn = prints(own), *map(prints, walks)
    assert local == plain
    assert scratch.keys() - plain.keys() == {"anew"}
    assert {name for name in plain if scratch[name] != plain[name]} == {"pretrain"}
    assert {name for name in plain if drawn[name] != plain[name]} == {"tokens", "pretrain"}
    alone = recipe.model_copy(update={"vocab": None, "expand": None})
    nodes = arm_walk(alone.walk(project.folder / "runs"), scratch=True).nodes
    assert {node.stage.name: dict(node.inputs) for node in nodes}["anew"] == {"model": "base"}


WRONG = [
    (["--tokens", "100"], UsageError, "make no 4 lengths"),
    ([*ASKED, "--scratch-learning-rate", "0"], UsageError, "scratch-learning-rate"),
    ([*ASKED, "--set", "corpus.held_out_docs=0"], RecipeError, "corpus.held_out_docs"),
    ([*ASKED, "--set", "pretrain=null", "--set", "tokens=null"], RecipeError, "nothing to compare"),
    ([*ASKED, "--set", "tokens.shares={en: 1.0}"], RecipeError, "rows hold no zh"),
    ([*ASKED, "--set", "base={scratch: {}, tokenizer: base}"], RecipeError, "random weights"),
]


@pytest.mark.parametrize(("arguments", "kind", "part"), WRONG, ids=lambda v: str(v)[:30])
def test_wrong_input_is_told_before_anything_runs(studied, tmp_path, arguments, kind, part):
    project, _ = studied
    with pytest.raises(HanhuaError, match=part) as error:
        call(project, "recipe.yaml", "--runs", str(tmp_path / "runs"), *arguments)
    assert type(error.value) is kind
    assert error.value.fix
    assert not (tmp_path / "runs").exists()


def test_many_processes_are_refused(studied, monkeypatch):
    monkeypatch.setitem(os.environ, "WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="torchrun"):
        call(studied[0], "recipe.yaml", *ASKED)
