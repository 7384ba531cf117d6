"""Stage ``corpus``: raw files to clean shards, a held-out set and a ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hanhua.core.artifact import outside_files
from hanhua.core.stage import Context, Result, Stage
from hanhua.text.config import CorpusConfig

_PACKED = (".gz", ".zst", ".xz", ".bz2", ".parquet")
_PACKING = 3.0
_BYTES_PER_S = 5e6
_KEPT_ON_DISK = 0.4


def run(context: Context[CorpusConfig]) -> Result:
    """Read, clean, deduplicate and split the recipe's sources."""
    from hanhua.text.corpus import build_corpus

    return build_corpus(context)


def estimate(config: CorpusConfig, facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Seconds and disk from the sizes of the files."""
    files = [path for n, source in enumerate(config.sources)
             for path in outside_files(source.path, f"corpus.sources[{n}].path")]  # fmt: skip
    text_bytes = sum(
        path.stat().st_size * (_PACKING if path.suffix in _PACKED else 1.0) for path in files
    )
    return {
        "seconds": round(text_bytes / _BYTES_PER_S),
        "disk_bytes": round(text_bytes * _KEPT_ON_DISK),
    }


STAGE = Stage(
    name="corpus", version=1, title="clean, deduplicate and split the text", run=run,
    estimate=estimate,
)  # fmt: skip
