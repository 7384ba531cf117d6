"""The extended vocabulary against the tokenizers of the field, on text that it never saw.

Learns from the shared Chinese corpora (one document in fifty held out) and measures tokens per
character on other domains (news, encyclopedia questions, exams, dialogues, instructions, reviews
of law) and on the held-out documents. Peers with a SentencePiece model are run in SentencePiece,
as they were made. Then: English and code lines whose ids changed, pieces that can't be reached,
lines that readers encode differently, and CPU-seconds of learning against SentencePiece's and
Hugging Face's trainers on the same text, each in a process of its own.

    python benchmarks/vocabulary.py [--quick] [--sizes 4096 23296] [--no-speed] [--out PAGE.md]

``--quick`` learns from the texts of the built-in demo alone, under a minute, without peers.
Prints tables, and one line of JSON last.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import itertools
import json
import math
import multiprocessing
import os
import platform
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import sentencepiece
import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from hanhua.core.progress import default_progress
from hanhua.text.document import Document
from hanhua.vocab.check import compare_plain, verify
from hanhua.vocab.config import VocabConfig
from hanhua.vocab.count import Runs
from hanhua.vocab.extend import Extended, extend
from hanhua.vocab.family import Family, family_of
from hanhua.vocab.gather import gather
from hanhua.vocab.script import HAN, HANGUL, KANA, script_of
from hanhua.vocab.texts import Texts, find_texts
from hanhua.vocab.tokenizer import read_tokenizer

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("HANHUA_DATA", ROOT / ".." / "shared" / "data"))
SIZES = {"llama2": (4096, 8192, 16_000, 23_296, 37_104), "llama3": (8192, 16_384)}
PEERS = {
    "LLaMA-2": "llama2", "Chinese-LLaMA-2": "chinese-llama-2",
    "compatible": "chinese-llama-compatible", "MedicalGPT": "medicalgpt-merged",
    "Baichuan-7B": "baichuan", "ChatGLM2": "chatglm2", "InternLM": "internlm",
    "Llama-3": "llama3", "Qwen": "qwen",
}  # fmt: skip
SET_CHARS = 300_000
CODE_LINES = 450_000
Encode = Callable[[Sequence[str]], list[list[int]]]


def main() -> None:
    options = _options()
    texts = _learning_text(options)
    sets = quick_sets(texts) if options.quick else domains(texts)
    bases = ["demo"] if options.quick else options.bases
    found: dict[str, Any] = {"rows": {}, "checks": {}, "speed": {}}
    if not options.quick:
        for name, folder in PEERS.items():
            found["rows"][name] = row(*peer(DATA / "tokenizers" / folder), sets)
    for base in bases:
        found["rows"] |= extensions(base, texts, sets, options, found["checks"])
    if not options.quick and not options.no_speed:
        found["speed"] = speeds(texts)
    page = report(found, sets, options)
    if options.out:
        options.out.write_text(page, encoding="utf-8")
    print(page)
    print(json.dumps(found, ensure_ascii=False))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute, built-in texts only")
    parser.add_argument("--sizes", type=int, nargs="+", help="pieces to add")
    parser.add_argument("--bases", nargs="+", default=["llama2", "llama3"])
    parser.add_argument("--set", dest="overrides", nargs="+", default=[], help="vocab settings")
    parser.add_argument("--no-speed", action="store_true")
    parser.add_argument("--no-checks", action="store_true")
    parser.add_argument("--out", type=Path, help="write the page here")
    return parser.parse_args()


def _learning_text(options: argparse.Namespace) -> Texts:
    if options.quick:
        return find_texts([str(ROOT / "src/hanhua/demo/data/zh.jsonl.gz")], "zh")
    return find_texts([str(DATA / "corpora" / "zh" / "*.jsonl.gz")], "zh")


# What is measured on


def quick_sets(texts: Texts) -> dict[str, list[str]]:
    return {"held-out": [d.text for d in texts.held_out()]}


def domains(texts: Texts) -> dict[str, list[str]]:
    """Sets of whole texts by name; none of their sources is learnt from, but for "held-out"."""
    sets = {
        "NTREX news": _jsonl("benchmarks/ntrex/ntrex_en_zh.jsonl.gz", "zh", "zh-CN", "zh_CN"),
        "news commentary": _jsonl("parallel/news_commentary.jsonl.gz", "zh"),
        "CMMLU": _csv("benchmarks/cmmlu/test"),
        "C-Eval": _csv("benchmarks/ceval/val"),
        "C3 dialogues": _strings("benchmarks/c3/c3-d-dev.json.gz"),
        "C3 passages": _strings("benchmarks/c3/c3-m-dev.json.gz"),
        "OCNLI": _strings("benchmarks/ocnli/train.3k.json.gz"),
        "KdConv film": _strings("instructions/multiturn/kdconv_film_dev.json.gz"),
        "ShareGPT zh": _strings("instructions/multiturn/sharegpt_zh_1K_format.jsonl.gz"),
        "UD GSD simplified": _jsonl("parallel/ud_gsd_hant_hans.jsonl.gz", "hans"),
        "UD GSD traditional": _jsonl("parallel/ud_gsd_hant_hans.jsonl.gz", "hant"),
        "NTREX zh-TW": _jsonl("benchmarks/ntrex/ntrex_en_zh.jsonl.gz", "zh_tw", "zh-TW", "zh_TW"),
    }
    sets["held-out"] = [d.text for d in texts.held_out()]
    sets["English news"] = _jsonl("benchmarks/ntrex/ntrex_en_zh.jsonl.gz", "en")
    return {name: limited(found) for name, found in sets.items() if found}


TRADITIONAL = ("UD GSD traditional", "NTREX zh-TW")
NOT_IN_MEAN = (*TRADITIONAL, "held-out", "English news")


def limited(texts: Sequence[str]) -> list[str]:
    """From all over the set, about so many characters."""
    step = max(sum(map(len, texts)) // SET_CHARS, 1)
    return list(texts[::step])


def _jsonl(name: str, *keys: str) -> list[str]:
    with gzip.open(DATA / name, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    key = next((k for k in keys if k in rows[0]), None)
    return [row[key] for row in rows if row.get(key)] if key else []


def _csv(folder: str) -> list[str]:
    """A question and its options, a text each."""
    found = []
    for path in sorted((DATA / folder).glob("*.csv*")):
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
        for line in list(csv.reader(io.StringIO(text)))[1:]:
            found.append("\n".join(cell for cell in line[1:6] if cell))
    return found


def _strings(name: str) -> list[str]:
    """Every string of a JSON or JSON-lines file that holds a Han character."""
    raw = gzip.decompress((DATA / name).read_bytes()).decode()
    try:
        values: Any = json.loads(raw)
    except json.JSONDecodeError:
        values = [json.loads(line) for line in raw.splitlines() if line.strip()]
    return [text for text in _walk(values) if script_of("zh").letter.search(text)]


def _walk(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner)


# Who is measured


def peer(folder: Path) -> tuple[int, Encode]:
    """A tokenizer's size and how it encodes: SentencePiece models in SentencePiece itself."""
    model = folder / "tokenizer.model"
    if model.exists():
        try:
            processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
            return processor.vocab_size(), lambda texts: processor.encode(list(texts))
        except (RuntimeError, OSError):
            pass  # tiktoken ranks under the same name
    return backend_encoder(read_tokenizer(folder).backend)


