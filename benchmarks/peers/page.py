"""The page: tables of what was found, without a word on what it means."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy

from hanhua.text.native import NATIVE

SAMPLES = 12


def page(found: Mapping[str, Any]) -> str:
    """Markdown of all parts that were measured."""
    lines = [
        f"# Corpus, {date.today().isoformat()}", "",
        f"Command: `python benchmarks/corpus.py{' --quick' if found['quick'] else ''}`, seed "
        f"{found['seed']}. Machine: {machine()}. MB are 10^6 bytes of UTF-8 text; CPU-seconds are "
        "user and system, of all processes, from start to end, with imports, reading and writing; "
        "peak memory is of all processes together.",
    ]  # fmt: skip
    makers = {
        "near": near,
        "near_peers": near,
        "whole": whole,
        "contamination": contamination,
        "scale": scale,
    }
    for name, make in makers.items():
        if name in found:
            lines += ["", *make(found[name])]
    return "\n".join(lines) + "\n"


def machine() -> str:
    """Processor, versions."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return (
        f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, numpy {numpy.__version__}, compiled part: "
        f"{'yes' if NATIVE else 'no'}"
    )


def _row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def near(found: Mapping[str, Any]) -> Iterator[str]:
    """Near-duplicates."""
    tools = found["tools"]
    yield from [
        f"## Near-duplicates{', beside peers' if len(tools) > 1 else ''}", "",
        f"{found['documents']:,} documents, {found['megabytes']} MB; {found['pairs_80']:,} true "
        f"pairs with J >= .8, {found['pairs_50']:,} with J >= .5. Recall: true pairs with J >= .8 "
        "of which not both are kept; (same characters): traditional ones not taken to simplified "
        "ones in the truth. Precision: removed documents with a true partner of J >= .7, or a "
        "copy in Taiwan's words.", "",
        "| tool | MB / CPU-s | CPU-s | wall s | peak MB | recall | same characters | precision | "
        "removed |", "|-|-|-|-|-|-|-|-|-|",
    ]  # fmt: skip
    for name, row in tools.items():
        yield _row(name, row["mb_per_cpu_second"], row["cpu_seconds"], row["wall_seconds"],
                   row["rss_mb"], row["recall"], row["recall_same_characters"], row["precision"],
                   f"{row['removed']:,}")  # fmt: skip
    yield from ["", "Copies found, by kind (the copy or its original is gone):", ""]
    yield _row("kind", "median J", *tools)
    yield "|-" * (len(tools) + 2) + "|"
    for kind, jaccard in found["jaccard"].items():
        yield _row(kind, jaccard, *(row["kinds"][kind] for row in tools.values()))


def whole(found: Mapping[str, Any]) -> Iterator[str]:
    """The whole way."""
    yield from ["## The whole way", "",
                f"{found['megabytes']} MB of Chinese and English; peers: {found['peer_megabytes']} "
                "MB of the same.", "",
                "| tool | MB / CPU-s | CPU-s | wall s | peak MB | documents kept |",
                "|-|-|-|-|-|-|"]  # fmt: skip
    for name, row in found["tools"].items():
        yield _row(name, row["mb_per_cpu_second"], row["cpu_seconds"], row["wall_seconds"],
                   row["rss_mb"], f"{row['kept']:,}")  # fmt: skip


def scale(found: Mapping[str, Any]) -> Iterator[str]:
    """Growth."""
    yield from ["## Growth", "", "`hanhua corpus`, one worker; times: of the CPU time before.",
                "", "| MB | documents | kept | CPU-s | times | MB / CPU-s | peak MB |",
                "|-|-|-|-|-|-|-|"]  # fmt: skip
    before = None
    for size, row in found.items():
        times = f"{row['cpu_seconds'] / before:.1f}" if before else ""
        before = row["cpu_seconds"]
        yield _row(size, f"{row['documents']:,}", f"{row['kept']:,}", row["cpu_seconds"], times,
                   row["mb_per_cpu_second"], row["rss_mb"])  # fmt: skip


def contamination(found: Mapping[str, Any]) -> Iterator[str]:
    """Questions in documents."""
    yield from ["## Contamination", ""]
    yield from ["| language | put in | found | of | share | 95 % interval |", "|-|-|-|-|-|-|"]
    for language, part in found.items():
        for way, (count, of, share, low, high) in part["found"].items():
            yield _row(language, way, count, of, share, f"{low} to {high}")
    for language, part in found.items():
        yield ""
        yield (f"{language}: {part['questions']:,} questions; {part['clean_hit']} of "
               f"{part['documents']:,} clean documents hit "
               f"({part['clean_hit'] / part['documents']:.3%}). Some of them:")  # fmt: skip
        yield ""
        for hit in part["hits"][:: max(len(part["hits"]) // SAMPLES, 1)][:SAMPLES]:
            yield f"- {hit['share']} of “{_short(hit['question'])}”: “{_short(hit['passage'])}”"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 90 else text[:89] + "…"
