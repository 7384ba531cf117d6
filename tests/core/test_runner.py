"""The runner: content addresses, reasons, wholeness, kill and resume."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hanhua.core.artifact import Artifact
from hanhua.core.config import FilesField, Machine, Section
from hanhua.core.errors import ArtifactError, GateError, InputError, StorageError, UsageError
from hanhua.core.progress import Silent
from hanhua.core.runner import run
from hanhua.core.stage import Context, Node, Result, Stage
from hanhua.core.walk import Walk, plan


class CountConfig(Section):
    """A section with an outside file and a value."""

    path: FilesField
    times: int = 1
    others: tuple[FilesField, ...] = ()


class ShoutConfig(Section):
    """A section with a value."""

    mark: str = "!"


def count(context: Context[CountConfig]) -> Result:
    text = Path(context.config.path).read_text(encoding="utf-8") * context.config.times
    (context.out / "text.txt").write_text(text, encoding="utf-8")
    return Result(counts={"chars": len(text)})


def shout(context: Context[ShoutConfig]) -> Result:
    text = (context.inputs["text"].path / "text.txt").read_text(encoding="utf-8")
    (context.out / "loud.txt").write_text(text.upper() + context.config.mark, encoding="utf-8")
    return Result(metrics={"marks": 1.0})


COUNT = Stage(name="count", version=1, run=count, title="count the characters")
SHOUT = Stage(name="shout", version=1, run=shout, title="say it louder")


def walk(folder: Path, text: Path, times: int = 1, mark: str = "!", **other: object) -> Walk:
    config = CountConfig.model_validate({"path": str(text), "times": times}, context={"root": "/"})
    nodes = [
        Node(stage=COUNT, config=config, inputs={}),
        Node(stage=SHOUT, config=ShoutConfig(mark=mark), inputs={"text": "count"}),
    ]
    facts = {"name": "n", "seed": 1, "target": "zh", "source": "en", "machine": Machine()}
    return Walk(nodes=nodes, run_dir=folder / "run", **{**facts, **other})


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "in.txt"
    path.write_text("你好 world", encoding="utf-8")
    return path


def test_run_makes_artifacts_and_ledger(tmp_path: Path, text: Path):
    ledger = run(walk(tmp_path, text), Silent())
    stages = ledger["stages"]
    assert list(stages) == ["count", "shout"]
    assert ledger["complete"]
    folder = tmp_path / "run" / stages["shout"]["path"]
    assert (folder / "loud.txt").read_text(encoding="utf-8") == "你好 WORLD!"
    assert json.loads((tmp_path / "run/ledger.json").read_text()) == json.loads(json.dumps(ledger))
    assert not (tmp_path / "run" / ".building").exists()


def test_second_run_does_nothing(tmp_path: Path, text: Path):
    first = run(walk(tmp_path, text), Silent())
    assert all(step.done for step in plan(walk(tmp_path, text)))
    assert run(walk(tmp_path, text), Silent()) == first


def test_fingerprint_follows_content_not_place(tmp_path: Path, text: Path):
    elsewhere = tmp_path / "other" / "in.txt"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(text.read_bytes())
    here = plan(walk(tmp_path, text))
    there = plan(walk(tmp_path / "far", elsewhere, machine=Machine(threads=7, device="cpu")))
    assert [step.fingerprint for step in here] == [step.fingerprint for step in there]
    text.write_text("changed", encoding="utf-8")
    changed = plan(walk(tmp_path, text))
    assert [a.fingerprint != b.fingerprint for a, b in zip(here, changed, strict=True)] == [
        True
    ] * 2


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({"times": 2}, ["times: 1 → 2", "its input count is another"]),
        ({"mark": "?"}, [None, "mark: ! → ?"]),
        ({"seed": 2}, ["seed: 1 → 2", "seed: 1 → 2"]),
    ],
)
def test_plan_says_what_forces_a_rerun(tmp_path: Path, text: Path, change, reasons):
    assert [step.why for step in plan(walk(tmp_path, text))] == [("not run yet",)] * 2
    run(walk(tmp_path, text), Silent())
    found = plan(walk(tmp_path, text, **change))
    for step, reason in zip(found, reasons, strict=True):
        assert step.done == (reason is None)
        assert reason is None or reason in step.why


def test_until_and_unknown_stage(tmp_path: Path, text: Path):
    ledger = run(walk(tmp_path, text), Silent(), until="count")
    assert list(ledger["stages"]) == ["count"]
    assert not ledger["complete"]
    with pytest.raises(UsageError, match="choose one of: count, shout"):
        plan(walk(tmp_path, text), until="shuot")


def test_missing_input_names_the_key(tmp_path: Path):
    with pytest.raises(InputError, match=r"count\.path"):
        plan(walk(tmp_path, tmp_path / "absent.txt"))


def test_a_section_that_a_later_stage_refuses_ends_the_run_before_the_first(tmp_path, text):
    def refuse(config: ShoutConfig) -> None:
        raise InputError("Too loud.", found=config.mark)

    whole = walk(tmp_path, text)
    strict = replace(whole.nodes[1], stage=replace(SHOUT, refuse=refuse))
    with pytest.raises(InputError, match="Too loud"):
        run(replace(whole, nodes=[whole.nodes[0], strict]), Silent())
    assert not list((tmp_path / "run").glob("count-*"))
    run(whole, Silent())
    assert list((tmp_path / "run").glob("count-*"))


def test_a_reason_is_named_once_for_two_roles(tmp_path: Path, text: Path):
    def twice(times: int) -> Walk:
        found = walk(tmp_path, text, times)
        both = replace(found.nodes[1], inputs={"text": "count", "again": "count"})
        return replace(found, nodes=[found.nodes[0], both])

    run(twice(1), Silent())
    assert plan(twice(2))[1].why == ("its input count is another",)


def test_a_walk_that_ends_early_leaves_later_stages_in_the_ledger(tmp_path: Path, text: Path):
    whole = run(walk(tmp_path, text), Silent())
    part = run(walk(tmp_path, text), Silent(), until="count")
    assert list(part["stages"]) == list(whole["stages"]) == ["count", "shout"]
    assert part["complete"]
    other = run(walk(tmp_path, text, times=2), Silent(), until="count")
    assert list(other["stages"]) == [
        "count"
    ]  # what was made from another input is not of this walk
    assert not other["complete"]


def test_a_plan_needs_no_right_to_write(tmp_path: Path, text: Path):
    folder = tmp_path / "run"
    folder.mkdir()
    cache = folder / ".digests.json"
    cache.mkdir()  # what cannot be replaced by a file, for root too
    (cache / "held").touch()
    steps = plan(walk(tmp_path, text))
    assert [step.done for step in steps] == [False, False]
    assert cache.is_dir()


def test_changed_artifact_is_noticed(tmp_path: Path, text: Path):
    ledger = run(walk(tmp_path, text), Silent())
    (tmp_path / "run" / ledger["stages"]["count"]["path"] / "text.txt").write_text("short")
    with pytest.raises(ArtifactError, match="delete the folder count-"):
        run(walk(tmp_path, text), Silent())


def test_a_run_that_fails_early_takes_nothing_out_of_the_ledger(tmp_path: Path, text: Path):
    def three(refuses: bool = False) -> Walk:
        def fail(context: Context[CountConfig]) -> Result:
            raise InputError("Broken.") if refuses else AssertionError

        found = walk(tmp_path, text)
        first = replace(found.nodes[1], stage=replace(SHOUT, name="first"), inputs={})
        first = replace(first, stage=replace(first.stage, run=lambda context: Result()))
        again = replace(COUNT, run=fail) if refuses else COUNT
        return replace(found, nodes=[first, replace(found.nodes[0], stage=again), found.nodes[1]])

    ledger = run(three(), Silent())
    assert list(ledger["stages"]) == ["first", "count", "shout"]
    folder, path = (
        tmp_path / "run" / ledger["stages"]["count"]["path"],
        tmp_path / "run/ledger.json",
    )
    for damage in ("text.txt", "record.json", ""):
        (folder / damage).unlink() if damage else folder.rmdir()
        with pytest.raises((ArtifactError, InputError)) as caught:
            run(three(refuses=True), Silent())
        assert isinstance(caught.value, ArtifactError) == bool(damage)
        assert "shout" in json.loads(path.read_text())["stages"], damage
    assert not json.loads(path.read_text())["complete"]
    assert run(three(), Silent())["complete"]


def test_a_failing_stage_leaves_no_artifact(tmp_path: Path, text: Path):
    def fail(context: Context[ShoutConfig]) -> Result:
        (context.out / "half.txt").write_text("half")
        raise OSError(28, "No space left on device")

    bad = walk(tmp_path, text)
    nodes = [bad.nodes[0], Node(stage=Stage(name="shout", version=1, run=fail, title="fail"),
                                config=ShoutConfig(), inputs={"text": "count"})]  # fmt: skip
    with pytest.raises(StorageError, match="The disk is full"):
        run(walk(tmp_path, text).__class__(**{**_fields(bad), "nodes": nodes}), Silent())
    folder = tmp_path / "run"
    assert not list(folder.glob("shout-*"))
    assert list(json.loads((folder / "ledger.json").read_text())["stages"]) == ["count"]
    assert run(walk(tmp_path, text), Silent())["complete"]


def _fields(found: Walk) -> dict[str, object]:
    return {name: getattr(found, name) for name in found.__dataclass_fields__}


SLOW = """
import sys, time
from pathlib import Path
from hanhua.core.config import Machine, Section
from hanhua.core.progress import Silent
from hanhua.core.runner import run
from hanhua.core.walk import Walk
from hanhua.core.stage import Context, Node, Result, Stage

