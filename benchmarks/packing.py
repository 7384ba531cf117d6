"""From documents to batches: how full rows are, how fast they are packed, encoded, read, resumed.

Four tables, each of one process on one thread, counted in CPU seconds where that makes sense:

- packing documents of real lengths (and of made ones with a heavy tail) by ours, by TRL's
  ``pack_dataset`` where ``--trl-python`` has it, by first fit and by cutting the stream;
- encoding, by the tokenizer's own core and by ours, taking turns;
- reading batches of packed rows, in order and shuffled, warm and after the files were dropped from
  the page cache, with a pause for the model between batches (``--pause-ms``);
- opening a long stream and going to 90 % of it, against reading there.

    python benchmarks/packing.py [--quick] [--trl-python PATH] [--folder DIR] [--pause-ms N]

Prints the tables, and one line of JSON last.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from tokenizers import Tokenizer

from hanhua.tokens.encode import DocumentEncoder, batches
from hanhua.tokens.loader import LoaderState, read_batch
from hanhua.tokens.pack import pack
from hanhua.tokens.part_encoder import PartEncoder
from hanhua.tokens.row import Block
from hanhua.tokens.rows import PackedRows, RowsWriter
from hanhua.vocab.tokenizer import read_tokenizer
from peers.machine import cpu_name

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("HANHUA_DATA", ROOT / ".." / "shared" / "data"))
BUILT_IN = ROOT / "src/hanhua/demo/data"
PEER = Path(__file__).parent / "peers" / "trl_packing.py"
LENGTHS = (512, 2048, 4096)
STRATEGIES = ("bfd", "bfd_split")
BATCH_TOKENS = 131_072
GOES = 4


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        work = Path(folder)
        texts = read_all(options.quick)
        encoding, lengths = encode_all(texts, options)
        found = {
            "encoding": encoding,
            "packing": pack_all(lengths, options, work),
            "loading": load_all(options, work),
            "resume": resume(options, work),
        }
    print(json.dumps({
        "benchmark": "packing", **found, "quick": options.quick, "cpu": cpu_name(),
        "cores": os.cpu_count(), "python": platform.python_version(), "numpy": np.__version__,
        "tokenizers": tokenizers.__version__, "pause_ms": options.pause_ms,
    }, sort_keys=True))  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="built-in texts, under a minute")
    parser.add_argument("--trl-python", type=Path, help="a Python that can import trl")
    parser.add_argument("--folder", type=Path, help="for files, on the disk to be measured")
    parser.add_argument("--pause-ms", type=float, default=100.0, help="of a step of the model")
    parser.add_argument("-n", type=int, help="times that each is measured")
    options = parser.parse_args()
    options.n = options.n or (3 if options.quick else 5)
    return options


# texts


def read_all(quick: bool) -> dict[str, list[str]]:
    """Texts by kind: corpora in both languages, and instructions."""
    if quick or not DATA.is_dir():
        return {
            "zh": list(_texts([BUILT_IN / "zh.jsonl.gz"])),
            "en": list(_texts([BUILT_IN / "en.jsonl.gz"])),
            "instructions": list(_texts(sorted(BUILT_IN.glob("chat-*.jsonl.gz")))),
        }
    found = {code: list(_texts(sorted((DATA / "corpora" / code).glob("*.gz")))) for code in
             ("zh", "en")}  # fmt: skip
    answers = [p for code in ("zh", "en") for p in (DATA / "instructions" / code).glob("*.json.gz")]
    return {**found, "instructions": list(_texts(sorted(answers)))}


def _texts(paths: list[Path]) -> Iterator[str]:
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            lines = map(json.loads, file) if ".jsonl" in path.name else json.load(file)
            for record in lines:
                if "messages" in record:
                    yield "\n".join(turn["content"] for turn in record["messages"])
                elif "text" in record:
                    yield record["text"]
                else:
                    parts = (record.get(key) for key in ("instruction", "input", "output"))
                    yield "\n".join(part for part in parts if isinstance(part, str) and part)


# encoding


def encode_all(
    texts: dict[str, list[str]], options: argparse.Namespace
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Tokens a CPU-second by tokenizer and kind; the lengths by the last tokenizer."""
    names = {"llama-2": "llama2", "chinese-llama-2": "chinese-llama-2"}
    places = {name: DATA / "tokenizers" / folder for name, folder in names.items()}
    if options.quick or not DATA.is_dir():
        places = {"built in": BUILT_IN / "tokenizer.model"}
    found, lengths = {}, {}
    print(
        f"{'encoding':<18}{'text':<14}{'tokens':>12}{'core tok/CPU-s':>16}{'ours':>12}{'ratio':>7}"
    )
    for name, place in places.items():
        core = Tokenizer.from_str(read_tokenizer(place).backend.to_str())
        core.encode_special_tokens = True
        for kind, documents in texts.items():
            measured, lengths[kind] = _encode(core, documents)
            found[f"{name} {kind}"] = measured
            print(
                f"{name:<18}{kind:<14}{measured['tokens']:>12,}"
                f"{measured['core']:>16,.0f}{measured['ours']:>12,.0f}{measured['ratio']:>7.2f}"
            )
    return found, lengths


