"""How fast the extended tokenizer encodes, against its base and SentencePiece.

LLaMA-2 and the same with new pieces, on Chinese and English text: a document at a time, in batches
(as packing does), and one long document. Each figure is the median of several rounds in which all
encoders take turns, in MB of UTF-8 a second of CPU time.

    python benchmarks/encoding.py [--quick] [--add N] [--rounds R] [--out PAGE.md]

Prints a table, and one line of JSON last.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import sentencepiece
import tokenizers
from tokenizers import Tokenizer

from hanhua.vocab.config import VocabConfig
from hanhua.vocab.extend import extend
from hanhua.vocab.family import family_of
from hanhua.vocab.gather import gather
from hanhua.vocab.script import script_of
from hanhua.vocab.texts import find_texts
from hanhua.vocab.tokenizer import read_tokenizer

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("HANHUA_DATA", ROOT / ".." / "shared" / "data"))
BUILT_IN = ROOT / "src/hanhua/demo/data"
SAMPLE_CHARS, LONG_CHARS = 1_500_000, 600_000
Encode = Callable[[Sequence[str]], int]


def main() -> None:
    options = _options()
    texts = {code: sample(code, options.quick) for code in ("zh", "en")}
    work = {f"{code} {how}": (found, how == "batched") for code, found in texts.items()
            for how in ("single", "batched")}  # fmt: skip
    work |= {f"{code} one document": ([long(found)], False) for code, found in texts.items()}
    with tempfile.TemporaryDirectory() as folder:
        encoders = make(options, Path(folder))
        rows = measure(encoders, work, options.rounds)
    page = report(rows, texts, options)
    if options.out:
        options.out.write_text(page, encoding="utf-8")
    print(page)
    print(json.dumps({"mb_per_cpu_second": rows, "rounds": options.rounds, "added": options.add}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="built-in texts, under a minute")
    parser.add_argument("--add", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--out", type=Path, help="write the page here")
    options = parser.parse_args()
    options.add = options.add or (512 if options.quick else 23_296)
    options.rounds = options.rounds or (2 if options.quick else 7)
    return options


def sample(code: str, quick: bool) -> list[str]:
    """Documents from all files of a language, cut to about SAMPLE_CHARS."""
    paths = [BUILT_IN / f"{code}.jsonl.gz"]
    if not quick:
        paths = sorted((DATA / "corpora" / code).glob("*.jsonl.gz"))
    found: list[str] = []
    for path in paths:
        room = (SAMPLE_CHARS // 5 if quick else SAMPLE_CHARS) // len(paths)
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                text = json.loads(line)["text"][:20_000]
                found.append(text)
                room -= len(text)
                if room <= 0:
                    break
    return found


def long(texts: Sequence[str]) -> str:
    """One document without a line break, which is hardest for byte pair encoding."""
    return " ".join(texts).replace("\n", " ")[:LONG_CHARS]


def make(options: argparse.Namespace, folder: Path) -> dict[str, Callable[[list[str], bool], int]]:
    base = BUILT_IN / "tokenizer.model" if options.quick else DATA / "tokenizers" / "llama2"
    family, script = family_of(read_tokenizer(base)), script_of("zh")
    pattern = BUILT_IN / "zh.jsonl.gz" if options.quick else DATA / "corpora/zh/*.jsonl.gz"
    learnt = find_texts([str(pattern)], "zh")
    config = VocabConfig(add=options.add, guard="none" if options.quick else "auto")
    runs = gather(family, script, config, learnt.learnt)
    extended = extend(family, script, config, runs)
    found: dict[str, Callable[[list[str], bool], int]] = {}
    for name, files in (("base", family.files), (f"+{options.add:,}", extended.files)):
        files.save(folder / name)
        model = str(folder / name / "tokenizer.model")
        processor = sentencepiece.SentencePieceProcessor(model_file=model)
        found[f"{name}, tokenizer.json"] = _fast(files.backend)
        found[f"{name}, SentencePiece"] = _pieces(processor)
    return found


def _fast(backend: Tokenizer) -> Callable[[list[str], bool], int]:
    def encode(texts: list[str], batched: bool) -> int:
        if batched:
            return sum(
                len(e.ids) for e in backend.encode_batch_fast(texts, add_special_tokens=False)
            )
        return sum(len(backend.encode(t, add_special_tokens=False).ids) for t in texts)

    return encode


def _pieces(processor: Any) -> Callable[[list[str], bool], int]:
    def encode(texts: list[str], batched: bool) -> int:
        if batched:
            return sum(map(len, processor.encode(texts)))
        return sum(len(processor.encode(text)) for text in texts)

    return encode


def measure(
    encoders: dict[str, Callable[[list[str], bool], int]], work: dict[str, Any], rounds: int
) -> dict[str, dict[str, float]]:
    """Median MB a CPU-second by encoder and work; all take turns in each round."""
    spent: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for what, (texts, batched) in work.items():
            for name, encode in encoders.items():
                start = time.process_time()
                encode(texts, batched)
                spent.setdefault((name, what), []).append(time.process_time() - start)
    size = {what: sum(len(t.encode()) for t in texts) / 1e6 for what, (texts, _) in work.items()}
    return {
        name: {what: round(size[what] / statistics.median(spent[name, what]), 2) for what in work}
        for name in encoders
    }


def report(
    rows: dict[str, dict[str, float]], texts: dict[str, list[str]], options: argparse.Namespace
) -> str:
    columns = list(next(iter(rows.values())))
    sizes = ", ".join(
        f"{code} {sum(map(len, found)):,} characters" for code, found in texts.items()
    )
    lines = [
        f"# Encoding speed, {date.today().isoformat()}", "",
        f"Command: `python benchmarks/encoding.py{' --quick' if options.quick else ''}`. Machine: "
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, sentencepiece {sentencepiece.__version__}, tokenizers "
        f"{tokenizers.__version__}. {sizes}; one document: {LONG_CHARS:,} characters without a "
        f"line break. MB of UTF-8 a CPU-second, median of {options.rounds} rounds.", "",
        "| tokenizer | " + " | ".join(columns) + " |", "|-" * (len(columns) + 1) + "|",
    ]  # fmt: skip
    for name, values in rows.items():
        lines.append(f"| {name} | " + " | ".join(str(values[c]) for c in columns) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
