"""What a stage cost, all its goes together."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from hanhua.core.files import read_json
from hanhua.core.record import Meter

WORK = """
import sys, time
from pathlib import Path
from hanhua.core import record
record.KEEP_EVERY_SECONDS = 0.05
with record.Meter(Path(sys.argv[1])):
    print("going", flush=True)
    while True:
        sum(range(10_000))
"""


def test_a_killed_go_is_counted_in(tmp_path: Path):
    path = tmp_path / "spent.json"
    process = subprocess.Popen([sys.executable, "-c", WORK, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    while not path.exists() or min(read_json(path)[:2]) < 0.1:  # wall and processor alike
        time.sleep(0.02)
    process.kill()
    process.wait()
    process.stdout.close()
    before = read_json(path)
    with Meter(path) as meter:
        time.sleep(0.01)
    assert before[0] + 0.01 <= meter.seconds
    assert before[1] <= meter.cpu_seconds
    assert before[1] > 0.05
    assert meter.peak_rss_bytes >= before[2] > 0


def test_a_first_go_and_a_broken_note_start_at_nothing(tmp_path: Path):
    (tmp_path / "spent.json").write_text("{", encoding="utf-8")
    for path in (None, tmp_path / "none.json", tmp_path / "spent.json"):
        with Meter(path) as meter:
            pass
        assert 0 <= meter.seconds < 60
        assert meter.peak_rss_bytes > 0
