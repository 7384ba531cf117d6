"""Repeated passages: which are found, what is cut wrongly, and what it costs.

    python benchmarks/passages.py [--quick] [--min-chars 100]

Real texts (HANHUA_DATA, else the built-in demo) get passages of known length, each in three
documents, as a paragraph of its own or in the midst of a sentence. ``hanhua corpus`` makes a
corpus of them with the option and without: of the passages that stand in three documents without
it, the share that one document alone has with it, by length; CPU seconds a MB; memory. Then the
steps alone, on the documents that were kept: time of each, bytes on disk; cuts that no other
place in the corpus accounts for (looked for as strings, without hashes); places where a passage
that stood before begins, before and after. Prints lines of JSON.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hanhua.text.collect import Part
from hanhua.text.copies.book import Book
from hanhua.text.copies.cut import repeated_spans
from hanhua.text.copies.fingerprints import (
    PassageSize,
    _run_hashes,
    document_fingerprints,
    weights_before,
    winnow_slowly,
)
from hanhua.text.copies.keys import RANK, rank_of
from hanhua.text.copies.minhash import canonical_points
from hanhua.text.copies.shared import FingerprintFile
from hanhua.text.passages import find_passages
from hanhua.text.pool import run_batches, write_part
from hanhua.text.shards import read_language
from peers.measure import HERE, measure

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("HANHUA_DATA", ROOT / ".." / "shared" / "data"))
FILES = {"zh": ("encyclopedia", "lctt", "webdocs", "science"), "en": ("web_c4", "lctt", "webdocs")}
LENGTHS = (0.5, 0.9, 0.99, 1.0, 1.1, 1.5, 3.0, 10.0)
COPIES = 3
SENTENCE = {"zh": re.compile("(?<=[。！？])"), "en": re.compile(r"(?<=[.!?]) ")}
PART_DOCS = 500


def texts_of(language: str, quick: bool) -> list[str]:
    """Texts of a language, in an order of chance."""
    found = []
    for name in FILES[language][: 1 if quick else None]:
        with gzip.open(DATA / f"corpora/{language}/{language}_{name}.jsonl.gz", "rt") as file:
            found += [json.loads(line)["text"] for line in file]
    random.Random(1).shuffle(found)
    return found[:300] if quick else found


def passage_of(text: str, weight: int) -> str | None:
    """The beginning of a text that weighs so much."""
    points = canonical_points(text)
    place = int(np.searchsorted(weights_before(points), weight))
    if place > len(points):
        return None
    low, high = place, len(text)
    while low < high:  # the shortest beginning with so many characters that count
        middle = (low + high) // 2
        if len(canonical_points(text[:middle])) >= place:
            high = middle
        else:
            low = middle + 1
    return text[:low]


def plant(
    texts: list[str], language: str, size: PassageSize, each: int
) -> tuple[list[str], dict[str, list[str]]]:
    """The texts with passages in them, and the passages by kind.

    A text gives one passage, and then is no document itself, or takes one.
    """
    chance, passages = random.Random(2), dict[str, list[str]]()
    hosts, donors = texts[len(texts) // 4 :], texts[: len(texts) // 4]
    for share in sorted(LENGTHS, reverse=True):
        weight = int(size.weight * share)
        for kind in ("paragraph", "midst"):
            made = [(t, p) for t in donors if (p := passage_of(t, weight))][:each]
            passages[f"{kind} {share}"] = [p for _, p in made]
            used = {t for t, _ in made}
            donors = [t for t in donors if t not in used]
    free = chance.sample(range(len(hosts)), len(hosts))
    for kind, made in passages.items():
        for passage in made:
            for host in (free.pop() for _ in range(COPIES)):
                parts = SENTENCE[language].split(hosts[host])
                place = chance.randrange(len(parts) + 1)
                if kind.startswith("midst"):
                    cut = len(parts[place - 1]) // 2
                    inside = parts[place - 1][:cut] + passage + parts[place - 1][cut:]
                    parts[place - 1 : place] = [inside]
                else:
                    parts.insert(place, f"\n{passage}\n")
                hosts[host] = ("" if language == "zh" else " ").join(parts)
    return hosts, passages


def build(work: Path, texts: list[str], language: str, chars: int | None) -> tuple[list[str], Any]:
    """The documents of a corpus and what making it used."""
    out, source = work / f"{language}-{chars}", work / f"{language}.jsonl"
    source.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    command = [HERE, "-m", "hanhua", "corpus", str(source), "--out", str(out), "--quiet",
               "--workers", "1", "--language", language]  # fmt: skip
    if chars:
        command += ["--set", f"min_repeated_passage_chars={chars}"]
    used = measure(command)
    report = json.loads((out / "report.json").read_text())
    facts = {"cpu_s": round(used.cpu, 2), "rss_mb": used.rss_mb, "dropped": report["dropped"],
             "cut_chars": report["changes"].get("removed.passage_chars", 0)}  # fmt: skip
    return [d.text for d in read_language(out, language)], facts


def once(before: list[str], after: list[str], passages: dict[str, list[str]]) -> dict[str, str]:
    """By kind: passages in all hosts before, and in how many documents they are after."""
    one, other = ("\0".join("".join(map(chr, canonical_points(t))) for t in texts)
                  for texts in (before, after))  # fmt: skip
    found = {}
    for kind, made in passages.items():
        texts = ["".join(map(chr, canonical_points(p))) for p in made]
        counts = Counter(other.count(t) for t in texts if one.count(t) == COPIES)
        found[kind] = f"{counts[1]} of {counts.total()} once, {counts[COPIES]} untouched"
    return found


def steps(work: Path, texts: list[str], size: PassageSize) -> dict[str, Any]:
    """The steps alone: seconds, bytes, wrong cuts, what is left."""
    megabytes = sum(len(t.encode()) for t in texts) / 1e6
    points = [canonical_points(t) for t in texts]
    folder, clock = work / "steps", time.process_time
    folder.mkdir(exist_ok=True)
    begin = clock()
    prints = [document_fingerprints(p, size) for p in points]
    seconds = {"fingerprints": clock() - begin}
    begin = clock()
    for some in points[:: len(points) // 100 + 1]:
        winnow_slowly(some, size)
    seconds["fingerprints, numpy"] = (clock() - begin) * (len(points) // 100 + 1)
    ranks = [rank_of(t, str(n), priority=0, chars=len(p), changed=0)
             for n, (t, p) in enumerate(zip(texts, points, strict=True))]  # fmt: skip
    parts = []
    for start in range(0, len(texts), PART_DOCS):
        some = texts[start : start + PART_DOCS]
        batch = pa.RecordBatch.from_pydict(
            {"text": some, "reason": pa.array([None] * len(some), pa.string())}
        )
        parts.append(Part(folder / f"{start}.parquet", start, len(some)))
        write_part(batch, parts[-1].path)
    begin = clock()
    file = FingerprintFile(folder / "fingerprints")
    for part in parts:
        file.append(part.start, prints[part.start : part.start + part.kept])
    file.close()
    find_passages(
        file, parts, np.frombuffer(b"".join(ranks), RANK), np.ones(len(texts), np.bool_), (),
        size=size, variants=True, folder=folder, budget_bytes=1 << 30,
        run=lambda batches, kernel, name: run_batches(batches, kernel, folder / name, 1),
    )  # fmt: skip
    seconds["sort and quote"] = clock() - begin
    book, begin = Book.open(folder / "book"), clock()
    spans = [repeated_spans(p, n, book, size) for n, p in enumerate(points)]
    seconds["look up and compare"] = clock() - begin
    docs, sizes = len(texts), {n: _bytes(folder / n) for n in ("fingerprints", "wanted", "book")}
    return {
        "docs": docs, "mb": round(megabytes, 1),
        "cpu_s_per_mb": {name: round(s / megabytes, 4) for name, s in seconds.items()},
        "bytes_per_doc": {"part": round(sum(map(len, prints)) / docs),
                          **{n: round(s / docs) for n, s in sizes.items()}},
        "bytes_per_text_byte": round(
            (sum(sizes.values()) + sum(map(len, prints))) / megabytes / 1e6, 3
        ),
        "cut_share": round(sum(b - a for s in spans for a, b in s) / sum(map(len, points)), 4),
        "wrong": wrong(points, spans, size), "repeated": left(points, spans, size),
    }  # fmt: skip


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def wrong(points: list[Any], spans: list[Any], size: PassageSize, most: int = 400) -> str:
    """Cuts of which the first or last passage stands nowhere else, looked for as a string."""
    corpus = "\0".join("".join(map(chr, p)) for p in points)
    cuts = [(n, a, b) for n, some in enumerate(spans) for a, b in some]
    cuts, bad = random.Random(3).sample(cuts, min(most, len(cuts))), 0
    for n, a, b in cuts:
        before = weights_before(points[n])
        first = int(np.searchsorted(before, before[a] + size.weight))
        last = int(np.searchsorted(before, before[b] - size.weight, side="right")) - 1
        for start, end in ((a, first), (last, b)):
            text = "".join(map(chr, points[n][start:end]))
            bad += corpus.find(text, corpus.find(text) + 1) < 0
    return f"{bad} of {len(cuts)}"


def left(points: list[Any], spans: list[Any], size: PassageSize) -> dict[str, int]:
    """Places where a passage of Han or of letters alone begins that stood before."""
    kept = []
    for p, some in zip(points, spans, strict=True):
        edges = [0, *(edge for span in some for edge in span), len(p)]
        kept += [p[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return {name: _repeats(pieces, size) for name, pieces in (("before", points), ("after", kept))}


def _repeats(pieces: Iterable[Any], size: PassageSize) -> int:
    found = []
    for p in pieces:
        before = weights_before(p)
        for chars in (size.min_chars, size.weight):
            hashes = _run_hashes(p, chars)
            weights = before[chars:] - before[:-chars]
            found.append(hashes[weights == size.weight] if len(hashes) else hashes)
    every = np.concatenate(found)
    return len(every) - len(np.unique(every))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--min-chars", type=int, default=100)
    options = parser.parse_args()
    size = PassageSize(options.min_chars)
    with tempfile.TemporaryDirectory() as folder:
        for language in FILES:
            texts = texts_of(language, options.quick)
            texts, passages = plant(texts, language, size, 3 if options.quick else 25)
            work = Path(folder) / language
            work.mkdir()
            before, without = build(work, texts, language, None)
            after, with_ = build(work, texts, language, options.min_chars)
            found = {"language": language, "without": without, "with": with_,
                     "found": once(before, after, passages)}  # fmt: skip
            sys.stdout.write(json.dumps(found, ensure_ascii=False, indent=1) + "\n")
            sys.stdout.write(json.dumps(steps(work, before, size), indent=1) + "\n")


if __name__ == "__main__":
    main()
