"""The whole walk through the real command: results, ledger, resume after a kill in every stage."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import suppress

import pytest

from warm import WARM

from .conftest import environment

WALK = [
    "base", "corpus", "vocab", "expand", "tokens", "pretrain", "chatdata", "finetune",
    "eval-base", "eval-expand", "eval-pretrain", "eval-finetune", "export",
]  # fmt: skip


def contents(project) -> dict[str, str]:
    """The digest of each stage's files, by stage."""
    ledger = json.loads((project.folder / "runs/small/ledger.json").read_text())
    return {name: stage["content_sha256"] for name, stage in ledger["stages"].items()}


def test_an_interrupt_says_how_to_go_on(project):
    def heeds_interrupts():  # a background job of a shell inherits that they are ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    running = project.start(
        "run", "recipe.yaml", start_new_session=True, preexec_fn=heeds_interrupts
    )
    building = project.folder / "runs/small/.building"
    while not building.exists():
        assert running.poll() is None
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=120)
    assert running.returncode == 130
    assert err.rstrip().endswith("stopped; the same command goes on where it was")
    assert "Traceback" not in out + err


def test_every_stage_leaves_a_whole_artifact(finished):
    ledger = json.loads((finished.folder / "runs/small/ledger.json").read_text())
    assert list(ledger["stages"]) == WALK
    assert ledger["complete"]
    for stage in ledger["stages"].values():
        record = json.loads(
            (finished.folder / "runs/small" / stage["path"] / "record.json").read_text()
        )
        assert record["fingerprint"] == stage["fingerprint"]
        assert record["files"]
    assert not (finished.folder / "runs/small/.building").exists()


def test_the_ledger_says_what_was_gained_and_lost(finished):
    summary = json.loads((finished.folder / "runs/small/ledger.json").read_text())["summary"]
    bits = summary["bits_per_byte"]
    assert set(bits) == {"base", "expand", "pretrain", "finetune"}
    for scores in bits.values():
        for language in ("zh", "en"):
            score = scores[language]
            assert score["low"] <= score["value"] <= score["high"]
            assert score["n_docs"] == 8
    assert bits["pretrain"]["zh"]["value"] < bits["base"]["zh"]["value"]
    assert summary["tokens_per_char"]["after"]["zh"] < summary["tokens_per_char"]["before"]["zh"]
    assert summary["tokens_per_char"]["after"]["en"] == summary["tokens_per_char"]["before"]["en"]
    assert abs(summary["shares"]["counted"]["zh"] - 0.6) <= 0.03
    assert set(summary["drift"]) >= {"expand", "pretrain", "finetune"}


def test_the_report_is_one_page_without_outside_requests(finished):
    page = (finished.folder / "runs/small/report.html").read_text(encoding="utf-8")
    assert "<html" in page
    assert 'src="http' not in page
    assert 'href="http' not in page


def test_second_run_is_done_before_and_changes_nothing(finished):
    before = contents(finished)
    done = finished.call("run", "recipe.yaml", "--json")
    assert done.code == 0
    assert done.err.count("done before") == len(WALK)
    assert contents(finished) == before
    assert done.json["complete"]


def test_plan_knows_what_is_done_and_what_a_change_forces(finished):
    rows = finished.call("plan", "recipe.yaml", "--json").json["stages"]
    assert [row["status"] for row in rows] == ["done"] * len(WALK)
    rows = finished.call(
        "plan", "recipe.yaml", "--set", "finetune.learning_rate=2e-3", "--json"
    ).json["stages"]
    by_stage = {row["stage"]: row for row in rows}
    assert by_stage["pretrain"]["status"] == "done"
    assert by_stage["finetune"]["why"] == ["learning_rate: 0.001 → 0.002"]
    assert by_stage["eval-finetune"]["status"] == "run"
    assert by_stage["eval-pretrain"]["status"] == "done"


def test_plan_estimates_before_anything_ran(project):
    rows = project.call("plan", "recipe.yaml", "--json").json["stages"]
    pretrain = next(row for row in rows if row["stage"] == "pretrain")
    assert pretrain["why"] == ["not run yet"]
    assert pretrain["estimate"]["tokens"] == 6000
    assert pretrain["estimate"]["steps"] == pytest.approx(6000 / 512, abs=2)
    assert not (project.folder / "runs").exists(), "a plan writes nothing"


@pytest.mark.slow
def test_killed_in_every_stage_and_run_again_gives_the_same_bytes(finished, project):
    """Kill -9 once in each stage, wherever it just is; the end must be byte for byte the same."""
    building = project.folder / "runs/small/.building"
    killed: list[str] = []
    for number in range(len(WALK)):
        child = WARM.start(["run", "recipe.yaml", "--quiet"], project.folder, environment())
        while child.alive():
            begun = {path.parent.name.rsplit("-", 1)[0] for path in building.glob("*-*/out")}
            if new := begun - set(killed):
                time.sleep(0.03 * (number % 4))
                with suppress(ProcessLookupError):  # it may have ended just now
                    os.kill(child.pid, signal.SIGKILL)
                killed += sorted(new, key=WALK.index)
                break
            time.sleep(0.002)
        child.end()
        for path in (project.folder / "runs/small").glob("*-*"):
            assert (path / "record.json").exists(), f"{path.name} looks whole and isn't"
    done = project.call("run", "recipe.yaml", "--json", "--quiet")
    assert done.code == 0, done.err
    assert contents(project) == contents(finished)
    assert len(killed) >= 8, f"the kill must really fall into the stages: {killed}"


def test_a_plan_reads_the_size_of_conversations_that_were_made(copied):
    """Most of the file is dropped, so its size says little."""
    project = copied()
    file = project.folder / "chat.json"
    unanswered = [{"instruction": f"{n} " * 200, "output": ""} for n in range(100)]
    file.write_text(json.dumps(json.loads(file.read_text()) + unanswered))

    def planned() -> int:
        rows = project.call("plan", "recipe.yaml", "--json").json["stages"]
        found = {row["stage"]: row for row in rows}["finetune"]
        assert found["status"] == "run"
        return int(found["estimate"]["tokens"])

    ledger = json.loads((project.folder / "runs/small/ledger.json").read_text())
    real = ledger["stages"]["finetune"]["counts"]["tokens"]
    guessed = planned()
    assert project.call("run", "recipe.yaml", "--until", "chatdata").code == 0
    assert abs(planned() - real) < real < guessed / 4
