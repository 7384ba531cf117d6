"""Our server beside transformers' own and llama.cpp's: the same model, questions and threads.

Every server runs as a process of its own on loopback, one at a time, with so many threads. A
number of users each send the next question as soon as the last is answered, greedy, streamed, all
answers exactly equally long. The first level is always one user; every text that comes in a crowd
is held against the text of that level. Rounds over all servers are repeated, so that a noisy
minute does not hit one server alone.

    python benchmarks/serving.py --transformers ENV/bin/python --llama-server BUILD/bin/llama-server
    python benchmarks/serving.py --quick

Without ``--model`` a random LLaMA (``--shape``) is served: speed does not depend on what
weights say. ``--device cuda`` serves on a GPU; memory is the machine's there too. The
model needs the tokenizer of LLaMA 2 (``--tokenizer``; the demo's stands in for it).
``--quick`` runs our server alone on a small model, under a minute. Prints a table, and one line
of JSON last. Linux only: CPU time and memory are read from /proc.

A request counts from sending it to the end of its answer; first token: from sending to the first
text. Memory is the peak of a level, all processes of a server together.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import json
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peers.machine import cpu_name
from peers.serve_load import Answer, crowd, read
from peers.serve_model import DEMO, SHAPES, SMALL, body, make_model, prompts, take_model
from peers.serve_programs import (
    Program,
    Running,
    llama_server,
    ours,
    started,
    transformers_serve,
)

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("HANHUA_DATA", ROOT / ".." / "shared" / "data"))
LLAMA2 = DATA / "tokenizers" / "llama2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One server under one number of users, in one round."""

    server: str
    round: int
    users: int
    requests: int
    wall_seconds: float
    cpu_seconds: float
    peak_mb: float
    tokens: int
    first_seconds: list[float]
    prompt_tokens: int
    same_text: int
    errors: list[str]


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers end with us
    with tempfile.TemporaryDirectory() as place:
        model = Path(place) / "model"
        if options.model:
            take_model(options.model, model)
        else:
            make_model(model, options.tokenizer, SMALL if options.quick else SHAPES[options.shape])
        config = json.loads((model / "config.json").read_text())
        programs = _programs(options, model, Path(place), config["max_position_embeddings"])
        fields = _never_ending(config) if options.model else {}
        levels: list[Level] = []
        for number in range(options.repeats):
            for program in programs:
                levels += serve_round(program, options, number, fields)
    versions = _versions(options)
    print(page(levels, options, versions))
    print(json.dumps({
        "versions": versions, "cpu": cpu_name(), "device": options.device, "model": config,
        "rows": summary(levels),
    }))  # fmt: skip
    wrong = [error for level in levels for error in level.errors]
    sys.exit(1 if wrong else 0)


def _options() -> argparse.Namespace:
    lines_as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=lines_as_written)
    parser.add_argument("--quick", action="store_true", help="ours alone, under a minute")
    parser.add_argument("--model", type=Path, help="a model folder; its end token is biased away")
    parser.add_argument("--shape", choices=list(SHAPES), default="15m", help="of the random model")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--tokenizer", type=Path, default=LLAMA2 if LLAMA2.exists() else
                        DEMO / "tiny-en", help="of the random model")  # fmt: skip
    parser.add_argument("--transformers", type=Path, help="an interpreter with transformers serve")
    parser.add_argument("--cb-memory", type=float, help="share of memory its batching may take")
    parser.add_argument("--llama-server", type=Path, help="llama.cpp's program")
    parser.add_argument("--gguf", default="f16,f32", help="types that it serves")
    parser.add_argument("--servers", default="", help="only those whose name holds one of these")
    parser.add_argument("--users", default="1,4,8,16")
    parser.add_argument("--requests", type=int, default=16, help="questions of a level")
    parser.add_argument("--tokens", type=int, default=64, help="of each answer")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", default="float32", help="of ours and of transformers serve")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--env", action="append", default=[], help="NAME=VALUE for our server")
    options = parser.parse_args()
    if options.quick:
        options.users, options.requests, options.tokens, options.repeats = "1,4", 8, 16, 2
        options.transformers = options.llama_server = options.model = None
        options.tokenizer = DEMO / "tiny-en"
    options.users = sorted({1, *map(int, options.users.split(","))})
    return options


