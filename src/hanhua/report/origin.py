"""The sections on what it cost and where it comes from: time, memory, versions, fingerprints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hanhua.core.progress import duration
from hanhua.report.html import Html, Words, table, tag
from hanhua.report.page import Section, more, note
from hanhua.report.run import Run, mapping, real


def cost(run: Run) -> Section:
    """Seconds and peak memory of every stage."""
    rows: list[tuple[object, ...]] = []
    total = cpu = peak = 0.0
    for name, entry in run.stages.items():
        stage = mapping(entry)
        seconds, busy = real(stage.get("seconds")) or 0.0, real(stage.get("cpu_seconds")) or 0.0
        memory = real(stage.get("peak_rss_bytes")) or 0.0
        total, cpu, peak = total + seconds, cpu + busy, max(peak, memory)
        shown = (duration(seconds), duration(busy), _memory(memory))
        rows.append((name, stage.get("title") or "", *shown))
    if not rows:
        return Section("cost", Words("Time and memory", "时间与内存"), [])
    rows.append((Words("whole run", "合计"), "", duration(total), duration(cpu), _memory(peak)))
    head = (
        Words("Stage", "阶段"), Words("What it does", "内容"), Words("Time", "用时"),
        Words("CPU time", "CPU 时间"), Words("Peak memory", "内存峰值"),
    )  # fmt: skip
    said = note(
        "Time is wall time on the machine named below and depends on what else it was doing; a "
        "stage found done from before counts with the time it took then.",
        "用时为下述机器上的实际时间，受机器其他负载影响；此前已完成的阶段按当时的用时计。",
    )
    return Section("cost", Words("Time and memory", "时间与内存"), [table(head, rows, 2), said])


def _memory(size: float) -> str:
    return f"{size / 2**20:,.0f} MB" if size else "–"


def origin(run: Run) -> Section:
    """What a second person needs to make the same files again."""
    if not run.ledger:
        return Section("origin", Words("Provenance", "来历与复现"), [])
    body = [
        tag("p", Words("Run it again: ", "重新运行："), _command(run.ledger)),
        note(
            "The same recipe on the same files gives the same fingerprints anywhere, and on CPU "
            "with the same library versions and thread count the same bytes.",
            "同一配方、同样的文件，在任何机器上得到同样的指纹；在 CPU 上，库版本与线程数相同时得到"
            "同样的字节。",
        ),
        _environment(run),
        tag("h3", Words("Artifacts", "产物")),
        _artifacts(run),
        more("Settings of every stage", "各阶段设置", *_settings(run)),
    ]
    return Section("origin", Words("Provenance", "来历与复现"), body)


def _command(ledger: Mapping[str, Any]) -> Html:
    return tag("code", str(ledger.get("command") or "hanhua run recipe.yaml"))


def _environment(run: Run) -> Html:
    rows: list[tuple[object, object]] = [("hanhua", run.ledger.get("hanhua") or "–")]
    rows.append((Words("seed", "随机种子"), run.ledger.get("seed")))
    rows += sorted(mapping(run.ledger.get("versions")).items())
    rows += sorted(mapping(run.ledger.get("machine")).items())
    return table((Words("Environment", "环境"), Words("Value", "值")), rows, numbers=9)


def _artifacts(run: Run) -> Html:
    rows = []
    for name, entry in run.stages.items():
        stage = mapping(entry)
        roles = sorted(mapping(stage.get("inputs")).items())
        inputs = ", ".join(f"{role} = {made}" for role, made in roles)
        link = run.link(name, "record.json")
        folder = tag("code", str(stage.get("fingerprint") or "–")[:16])
        rows.append((name, tag("a", folder, href=link) if link else folder, inputs or "–"))
    head = (Words("Stage", "阶段"), Words("Fingerprint", "指纹"), Words("Made from", "输入"))
    return table(head, rows, numbers=9)


def _settings(run: Run) -> list[Html]:
    parts: list[Html] = []
    for name in run.stages:
        record: Mapping[str, Any] = mapping(run.json(name, "record.json"))
        if record.get("identity"):
            text = json.dumps(record["identity"], ensure_ascii=False, indent=1, sort_keys=True)
            parts += [tag("h3", name), tag("pre", text)]
    return parts
