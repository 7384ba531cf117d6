"""Stage ``corpus``: raw files to clean shards, a held-out set and a ledger."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hanhua.core.artifact import outside_files
from hanhua.core.config import Machine
from hanhua.core.files import read_json
from hanhua.core.progress import Progress
from hanhua.core.stage import Context, Result, Stage
from hanhua.text.config import CorpusConfig

_PACKED = (".gz", ".zst", ".xz", ".bz2", ".parquet")
_PACKING = 3.0
_BYTES_PER_S = 5e6
_KEPT_ON_DISK = 0.4
_FINGERPRINTS_ON_DISK = 0.3


def run(context: Context[CorpusConfig]) -> Result:
    """Read, clean, deduplicate and split the recipe's sources."""
    from hanhua.text.corpus import build_corpus

    return build_corpus(context)


def refuse(config: CorpusConfig) -> None:
    """Sources without a licence, before a base is fetched for them.

    Raises:
        InputError: naming the first one.
    """
    from hanhua.text.readers.intake import check_licences

    check_licences(config)


def estimate(config: CorpusConfig, facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Seconds and disk from the sizes of the files."""
    files = [path for n, source in enumerate(config.sources) if source.path
             for path in outside_files(source.path, f"corpus.sources[{n}].path")]  # fmt: skip
    text_bytes = sum(
        path.stat().st_size * (_PACKING if path.suffix in _PACKED else 1.0) for path in files
    )
    kept = _KEPT_ON_DISK
    if config.min_repeated_passage_chars is not None:
        kept += _FINGERPRINTS_ON_DISK
    return {
        "seconds": round(text_bytes / _BYTES_PER_S),
        "disk_bytes": round(text_bytes * kept),
    }


STAGE = Stage(
    name="corpus", version=3, title="clean, deduplicate and split the text", run=run,
    estimate=estimate, refuse=refuse,
)  # fmt: skip


def make_corpus(
    config: CorpusConfig, out: Path, progress: Progress, machine: Machine | None = None
) -> dict[str, Any]:
    """Make a corpus by itself, without a run: the same artifact, in a folder of its own.

    What a kill or a full disk leaves is beside the folder to make, and the same call goes on from
    it. What the user must mend (a broken file, a wrong key) changes the call, so nothing is left.

    Args:
        config: the sources and rules.
        out: the folder to make.
        progress: bars.
        machine: workers and memory; all cores where not given.

    Returns:
        report.json.

    Raises:
        StorageError: when the folder is there and not empty.
        InputError: for a file that cannot be read, or when no document is left.
    """
    from hanhua.stages.alone import make_alone

    network = any(source.dataset for source in config.sources)  # it may be back later
    make_alone(STAGE, config, out, progress, machine=machine, keep_on_mistake=network)
    found: dict[str, Any] = read_json(out / "report.json")
    return found
