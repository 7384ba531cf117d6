"""From raw files to a corpus: near-duplicates, the whole way, growth, contamination; beside peers.

    python benchmarks/corpus.py [--quick] [--peer NAME=PYTHON ...] [--scale] [--out PAGE.md]

Near-duplicates: Chinese text with planted copies of fourteen kinds (corpus_planted.py) against
exact truth (peers/truth.py). The whole way: the command ``hanhua corpus`` on Chinese and English
files. Peers run as processes of their own, by an interpreter of an environment that has them:
``--peer datasketch=PYTHON``; names are datasketch, textdedup, datajuicer and datatrove. ``--scale``
adds 10, 100 MB and 1 GB of text. ``--quick`` takes the texts of the built-in demo alone, without
peers, under 40 s. Prints the page, and one line of JSON last.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from corpus_planted import SEED, Text, grown, read_texts, write_jsonl
from peers.done import Done, figures
from peers.injected import BENCHMARKS, contamination
from peers.measure import HERE, measure, script
from peers.near import near
from peers.page import page

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("HANHUA_DATA", ROOT / ".." / "shared" / "data"))
DEMO = ROOT / "src/hanhua/demo/data"
PARTS = ("near", "whole", "contamination", "scale")
SCALE_MB = (10, 100, 1000)
QUICK_MB = 0.5
WHOLE = ("datatrove", "datajuicer")


class Options(argparse.Namespace):
    """What was asked."""

    def runs(self) -> int:
        """How often hanhua runs."""
        return 1 if self.quick else self.repeat

    def peers(self) -> dict[str, str]:
        """Peer -> interpreter."""
        return {} if self.quick else dict(entry.split("=", 1) for entry in self.peer)


def main() -> None:
    options = _options()
    done = Done(options.cache, options.keep_peers)
    found: dict[str, Any] = {"quick": options.quick, "seed": options.seed}
    with tempfile.TemporaryDirectory(dir=options.cache) as folder:
        work = Path(folder)
        if "near" in options.parts:
            texts, peers, part = _texts(options, "zh"), options.peers(), options.peer_part
            found["near"] = near(texts, peers if part == 1 else {}, 1, options, work, done)
            if peers and part > 1:
                found["near_peers"] = near(texts[::part], peers, part, options, work, done)
        if "whole" in options.parts:
            found["whole"] = whole(options, work, done)
        if "contamination" in options.parts:
            found["contamination"] = contaminated(options)
        if "scale" in options.parts and options.scale:
            found["scale"] = scale(options, work)
    text = page(found)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    print(text)
    print(json.dumps(found, ensure_ascii=False))


def _options() -> Options:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under 40 s, built-in texts only")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--peer-part", type=int, default=1, metavar="N",
                        help="peers get one document in N (hanhua too, beside them)")  # fmt: skip
    parser.add_argument("--mb", type=float, default=100, help="of real text a language, at most")
    parser.add_argument("--scale", action="store_true", help="10, 100 MB and 1 GB too")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--repeat", type=int, default=3, help="runs of hanhua; the median counts")
    parser.add_argument("--cache", type=Path, help="a folder for the truth and for what is made")
    parser.add_argument("--keep-peers", action="store_true",
                        help="don't run peers again that the cache has figures of")  # fmt: skip
    parser.add_argument("--out", type=Path, help="write the page here")
    return parser.parse_args(namespace=Options())


def _texts(options: Options, language: str) -> list[Text]:
    """The shared corpora of a language, or some of the demo's text."""
    paths = sorted((DATA / "corpora" / language).glob("*.jsonl.gz"))
    room, found = (QUICK_MB if options.quick else options.mb) * 1e6, list[Text]()
    for text in read_texts([DEMO / f"{language}.jsonl.gz"] if options.quick else paths):
        room -= len(text.text.encode())
        if room < 0:
            break
        found.append(text)
    return found


def whole(options: Options, work: Path, done: Done) -> dict[str, Any]:
    """Chinese and English files to clean ones, by command."""
    sources, megabytes = _files(options, work, 1)
    tools = {}
    for workers in (1,) if options.quick else (1, 2):
        name = f"hanhua, {workers} worker{'s' * (workers > 1)}"
        tools[name] = _corpus(sources, megabytes, workers, options.runs(), work)
    some, part = _files(options, work, options.peer_part)
    for peer, python in options.peers().items():
        if peer in WHOLE:

            def run(peer: str = peer, python: str = python) -> dict[str, Any]:
                return _pipeline(peer, python, some, part, work)

            tools[peer] = done.figures(f"whole {options.peer_part} {peer}", run)
    return {"megabytes": round(megabytes, 1), "peer_megabytes": round(part, 1), "tools": tools}


def _files(options: Options, work: Path, part: int) -> tuple[list[str], float]:
    """JSON lines of every so many-th document, a file a language, and their MB."""
    folder, megabytes = work / f"part-{part}", 0.0
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{language}.jsonl" for language in ("zh", "en")]
    for path in paths:
        megabytes += write_jsonl(_texts(options, path.stem)[::part], path)
    return [str(path) for path in paths], megabytes


def _pipeline(
    peer: str, python: str, sources: Sequence[str], megabytes: float, work: Path
) -> dict[str, Any]:
    out = work / peer
    out.mkdir()
    used = measure([python, script(f"{peer}_pipeline"), str(out), *sources])
    final = [*out.glob("final.jsonl"), *out.glob("*/final/*.jsonl")]
    kept = sum(path.read_bytes().count(b"\n") for path in final)
    shutil.rmtree(out)
    return figures([used], megabytes) | {"kept": kept}


def _corpus(
    sources: Sequence[str], megabytes: float, workers: int, runs: int, work: Path
) -> dict[str, Any]:
    usages = []
    for _ in range(runs):
        out = work / "corpus"
        usages.append(measure([
            HERE, "-m", "hanhua", "corpus", *sources, "--out", str(out), "--quiet",
            "--workers", str(workers),
        ]))  # fmt: skip
        report = json.loads((out / "report.json").read_text(encoding="utf-8"))
        shutil.rmtree(out)
    return figures(usages, megabytes) | {
        "documents": report["documents_in"], "kept": report["documents_kept"],
        "dropped": report["dropped"],
    }  # fmt: skip


def scale(options: Options, work: Path) -> dict[str, Any]:
    """Ten and a hundred times the text."""
    texts, found = _texts(options, "zh"), {}
    for size in SCALE_MB:
        source = work / "grown.jsonl"
        megabytes = write_jsonl(grown(texts, size * 1_000_000, options.seed), source)
        runs = options.repeat if size < max(SCALE_MB) else 1
        found[str(size)] = _corpus([str(source)], megabytes, 1, runs, work)
        source.unlink()
    return found


def contaminated(options: Options) -> dict[str, Any]:
    """Questions put into clean documents, a language at a time."""
    found = {}
    for language, names in BENCHMARKS.items():
        folders = [DATA / "benchmarks" / name for name in names]
        paths = [path for folder in folders for path in sorted(folder.glob("*/*.csv"))]
        if options.quick:
            paths = [DEMO / f"questions-{language}.jsonl"]
        found[language] = contamination(
            _texts(options, language), paths, language, 20 if options.quick else 400, options.seed
        )
    return found


if __name__ == "__main__":
    main()
