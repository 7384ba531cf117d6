"""How long `hanhua --help` and `hanhua plan` take to answer: whole process, median of n."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path


def seconds(command: list[str], runs: int) -> list[float]:
    found = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        found.append(time.perf_counter() - start)
    return found[1:]  # the first fills the file cache


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few runs")
    runs = 5 if parser.parse_args().quick else 20
    hanhua = str(Path(sys.executable).with_name("hanhua"))
    result: dict[str, object] = {"python": platform.python_version(), "n": runs}
    for name, command in {
        "help": [hanhua, "--help"],
        "run_help": [hanhua, "run", "--help"],
        "bare_python": [sys.executable, "-c", "pass"],
    }.items():
        times = seconds(command, runs)
        result[name] = {
            "median_s": round(statistics.median(times), 3),
            "min_s": round(min(times), 3),
            "max_s": round(max(times), 3),
        }
        spread = f"{min(times):.3f}–{max(times):.3f}"
        print(f"{name:<12} median {statistics.median(times):.3f} s ({spread})")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
