"""hanhua's training loop beside others, in one run: useful tokens per second, memory, losses.

    python benchmarks/training.py [--quick] [--peers FOLDER] [--peer NAME=PYTHON ...]
        [--data chat full] [--vocab 32000 55296] [-n 5] [--engines NAME ...] [--device cuda]

Every engine trains the same model on the same documents (each in its own order) with the same
optimiser settings, in a process of its own and on one thread, and they take turns, so that a busy
machine is busy for all; CPU-seconds are counted. Nobody writes checkpoints. Useful tokens are those
that are predicted: no padding, every token of a document but its first. ``chat`` has instructions
of any length, ``full`` rows of one document. hanhua is driven by the loop that ``hanhua run`` uses,
peers by the Python of an environment that has them (trl, llamafactory, trainer; ``--peers`` looks
for FOLDER/train-NAME and FOLDER/NAME). The first loss of each is held against a plain one in fp32,
one document at a time. Where the processor multiplies bf16 all engines use it; elsewhere fp32,
which is the faster one there.

On CUDA engines run one after another (``--device cuda``: 1.1B and 7B, rows of 4,096, full and
LoRA, wall seconds), or in turns where memory is large enough for all (``--together``). Prints
tables, and one line of JSON last.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch

from hanhua.train.precision import choose_precision
from peers.train_cases import Case, cases_of, engines_of, find_pythons
from peers.train_documents import make_documents, write_documents
from peers.train_engines import Engine, run_engines, script_of
from peers.train_page import case_table, machine, mfu, summary
from peers.train_reference import flops_per_target, matmul_limit, plain_loss, write_model

DOCUMENTS = 2000


def main() -> None:
    options = _options()
    torch.set_num_threads(1 if options.device == "cpu" else torch.get_num_threads())
    precision = choose_precision(options.precision, options.device)
    pythons, left_out = find_pythons(options)
    found = []
    for case in cases_of(options):
        names = engines_of(case, options, set(pythons))
        with tempfile.TemporaryDirectory() as folder:
            engines = {name: pythons[name.partition(":")[0]] for name in names}
            found.append(run_case(case, engines, precision, options, Path(folder)))
        print(case_table(found[-1]), flush=True)
    print(json.dumps({
        "benchmark": "training", "quick": options.quick, "precision": precision,
        "device": options.device, "threads": torch.get_num_threads(), "left_out": left_out,
        "cases": found, "summary": summary(found), **machine(options.device),
    }, sort_keys=True))  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one small case, under a minute")
    parser.add_argument("--peers", type=Path, help="folder of the peers' environments")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--engines", nargs="+", help="these in place of the usual, as NAME:MODE")
    parser.add_argument("--data", nargs="+", choices=["chat", "full"])
    parser.add_argument("--vocab", nargs="+", type=int)
    parser.add_argument("--shape", nargs="+", help="15m, 1.1b, 7b, tiny")
    parser.add_argument("--train", nargs="+", choices=["full", "lora"], default=None)
    parser.add_argument("--row-tokens", type=int, help="usually 1024 chat, 512 full, 4096 CUDA")
    parser.add_argument("--batch-tokens", type=int, help="of an optimiser step")
    parser.add_argument("--micro-batch-tokens", type=int, help="on CUDA")
    parser.add_argument("--precision", choices=["auto", "bf16", "fp32"], default="auto")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--alone", action="store_true", help="one after another, as on CUDA")
    parser.add_argument("--together", action="store_true", help="in turns, on CUDA too")
    parser.add_argument("--turn-steps", type=int, help="usually 1, on CUDA 8")
    parser.add_argument("--profile", type=Path, help="hanhua's kernels of a step, on CUDA, to here")
    parser.add_argument("-n", type=int, help="counted turns")
    parser.add_argument("--seconds", type=float, default=86_400.0, help="most, of a case")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("no CUDA device is at hand")
    options.alone = options.alone or (options.device == "cuda" and not options.together)
    options.n = options.n or (2 if options.quick else 5)
    return options


def run_case(
    case: Case, engines: dict[str, str], precision: str, options: argparse.Namespace, folder: Path
) -> dict[str, Any]:
    """All engines on one kind of data: their figures."""
    documents, origin = make_documents(case.data, case.vocab, case.row_tokens, DOCUMENTS)
    write_documents(folder / "documents.jsonl", documents)
    model = write_model(folder / "model", case.config) if case.small else None
    job = case.job(documents, precision, options.device, options.turn_steps) | {
        "documents": str(folder / "documents.jsonl"),
        "model": str(folder / "model") if case.small else "",
        "profile": str(options.profile.resolve()) if options.profile else "",
    }
    limit = partial(matmul_limit, case.config, precision, options.device)
    together = not options.alone
    done = run_engines(engines, job, folder, options.n, together, limit, options.seconds)
    flops = flops_per_target(case.config, documents, case.lora)
    unit = f"tokens_per_{'cpu_' if options.device == 'cpu' else ''}second"
    figures = {engine.name: engine_figures(engine, model, flops, unit) for engine in done}
    return {
        "case": case.name, "unit": unit, "engines": figures, "documents": origin,
        "mean_document_tokens": round(statistics.mean(map(len, documents)), 1),
        "flops_per_token": round(flops), "ratios": ratios(done),
        "matmul_limit_flops": round(statistics.median(
            [turn["limit"] for engine in done for turn in engine.turns] or [0]
        )),
        "batch_tokens": case.batch_tokens, "row_tokens": case.row_tokens, "n": options.n,
        "failed": {engine.name: engine.failed for engine in done if engine.failed},
    }  # fmt: skip


def engine_figures(engine: Engine, model: Any, flops: float, unit: str) -> dict[str, Any]:
    """Speed, share of what matrix products reach, memory and first loss of an engine."""
    turns = engine.turns[1:]
    if not turns:
        return {}
    speeds = [turn["tokens"] / turn["seconds"] for turn in turns]
    share = [speed * flops / turn["limit"] for speed, turn in zip(speeds, turns, strict=True)]
    total = sum(turn["tokens"] for turn in turns) / sum(turn["seconds"] for turn in turns)
    first = engine.turns[0]["loss"]
    reference = plain_loss(model, engine.first()) if model is not None else None
    return {
        unit: round(statistics.median(speeds), 1), "min": round(min(speeds), 1),
        "max": round(max(speeds), 1), "n": len(speeds), "of_all_turns": round(total, 1),
        "share_of_matmul_limit": round(statistics.median(share), 3),
        "mfu": mfu(statistics.median(speeds) * flops),
        "tokens": sum(turn["tokens"] for turn in turns), "first_loss": round(first, 6),
        "reference_loss": reference and round(reference, 6),
        "loss_difference": None if reference is None else round(abs(first - reference), 7),
        "peak_memory_bytes": max(turn["cuda"] or turn["rss"] for turn in engine.turns),
        "versions": engine.ready["ready"],
    }  # fmt: skip


def ratios(done: list[Engine]) -> dict[str, dict[str, float]]:
    """How much faster hanhua is than each engine, turn by turn; its memory as a part of theirs."""
    first = next((engine for engine in done if script_of(engine.name) == "hanhua"), None)
    ours = first.turns if first else []
    found = {}
    for engine in done:
        if engine is first or len(engine.turns) < 2 or len(ours) < 2:
            continue
        speed = [
            mine["tokens"] / mine["seconds"] / (theirs["tokens"] / theirs["seconds"])
            for mine, theirs in zip(ours[1:], engine.turns[1:], strict=False)
        ]
        memory = [max(t["cuda"] or t["rss"] for t in turns) for turns in (ours, engine.turns)]
        found[engine.name] = {
            "speed": round(statistics.median(speed), 3), "min": round(min(speed), 3),
            "max": round(max(speed), 3), "memory": round(memory[0] / memory[1], 3),
        }  # fmt: skip
    return found


if __name__ == "__main__":
    main()
