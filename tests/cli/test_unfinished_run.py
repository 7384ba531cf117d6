"""A run that ends early: the page of what had finished, where it stopped, how it goes on."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable

import pytest

from hanhua.core.errors import InputError

from .conftest import Project


def page(project: Project) -> str:
    return (project.folder / "runs/small/report.html").read_text(encoding="utf-8")


def facts(project: Project) -> dict:
    return json.loads((project.folder / "runs/small/report.json").read_text(encoding="utf-8"))


def break_chat(project: Project) -> None:
    """Make a late stage fail: its file is there and holds no conversation."""
    (project.folder / "chat.json").write_text('[{"unknown": 1}]', encoding="utf-8")


def mend_chat(project: Project, finished: Project) -> None:
    shutil.copy(finished.folder / "chat.json", project.folder / "chat.json")


@pytest.fixture
def failed(copied: Callable[[], Project]) -> Project:
    """A finished run whose conversations were replaced by ones that don't read."""
    project = copied()
    (project.folder / "runs/small/report.html").unlink()
    break_chat(project)
    done = project.call("run", "recipe.yaml")
    assert done.code == InputError.exit_code, done.err
    told = [line for line in done.err.splitlines() if line.startswith(("report of", "error:"))]
    assert [line.split(":")[0] for line in told] == ["report of what had finished", "error"]
    assert "runs/small/report.html" in told[0]
    assert "Traceback" not in done.err
    return project


def test_an_error_leaves_a_page_that_says_where_and_how_to_go_on(failed, finished):
    text = page(failed)
    assert "This run is not finished." in text
    assert "<code>chatdata</code>" in text
    assert "<code>hanhua run recipe.yaml</code>" in text
    assert "bits per byte" in text, "what had finished is on it"
    stopped = facts(failed)["stopped"]
    assert (stopped["stage"], stopped["kind"]) == ("chatdata", "error")
    assert stopped["told"]["exit_code"] == InputError.exit_code
    assert stopped["told"]["what"] in text
    for command in ("report", "show"):
        told = failed.call(command, "runs/small")
        assert told.code == 0
        assert f"unfinished: ended by an error in [{stopped['number']}/13] chatdata" in told.out
        assert stopped["told"]["do"] in told.out
        assert "hanhua run recipe.yaml" in told.out
    assert failed.call("report", "runs/small", "--json").json["stopped"] == stopped

    mend_chat(failed, finished)
    done = failed.call("run", "recipe.yaml")
    assert done.code == 0, done.err
    assert "not finished" not in page(failed)
    assert "unfinished" not in failed.call("report", "runs/small").out
    assert not (failed.folder / "runs/small/stopped.json").exists()


def test_a_page_that_cannot_be_drawn_hides_no_error(failed):
    before = failed.call("run", "recipe.yaml")
    assert before.code == InputError.exit_code
    (failed.folder / "runs/small/report.html").unlink()
    (failed.folder / "runs/small/report.html").mkdir()
    done = failed.call("run", "recipe.yaml")
    assert done.code == InputError.exit_code
    assert "report of" not in done.err
    assert done.err[done.err.index("error:") :] == before.err[before.err.index("error:") :]


def test_the_first_stage_of_a_new_go_may_fail_over_an_old_ledger(copied):
    project = copied()
    (project.folder / "base" / "config.json").write_text("{}")
    done = project.call("run", "recipe.yaml")
    assert done.code not in (0, 1), done.err
    assert "No stage of this go had finished" in page(project)
    assert "figures are those of an earlier one" in project.call("report", "runs/small").out


def test_a_run_of_which_nothing_has_finished_is_named(project):
    (project.folder / "base" / "config.json").write_text("{}")
    done = project.call("run", "recipe.yaml")
    assert done.code not in (0, 1), done.err
    assert "report of" not in done.err
    told = project.call("report", "runs/small")
    assert told.code == 2
    assert "No stage of this run has finished" in told.err
    assert "[1/13] base" in told.err
    told = project.call("report", "runs")
    assert "This is no run folder." in told.err


def test_ctrl_c_draws_what_is_there_and_goes_on_where_it_was(project):
    """The page comes before the words that end the command; an early end by --until says so."""
    assert project.call("run", "recipe.yaml", "--until", "expand", "--quiet").code == 0
    told = project.call("report", "runs/small").out
    assert "ended after [4/4] expand, as was asked" in told
    assert "hanhua run recipe.yaml" in told
    assert "提前结束" in page(project)
    running = project.start(
        "run", "recipe.yaml", "--set", "tokens.budget_tokens=6100", start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    building = project.folder / "runs/small/.building"
    while not list(building.glob("pretrain-*/out")):
        assert running.poll() is None
        time.sleep(0.002)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=120)
    assert running.returncode == 130, err
    assert "Traceback" not in err
    *_, drawn, last = err.rstrip().splitlines()
    assert drawn.startswith("report of what had finished: runs/small/report.html")
    assert last == "stopped; the same command goes on where it was"
    stopped = facts(project)["stopped"]
    assert stopped["kind"] == "interrupt"
    assert stopped["stage"] in ("pretrain", "chatdata")  # wherever the signal found it
    assert "--set tokens.budget_tokens=6100" in stopped["command"]
    assert "tokens per character" in page(project).lower()


def test_a_kill_leaves_no_note_and_is_told_by_the_stage_under_way(copied):
    project = copied()
    run = project.folder / "runs/small"
    ledger = json.loads((run / "ledger.json").read_text(encoding="utf-8"))
    for name in ("finetune", "eval-finetune", "export"):
        ledger["stages"].pop(name)
    (run / "ledger.json").write_text(json.dumps({**ledger, "complete": False}), encoding="utf-8")
    assert "unfinished: ended early" in project.call("report", "runs/small").out
    (run / ".building/finetune-0123456789ab/out").mkdir(parents=True)
    told = project.call("report", "runs/small").out
    assert "cut off in finetune, or still under way there" in told
    assert "hanhua run recipe.yaml" in told
    assert "finetune" in page(project)


def test_the_command_to_go_on_names_another_folder_of_runs(project):
    done = project.call("run", "recipe.yaml", "--until", "base", "--runs", "my runs", "--json")
    assert done.json["command"] == "hanhua run recipe.yaml --runs 'my runs'"