def _encode(core: Tokenizer, documents: list[str]) -> tuple[dict[str, float], np.ndarray]:
    """Ours over all, the core over each fourth batch; the first batch is not counted."""
    encoder = DocumentEncoder(core, [1], [2])
    start = time.process_time()
    encoder._parts = PartEncoder.of(core)  # from the first text on
    spent, lengths = {"setup": time.process_time() - start}, []
    tokens = {"core": 0, "ours": 0}
    order = np.random.default_rng(0).permutation(len(documents))
    for i, batch in enumerate(batches(documents[k] for k in order)):
        start = time.process_time()
        ids, sizes = encoder.encode(batch)
        lengths.append((ids, sizes))
        spent["ours"] = spent.get("ours", 0) + time.process_time() - start
        tokens["ours"] += len(ids)
        if i % 4 == 0:
            start = time.process_time()
            codes = core.encode_batch_fast(batch, add_special_tokens=False)
            arrays = [np.array([1, *code.ids, 2], np.uint32) for code in codes]
            spent["core"] = spent.get("core", 0) + time.process_time() - start
            tokens["core"] += len(ids)
            assert np.array_equal(np.concatenate(arrays), ids)
    speeds = {name: tokens[name] / spent[name] for name in tokens}
    measured = {
        "tokens": tokens["ours"], "core": round(speeds["core"]), "ours": round(speeds["ours"]),
        "ratio": round(speeds["ours"] / speeds["core"], 3), "setup_s": round(spent["setup"], 3),
    }  # fmt: skip
    return measured, np.concatenate([sizes for _, sizes in lengths])


# packing


def pack_all(
    lengths: dict[str, np.ndarray], options: argparse.Namespace, work: Path
) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    n, part = (200_000, 20_000) if options.quick else (3_000_000, 50_000)
    made = rng.lognormal(5.5, 1.1, n).astype(np.int64) + 2
    ways: dict[str, Way] = {"ours": _ours, "first fit": _first_fit, "cut stream": _cut_stream}
    jobs = [(kind, room) for kind in (*lengths, "made") for room in LENGTHS]
    sizes = {**lengths, "made": made[:part]}
    peers = _trl(options.trl_python, work, [(sizes[kind], room) for kind, room in jobs])
    found: dict[str, Any] = {}
    print(f"\n{'packing':<14}{'row':>5} {'by':<15}{'documents':>10}{'padding':>9}{'lost':>8}"
          f"{'short cut':>10}{'pieces/CPU-s':>14}")  # fmt: skip
    for i, (kind, room) in enumerate(jobs):
        goes = {name: [way(sizes[kind], room)] for name, way in ways.items()}
        goes["ours"] = [_ours(sizes[kind], room) for _ in range(options.n)]
        goes |= {name: [facts[i]] for name, facts in peers.items()}
        for name, facts in goes.items():
            found[f"{kind} {room} {name}"] = _facts(name, kind, sizes[kind], room, facts)
    for room in LENGTHS:
        goes_ = [_ours(made, room) for _ in range(options.n)]
        found[f"many made {room} ours"] = _facts("ours", "many made", made, room, goes_)
    if options.trl_python is None:
        print("TRL left out: no --trl-python given")
    return found


Way = Callable[[np.ndarray, int], dict[str, Any]]


