"""What is written beside an artifact: what it was made from, by what, and at which cost."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hanhua import __version__
from hanhua.core.artifact import Artifact, file_digests
from hanhua.core.config import Machine
from hanhua.core.errors import HanhuaError
from hanhua.core.files import canonical_json, read_json, sha256_text, write_json
from hanhua.core.stage import Result, Stage

KEEP_EVERY_SECONDS = 2.0
PACKAGES = ("torch", "transformers", "tokenizers", "sentencepiece", "numpy", "pyarrow")


class Meter:
    """Wall seconds, CPU seconds (children too) and peak memory of a with block.

    Args:
        path: where the cost so far is kept every few seconds; what an earlier, killed go left
            there is counted in.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.seconds = self.cpu_seconds = 0.0
        self.peak_rss_bytes = 0
        self._before = _spent(path)
        self._done = threading.Event()
        self._writer = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> Meter:
        """Start the clocks; on Linux the kernel's peak mark is set back to now."""
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            pass
        self._wall, self._cpu = time.monotonic(), _cpu_seconds()
        if self.path is not None:
            self._writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Read them."""
        self._done.set()
        if self.path is not None:
            self._writer.join()
        self._read()

    def _read(self) -> None:
        self.seconds = self._before[0] + time.monotonic() - self._wall
        self.cpu_seconds = self._before[1] + _cpu_seconds() - self._cpu
        self.peak_rss_bytes = max(int(self._before[2]), _peak_rss_bytes())

    def _keep(self) -> None:
        assert self.path is not None
        while not self._done.wait(KEEP_EVERY_SECONDS):
            self._read()
            try:
                write_json(self.path, [self.seconds, self.cpu_seconds, self.peak_rss_bytes])
            except HanhuaError:
                return  # a full disk is for the stage itself to report


def _spent(path: Path | None) -> list[float]:
    """What earlier goes at the same stage cost: seconds, CPU seconds, peak bytes."""
    try:
        found = read_json(path) if path is not None else None
    except (OSError, ValueError):
        found = None
    return found if isinstance(found, list) and len(found) == 3 else [0.0, 0.0, 0]


def _cpu_seconds() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _peak_rss_bytes() -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if platform.system() == "Darwin" else peak * 1024


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the bytes."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def machine_facts(machine: Machine) -> dict[str, Any]:
    """What it ran on, for people who compare times."""
    cpu = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    cores = os.cpu_count() or 1
    found: dict[str, Any] = {"cpu": cpu, "cores": cores, "threads": machine.threads or cores,
             "system": platform.system(), "device": machine.device}  # fmt: skip
    if machine.price_per_device_hour is not None:  # for the report's account of money
        found |= {"price_per_device_hour": machine.price_per_device_hour,
                  "currency": machine.currency}  # fmt: skip
    return found | ({"devices": machine.devices} if machine.devices > 1 else {})


def make_record(
    *,
    stage: Stage,
    fingerprint: str,
    identity: Mapping[str, Any],
    inputs: Mapping[str, Artifact],
    context: Mapping[str, Any],
    result: Result,
    meter: Meter,
    folder: Path,
    machine: Machine,
) -> dict[str, Any]:
    """The content of record.json. ``content_sha256`` covers every file but the record itself."""
    files = file_digests(folder)
    return {
        "stage": stage.name,
        "version": stage.version,
        "fingerprint": fingerprint,
        "identity": identity,
        "inputs": {
            role: {"stage": artifact.stage, "fingerprint": artifact.fingerprint}
            for role, artifact in inputs.items()
        },
        "context": dict(context),
        "counts": result.counts,
        "metrics": result.metrics,
        "files": files,
        "content_sha256": sha256_text(canonical_json(files)),
        "seconds": round(meter.seconds, 3),
        "cpu_seconds": round(meter.cpu_seconds, 3),
        "peak_rss_bytes": meter.peak_rss_bytes,
        "finished_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "hanhua": __version__,
        "versions": versions(),
        "machine": machine_facts(machine),
    }
