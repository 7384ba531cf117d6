"""``hanhua mix`` on a small project: small runs, an answer, and a recipe that takes it."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO

import numpy as np
import pytest
import torch

from hanhua.cli import app, mix
from hanhua.cli.mix_jobs import devices_of, environments_of
from hanhua.core.config import Machine
from hanhua.core.errors import HanhuaError, RecipeError, UsageError
from hanhua.core.walk import plan
from hanhua.eval.bits_per_byte import choose
from hanhua.mix.answer import text
from hanhua.mix.domain_corpus import domain_losses
from hanhua.mix.points import Study
from hanhua.mix.saved import saved_losses
from hanhua.recipe import load_recipe
from hanhua.report.mixture import draw_mixture
from hanhua.text.shards import read_language
from hanhua.train.config import WatchConfig

from .conftest import Done, make_project

assert mix  # it adds its command to the app
SHARES = ("--shares", "0.2,0.5,0.8")
MORE = ("--set", "tokens.budget_tokens=600000")


def call(project, *arguments):
    """The command in this process: starting Python costs more than the small runs."""
    out, err = StringIO(), StringIO()
    with chdir(project.folder), redirect_stdout(out), redirect_stderr(err):
        app(args=["mix", *arguments], standalone_mode=False)
    return Done(0, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def mixed(tmp_path_factory, tiny_llama, sentences):
    """A small project of which the mixture was sought once; and what that call printed."""
    project = make_project(tmp_path_factory.mktemp("mixed") / "project", tiny_llama, sentences)
    project.edit("  batch_tokens: 512\n", "  batch_tokens: 64\n")
    small = (
        "mix: {tokens: 2560, lengths: 2, ahead: 1, repeats: 0, docs: 4}\n"
        "machine: {threads: 1, workers: 1}"
    )  # fmt: skip
    project.edit("machine: {threads: 1}", small)
    return project, call(project, "recipe.yaml", *SHARES, "--json")


def folder(project):
    return project.folder / "runs" / "small-mix"


def test_the_answer_is_one_json_object(mixed):
    project, done = mixed
    found = done.json
    assert sum(found["shares"].values()) == pytest.approx(1)
    low, high = found["interval"]
    assert 0.2 - 1e-6 <= low <= found["shares"]["zh"] + 5e-4 <= high + 1e-3 <= 0.8 + 2e-3
    for language in ("zh", "en"):
        predicted, law = found["predicted"][language], found["law"][language]
        assert predicted["low"] <= predicted["high"]
        assert predicted["loss"] > 0
        assert law["name"]
        assert law["held_out_error"] >= 0
    assert isinstance(found["sure"], bool)
    assert ("THE RUNS CANNOT TELL" in done.err) != found["sure"]
    assert json.loads((folder(project) / "answer.json").read_text(encoding="utf-8")) == found


def test_each_share_was_run_at_each_length_and_counted(mixed):
    project, done = mixed
    study = Study.read(folder(project) / "study.json")
    assert len(study.points) == 6
    assert len(study.shares) == 3
    for asked, counted in zip((0.2, 0.5, 0.8), study.shares, strict=True):
        assert abs(asked - counted) < 0.05
    assert len({point.tokens for point in study.points}) == 2
    assert all(point.losses["zh"] < study.base["zh"] for point in study.points)  # it learns
    tokens = sum(point.tokens for point in study.points)
    assert done.json["compute"]["tokens"] == pytest.approx(tokens, rel=0.02)
    assert "small run 6 of 6: 80% zh, 2,560 tokens, about" in done.err


def test_what_no_share_changes_is_made_once(mixed):
    project, _ = mixed
    made = [path.name.rpartition("-")[0] for path in folder(project).glob("*-*") if path.is_dir()]
    assert {name: made.count(name) for name in made} == {
        "base": 1, "corpus": 1, "vocab": 1, "expand": 1, "tokens": 3, "pretrain": 6,
    }  # fmt: skip


def test_the_recipe_written_loads_and_goes_on_from_what_is_made(mixed):
    project, done = mixed
    path = folder(project) / "recipe.yaml"
    recipe, before = load_recipe(path), load_recipe(project.recipe)
    assert recipe.tokens.shares == done.json["shares"]
    for section in ("base", "corpus", "vocab", "expand", "pretrain", "chatdata", "eval", "export"):
        assert getattr(recipe, section) == getattr(before, section), section
    with chdir(project.folder):
        status = {step.name: step.done for step in plan(recipe.walk(project.folder / "runs"))}
    assert [name for name, done_ in status.items() if done_] == [
        "base",
        "corpus",
        "vocab",
        "expand",
    ]


def test_a_second_call_runs_only_what_is_missing(mixed, tmp_path):
    project, done = mixed
    copy = type(project)(tmp_path / "copy")
    shutil.copytree(project.folder, copy.folder)
    gone = sorted(folder(copy).glob("pretrain-*"))[0]
    shutil.rmtree(gone)
    again = call(copy, "recipe.yaml", *SHARES, "--wish", "en+900%", "--json", *MORE)
    assert again.err.count("pretrain: continue pretraining") == 1
    assert gone.is_dir()
    measured = again.json["measured"]
    assert measured == done.json["measured"]  # the one made again is the one that was
    assert again.json["wish"] == "en+900%"
    # the corpus cannot fill the budget that was asked for now: said, and lowered in the recipe
    assert "in 600,000 and 8 epochs" in again.json["notes"][0]
    assert "note: the corpus holds about" in again.err
    tokens = load_recipe(folder(copy) / "recipe.yaml").tokens
    assert 6000 < tokens.budget_tokens < 600_000
    assert again.json["tokens"] == tokens.budget_tokens  # and the answer is for that run
    assert tokens.shares == again.json["shares"]
    lower = ("--set", f"tokens.budget_tokens={tokens.budget_tokens}")
    same = call(copy, "recipe.yaml", *SHARES, "--wish", "en+900%", "--json", *lower).json
    assert not same["notes"]
    assert {**same, "notes": again.json["notes"]} == again.json
    assert not done.json["notes"]
    # what a kill left of another run is there still after finished runs were read
    left = folder(copy) / ".building/pretrain-killed/work"
    left.mkdir(parents=True)
    assert "continue pretraining" not in call(copy, "recipe.yaml", *SHARES, *MORE).err
    assert left.is_dir()


def test_the_run_to_come_is_as_long_as_it_will_be(mixed, tmp_path):
    copy = copy_of(mixed[0], tmp_path / "copy")
    for asked, tokens in (("pretrain.epochs=2.5", 15_000), ("pretrain.steps=400", 25_600)):
        done = call(copy, "recipe.yaml", *SHARES, "--set", asked, "--json")
        assert "continue pretraining" not in done.err  # small runs are as they were
        assert done.json["tokens"] == tokens
        assert done.json["by_tokens"][2][0] == tokens
        part = done.json["compute"]["tokens"] / tokens
        assert done.json["compute"]["of_large_run"] == pytest.approx(part, abs=1e-5)
        recipe = load_recipe(folder(copy) / "recipe.yaml")
        assert recipe.tokens.budget_tokens == 6000  # what is packed stays


def test_of_an_average_the_law_knows_what_was_saved(mixed, tmp_path, monkeypatch):
    copy = copy_of(mixed[0], tmp_path / "copy")
    for gone in folder(copy).glob("pretrain-*"):
        shutil.rmtree(gone)
    average = ("--set", "pretrain.average={half_life_steps: 40}")  # of 94 steps
    done = call(copy, "recipe.yaml", *SHARES, *average, "--json")
    found = {(p["run"], p["tokens"] > 2000): p["losses"] for p in done.json["measured"]["points"]}
    half_lives = set()
    for run in folder(copy).glob("pretrain-*"):
        record = json.loads((run / "record.json").read_text())
        half_lives.add(record["identity"]["average"]["half_life_steps"])
        shares = folder(copy) / f"tokens-{record['inputs']['tokens']['fingerprint'][:12]}"
        counted = json.loads((shares / "record.json").read_text())["metrics"]["shares"]["counted"]
        last = json.loads((run / "log.jsonl").read_text().splitlines()[-1])
        at = found[f"zh-{counted['zh']:.3f}", last["tokens"] > 2000]
        texts = {
            name: choose(list(read_language(next(folder(copy).glob("corpus-*")), name,
                                            "held_out")), 4, 1000)
            for name in ("zh", "en")
        }  # fmt: skip
        assert at == pytest.approx(domain_losses(run / "model", texts), abs=1e-6)
        assert at["zh"] > last["held_out"]["zh"] + 0.01  # much of the start is left in the mean
    assert half_lives == {round(40 * part * 2560 / 6000, 3) for part in (0.5, 1)}
    again = call(copy, "recipe.yaml", *SHARES, *average, "--json")
    assert "continue pretraining" not in again.err
    assert again.json == done.json
    shutil.rmtree(folder(copy) / "saved-losses")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # on a machine with a GPU …
    watch = WatchConfig(docs=4, max_chars_per_doc=1000)
    _, end = saved_losses(run, watch, ("zh", "en"), Machine(device="cpu"))  # … that is not asked
    assert end == pytest.approx(at, abs=1e-6)


NEAREST = " (nearest; the wish is not met)"


def test_what_only_the_large_run_has_and_what_misses_the_wish_is_told(mixed, tmp_path):
    copy = copy_of(mixed[0], tmp_path / "copy")
    large = ("--set", "pretrain.stop={}", "--set",
             "pretrain.steer={wish: en+5%, low: 0.1, high: 0.9}")  # fmt: skip
    done = call(copy, "recipe.yaml", *SHARES, "--wish", "zh<=0.01", *large, "--json")
    assert "continue pretraining" not in done.err
    assert [row[4] for row in done.json["by_tokens"]] == [False] * 5
    assert done.err.count(NEAREST) == 5
    page = (folder(copy) / "mixture.html").read_text(encoding="utf-8")
    assert page.count(NEAREST) == 5
    stop, steer = done.json["notes"]
    assert "without pretrain.stop" in stop
    assert "without pretrain.steer" in steer
    assert all(
        f"# {note}\n" in (folder(copy) / "recipe.yaml").read_text() for note in (stop, steer)
    )


def test_a_narrow_flat_range_is_told_alike_by_text_and_page(mixed, tmp_path):
    for wish, lost in (("best", "the sum"), ("en+1%", "a loss")):
        result = mixed[1].json | {"flat": [0.5, 0.504], "wish": wish}
        assert "a share off by 0.01 already costs 0.3%" in text(result)
        draw_mixture(result, tmp_path, "small")
        page = (tmp_path / "mixture.html").read_text(encoding="utf-8")
        assert f"A share off by 1 % already costs 0.3 % of {lost}" in page
        assert "any of these is as good" not in page
        assert "<title>small: mixture</title>" in page
        assert result["why"] in page
        assert result["why_zh"] in page
        assert result["why_zh"].endswith("。")


def copy_of(project, folder_):
    copy = type(project)(folder_)
    shutil.copytree(project.folder, copy.folder)
    return copy


@pytest.fixture(scope="module")
def seeded(mixed, tmp_path_factory):
    """The same study with a second seed; two of its runs are made again, all by two processes."""
    copy = copy_of(mixed[0], tmp_path_factory.mktemp("seeded") / "copy")
    for gone in sorted(folder(copy).glob("pretrain-*"))[:2]:
        shutil.rmtree(gone)
    return copy, call(copy, "recipe.yaml", *SHARES, "--set", "mix.seeds=2", "--jobs", "2", "--json")


def test_several_processes_take_the_longest_first_and_leave_nothing(seeded):
    copy, done = seeded
    assert "small run 1 of 8 begins: 20% zh, 2,560 tokens" in done.err
    assert done.err.count(" begins: ") == done.err.count(" 8 took ") == 8
    assert "8 made\n" in done.err
    assert not list(folder(copy).glob(".parts*"))


def test_the_middle_run_is_repeated_in_another_order(mixed, tmp_path):
    copy = copy_of(mixed[0], tmp_path / "copy")
    done = call(copy, "recipe.yaml", *SHARES, "--set", "mix.repeats=1", "--json")
    before, points = mixed[1].json["measured"]["points"], done.json["measured"]["points"]
    assert "small run 7 of 7: 50% zh, 2,560 tokens, seed +1" in done.err
    assert done.err.count("pretrain: continue pretraining") == 1  # six were done before
    again = [point for point in points if point["run"].endswith("+1")]
    assert len(points) == len(before) + 1 == len(again) + 6
    twin = next(p for p in points if p["share"] == again[0]["share"] and p["run"] in again[0]["run"]
                and p["tokens"] == again[0]["tokens"])  # fmt: skip
    assert again[0]["losses"] != twin["losses"]
    assert all(spread > 0 for spread in done.json["seed_spread"].values())
    assert "seeds of one mixture lie apart by" in done.err


@pytest.mark.parametrize("runs", [1, 2])
def test_runs_that_go_further_set_the_law_right(mixed, tmp_path, runs):
    copy = copy_of(mixed[0], tmp_path / "copy")
    asked = "--set", "mix.ahead=2", "--set", f"mix.ahead_runs={runs}"
    done = call(copy, "recipe.yaml", *SHARES, *asked, "--json")
    before, points = mixed[1].json["measured"]["points"], done.json["measured"]["points"]
    assert f"small run 7 of {6 + runs}: {'50%' if runs == 1 else '20%'} zh, 5,120 t" in done.err
    assert done.err.count("pretrain: continue pretraining") == runs  # six were done before
    far = [point for point in points if point["tokens"] > 4000]
    assert len(points) == len(before) + runs
    assert len(far) == runs
    for language in ("zh", "en"):
        ahead = done.json["law"][language]["ahead"]
        assert ahead["tokens"] == far[0]["tokens"]
        assert ahead["shares"] == [point["share"] for point in far]
        assert mixed[1].json["law"][language]["ahead"] is None
        off = " and ".join(f"{part:+.1%}" for part in ahead["off"])
        assert f", by {off} at {far[0]['tokens']:,.0f} tokens, which is set" in done.err
        curve = next(c for c in done.json["curves"][language] if c["tokens"] == far[0]["tokens"])
        shares, losses = zip(*curve["points"], strict=True)
        for point in far:
            own = np.interp(point["share"], shares, losses)
            assert own == pytest.approx(point["losses"][language], rel=0.01)
    page = (folder(copy) / "mixture.html").read_text(encoding="utf-8")
    assert f"one run{' each' * (runs - 1)} went on to" in page
    dots = page[page.index('id="pareto"') : page.index('id="laws"')]
    assert dots.count("<circle") == len(SHARES[1].split(",")) + 1  # of all shares, and the answer
    assert "所有配比都按此校正" in page


def test_the_flat_range_is_told_in_every_form(mixed):
    project, done = mixed
    low, high = done.json["flat"]
    assert low - 1e-3 <= done.json["shares"]["zh"] <= high + 1e-3
    told = "the sum stays within 0.3% of the best", "already costs 0.3% of the sum"
    assert any(text in done.err for text in told)
    page = (folder(project) / "mixture.html").read_text(encoding="utf-8")
    assert "any of these is as good" in page
    assert "其中任何一个都一样好" in page


def test_seeds_change_the_order_of_the_documents_alone(mixed, seeded):
    before, found = mixed[1].json, seeded[1].json
    points = found["measured"]["points"]
    runs = {point["run"]: point["share"] for point in points}
    assert len(points) == 2 * len(runs) == 12  # three shares, two seeds, two lengths
    assert len(set(runs.values())) == 3
    assert sum(run.endswith("+1") for run in runs) == 3
    losses = {(p["run"], p["tokens"] > 2000): p["losses"] for p in points}
    for point in before["measured"]["points"]:  # also where another process made it again
        same = losses[point["run"], point["tokens"] > 2000]
        assert same == pytest.approx(point["losses"], abs=1e-6)
    assert before["seed_spread"] == {"zh": None, "en": None}
    assert all(0 < spread < 0.5 for spread in found["seed_spread"].values())
    assert "seeds of one mixture lie apart by zh" in seeded[1].err
    made = [path.name.rpartition("-")[0] for path in folder(seeded[0]).glob("*-*") if path.is_dir()]
    assert {name: made.count(name) for name in made} == {
        "base": 1, "corpus": 1, "vocab": 1, "expand": 1, "tokens": 6, "pretrain": 12,
    }  # fmt: skip


@pytest.fixture(scope="module")
def deeper(mixed, seeded):
    """The first study once more, in the folder of the second: other learning rates, one share."""
    asked = ("--set", "mix.learning_rates=[4e-3, 1e-3]", "--set", "mix.refine=1")
    return seeded[0], call(seeded[0], "recipe.yaml", *SHARES, *asked, "--json")


def test_another_learning_rate_is_set_beside_the_recipe_s(mixed, deeper):
    before, found = mixed[1].json, deeper[1].json
    assert before["by_learning_rate"] == []
    own, other = found["by_learning_rate"]
    assert (own["learning_rate"], other["learning_rate"]) == (1e-3, 4e-3)
    assert [point["share"] for point in own["points"]] == [p["share"] for p in other["points"]]
    ends = [p for p in before["measured"]["points"] if p["tokens"] > 2000]
    for one, point, faster in zip(ends, own["points"], other["points"], strict=True):
        assert point["losses"] == pytest.approx(one["losses"], abs=1e-6)
        assert faster["losses"]["zh"] < point["losses"]["zh"]
    assert all(0.15 < row["share"] < 0.95 for row in (own, other))
    assert "by learning rate, at the small runs'" in deeper[1].err
    page = (folder(deeper[0]) / "mixture.html").read_text(encoding="utf-8")
    assert "Peak learning rate" in page


def test_one_share_more_is_run_where_it_tells(mixed, deeper):
    done = deeper[1]
    assert "refined at 0." in done.err
    assert done.err.count("pretrain: continue pretraining") == 3 + 2  # of the rate; of the share
    assert done.err.count("done before\n") >= 6  # what several processes made, one finds
    points = done.json["measured"]["points"]
    assert len(points) == 8
    losses = {(p["run"], p["tokens"] > 2000): p["losses"] for p in points}
    for point in mixed[1].json["measured"]["points"]:
        same = losses[point["run"], point["tokens"] > 2000]
        assert same == pytest.approx(point["losses"], abs=1e-6)


def test_processes_share_threads_and_each_has_a_device():
    def found(processes, devices, **machine):
        rows = environments_of(Machine(**machine), processes, devices)
        return [(row["OMP_NUM_THREADS"], row.get("CUDA_VISIBLE_DEVICES")) for row in rows]

    assert found(2, (), threads=5) == [("2", None)] * 2
    assert found(3, (), threads=1) == [("1", None)] * 3
    assert found(3, ("0", "5"), threads=6) == [("2", "0"), ("2", "5"), ("2", "0")]
    assert devices_of(Machine(device="cpu")) == []


def test_a_run_that_fails_in_its_process_is_named_and_the_others_stay(mixed, tmp_path):
    project, _ = mixed
    copy = copy_of(project, tmp_path / "copy")
    gone = sorted(folder(copy).glob("pretrain-*"))
    for path in gone:
        shutil.rmtree(path)
    for path in gone[:5]:  # a file where the folder of the training will stand
        (folder(copy) / ".building").mkdir(exist_ok=True)
        shutil.copytree(folder(project) / path.name, path)
    part = folder(copy) / ".building" / gone[5].name / "work"
    part.parent.mkdir()
    part.write_text("no folder", "utf-8")
    with pytest.raises(HanhuaError) as error:
        call(copy, "recipe.yaml", *SHARES, "--jobs", "2")
    assert "% zh" in error.value.where
    assert all(path.is_dir() for path in gone[:5])
    # one process takes up what several left, and what stood in the way is gone
    (folder(copy) / ".parts" / gone[5].name / ".building" / gone[5].name / "work").unlink()
    assert call(copy, "recipe.yaml", *SHARES, "--json").json["measured"]["points"]
    assert not (folder(copy) / ".parts" / gone[5].name).exists()


def test_the_page_asks_nothing_of_the_network(mixed):
    project, _ = mixed
    page = (folder(project) / "mixture.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 3
    assert "<circle" in page
    assert "http" not in page.replace("http://www.w3.org", "")


WRONG = [
    (["--wish", "as much as you can"], UsageError, "as much as you can"),
    (["--wish", "fr+1%"], UsageError, "not measured"),
    (["--shares", "0.2,0.5,1.2"], RecipeError, "mix.shares"),
    (["--shares", "a,b"], UsageError, "--shares"),
    (["--shares", "0.5"], RecipeError, "three different shares"),
    ([*SHARES, "--tokens", "100"], UsageError, "no small run"),
    (["--ratios", "2"], RecipeError, "mix.runs"),
    (["--set", "corpus.held_out_docs=0"], RecipeError, "corpus.held_out_docs"),
    (["--set", "pretrain=null", "--set", "tokens=null"], RecipeError, "nothing to mix"),
]


@pytest.mark.parametrize(("arguments", "kind", "part"), WRONG, ids=lambda v: str(v)[:30])
def test_wrong_input_is_told_before_anything_runs(mixed, tmp_path, arguments, kind, part):
    project, _ = mixed
    with pytest.raises(HanhuaError, match=part) as error:
        call(project, "recipe.yaml", "--runs", str(tmp_path / "runs"), *arguments)
    assert type(error.value) is kind
    assert error.value.fix
    assert not (tmp_path / "runs").exists()


def test_runs_is_a_folder_or_a_number_of_runs(mixed):
    with pytest.raises(RecipeError, match=r"mix\.runs"):
        call(mixed[0], "recipe.yaml", "--runs", "2")


def test_many_processes_are_refused(mixed, monkeypatch):
    monkeypatch.setitem(os.environ, "WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="torchrun"):
        call(mixed[0], "recipe.yaml", *SHARES)


def test_a_corpus_of_one_language_is_an_error(mixed, tmp_path):
    project, _ = mixed
    text = project.recipe.read_text(encoding="utf-8")
    alone = project.recipe.with_name("alone.yaml")
    english = "    - {path: en.jsonl, language: en, licence: CC0}\n"
    alone.write_text(text.replace(english, ""), "utf-8")
    with pytest.raises(RecipeError, match="no en text"):
        call(project, "alone.yaml", *SHARES, "--runs", str(tmp_path / "runs"))


def test_the_real_command_ends_with_a_message(mixed):
    done = mixed[0].call("mix", "recipe.yaml", "--wish", "much")
    assert done.code == UsageError.exit_code
    assert "This wish cannot be read" in done.err
    assert "Traceback" not in done.err