def _facts(
    name: str, kind: str, sizes: np.ndarray, room: int, goes: list[dict[str, Any]]
) -> dict[str, Any]:
    """What came of one way, also printed."""
    first = goes[0]
    facts = {
        "documents": len(sizes), "rows": first["rows"],
        "padding": round(1 - first["kept_tokens"] / (first["rows"] * room), 6),
        "lost": round(1 - first["kept_tokens"] / int(sizes.sum()), 6),
        "short_cut": round(first["short_cut"] / len(sizes), 6),
    }  # fmt: skip
    speed = ""
    if "cpu_seconds" in first:
        speeds = sorted(go["pieces"] / go["cpu_seconds"] for go in goes)
        facts["pieces_per_cpu_second"] = round(statistics.median(speeds))
        facts["spread"] = [round(speeds[0]), round(speeds[-1])]
        speed = f"{facts['pieces_per_cpu_second']:,}"
    print(
        f"{kind:<14}{room:>5} {name:<15}{len(sizes):>10,}{facts['padding']:>9.3%}"
        f"{facts['lost']:>8.2%}{facts['short_cut']:>10.2%}{speed:>14}"
    )
    return facts


def _ours(sizes: np.ndarray, room: int) -> dict[str, Any]:
    start = time.process_time()
    rows = pack(sizes, room)
    seconds = time.process_time() - start
    pieces = np.bincount(rows.pieces.document, minlength=len(sizes))
    return {
        "rows": len(rows), "pieces": len(rows.pieces), "cpu_seconds": seconds,
        "kept_tokens": int(rows.pieces.length.sum()),
        "short_cut": int((pieces[sizes <= room] > 1).sum()),
    }  # fmt: skip