def _programs(options: argparse.Namespace, model: Path, place: Path, context: int) -> list[Program]:
    most, threads, dtype = max(options.users), options.threads, options.dtype
    environment = dict(pair.split("=", 1) for pair in options.env)
    device = options.device
    found = [ours(model, threads, most, dtype, environment, device)]
    if options.transformers:
        found += [
            transformers_serve(
                options.transformers, model, threads, dtype, batching, options.cb_memory, device
            )
            for batching in (False, True)
        ]
    if options.llama_server:
        from hanhua.export.gguf import write_gguf

        for kind in options.gguf.split(","):
            file = place / f"{kind}.gguf"
            write_gguf(model, file, kind, name="model")
            found.append(llama_server(options.llama_server, file, threads, most, context))
    wanted = [word for word in options.servers.split(",") if word]
    return [p for p in found if not wanted or any(word in p.name for word in wanted)]


def _never_ending(config: dict[str, Any]) -> dict[str, Any]:
    """A bias that all three servers know, against what ends an answer in one of them."""
    found: list[Any] = [config["eos_token_id"], config.get("bos_token_id")]
    ends = [token for item in found for token in (item if isinstance(item, list) else [item])]
    return {"logit_bias": {str(token): -100.0 for token in ends if token is not None}}


def serve_round(
    program: Program, options: argparse.Namespace, number: int, fields: dict[str, Any]
) -> list[Level]:
    """All levels of one server, from one start of it."""
    asked = [body(prompt, options.tokens, **fields) | program.fields
             for prompt in prompts(options.requests)]  # fmt: skip
    asked = [{key: value for key, value in one.items() if value is not None} for one in asked]
    alone: list[str] = []
    levels = []
    with started(program) as running:
        asyncio.run(crowd(running.port, asked[:2], 1))  # what a first request loads is no level's
        for users in options.users:
            print(f"round {number + 1}, {program.name}, users: {users}", file=sys.stderr)
            order = list(range(len(asked)))
            if alone:
                random.Random(users).shuffle(order)
            facts, answers = _level(running, [asked[i] for i in order], users)
            texts = [answer.text for answer in answers]
            alone = alone or texts
            same = sum(alone[i] == text for i, text in zip(order, texts, strict=True))
            levels.append(Level(
                server=program.name, round=number, users=users, requests=len(asked),
                same_text=same, errors=_errors(answers, options.tokens),
                tokens=sum(answer.tokens for answer in answers),
                first_seconds=[answer.first_seconds for answer in answers],
                prompt_tokens=sum(answer.prompt_tokens for answer in answers), **facts,
            ))  # fmt: skip
        if len(set(alone)) < len(alone):
            levels[0].errors.append(f"only {len(set(alone))} different answers")
    return levels


def _level(
    running: Running, asked: list[dict[str, Any]], users: int
) -> tuple[dict[str, float], list[Answer]]:
    running.forget_peak()
    cpu = running.cpu_seconds()
    wall, raws = asyncio.run(crowd(running.port, asked, users))
    facts = {"wall_seconds": wall, "cpu_seconds": running.cpu_seconds() - cpu,
             "peak_mb": running.peak_mb()}  # fmt: skip
    return facts, [read(raw) for raw in raws]


def _errors(answers: Sequence[Answer], tokens: int) -> list[str]:
    found = [answer.error for answer in answers if answer.error]
    uneven = {answer.tokens for answer in answers if not answer.error} - {tokens}
    return found + [f"an answer of {count} tokens, not {tokens}" for count in sorted(uneven)]


# What is told


