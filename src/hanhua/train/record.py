"""What a training stage keeps beside the model: its log, its counts and its last losses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hanhua.core.files import write_text
from hanhua.core.stage import Result
from hanhua.train import parallel
from hanhua.train.log import read_learnt
from hanhua.train.loop import TrainResult


def training_result(result: TrainResult, saved: Mapping[str, Any], out: Path) -> Result:
    """Copy the log into the artifact and count.

    Args:
        result: of the loop.
        saved: of :func:`hanhua.train.save.save_trained`.
        out: the artifact.

    Returns:
        Nothing on processes behind the first.
    """
    if not parallel.first():
        return Result()
    text = result.log.read_text(encoding="utf-8")
    write_text(out / "log.jsonl", text)
    lines = read_learnt(text, result.steps, result.skipped)
    return Result(
        counts={
            "steps": result.steps, "tokens": result.tokens,
            "targets": sum(line["targets"] for line in lines),
            "parameters": saved["parameters"],
        },
        metrics={
            "loss": result.loss, "first_loss": lines[0]["loss"] if lines else None,
            "losses": last_losses(lines), "dtype": saved["dtype"],
            "precision": result.precision,
            "reload_max_difference": saved["reload_max_difference"], **result.facts,
            **({"lora": saved["lora"]} if "lora" in saved else {}),
        },
    )  # fmt: skip


def last_losses(lines: list[dict[str, Any]]) -> dict[str, float]:
    """Each language's mean loss over the last tenth of the steps."""
    tail = lines[-max(len(lines) // 10, 1) :]
    names = sorted({name for line in tail for name in line["losses"]})
    found = {name: [x["losses"][name] for x in tail if name in x["losses"]] for name in names}
    return {name: round(sum(values) / len(values), 6) for name, values in found.items()}
