"""The section on where it comes from: licences, versions, fingerprints, settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hanhua.report.html import Html, Words, join, table, tag
from hanhua.report.page import Section, more, note, sources
from hanhua.report.run import Run, dig, language, listing, mapping

MACHINE: Mapping[str, str] = {
    "cores": "核数",
    "cpu": "处理器",
    "currency": "货币",
    "device": "设备",
    "devices": "设备数",
    "price_per_device_hour": "每设备小时价格",
    "system": "操作系统",
    "threads": "线程数",
}
"""What the ledger says of the machine, in Chinese."""


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
        *_licences(run),
        tag("h3", Words("Environment", "环境")),
        _environment(run),
        tag("h3", Words("Artifacts", "产物")),
        _artifacts(run),
        more("Settings of every stage", "各阶段设置", *_settings(run)),
    ]
    return Section("origin", Words("Provenance", "来历与复现"), body)


def _command(ledger: Mapping[str, Any]) -> Html:
    return tag("code", str(ledger.get("command") or "hanhua run recipe.yaml"))


def licences(run: Run) -> list[tuple[str, str, str, str]]:
    """(what, languages, licence, stage) of every source and set of questions."""
    found = []
    for stage in ("corpus", "chatdata", "prefer"):
        for row in map(mapping, listing(dig(run.json(stage, "ledger.json"), "sources"))):
            codes = list(mapping(row.get("languages"))) or [row.get("language") or ""]
            name, licence = str(row.get("source")), str(row.get("licence") or "")
            found.append((name, "+".join(map(str, codes)), licence, stage))
    for task in map(mapping, listing(dig(run.json("eval-base", "scores.json"), "tasks"))):
        name, licence = str(task.get("name") or task.get("task")), str(task.get("licence") or "")
        found.append((name, str(task.get("language") or ""), licence, "eval-base"))
    return found


def _licences(run: Run) -> list[Html]:
    rows = [
        (name, join((language(code) for code in codes.split("+") if code), ", ") or "–",
         licence or Words("not stated", "未注明"), stage)
        for name, codes, licence, stage in licences(run)
    ]  # fmt: skip
    if not rows:
        return []
    head = (Words("Source", "来源"), Words("Language", "语言"), Words("Licence", "许可证"),
            Words("Used by", "用于"))  # fmt: skip
    return [
        tag("h3", Words("Licences of what went in", "所用数据的许可证")),
        table(head, rows, numbers=9),
        sources(*(run.link(s, "ledger.json") for s in ("corpus", "chatdata", "prefer"))),
    ]


def _environment(run: Run) -> Html:
    rows: list[tuple[object, object]] = [("hanhua", run.ledger.get("hanhua") or "–")]
    rows.append((Words("seed", "随机种子"), run.ledger.get("seed")))
    rows += sorted(mapping(run.ledger.get("versions")).items())
    machine = mapping(run.ledger.get("machine"))
    rows += [(Words(key, MACHINE.get(key, key)), machine[key]) for key in sorted(machine)]
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
