"""The section on what it cost: time, tokens, device hours, money, memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hanhua.core.progress import duration
from hanhua.report.html import Html, Words, count, number, table
from hanhua.report.page import Section, note, sources
from hanhua.report.run import Run, dig, mapping, real

TRAINED = ("pretrain", "finetune", "prefer")
HEADING = Words("Cost", "成本")
DOES: Mapping[str, str] = {
    "base": "取得原模型",
    "corpus": "清洗、去重并划分文本",
    "vocab": "学习新词元",
    "expand": "给新词元配上行",
    "tokens": "打包语料",
    "pretrain": "继续预训练",
    "chatdata": "汇集对话",
    "finetune": "教它回答",
    "prefer": "教它哪个答案更好",
    "eval-base": "测量原模型",
    "eval-expand": "测量扩词表后的模型",
    "eval-pretrain": "测量继续预训练后的模型",
    "eval-finetune": "测量对话模型",
    "eval-prefer": "测量偏好微调后的模型",
    "quantise": "用更少的比特存储模型",
    "export": "写出供他人使用的目录",
}
"""What each stage does, in Chinese; in English the ledger has it from the stage itself."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What one stage took.

    Args:
        name, title: of the stage.
        seconds: of wall time; cpu_seconds: of all processes; memory_bytes: at its peak.
        tokens: that it trained on; None where it did not train.
        devices: that worked on it, as recorded; 1 where nothing is.
        price: of a device hour, with its currency; None where the recipe names none.
    """

    name: str
    title: str
    seconds: float
    cpu_seconds: float
    memory_bytes: float
    tokens: int | None
    devices: int
    price: tuple[float, str] | None

    @property
    def device_hours(self) -> float:
        """Hours times devices."""
        return self.seconds / 3600 * self.devices

    @property
    def money(self) -> float | None:
        """Device hours times their price."""
        return self.device_hours * self.price[0] if self.price else None


def spent(run: Run) -> list[Spent]:
    """Every stage of the ledger, in walk order."""
    return [_of(run, name, mapping(entry)) for name, entry in run.stages.items()]


def _of(run: Run, name: str, stage: Mapping[str, Any]) -> Spent:
    machine = mapping(dig(run.json(name, "record.json"), "machine"))
    price, devices = real(machine.get("price_per_device_hour")), real(machine.get("devices"))
    tokens = real(dig(stage, "counts", "tokens")) if name in TRAINED else None
    trained = name in TRAINED
    return Spent(
        name, str(stage.get("title") or ""), real(stage.get("seconds")) or 0.0,
        real(stage.get("cpu_seconds")) or 0.0, real(stage.get("peak_rss_bytes")) or 0.0,
        int(tokens) if tokens else None, int(devices) if devices and trained else 1,
        (price, str(machine.get("currency") or "")) if price is not None else None,
    )  # fmt: skip


def cost(run: Run) -> Section:
    """Time, tokens, device hours, memory and, where a price is known, money of every stage."""
    found = spent(run)
    if not found:
        return Section("cost", HEADING, [])
    priced = any(one.price for one in found)
    head = [
        Words("Stage", "阶段"), Words("What it does", "内容"), Words("Time", "用时"),
        Words("CPU time", "CPU 时间"), Words("Tokens trained on", "训练词元"),
        Words("Tokens a second", "词元/秒"), Words("Device hours", "设备小时"),
        Words("Peak memory", "内存峰值"),
    ]  # fmt: skip
    head += [Words("Money", "费用")] if priced else []
    rows = [_row(one, priced) for one in found]
    return Section(
        "cost", HEADING, [table(head, [*rows, _sum(found, priced)], 2), *_notes(found, priced),
        sources(*(run.link(name, "record.json") for name in TRAINED))],
    )  # fmt: skip


def _row(one: Spent, priced: bool) -> list[object]:
    rate = one.tokens / one.seconds if one.tokens and one.seconds else None
    cells: list[object] = [
        one.name, Words(one.title, DOES.get(one.name, one.title)), duration(one.seconds),
        duration(one.cpu_seconds), count(one.tokens),
        count(rate), number(one.device_hours), _memory(one.memory_bytes),
    ]  # fmt: skip
    return [*cells, _money([one])] if priced else cells


def _sum(found: list[Spent], priced: bool) -> list[object]:
    cells: list[object] = [
        Words("whole run", "合计"), "", duration(sum(one.seconds for one in found)),
        duration(sum(one.cpu_seconds for one in found)),
        count(sum(one.tokens or 0 for one in found)), "",
        number(sum(one.device_hours for one in found)),
        _memory(max(one.memory_bytes for one in found)),
    ]  # fmt: skip
    return [*cells, _money(found)] if priced else cells


def _money(found: list[Spent]) -> str:
    """By currency; stages without a price are no part of it."""
    by: dict[str, float] = {}
    for one in found:
        if one.price and one.money is not None:
            by[one.price[1]] = by.get(one.price[1], 0.0) + one.money
    return ", ".join(f"{code} {amount:,.2f}" for code, amount in sorted(by.items())) or "–"


def _notes(found: list[Spent], priced: bool) -> list[Html]:
    said = [note(
        "Time is wall time on the machine named below and depends on what else it was doing; a "
        "stage found done from before counts with the time it took then. Device hours: hours times "
        "the devices of the recipe's machine section, one where a stage does not train.",
        "用时为下述机器上的实际时间，受机器其他负载影响；此前已完成的阶段按当时的用时计。"
        "设备小时 = 小时 × 配方 machine 节的设备数；非训练阶段按一个设备计。",
    )]  # fmt: skip
    if priced:
        said.append(note(
            "Money is device hours times the price in the recipe; energy was not measured.",
            "费用 = 设备小时 × 配方中的单价；未测量能耗。",
        ))  # fmt: skip
    return said


def _memory(size: float) -> str:
    return f"{size / 2**20:,.0f} MB" if size else "–"
