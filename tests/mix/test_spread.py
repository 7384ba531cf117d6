"""Jobs in several processes: all are done, and one that dies takes nothing with it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from hanhua.core.errors import InputError, ResourceError
from hanhua.mix.spread import Begun, Ended, spread

ENVIRONMENTS = [{"PLACE": "first"}, {"PLACE": "second"}]


def work(job: tuple[str, Path]) -> tuple[str, str]:
    kind, folder = job
    if kind == "wrong":
        raise InputError("No such text.", where="text", found="nothing", fix="add it")
    if kind == "unforeseen":
        raise ValueError("odd")
    if kind == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "waits":  # until the other one has begun, so that each process has a job
        while not (folder / "begun").exists():
            time.sleep(0.01)
    (folder / "begun").touch()
    print("heard by nobody")
    return kind, os.environ["PLACE"]


def events(kinds, folder, environments=ENVIRONMENTS):
    jobs = [(kind, folder) for kind in kinds]
    found = list(spread(work, jobs, environments, folder / "logs"))
    return {e.job: e for e in found if isinstance(e, Ended)}, [
        e.job for e in found if isinstance(e, Begun)
    ]


def test_all_jobs_are_done_each_process_in_its_own_environment(tmp_path, capfd):
    ended, begun = events(["waits", "does", "does"], tmp_path)
    assert begun == [0, 1, 2]
    assert {job: e.result[0] for job, e in ended.items()} == {0: "waits", 1: "does", 2: "does"}
    assert {e.result[1] for e in ended.values()} == {"first", "second"}
    assert capfd.readouterr() == ("", "")
    assert "heard by nobody" in (tmp_path / "logs" / "worker-2.log").read_text()


def test_one_that_dies_does_not_hold_the_others_and_nothing_more_begins(tmp_path):
    ended, begun = events(["dies", "does", "does", "does", "does"], tmp_path, ENVIRONMENTS[:2])
    assert isinstance(ended[0].error, ResourceError)
    assert "SIGKILL" in ended[0].error.found
    assert ended[1].result[0] == "does"
    assert set(ended) == set(begun)
    assert len(begun) >= 2


def test_errors_come_through_whole(tmp_path):
    ended, begun = events(["wrong", "does"], tmp_path, ENVIRONMENTS[:1])
    assert begun == [0]
    error = ended[0].error
    assert type(error) is InputError
    assert (error.what, error.where, error.fix) == ("No such text.", "text", "add it")
    (error,) = [e.error for e in events(["unforeseen"], tmp_path)[0].values()]
    assert "ValueError: odd" in error.found
    assert "Traceback" in (tmp_path / "logs" / "worker-1.log").read_text()


def test_left_early_no_process_stays(tmp_path):
    going = spread(work, [("waits", tmp_path)], ENVIRONMENTS[:1], tmp_path / "logs")
    assert next(going) == Begun(0)
    going.close()  # as Ctrl-C does; a process that still waited would keep this test from ending
    assert not (tmp_path / "begun").exists()
