"""All that is to be measured on a GPU, by one command that may be killed and called again.

    python benchmarks/gpu.py [--minutes 14] [--out FOLDER] [--only WORD ...] [--peer PYTHON]
        [--list] [--quick]

Pieces run one after another in order of worth, each as a process of its own with a time limit of
its own: tests, training beside Transformers' Trainer, memory against plans, attention, the loss,
serving. A piece that no longer fits into ``--minutes`` is left out, and so is one for whose memory
this GPU is too small. What came of each is a line of FOLDER/results.jsonl as soon as it ends; the
next call with the same folder takes up what is missing, and tries what failed once more. Logs lie
beside it, and so does page.md, the page to put under benchmarks/. ``--peer`` is a Python with
Transformers' Trainer (accelerate, peft), usually this one. Code that was compiled is kept in the
folder for the next call.

``--quick`` runs what fits into a minute of it at toy sizes on a CPU: a rehearsal (all of it with
``--minutes 12``). Prints the page, and one line of JSON last.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from peers.gpu_page import page
from peers.gpu_pieces import LEAVE_S, Piece, pieces_of

ROOT = Path(__file__).parents[1]
TRIES = 2
"""How often a piece is begun before it is left."""
TAIL = 12
"""Lines of a log that a result keeps where a piece failed."""


@dataclass(frozen=True, slots=True)
class Results:
    """What came of pieces, a line each, appended when it is known.

    Args:
        path: of the file.
    """

    path: Path

    def all(self) -> list[dict[str, Any]]:
        """Every line; one that a kill cut off is none."""
        if not self.path.exists():
            return []
        found = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def add(self, line: dict[str, Any]) -> None:
        """One more, on the disk when this returns."""
        cut = self.path.exists() and not self.path.read_bytes().endswith(b"\n")
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n" * cut + json.dumps(line, sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def wants(self, piece: Piece) -> bool:
        """Whether a piece is still to be run."""
        mine = [line["state"] for line in self.all() if line["piece"] == piece.name]
        return "done" not in mine and len(mine) < TRIES


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the piece ends with us
    options.out.mkdir(parents=True, exist_ok=True)
    results, ends = Results(options.out / "results.jsonl"), time.monotonic() + 60 * options.minutes
    left_out = {}
    for piece in _in_order(options, results):
        left = ends - time.monotonic() - LEAVE_S
        if why := piece.too_large(memory_bytes()):
            left_out[piece.name] = why
        elif left < piece.least_s:
            left_out[piece.name] = f"wants {piece.least_s} s, {max(left, 0):.0f} s are left"
        else:
            results.add(run(piece, min(piece.limit_s, left), options.out))
    text = page(results.all(), left_out, machine(), options.quick)
    (options.out / "page.md").write_text(text, encoding="utf-8")
    print(text)
    states = {line["piece"]: line["state"] for line in results.all()}
    print(json.dumps({"benchmark": "gpu", "quick": options.quick, "states": states,
                      "left_out": left_out, **machine()}, sort_keys=True))  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, help="of all together; usually 14, quick 1")
    parser.add_argument("--out", type=Path, default=None, help="usually runs/gpu")
    parser.add_argument("--only", nargs="+", default=[""], help="pieces with this in their names")
    parser.add_argument("--peer", help="a Python that has Transformers' Trainer")
    parser.add_argument("--list", action="store_true", help="name the pieces, run none")
    parser.add_argument("--quick", action="store_true", help="a rehearsal on a CPU")
    options = parser.parse_args()
    if options.quick and options.out is None:  # a rehearsal begins anew
        (ROOT / "runs" / "gpu-quick" / "results.jsonl").unlink(missing_ok=True)
    options.out = options.out or ROOT / "runs" / ("gpu-quick" if options.quick else "gpu")
    options.minutes = options.minutes or (1.0 if options.quick else 14.0)
    if options.peer is None and importlib.util.find_spec("accelerate"):
        options.peer = sys.executable
    if options.list:
        for piece in pieces_of(options):
            print(f"{piece.name:<28}{piece.least_s:>5}-{piece.limit_s} s  {piece.told()}")
        sys.exit(0)
    if not options.quick and not torch.cuda.is_available():
        parser.error("no CUDA device is at hand; --quick rehearses on a CPU")
    return options


def _in_order(options: argparse.Namespace, results: Results) -> list[Piece]:
    """What is still to be run: what was never begun first, then what failed."""
    asked = [p for p in pieces_of(options) if any(word in p.name for word in options.only)]
    if not asked:
        sys.exit(f"no piece has {' or '.join(options.only)} in its name")
    begun = {line["piece"] for line in results.all()}
    return sorted(filter(results.wants, asked), key=lambda piece: piece.name in begun)


def run(piece: Piece, limit_s: float, out: Path) -> dict[str, Any]:
    """Run a piece to its end, or to the end of its time; what it said."""
    print(f"{piece.name}: {piece.told()}", file=sys.stderr, flush=True)
    logs = [out / f"{piece.name}.{end}" for end in ("out", "err")]
    start, state = time.monotonic(), "done"
    with logs[0].open("w") as said, logs[1].open("w") as complaint:
        process = subprocess.Popen(
            piece.command(limit_s), cwd=ROOT, stdout=said, stderr=complaint, text=True,
            env=_environment(piece, out), start_new_session=True,
        )  # fmt: skip
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            state = "out of time"
        finally:  # with all that it has started
            _end_group(process)
    if state == "done" and process.returncode:
        state = "failed"
    seconds = round(time.monotonic() - start, 1)
    print(f"{piece.name}: {state} after {seconds:g} s", file=sys.stderr, flush=True)
    texts = [log.read_text(encoding="utf-8", errors="replace").splitlines() for log in logs]
    return {
        "piece": piece.name, "kind": piece.kind, "state": state, "seconds": seconds,
        "command": piece.told(), "found": piece.read(texts[0], state == "done"),
        "tail": [] if state == "done" else [*texts[0][-TAIL:], *texts[1][-TAIL:]], **machine(),
    }  # fmt: skip


def _end_group(process: subprocess.Popen[str]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            process.wait(5)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _environment(piece: Piece, out: Path) -> dict[str, str]:
    paths = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    caches = {"TORCHINDUCTOR_CACHE_DIR": str((out / "compiled").resolve())}
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **caches, **piece.environment}


def memory_bytes() -> int | None:
    """Of the GPU; None without one."""
    if not torch.cuda.is_available():
        return None
    return int(torch.cuda.get_device_properties(0).total_memory)


def machine() -> dict[str, Any]:
    """What this runs on, and with what."""
    versions: Sequence[str] = ("transformers", "accelerate", "peft", "bitsandbytes")
    found = {name: _version(name) for name in versions}
    return {
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none (CPU)",
        "gpu_bytes": memory_bytes(), "torch": torch.__version__, "cuda": torch.version.cuda,
        "python": sys.version.split()[0], "cores": os.cpu_count(), "versions": found,
    }  # fmt: skip


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
