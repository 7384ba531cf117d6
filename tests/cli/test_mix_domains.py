"""``hanhua mix --domains`` on a small project: two languages, three domains, one answer."""

from __future__ import annotations

import json
import random
import shutil
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO

import pytest

from hanhua.cli import app, mix
from hanhua.core.errors import HanhuaError, RecipeError, UsageError
from hanhua.mix.domain_study import DomainStudy
from hanhua.recipe import load_recipe

from .conftest import Done, make_project

assert mix  # it adds its command to the app
KEYS = ("zh/news", "zh/books", "en/web", "en")
SOURCES = """\
    - {path: zh.jsonl, language: zh, domain: news, licence: CC0}
    - {path: zh_books.jsonl, language: zh, domain: books, licence: CC0}
    - {path: en_web.jsonl, language: en, domain: web, licence: CC0}
    - {path: en.jsonl, language: en, licence: CC0}
"""
SMALL = "mix: {tokens: 1280, docs: 4}\nmachine: {threads: 1, workers: 1}"


def call(project, *arguments):
    """The command in this process: starting Python costs more than the small runs."""
    out, err = StringIO(), StringIO()
    with chdir(project.folder), redirect_stdout(out), redirect_stderr(err):
        app(args=["mix", "recipe.yaml", "--domains", *arguments], standalone_mode=False)
    return Done(0, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def mixed(tmp_path_factory, tiny_llama, sentences):
    """A small project of which the mixture was sought once; and what that call printed."""
    project = make_project(tmp_path_factory.mktemp("mixed") / "project", tiny_llama, sentences)
    pick = random.Random(3)
    for name, join, lines in (
        ("zh_books", "", sentences["zh"][:20]), ("en_web", " ", sentences["en"][:20])
    ):  # fmt: skip
        texts = [join.join(pick.sample(lines, 4)) for _ in range(120)]
        rows = [json.dumps({"id": f"{name}/{i}", "text": t}) for i, t in enumerate(texts)]
        (project.folder / f"{name}.jsonl").write_text("\n".join(rows), encoding="utf-8")
    begin = project.recipe.read_text(encoding="utf-8").index("    - {path: zh.jsonl")
    end = project.recipe.read_text(encoding="utf-8").index("  held_out_docs")
    project.edit(project.recipe.read_text(encoding="utf-8")[begin:end], SOURCES)
    project.edit("{zh: 0.6, en: 0.4}", "{zh/news: 0.3, zh/books: 0.3, en/web: 0.2, en: 0.2}")
    project.edit("  batch_tokens: 512\n", "  batch_tokens: 128\n")
    project.edit("machine: {threads: 1}", SMALL)
    return project, call(project, "--ratios", "6", "--json")


def folder(project):
    return project.folder / "runs" / "small-mix"


def test_the_answer_has_a_share_and_an_interval_for_every_key(mixed):
    project, done = mixed
    found = done.json
    assert tuple(found["shares"]) == KEYS
    assert sum(found["shares"].values()) == pytest.approx(1)
    ran = [run["shares"] for run in found["measured"]["runs"]]
    for key, (low, high) in found["interval"].items():
        assert low - 5e-4 <= found["shares"][key] <= high + 5e-4
        assert min(run[key] for run in ran) - 2e-3 <= low
        assert high <= max(run[key] for run in ran) + 2e-3
    for name in ("zh", "en"):
        assert found["predicted"][name]["low"] <= found["predicted"][name]["high"]
    assert found["law"].keys() == found["measured"]["base"].keys()
    assert set(found["domains"]) == {"zh/news", "zh/books", "en/web"}
    assert found["gain"]["low"] <= found["gain"]["high"]
    assert not found["sure"]  # six runs are few for four sources, and it says so
    assert "THE RUNS CANNOT TELL: 6 runs are few for 4 sources" in done.err
    assert json.loads((folder(project) / "answer.json").read_text(encoding="utf-8")) == found


def test_every_mixture_was_run_once_and_counted(mixed):
    project, done = mixed
    study = DomainStudy.read(folder(project) / "domains.json")
    assert len(study.runs) == done.json["compute"]["runs"] == 6
    assert study.shares.sum(1) == pytest.approx(1)
    assert study.shares[0] == pytest.approx(study.own_shares[0], abs=0.05)
    assert len({tuple(row) for row in study.shares.round(2).tolist()}) == 6
    made = [path.name.rpartition("-")[0] for path in folder(project).glob("*-*") if path.is_dir()]
    assert {name: made.count(name) for name in set(made) - {"domain"}} == {
        "base": 1, "corpus": 1, "vocab": 1, "expand": 1, "tokens": 6, "pretrain": 6,
    }  # fmt: skip
    for run in study.runs:
        assert run.losses.keys() == {"zh", "en", "zh/news", "zh/books", "en/web"}
    assert study.runs[0].losses["zh"] < study.base["zh"]  # with the recipe's shares it learns
    most_zh = int(study.shares[:, :2].sum(1).argmax())
    assert study.losses("zh")[most_zh] < study.losses("zh").max()


def test_the_recipe_written_loads_with_the_shares(mixed):
    project, done = mixed
    path = folder(project) / "recipe.yaml"
    assert "The runs cannot tell: 6 runs are few" in path.read_text(encoding="utf-8")
    recipe, before = load_recipe(path), load_recipe(project.recipe)
    assert recipe.tokens.shares == done.json["shares"]
    for section in ("base", "corpus", "vocab", "pretrain", "chatdata", "eval"):
        assert getattr(recipe, section) == getattr(before, section), section


def test_a_second_call_with_another_wish_makes_only_what_is_missing(mixed, tmp_path):
    project, done = mixed
    copy = type(project)(tmp_path / "copy")
    shutil.copytree(project.folder, copy.folder)
    gone = sorted(folder(copy).glob("pretrain-*"))[0]
    shutil.rmtree(gone)
    more = ("--set", "tokens.budget_tokens=600000", "--set", "mix.seeds=3")
    again = call(copy, "--ratios", "6", "--wish", "en+900%", "--json", *more)
    assert again.err.count("pretrain: continue pretraining") == 1
    assert gone.is_dir()
    assert again.json["measured"] == done.json["measured"]
    assert again.json["wish"] == "en+900%"
    assert any("the corpus holds about" in note for note in again.json["notes"])
    assert any(note.startswith("mix.seeds: of two languages") for note in again.json["notes"])
    assert load_recipe(folder(copy) / "recipe.yaml").tokens.budget_tokens < 600_000


ALL_ZH = "tokens.shares={zh: 1.0}"
UNKNOWN = "tokens.shares={zh/poems: 0.5, en: 0.5}"
WRONG = [
    (["--ratios", "5"], UsageError, "needs 6 runs"),
    (["--shares", "0.2,0.5,0.8"], UsageError, "planned"),
    (["--wish", "fr+1%"], UsageError, "not measured"),
    (["--set", ALL_ZH], RecipeError, "nothing to mix"),
    (["--set", UNKNOWN], RecipeError, "zh/poems.*en/web, zh/books, zh/news"),
    (["--set", "tokens.shares={zh/: 0.5, en: 0.5}"], RecipeError, "written|write it as"),
]


@pytest.mark.parametrize(("arguments", "kind", "part"), WRONG, ids=lambda v: str(v)[:30])
def test_wrong_input_is_told_before_anything_runs(mixed, tmp_path, arguments, kind, part):
    project, _ = mixed
    with pytest.raises(HanhuaError, match=part) as error:
        call(project, "--runs", str(tmp_path / "runs"), *arguments)
    assert type(error.value) is kind
    assert not (tmp_path / "runs").exists()


def test_without_the_flag_shares_of_domains_are_refused(mixed):
    project, _ = mixed
    with pytest.raises(RecipeError, match="--domains"), chdir(project.folder):
        app(args=["mix", "recipe.yaml"], standalone_mode=False)
