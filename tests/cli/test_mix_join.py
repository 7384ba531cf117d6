"""``hanhua mix --join`` on three tiny sizes of a model, each studied on the same small project."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from hanhua.cli.mix_join import _held
from hanhua.core.errors import InputError, RecipeError, StorageError, UsageError
from hanhua.mix.join import read_studies
from hanhua.mix.points import Study
from hanhua.recipe import load_recipe

from .conftest import make_project
from .test_mix import SHARES, call

WIDTHS = {"a": 16, "b": 24, "c": 32}
MODEL = "base:\n  model: base\n"


def scratch(width):
    shapes = f"{{hidden_size: {width}, heads: 2, kv_heads: 2, layers: 1, intermediate_size: 32}}"
    return f"base:\n  scratch: {shapes}\n  tokenizer: base\n"


@pytest.fixture(scope="module")
def sizes(tmp_path_factory, tiny_llama, sentences):
    """Studies of three sizes; the recipe left in the folder is of a fourth, not run."""
    project = make_project(tmp_path_factory.mktemp("sizes") / "project", tiny_llama, sentences)
    project.edit("  batch_tokens: 512\n", "  batch_tokens: 64\n")
    small = (
        "mix: {tokens: 2560, lengths: 2, ahead: 1, docs: 4, repeats: 0}\n"
        "machine: {threads: 1, workers: 1}"
    )  # fmt: skip
    project.edit("machine: {threads: 1}", small)
    was = MODEL
    for name, width in WIDTHS.items():
        project.edit(was, scratch(width))
        call(project, "recipe.yaml", *SHARES, "--set", f"name={name}", "--quiet")
        was = scratch(width)
    project.edit(was, scratch(48))
    return project


def join(project, *names):
    return [word for name in names for word in ("--join", f"runs/{name}-mix")]


@pytest.fixture(scope="module")
def joined(sizes):
    return call(sizes, "recipe.yaml", *join(sizes, *WIDTHS), "--json")


def test_a_size_that_was_not_run_has_an_answer_and_nothing_is_run(sizes, joined):
    found = joined.json
    assert "pretrain" not in joined.err
    assert any("mix.repeats" in note for note in found["notes"])  # of runs, of which there are none
    assert [
        path.name for path in (sizes.folder / "runs/small-mix").iterdir() if path.is_dir()
    ] == []
    rows = found["sizes"]["rows"]
    measured = [row["parameters"] for row in rows if row["measured"]]
    assert len(rows) == 4
    assert len(measured) == 3
    assert found["sizes"]["parameters"] == rows[-1]["parameters"] > max(measured)
    for row in rows:
        assert 0.15 < row["low"] <= row["share"] <= row["high"] < 0.85
        assert row["price_low"] <= row["price"] <= row["price_high"]
    assert found["shares"]["zh"] == pytest.approx(rows[-1]["share"], abs=1e-3)
    assert found["measured"]["points"] == []
    assert found["compute"]["runs"] == 18
    assert all(error > 0 for error in found["sizes"]["size_error"].values())
    assert "by model size, zh share" in joined.err
    assert joined.err.count(" measured  ") == 3
    assert joined.err.count(" foretold  ") == 1


def test_page_and_recipe_bear_the_answer(sizes, joined):
    folder = sizes.folder / "runs/small-mix"
    page = (folder / "mixture.html").read_text(encoding="utf-8")
    assert "By model size" in page
    recipe = load_recipe(folder / "recipe.yaml")
    assert recipe.tokens.shares == joined.json["shares"]
    assert json.loads((folder / "answer.json").read_text(encoding="utf-8")) == joined.json


def test_two_sizes_cannot_tell_of_a_third_and_can_of_their_own(sizes):
    other = call(sizes, "recipe.yaml", *join(sizes, "a", "c"), "--json").json
    assert not other["sure"]
    assert "Only two sizes" in other["why"]
    assert other["sizes"]["size_error"] == {"zh": None, "en": None}
    own = call(
        sizes, "recipe.yaml", *join(sizes, "a", "c"), "--json",
        "--set", "base.scratch={hidden_size: 32, heads: 2, kv_heads: 2, layers: 1, "
        "intermediate_size: 32}",
    ).json  # fmt: skip
    assert "Only two sizes" not in own["why"]
    assert own["sizes"]["measured"]
    assert len(own["measured"]["points"]) == 6
    assert len(own["sizes"]["rows"]) == 2


def test_the_corpus_of_the_studies_is_counted_and_no_older_one(sizes, tmp_path):
    studies, recipe = [], load_recipe(sizes.recipe)
    for name in ("a", "c"):
        studies.append(tmp_path / name)
        shutil.copytree(sizes.folder / f"runs/{name}-mix", studies[-1])
    held = _held(read_studies(studies, "zh", "en"), recipe)
    assert held["zh"] > 0
    for folder in studies:
        for number in range(8):  # what earlier corpora left; one of them would be found first
            older = folder / f"corpus-{number:012d}"
            older.mkdir()
            (older / "record.json").write_text("{}")
    assert _held(read_studies(studies, "zh", "en"), recipe) == held


def changed(sizes, folder, **setting):
    """A study of size ``c`` with another setting."""
    study = Study.read(sizes.folder / "runs/c-mix/study.json")
    folder.mkdir()
    replace(study, setting={**study.setting, **setting}).write(folder / "study.json")
    return "--join", str(folder)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"tokenizer": "0"}, "tokenizer is not that"),
        ({"corpus": "0"}, "corpus is not that"),
        ({"held_out": {"docs": 5, "max_chars_per_doc": 1000}}, "held-out documents is not that"),
        ({"small_runs": "steady"}, "way of making small runs"),
        ({"parameters": None}, "does not say the size"),
    ],
)
def test_studies_that_do_not_go_together(sizes, tmp_path, setting, said):
    with pytest.raises(InputError, match=said):
        call(sizes, "recipe.yaml", *join(sizes, "a"), *changed(sizes, tmp_path / "c", **setting))


def test_what_is_no_set_of_sizes(sizes, tmp_path):
    with pytest.raises(UsageError, match="One study tells nothing"):
        call(sizes, "recipe.yaml", *join(sizes, "a"))
    with pytest.raises(UsageError, match="Two studies"):
        call(sizes, "recipe.yaml", *join(sizes, "a", "c"), *changed(sizes, tmp_path / "c"))
    with pytest.raises(StorageError, match="No finished study"):
        call(sizes, "recipe.yaml", *join(sizes, "a", "d"))
    with pytest.raises(InputError, match="other languages"):
        call(sizes, "recipe.yaml", *join(sizes, "a", "c"), "--set", "target=ja",
             "--set", "tokens.shares={ja: 0.5, en: 0.5}")  # fmt: skip
    with pytest.raises(InputError, match=r"corpus is not that(.|\n)*the recipe"):
        call(sizes, "recipe.yaml", *join(sizes, "a", "c"), "--set", "corpus.min_chars=6")
    with pytest.raises(RecipeError, match="leave out domains"):
        call(sizes, "recipe.yaml", *join(sizes, "a", "c"), "--domains")


def test_a_size_too_far_is_refused_and_one_far_is_not_sure(sizes):
    def asked(width, *names):
        return call(sizes, "recipe.yaml", *join(sizes, *names), "--json",
                    "--set", f"base.scratch.hidden_size={width}")  # fmt: skip

    with pytest.raises(UsageError, match="too far"):
        asked(4096, *WIDTHS)
    far = asked(256, *WIDTHS).json
    assert not far["sure"]
    assert "times the largest size measured" in far["why"]


def test_another_learning_rate_is_told(sizes, tmp_path):
    training = {"learning_rate": 2e-3}
    done = call(sizes, "recipe.yaml", *join(sizes, "a", "b"),
                *changed(sizes, tmp_path / "c", training=training), "--json")  # fmt: skip
    assert any(note.startswith("learning_rate differs") for note in done.json["notes"])


def test_a_study_of_before_says_what_to_do(sizes, tmp_path):
    path = tmp_path / "old"
    shutil.copytree(sizes.folder / "runs/b-mix", path, ignore=shutil.ignore_patterns("*-*"))
    found = json.loads((path / "study.json").read_text(encoding="utf-8"))
    found.pop("setting")
    (path / "study.json").write_text(json.dumps(found), encoding="utf-8")
    with pytest.raises(InputError, match="nothing is trained twice"):
        call(sizes, "recipe.yaml", *join(sizes, "a"), "--join", str(path))