def _cut_stream(sizes: np.ndarray, room: int) -> dict[str, Any]:
    """All documents end to end, cut into rows: what most pretraining code does."""
    ends = np.cumsum(sizes)
    cut = (ends - sizes) // room != (ends - 1) // room
    return {
        "rows": -(-int(ends[-1]) // room), "kept_tokens": int(ends[-1]),
        "short_cut": int((cut & (sizes <= room)).sum()),
    }  # fmt: skip


def _first_fit(sizes: np.ndarray, room: int) -> dict[str, Any]:
    """Each piece, in order, into the first row with room: a tree over rows holds the most room."""
    pieces = np.concatenate([np.full(int((sizes // room).sum()), room), sizes % room])
    pieces = pieces[pieces > 0]
    width = 1 << max(len(pieces) - 1, 1).bit_length()
    tree = [room] * (2 * width)
    rows = 0
    for length in pieces[pieces < room].tolist():
        at = 1
        while at < width:
            at = 2 * at if tree[2 * at] >= length else 2 * at + 1
        rows = max(rows, at - width + 1)
        tree[at] -= length
        while at > 1:
            at //= 2
            tree[at] = max(tree[2 * at], tree[2 * at + 1])
    whole = int((pieces == room).sum())
    return {"rows": whole + rows, "kept_tokens": int(sizes.sum()), "short_cut": 0}


def _trl(
    python: Path | None, work: Path, jobs: list[tuple[np.ndarray, int]]
) -> dict[str, list[dict[str, Any]]]:
    """All jobs by TRL, with the strategy that drops the ends of long documents and the other."""
    if python is None:
        return {}
    given, found = [], {}
    for i, (sizes, room) in enumerate(jobs):
        np.save(work / f"{i}.npy", sizes)
        given += [(str(work / f"{i}.npy"), room, strategy) for strategy in STRATEGIES]
    (work / "jobs.json").write_text(json.dumps(given))
    command = [str(python), str(PEER), str(work / "jobs.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    facts = json.loads(done.stdout.strip().splitlines()[-1])
    for k, strategy in enumerate(STRATEGIES):
        found[f"TRL {strategy}"] = facts[k :: len(STRATEGIES)]
    return found


# loading


def load_all(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    found = {}
    tokens = 20_000_000 if options.quick else 400_000_000
    print(
        f"\n{'loading':<8}{'order':<10}{'cache':<8}{'hints':<7}{'tokens/s':>14}{'ms a batch':>12}"
    )
    ways = [("in order", "warm", True), ("in order", "cold", True)]
    ways += [("shuffled", cache, hints) for cache in ("warm", "cold") for hints in (True, False)]
    for length in (512, 4096):
        path = work / f"rows-{length}"
        _write_rows(path, tokens // length, length)
        goes = [[_read(path, *way, options) for way in ways] for _ in range(options.n)]
        for way, ms in zip(ways, zip(*goes, strict=True), strict=True):
            order, cache, hints = way
            speed = round(BATCH_TOKENS / statistics.median(ms) * 1e3)
            found[f"{length} {order} {cache}{'' if hints else ' without hints'}"] = {
                "tokens_per_s": speed, "ms_a_batch": [round(x, 2) for x in sorted(ms)],
            }  # fmt: skip
            print(
                f"{length:<8}{order:<10}{cache:<8}{'yes' if hints else 'no':<7}"
                f"{speed:>14,}{statistics.median(ms):>12.2f}"
            )
    return found


def _write_rows(path: Path, n_rows: int, length: int) -> None:
    """Full rows of random ids, one document each."""
    writer = RowsWriter(path, length, 55_296, ["zh"])
    rng = np.random.default_rng(0)
    for start in range(0, n_rows, 4096):
        n = min(4096, n_rows - start)
        tokens = rng.integers(0, 55_296, (n, length), dtype=np.uint16)
        ones = np.ones(n, np.int64)
        writer.add_block(Block(tokens, None, ones * length, ones, np.zeros(n, np.uint8)))
    writer.close()


def _read(path: Path, order: str, cache: str, hints: bool, options: argparse.Namespace) -> float:
    """Milliseconds that a step waits for a batch and lays it flat; the model's time is slept.

    Only the first few batches after a fresh start: without hints the system reads so much around
    each row that it soon holds this whole file, which it could not of one larger than memory.
    """
    for file in path.glob("*.bin"):
        with file.open("rb") as opened:
            if cache == "cold":
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while cache == "warm" and opened.read(1 << 24):
                pass
    rows, state = PackedRows.open(path), LoaderState(int(order == "shuffled"))
    plain = np.random.default_rng(1).permutation(len(rows)).tolist()
    n, spent = BATCH_TOKENS // rows.seq_len_tokens, 0.0
    for go in range(GOES):
        start = time.perf_counter()
        if hints:
            batch, state = read_batch(rows, state, n, seed=1)
            found = batch.rows
        else:
            found = tuple(rows.row(i) for i in plain[go * n : (go + 1) * n])
        np.concatenate([row.tokens for row in found]).astype(np.int64)
        spent += time.perf_counter() - start
        time.sleep(options.pause_ms / 1e3)
    return spent / GOES * 1e3


# resuming


def resume(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """A stream in files with holes, so that it takes no room."""
    length, tokens = 4096, 10**8 if options.quick else 10**9
    n = tokens // length
    path = work / "stream"
    path.mkdir()
    meta = {
        "n_rows": n, "seq_len_tokens": length, "dtype": "<u2", "has_targets": False,
        "languages": ["zh"], "tokens_by_language": {"zh": n * length},
    }  # fmt: skip
    (path / "meta.json").write_text(json.dumps(meta))
    for name, size in (("tokens", 2 * length), ("row_languages", 1)):
        with (path / f"{name}.bin").open("wb") as file:
            file.truncate(size * n)
    np.arange(n + 1, dtype="<i8").tofile(path / "row_segments.bin")
    np.full(n, length, "<i4").tofile(path / "segments.bin")
    batch = BATCH_TOKENS // length
    seconds: dict[str, list[float]] = {"first pass": [], "later pass": []}
    for _ in range(options.n):
        for epoch, name in enumerate(seconds):
            start = time.perf_counter()
            read_batch(PackedRows.open(path), LoaderState(epoch, 9 * n // 10), batch, seed=1)
            seconds[name].append(time.perf_counter() - start)
    rows, state = PackedRows.open(path), LoaderState()
    start = time.perf_counter()
    while state.row < 9 * n // 10:
        found, state = read_batch(rows, state, batch, seed=1)
        np.concatenate([row.tokens for row in found.rows])
    through = time.perf_counter() - start
    found_ = {
        "tokens": n * length, "first_pass_s": round(statistics.median(seconds["first pass"]), 5),
        "later_pass_s": round(statistics.median(seconds["later pass"]), 5),
        "reading_through_s": round(through, 2), "n": options.n,
    }  # fmt: skip
    first, later = (found_[f"{name}_pass_s"] * 1e3 for name in ("first", "later"))
    print(
        f"\nresume at 90 % of {n * length:,} tokens: open and read a batch in {first:.1f} ms "
        f"(first pass), {later:.1f} ms (later pass); reading there takes {through:.1f} s"
    )
    return found_


if __name__ == "__main__":
    main()