def summary(levels: Sequence[Level]) -> list[dict[str, Any]]:
    """One row for each server and number of users, over all rounds: medians with the range."""
    keys = dict.fromkeys((level.server, level.users) for level in levels)
    rows = []
    for server, users in keys:
        runs = [x for x in levels if (x.server, x.users) == (server, users)]
        first = sorted(s for run in runs for s in run.first_seconds)
        one = [x.peak_mb for x in levels if (x.server, x.users) == (server, 1)]
        peaks = [x.peak_mb for x in runs]
        rows.append({
            "server": server, "users": users, "rounds": len(runs),
            "requests_per_second": _spread([x.requests / x.wall_seconds for x in runs]),
            "tokens_per_second": _spread([x.tokens / x.wall_seconds for x in runs]),
            "first_token_ms": {"p50": round(1000 * _share(first, 0.5), 1),
                               "p95": round(1000 * _share(first, 0.95), 1)},
            "cpu_seconds_per_request": _spread([x.cpu_seconds / x.requests for x in runs]),
            "peak_mb": _spread(peaks),
            "mb_per_further_user": None if users == 1 else
            round((statistics.median(peaks) - statistics.median(one)) / (users - 1), 2),
            "same_text_as_alone": [sum(x.same_text for x in runs), sum(x.requests for x in runs)],
            "prompt_tokens": runs[0].prompt_tokens,
            "errors": sorted({error for x in runs for error in x.errors}),
        })  # fmt: skip
    return rows


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": _round(statistics.median(values)), "min": _round(min(values)),
            "max": _round(max(values))}  # fmt: skip


def _round(value: float) -> float:
    return float(f"{value:.4g}")


def _share(ordered: Sequence[float], share: float) -> float:
    """The smallest value that so great a share of all does not exceed."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def page(levels: Sequence[Level], options: argparse.Namespace, versions: dict[str, str]) -> str:
    """The table with what it was measured on."""
    lines = [
        f"{options.model.name if options.model else 'A random LLaMA'}; "
        f"{options.requests} questions a level, {options.tokens} tokens each, greedy, streamed; "
        f"{options.threads} thread(s) for each server, {options.device}, {options.dtype}; "
        f"n = {options.repeats}, median [min–max]; "
        f"first token over all rounds. {cpu_name()}, {os.cpu_count()} cores; "
        + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
        "",
        "| server | users | requests/s | tokens/s | first token ms p50 / p95 | CPU s/request | "
        "peak MB | MB per further user | text as alone | errors |",
        "|-|-:|-:|-:|-:|-:|-:|-:|-:|-:|",
    ]  # fmt: skip
    for row in summary(levels):
        more = row["mb_per_further_user"]
        same, of = row["same_text_as_alone"]
        cells = [
            row["server"], row["users"], _cell(row["requests_per_second"]),
            _cell(row["tokens_per_second"]),
            f"{row['first_token_ms']['p50']:g} / {row['first_token_ms']['p95']:g}",
            _cell(row["cpu_seconds_per_request"]), _cell(row["peak_mb"]),
            "–" if more is None else f"{more:g}", f"{same}/{of}", "; ".join(row["errors"]) or "0",
        ]  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _cell(spread: dict[str, float]) -> str:
    median, low, high = (f"{spread[key]:.3g}" if spread[key] < 1000 else f"{spread[key]:.0f}"
                         for key in ("median", "min", "max"))  # fmt: skip
    return f"{median} [{low}–{high}]"


def _versions(options: argparse.Namespace) -> dict[str, str]:
    names = ("torch", "transformers", "uvicorn")
    found = {"python": platform.python_version()}
    found |= {name: importlib.metadata.version(name) for name in names}
    if options.transformers:
        code = "from importlib.metadata import version as v; print(v('transformers'), v('torch'))"
        said = _said([str(options.transformers), "-c", code])
        found["theirs"] = "transformers {}, torch {}".format(*said.split())
    if options.llama_server:
        said = _said([str(options.llama_server), "--version"])
        lines = [line for line in said.splitlines() if line.startswith("version")]
        found["llama-server"] = lines[0].removeprefix("version:").strip() if lines else "unknown"
    return found


def _said(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


if __name__ == "__main__":
    main()
