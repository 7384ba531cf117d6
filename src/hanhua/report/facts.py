"""The content of the page for machines: ``report.json``, from the same functions that draw it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from hanhua.core.stopped import read_stopped
from hanhua.report.cost import spent
from hanhua.report.measure import measures
from hanhua.report.origin import licences
from hanhua.report.page import Section
from hanhua.report.quantised import quantised_rows
from hanhua.report.run import Run, dig, listing, mapping, models
from hanhua.report.samples import sayings
from hanhua.report.trade import points
from hanhua.report.training import STAGES
from hanhua.report.waterfall import falls

FORMAT = 1


def facts(run: Run, sections: Sequence[Section]) -> dict[str, Any]:
    """Everything with a number on the page.

    Returns:
        run, ``stopped`` (where an unfinished run did), ``changes`` (every measure against the
        base: better is above zero, with interval, n, unit and verdict), ``models`` (both
        languages' bits per byte, and which are on the frontier), ``summary`` as in the ledger,
        ``drift`` in parts, ``corpus``, ``quantised``, ``samples``, ``training``, ``cost``,
        ``licences``, ``limits``, ``artifacts`` and ``not_run``.
    """
    stopped = read_stopped(run.folder, run.ledger)
    names = [n.removeprefix("eval-") for n in run.stages if n.startswith("eval-")]
    return {
        "format": FORMAT,
        **{key: run.ledger.get(key) for key in
           ("name", "hanhua", "complete", "target", "source", "seed", "command", "versions",
            "machine")},
        "stopped": stopped.as_dict() if stopped else None,
        "changes": [{k: v for k, v in asdict(one).items() if k != "name"} for one in measures(run)],
        "models": [
            {"name": p.name, run.target: dict(p.y), run.source: dict(p.x), "frontier": p.best}
            for p in points(run)
        ],
        "summary": run.summary,
        "drift": {name: dig(run.json(f"eval-{name}", "scores.json"), "drift") for name in names},
        "corpus": _corpus(run),
        "quantised": quantised_rows(run),
        "samples": [
            {"language": code, "prompt": prompt, "texts": {n: said[n].get("text") for n in said}}
            for (code, prompt), said in sayings(run, models(dict.fromkeys(names))).items()
        ],
        "training": {name: _training(run, name) for name in STAGES if run.stage(name)},
        "cost": [asdict(one) | {"device_hours": one.device_hours, "money": one.money}
                 for one in spent(run)],
        "licences": [dict(zip(("source", "languages", "licence", "stage"), row, strict=True))
                     for row in licences(run)],
        "limits": dict(mapping(run.ledger.get("gates"))),
        "artifacts": {name: _artifact(run, name) for name in run.stages},
        "not_run": [section.name for section in sections if not section.body],
    }  # fmt: skip


def _corpus(run: Run) -> list[dict[str, Any]]:
    rows = [mapping(row) for row in listing(dig(run.json("corpus", "ledger.json"), "sources"))]
    return [asdict(fall) for fall in falls(run, rows)]


def _training(run: Run, name: str) -> dict[str, Any]:
    stage = run.stage(name)
    return {"counts": stage.get("counts"), "metrics": stage.get("metrics"),
            "log": run.link(name, "log.jsonl")}  # fmt: skip


def _artifact(run: Run, name: str) -> Mapping[str, Any]:
    return {"fingerprint": run.stage(name).get("fingerprint"), "record": run.link(name, "record.json")}  # fmt: skip # noqa: E501


def plain(value: Any) -> Any:
    """What strict JSON can hold: no number that is none, no half of a character."""
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return None if isinstance(value, float) and not math.isfinite(value) else value
