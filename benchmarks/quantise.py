"""What fewer bits cost a localised model: size, memory, tokens/s, each language's loss.

Every method that the machine has is made of one model and measured against it on the same held-out
documents, with the paired 95 % interval. Without an argument the demo's own tiny English base and
its texts are taken, with --quick a few documents of them.

    python benchmarks/quantise.py [RUN] [--quick] [--docs N] [--methods a,b] [--llama-cpp PATH]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import tempfile
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

import hanhua.demo
from hanhua.core.artifact import Artifact
from hanhua.core.files import read_json, write_text
from hanhua.core.progress import default_progress
from hanhua.eval.config import BitsPerByteConfig, EvalConfig
from hanhua.eval.evaluate import Evaluation
from hanhua.eval.find import find_texts
from hanhua.export.calibration import counted_shares
from hanhua.export.llama_cpp import LlamaCpp
from hanhua.export.methods import METHODS
from hanhua.export.quantise import Job
from hanhua.export.quantise_all import Trial, quantise_all
from hanhua.text.shards import read_language

DEMO = Path(hanhua.demo.__path__[0]) / "data"
PACKAGES = {"int8": "torchao", "nf4": "bitsandbytes", "gptq-int4": "auto_round"}
NAMED = ("torch", "transformers", "gguf", "torchao", "bitsandbytes", "auto-round")
LANGUAGES = ("zh", "en")
QUICK_METHODS, QUICK_DOCS = "q8_0,q4_0", 6
MIB = 2**20


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    llama = LlamaCpp.find(options.llama_cpp)
    names = options.methods.split(",") if options.methods else _available(llama)
    methods = [METHODS[name] for name in names]
    model, held_out, train = _texts(options)
    job = Job(
        model=model, name="model", llama=llama, texts=train, rows=options.rows, length=256,
        shares=options.shares or counted_shares(None, list(train)), progress=default_progress(),
    )  # fmt: skip
    config = EvalConfig(bits_per_byte=BitsPerByteConfig(max_docs=options.docs), drift=None,
                        prompts={}, gates={})  # fmt: skip
    trial = Trial(setting=Evaluation(config=config, documents=held_out), speed=True)
    with tempfile.TemporaryDirectory() as place:
        found = quantise_all(methods, job, trial, Path(place))
    text = page(found["rows"], _parameters(model))
    print(text)
    if options.out:
        write_text(options.out, text)


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", type=Path, help="a model's artifact")
    parser.add_argument("--corpus", type=Path, help="the corpus artifact with held-out text")
    parser.add_argument("--tokens", type=Path, help="the tokens artifact, for the shares")
    parser.add_argument("--docs", type=int, default=100)
    parser.add_argument("--rows", type=int, default=32, help="of calibration, 256 tokens each")
    parser.add_argument("--methods", default="")
    parser.add_argument("--llama-cpp", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.model and not options.corpus:
        parser.error("a model needs --corpus")
    if options.quick:
        options.docs, options.methods = QUICK_DOCS, options.methods or QUICK_METHODS
    options.shares = counted_shares(options.tokens, LANGUAGES) if options.tokens else None
    return options


def _available(llama: LlamaCpp) -> list[str]:
    """Methods that this machine has the packages for."""
    has_llama = llama.python is not None or llama.program is not None
    return [
        name for name, method in METHODS.items()
        if name != "f32" and (method.family != "k" or has_llama)
        and (name not in PACKAGES or importlib.util.find_spec(PACKAGES[name]))
    ]  # fmt: skip


def _texts(options: Any) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """The model folder, held-out documents, and text to calibrate on."""
    if options.model is None:
        named = [f"{code}={DEMO / f'{code}.jsonl.gz'}" for code in LANGUAGES]
        texts = find_texts(None, named, 2 * options.docs)
        return (
            DEMO / "tiny-en",
            {code: found[: options.docs] for code, found in texts.items()},
            {code: found[options.docs :] for code, found in texts.items()},
        )
    corpus = options.corpus
    return (
        options.model / "model",
        {code: list(read_language(corpus, code, "held_out")) for code in LANGUAGES},
        {code: islice(read_language(corpus, code, "train"), 5000) for code in LANGUAGES},
    )


def _parameters(model: Path) -> str:
    record = model.parent / "record.json"
    count = Artifact.load(model.parent).counts.get("parameters") if record.is_file() else None
    config = read_json(model / "config.json")
    size = f"{count:,} parameters, " if count else ""
    return (f"{size}{config['model_type']}, width {config['hidden_size']}, vocabulary "
            f"{config['vocab_size']:,}")  # fmt: skip


def page(rows: list[dict[str, Any]], about: str) -> str:
    """The table with what it was measured on."""
    versions = ", ".join(f"{name} {version}" for name in NAMED if (version := _version(name)))
    n = ", ".join(f"{count} {code}" for code, count in sorted(rows[0]["documents"].items()))
    lines = [
        f"# Fewer bits, {date.today().isoformat()}", "",
        f"Model: {about}. Held-out documents: {n}. python {platform.python_version()}, {versions}.",
        "", "| method | disk MiB | weights in memory MiB | grown in llama.cpp MiB | tokens/s, one "
        "thread: median [low, high] | engine | zh bits/byte | zh change | en bits/byte | "
        "en change |",
        "|-|-:|-:|-:|-:|-|-:|-:|-:|-:|",
    ]  # fmt: skip
    return "\n".join([*lines, *map(_line, rows)]) + "\n"


def _line(row: dict[str, Any]) -> str:
    speed = row.get("speed") or {}
    grown = speed.get("memory_bytes")
    cells = [
        row["method"], f"{row['bytes'] / MIB:.2f}", f"{row['memory_bytes'] / MIB:.2f}",
        f"{grown / MIB:.1f}" if grown else "–",
        f"{speed['median']} [{speed['low']}, {speed['high']}]" if speed else "–",
        speed.get("engine", "–").split(" ")[0],
    ]  # fmt: skip
    for code in LANGUAGES:
        change = row.get("change", {}).get(code)
        cells.append(f"{row['bits_per_byte'][code]:.4f}")
        cells.append("–" if change is None else (
            f"{100 * change['value']:+.3f} % [{100 * change['low']:+.3f}, "
            f"{100 * change['high']:+.3f}]"))  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
