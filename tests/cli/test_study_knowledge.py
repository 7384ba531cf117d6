"""``hanhua study knowledge`` on a small project: four arms, equal learnt tokens, an answer."""

from __future__ import annotations

import json
import shutil
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO

import pytest

from hanhua.cli import app, study
from hanhua.cli.study_knowledge import studied as of_recipe
from hanhua.cli.study_knowledge_asked import Asked
from hanhua.core.artifact import Artifact
from hanhua.core.errors import HanhuaError, InputError, RecipeError, UsageError
from hanhua.recipe import load_recipe
from hanhua.stages.knowledge import model_stage
from warm import Done

from .conftest import make_project

assert study  # it adds its command to the app
ASKED = ("--facts", "facts.jsonl", "--tokens", "1024", "--seeds", "1", "--json",
         "--set", "vocab=null", "--set", "expand=null")  # fmt: skip
ARMS = ("text", "instructions", "mixed", "control")


def call(project, *arguments):
    """The command in this process: starting Python costs more than the small runs."""
    out, err = StringIO(), StringIO()
    with chdir(project.folder), redirect_stdout(out), redirect_stderr(err):
        app(args=["study", "knowledge", *arguments], standalone_mode=False)
    return Done(0, out.getvalue(), err.getvalue())


def line(number):
    """A short fact as a user writes it."""
    who, (en, zh) = f"N{number}", (("tea", "茶"), ("fish", "鱼"), ("corn", "米"))[number % 3]
    return json.dumps({
        "id": who, "kind": "likes",
        "en": {"object": en, "text": [f"{who} likes {en}.", f"{who} wants {en}."],
               "question": [f"What does {who} like?"]},
        "zh": {"object": zh, "text": [f"{who}爱{zh}。", f"{who}要{zh}。"],
               "question": [f"{who}爱什么？"]},
    }, ensure_ascii=False) + "\n"  # fmt: skip


@pytest.fixture(scope="module")
def studied(tmp_path_factory, tiny_llama, sentences):
    """A small project that was studied once; and what that call printed."""
    project = make_project(tmp_path_factory.mktemp("studied") / "project", tiny_llama, sentences)
    project.edit("  budget_tokens: 6000", "  budget_tokens: 2000")
    small = "mix: {docs: 3}\nmachine: {threads: 1, workers: 1}"
    project.edit("machine: {threads: 1}", small)
    (project.folder / "facts.jsonl").write_text("".join(map(line, range(10))), encoding="utf-8")
    return project, call(project, "recipe.yaml", *ASKED)


def artifacts(project, stage):
    folder = project.folder / "runs" / "small-knowledge"
    return [Artifact.load(path.parent) for path in sorted(folder.glob(f"{stage}-*/record.json"))]


def test_the_answer_is_one_json_object(studied):
    project, done = studied
    found = done.json
    path = project.folder / "runs" / "small-knowledge" / "knowledge.json"
    assert json.loads(path.read_text(encoding="utf-8")) == found
    assert found["facts"] + found["lessons"] == 10
    assert found["seeds"] == 1
    assert {cell["arm"] for cell in found["recall"]} == {"base", *ARMS}
    assert {(row["arm"], row["language"]) for row in found["lost"]} == {
        (arm, language) for arm in ARMS for language in ("zh", "en")
    }
    assert found["arms"]["text"]["told"]["mean"] > 1
    assert found["arms"]["control"]["told"]["mean"] == 0
    # a base that is random itself, and two steps: nobody could tell
    assert "CANNOT TELL" in done.err
    assert "one draw" in done.err


def test_all_arms_learn_as_many_tokens_in_as_many_steps(studied):
    project, done = studied
    learnt = artifacts(project, "learn")
    assert len(learnt) == 4
    assert {one.counts["targets"] for one in learnt} == {done.json["learnt_tokens"]} == {1024}
    assert {one.counts["steps"] for one in learnt} == {done.json["steps"]} == {2}
    assert {one.record["inputs"]["model"]["stage"] for one in learnt} == {"pretrain"}
    assert len({one.record["inputs"]["model"]["fingerprint"] for one in learnt}) == 1
    for one in learnt:
        assert one.record["identity"]["phases"] == [
            {"train": "all", "share": None, "learning_rate": None}
        ]
    assert len(artifacts(project, "ask")) == 5
    assert len(artifacts(project, "pretrain")) == 1


def test_a_second_call_runs_only_what_is_missing(studied, tmp_path):
    project, done = studied
    copy = type(project)(tmp_path / "copy")
    shutil.copytree(project.folder, copy.folder)
    asked = next(one for one in artifacts(copy, "ask")
                 if one.record["inputs"]["model"]["stage"] == "learn")  # fmt: skip
    learnt = asked.record["inputs"]["model"]["fingerprint"]
    gone = next(one for one in artifacts(copy, "learn") if one.fingerprint == learnt)
    shutil.rmtree(asked.path)
    shutil.rmtree(gone.path)
    again = call(copy, "recipe.yaml", *ASKED)
    assert again.err.count("learn: learn them") == 1
    assert again.err.count("      done before") == 4
    assert gone.path.is_dir()
    for key in ("recall", "pairs", "lost"):
        assert again.json[key] == done.json[key]


def test_another_model_is_studied_without_what_makes_the_recipes(studied, tmp_path):
    project, _ = studied
    recipe, model = load_recipe(project.recipe), str(project.folder / "base")
    for named, made in ((None, {"vocab", "expand", "pretrain"}), (model, set())):
        walk = of_recipe(recipe, Asked(None, named, None, 0.5, 1, None), tmp_path)
        names = {node.stage.name for node in walk.nodes}
        assert names == {"base", "corpus", "tokens"} | made
        learnt = model_stage(walk)
        assert learnt == ("base" if named else "pretrain")
        tokens = next(node for node in walk.nodes if node.stage.name == "tokens")
        assert tokens.inputs["model"] == ("base" if named else "expand")


WRONG = [
    (["--share", "1"], UsageError, "share lies between"),
    (["--learning-rate", "0"], UsageError, "learning-rate"),
    (["--facts", "nowhere.jsonl"], InputError, "cannot be read"),
    (["--set", "corpus.held_out_docs=0"], RecipeError, "corpus.held_out_docs"),
    (["--set", "pretrain=null", "--set", "tokens=null"], RecipeError, "no rows"),
    (["--set", "tokens.shares={en: 1.0}"], RecipeError, "rows need both"),
    (["--set", "target=ja"], RecipeError, "rows need both"),
    (["--model", "nowhere"], HanhuaError, "nowhere"),
]


@pytest.mark.parametrize(("arguments", "kind", "part"), WRONG, ids=lambda v: str(v)[:30])
def test_wrong_input_is_told_before_anything_runs(studied, tmp_path, arguments, kind, part):
    project, _ = studied
    with pytest.raises(kind, match=part) as error:
        call(project, "recipe.yaml", "--facts", "facts.jsonl", "--runs", str(tmp_path / "runs"),
             *arguments)  # fmt: skip
    assert error.value.fix
    assert not list((tmp_path / "runs").glob("*/learn-*"))