class Empty(Section):
    "Nothing."

def work(context):
    memory = context.work / "steps.txt"
    done = len(memory.read_text().splitlines()) if memory.exists() else 0
    for step in range(done, 6):
        time.sleep(float(sys.argv[2]))
        with memory.open("a") as file:
            file.write(f"{step}\\n")
    (context.out / "steps.txt").write_text(memory.read_text())
    return Result()

walk = Walk(name="n", nodes=[Node(stage=Stage(name="slow", version=1, run=work, title="t"),
            config=Empty(), inputs={})], seed=0, target="zh", source="en", machine=Machine(),
            run_dir=Path(sys.argv[1]))
run(walk, Silent())
"""


def test_kill_keeps_work_and_leaves_nothing_half(tmp_path: Path):
    folder = tmp_path / "run"
    command = [sys.executable, "-c", SLOW, str(folder)]
    child = subprocess.Popen([*command, "0.3"])
    kept = folder / ".building"
    while not list(kept.glob("*/work/steps.txt")) and child.poll() is None:
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert not list(folder.glob("slow-*")), "killed before the end, so no artifact"
    before = next(kept.glob("*/work/steps.txt")).read_text()
    subprocess.run([*command, "0"], check=True, timeout=60)
    steps = next(folder.glob("slow-*/steps.txt")).read_text()
    assert steps == "0\n1\n2\n3\n4\n5\n", "went on, nothing twice"
    assert 0 < len(before) < len(steps), "the kill fell in the middle"


def test_two_runs_in_one_folder_are_refused(tmp_path: Path):
    folder = tmp_path / "run"
    child = subprocess.Popen([sys.executable, "-c", SLOW, str(folder), "5"])
    try:
        while not list(folder.glob(".building/*/work")) and child.poll() is None:
            time.sleep(0.02)
        text = tmp_path / "in.txt"
        text.write_text("a")
        with pytest.raises(StorageError, match="Another hanhua is running"):
            run(walk(tmp_path, text), Silent())
    finally:
        child.kill()
        child.wait()


def test_a_check_ends_the_run_and_what_was_made_stays(tmp_path: Path, text: Path):
    def refuse(config: CountConfig, artifact: Artifact) -> None:
        if artifact.counts["chars"] > config.times * 2:
            raise GateError("Too many characters.", where=artifact.path.name)

    wanted = walk(tmp_path, text)
    checked = replace(wanted.nodes[0], stage=replace(COUNT, check=refuse))
    wanted = replace(wanted, nodes=[checked, wanted.nodes[1]])
    times = set()
    for _ in range(2):
        with pytest.raises(GateError, match="Too many characters"):
            run(wanted, Silent())
        steps = plan(wanted)
        assert [step.done for step in steps] == [True, False]
        times.add((steps[0].path / "record.json").stat().st_mtime_ns)
        ledger = json.loads((tmp_path / "run" / "ledger.json").read_text("utf-8"))
        assert list(ledger["stages"]) == ["count"]
        assert not ledger["complete"]
    assert len(times) == 1  # not made again