def backend_encoder(backend: Tokenizer) -> tuple[int, Encode]:
    def encode(texts: Sequence[str]) -> list[list[int]]:
        return [e.ids for e in backend.encode_batch_fast(list(texts), add_special_tokens=False)]

    return backend.get_vocab_size(), encode


def row(size: int, encode: Encode, sets: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    rates = {
        name: sum(map(len, encode(texts))) / sum(map(len, texts)) for name, texts in sets.items()
    }
    inside = [rate for name, rate in rates.items() if name not in NOT_IN_MEAN] or [*rates.values()]
    means = {"mean": math.exp(sum(map(math.log, inside)) / len(inside))}
    if all(name in rates for name in TRADITIONAL):
        means["traditional"] = math.prod(rates[n] for n in TRADITIONAL) ** (1 / len(TRADITIONAL))
    return {"size": size, **{k: round(v, 4) for k, v in {**means, **rates}.items()}}


def extensions(
    base: str, texts: Texts, sets: Mapping[str, Sequence[str]], options: argparse.Namespace,
    checks: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """A base with each number of pieces."""
    from hanhua.recipe import section_from

    folder = ROOT / "src/hanhua/demo/data" if base == "demo" else DATA / "tokenizers" / base
    family = family_of(read_tokenizer(folder / "tokenizer.model" if base == "demo" else folder))
    sizes = options.sizes or ((256, 768) if options.quick else SIZES[base])
    found, runs = {}, None
    for add in sizes:
        config = section_from(VocabConfig, "vocab", [f"add={add}", *options.overrides])
        start = time.process_time()
        runs = runs or gather(family, script_of("zh"), config, texts.learnt, default_progress())
        extended = extend(family, script_of("zh"), config, runs, default_progress())
        seconds = time.process_time() - start
        name = f"{base} +{add:,}"
        found[name] = row(*backend_encoder(extended.files.backend), sets)
        checks[name] = {"cpu_seconds": round(seconds, 1)}
        last = add == sizes[-1] or (base == "llama2" and add == 23_296)
        if last and not options.no_checks:
            checks[name] |= check(family, extended, texts, options.quick)
    return found


# The promises


def check(family: Family, extended: Extended, texts: Texts, quick: bool) -> dict[str, Any]:
    """Lines that must not change, pieces that must be reached, readers that must agree."""
    script = script_of("zh")
    lines, changed = compare_plain(
        family.files.backend, extended.files.backend, _plain(quick), script, CODE_LINES
    )
    with tempfile.TemporaryDirectory() as folder:
        extended.files.save(Path(folder))
        verdict = verify(Path(folder), family, extended, [*_lines(texts, quick), *_code_points()])
    return {
        "plain_lines": lines, "changed": changed, "dead": verdict.dead_pieces,
        "lines_read_back": verdict.lines, "reload_differences": verdict.reload_differences,
        "sentencepiece_differences": verdict.sentencepiece_differences,
        "not_lossless": verdict.not_lossless,
    }  # fmt: skip


def _plain(quick: bool) -> Iterator[Document]:
    """English text, and the code of Python's own library."""
    if quick:
        patterns = [str(ROOT / "src/hanhua/demo/data/en.jsonl.gz")]
    else:
        patterns = [str(DATA / "corpora" / "en" / "*.jsonl.gz")]
    yield from find_texts(patterns, "en")
    library = Path(os.__file__).parent
    for path in sorted(library.glob("*.py"))[: 5 if quick else None]:
        yield Document(path.name, path.read_text("utf-8", "replace"), "code", "stdlib", "PSF")


def _lines(texts: Texts, quick: bool) -> list[str]:
    """Chinese, English, both in one line, Japanese and Korean."""
    zh = [line for d in texts.held_out() for line in d.text.split("\n") if line.strip()][:12_000]
    en = [line for d in itertools.islice(_plain(quick), 400) for line in d.text.split("\n") if line]
    en = en[:: max(len(en) // 8_000, 1)]
    mixed = [f"{a[:40]} {b[:40]}{a[40:60]}" for a, b in zip(zh, en, strict=False)][:4_000]
    return zh + en + mixed + _made_up("ja", HAN + KANA) + _made_up("ko", HANGUL + "a-z")


def _made_up(code: str, letters: str) -> list[str]:
    """2,000 lines of a script's letters in any order: nobody's text, and all pairs may occur."""
    rng = random.Random(code)
    every = [chr(point) for point in script_of("zh").code_points(letters)]
    some = rng.sample(every, min(len(every), 1500)) + [" ", "。", "，", "1"] * 20
    return ["".join(rng.choices(some, k=rng.randint(5, 60))) for _ in range(2_000)]


def _code_points() -> list[str]:
    """Every assigned code point of the planes that text uses, a block of 64 a line."""
    import unicodedata

    points = [
        chr(c) for c in [*range(0x20, 0x2FA1E), *range(0x30000, 0x323B0)]
        if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Cc", "Co") and c != 0x2581
    ]  # fmt: skip
    return ["".join(points[i : i + 64]) for i in range(0, len(points), 64)]


# Speed


def speeds(texts: Texts) -> dict[str, Any]:
    """CPU-seconds and memory of learning 23,296 pieces, each trainer in a process of its own."""
    lines = [line for d in texts.learnt() for line in d.text.split("\n") if line.strip()]
    n_bytes = sum(len(line.encode()) for line in lines)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text.txt"
        path.write_text("\n".join(lines), encoding="utf-8")
        del lines
        context = multiprocessing.get_context("spawn")
        found = {}
        for name, work in (("hanhua", learn_ours), ("sentencepiece", learn_sentencepiece),
                           ("tokenizers", learn_tokenizers)):  # fmt: skip
            near, far = context.Pipe()
            process = context.Process(target=work, args=(path, far))
            process.start()
            cpu, wall, rss = near.recv()
            process.join()
            found[name] = {
                "cpu_seconds": round(cpu, 1), "wall_seconds": round(wall, 1),
                "mb_per_cpu_second": round(n_bytes / 1e6 / cpu, 2),
                "peak_rss_mb": round(rss / 2**20),
            }  # fmt: skip
    return {"megabytes": round(n_bytes / 1e6, 1), "pieces": 23_296, "trainers": found}


def _timed(far: Any, work: Callable[[], object]) -> None:
    cpu, wall = time.process_time(), time.monotonic()
    work()
    status = Path("/proc/self/status").read_text(encoding="utf-8")  # ru_maxrss keeps the parent's
    peak = next(int(x.split()[1]) for x in status.splitlines() if x.startswith("VmHWM"))
    far.send((time.process_time() - cpu, time.monotonic() - wall, peak * 1024))


def learn_ours(path: Path, far: Any) -> None:
    family = family_of(read_tokenizer(DATA / "tokenizers" / "llama2"))
    config = VocabConfig(add=23_296, traditional_share=0.0, guard="none")
    texts = Texts((path,), "zh")

    def work() -> None:
        runs: Runs = gather(family, script_of("zh"), config, texts.documents)
        extend(family, script_of("zh"), config, runs)

    _timed(far, work)


def learn_sentencepiece(path: Path, far: Any) -> None:
    _timed(far, lambda: sentencepiece.SentencePieceTrainer.train(
        input=str(path), model_prefix=str(path.parent / "spm"), vocab_size=23_296 + 259,
        model_type="bpe", byte_fallback=True, character_coverage=0.9995, num_threads=2,
        normalization_rule_name="identity", split_digits=True, minloglevel=2,
        max_sentence_length=1 << 20,
    ))  # fmt: skip


def learn_tokenizers(path: Path, far: Any) -> None:
    def work() -> None:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]
        )
        trainer = trainers.BpeTrainer(vocab_size=23_296, show_progress=False)
        tokenizer.train([str(path)], trainer)

    _timed(far, work)


# The page


def report(found: dict[str, Any], sets: Mapping[str, Sequence[str]], options: Any) -> str:
    machine = (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, sentencepiece "
        f"{sentencepiece.__version__}, tokenizers {tokenizers.__version__}"
    )
    command = "python benchmarks/vocabulary.py" + (" --quick" if options.quick else "")
    lines = [
        f"# Vocabulary, {date.today().isoformat()}", "",
        f"Command: `{command}`. Machine: {machine}. Tokens per character; lower is better. The "
        "mean is the geometric mean over the simplified sets that nothing was learnt from.", "",
    ]  # fmt: skip
    columns = ["size", "mean"]
    columns += [c for c in ("traditional", *sets) if c in next(iter(found["rows"].values()))]
    lines += ["| tokenizer | " + " | ".join(columns) + " |", "|-" * (len(columns) + 1) + "|"]
    for name, values in found["rows"].items():
        lines.append(f"| {name} | " + " | ".join(str(values[c]) for c in columns) + " |")
    lines += ["", "Characters: " + ", ".join(
        f"{name} {sum(map(len, texts)):,}" for name, texts in sets.items()) + ".", ""]  # fmt: skip
    for name, values in found["checks"].items():
        lines.append(f"- {name}: " + ", ".join(f"{k} {v}" for k, v in values.items()))
    if found["speed"]:
        speed = found["speed"]
        lines += ["", f"Learning {speed['pieces']:,} pieces from {speed['megabytes']} MB:", ""]
        lines += ["| trainer | CPU-s | MB / CPU-s | wall s | peak RSS MB |", "|-|-|-|-|-|"]
        for name, v in speed["trainers"].items():
            lines.append(
                f"| {name} | {v['cpu_seconds']} | {v['mb_per_cpu_second']} | {v['wall_seconds']} | "
                f"{v['peak_rss_mb']} |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
