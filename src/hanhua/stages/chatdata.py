"""Stage ``chatdata``: many instruction formats into one set of conversations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hanhua.chat.config import ChatDataConfig
from hanhua.core.artifact import Artifact
from hanhua.core.progress import Progress
from hanhua.core.stage import Context, Result, Stage

READ_BYTES_PER_S = 2_000_000
"""Of packed files on one core, measured on the shared sets; only for the time a plan shows."""


def run(context: Context[ChatDataConfig]) -> Result:
    """Read, clean and select the conversations."""
    from hanhua.chat.build import build_chatdata

    return build_chatdata(context)


def estimate(config: ChatDataConfig, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Bytes to read and seconds."""
    from hanhua.core.artifact import outside_files

    files = [path for s in config.sources for path in outside_files(s.path, "chatdata.sources")]
    size = sum(path.stat().st_size for path in files)
    return {"bytes": size, "seconds": size / READ_BYTES_PER_S}


STAGE = Stage(
    name="chatdata", version=2, title="gather the conversations", run=run, estimate=estimate
)


def make_chatdata(
    config: ChatDataConfig, out: Path, progress: Progress, seed: int = 0
) -> dict[str, Any]:
    """Make a set of conversations by itself, without a run: the same artifact, in its own folder.

    Args:
        config: the sources and rules.
        out: the folder to make, whole or not at all.
        progress: bars.
        seed: as in a recipe.

    Returns:
        what ``hanhua chatdata --json`` prints: records in, kept and dropped, by reason, format,
        language, task, domain and source.

    Raises:
        StorageError: when the folder is there and not empty.
        InputError: for a file that cannot be read or of which nothing can be used.
        MixtureError: when the shares cannot be filled.
    """
    from hanhua.stages.alone import make_alone

    make_alone(STAGE, config, out, progress, seed=seed)
    return report(Artifact.load(out))


def report(artifact: Artifact) -> dict[str, Any]:
    """The account of a chatdata artifact as one object."""
    from hanhua.core.files import read_json

    ledger = read_json(artifact.path / "ledger.json")
    totals, metrics = ledger["totals"], artifact.metrics
    held_out = artifact.counts["held_out_by_language"]
    names = {*metrics["conversations_by_language"], *held_out}
    return {
        "records_in": totals["in"],
        "conversations_kept": totals["kept"],
        "held_out": totals["held_out"],
        "dropped": totals["dropped"],
        "changed": totals["changed"],
        "schemas": totals["schemas"],
        "languages": {
            name: {
                "kept": metrics["conversations_by_language"].get(name, 0),
                "held_out": held_out.get(name, 0),
                "turns": metrics["turns_by_language"].get(name, 0),
                "answer_bytes": metrics["target_bytes"].get(name, 0),
                "share": metrics["shares"]["counted"].get(name, 0.0),
            }
            for name in sorted(names)
        },
        "tasks": totals["tasks"],
        "domains": totals["domains"],
        "shares": metrics["shares"],
        "balance": metrics.get("balance", {}),
        "quality": totals.get("quality", {}),
        "contamination": ledger["contamination"],
        "template": metrics["template"],
        "sources": ledger["sources"],
    }
