"""The same ids in llama.cpp: extended tokenizers written as GGUF, line by line against others.

Extends LLaMA-2, Llama-3 and Qwen from the shared Chinese corpora, writes each base and each
extended tokenizer as a vocabulary-only GGUF file, and encodes the same lines with llama.cpp, with
the folder reloaded by transformers, and with SentencePiece where there is a model: Chinese,
English, code, mixed, Japanese and Korean, every assigned code point, whole documents, and texts
made to be hard. A line on which llama.cpp differs for the untouched base already is llama.cpp's
own affair (it knows no NFC, and other Unicode tables) and is counted apart. Then every name in
``PRE_TOKENIZERS`` is tried with Llama-3's merges.

    python benchmarks/gguf_ids.py --llama-python ENV/bin/python [--bases llama2] [--out PAGE.md]
    python benchmarks/gguf_ids.py --quick

llama.cpp runs in the interpreter given (one with llama-cpp-python); nothing here imports it.
``--quick`` extends the built-in tokenizer and reads its file back, under a minute. Prints tables,
and one line of JSON last.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

import gguf
import sentencepiece
import tokenizers
import transformers
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from hanhua.core.progress import default_progress
from hanhua.export.gguf_split import PRE_TOKENIZERS
from hanhua.export.gguf_vocab import VocabMetadata, vocab_metadata, write_vocab
from hanhua.text.document import Document
from hanhua.vocab.config import VocabConfig
from hanhua.vocab.extend import extend
from hanhua.vocab.family import family_of
from hanhua.vocab.gather import gather
from hanhua.vocab.script import script_of
from hanhua.vocab.texts import Texts, find_texts
from hanhua.vocab.tokenizer import TokenizerFiles, read_tokenizer

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("HANHUA_DATA", ROOT / ".." / "shared" / "data"))
DEMO = ROOT / "src/hanhua/demo/data"
ADD = {"llama2": 2000, "llama3": 2000, "qwen": 1000, "tiny-en": 256}
ROWS_OF = 128
"""Embeddings are padded to a multiple of so many rows, and so is what is written here."""
LINE_CHARS = 2000
SHOWN = 5

WORKER = """
import json, sys
import llama_cpp as cpp
params = cpp.llama_model_default_params()
params.vocab_only = True
cpp.llama_backend_init()
model = cpp.llama_model_load_from_file(sys.argv[1].encode(), params)
assert model, "llama.cpp does not load this file"
vocab = cpp.llama_model_get_vocab(model)
room = 1 << 20
found = (cpp.llama_token * room)()
print(json.dumps([cpp.__version__, cpp.llama_vocab_n_tokens(vocab)]))
with open(sys.argv[2], encoding="utf-8") as file:
    for row in file:
        text, special = json.loads(row)
        text = text.encode()
        count = cpp.llama_tokenize(vocab, text, len(text), found, room, True, special)
        assert count >= 0, count
        print(json.dumps(found[:count]))
"""
"""Run in llama.cpp's interpreter: a GGUF file, a file of JSON lines [text, whether special tokens
in it are meant]; prints the version and size, then the ids of each line."""

Sets = dict[str, list[str]]
Ids = list[list[int]]


def main() -> None:
    options = _options()
    found: dict[str, Any] = {"versions": versions(), "bases": {}, "splits": {}}
    texts = _texts("zh", options.quick)
    sets = line_sets(texts, options.quick)
    found["lines"] = {name: len(lines) for name, lines in sets.items()}
    for base in ["tiny-en"] if options.quick else options.bases:
        found["bases"][base] = measure(base, texts, sets, options, found["versions"])
    if options.llama_python and not options.quick and not options.no_splits:
        found["splits"] = splits(sets, options.llama_python)
    page = report(found)
    if options.out:
        options.out.write_text(page, encoding="utf-8")
    print(page)
    print(json.dumps(found, ensure_ascii=False))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute, built-in texts only")
    parser.add_argument("--llama-python", type=Path, help="an interpreter that has llama_cpp")
    parser.add_argument("--bases", nargs="+", default=["llama2", "llama3", "qwen"])
    parser.add_argument("--keep", type=Path, help="extended tokenizers lie here; used if there")
    parser.add_argument("--no-splits", action="store_true", help="not every pre-tokenizer's name")
    parser.add_argument("--out", type=Path, help="write the page here")
    options = parser.parse_args()
    if not options.quick and options.llama_python is None:
        parser.error("give --llama-python (an interpreter with llama-cpp-python), or --quick")
    return options


def versions() -> dict[str, str]:
    from importlib.metadata import version

    return {
        "python": platform.python_version(), "gguf": version("gguf"),
        "tokenizers": tokenizers.__version__, "transformers": transformers.__version__,
        "sentencepiece": sentencepiece.__version__,
    }  # fmt: skip


def _texts(language: str, quick: bool) -> Texts:
    place = DEMO / f"{language}.jsonl.gz" if quick else DATA / "corpora" / language / "*.jsonl.gz"
    return find_texts([str(place)], language)


# What is encoded


def line_sets(texts: Texts, quick: bool) -> Sets:
    """Lines by kind; of each kind from all over, none twice."""
    zh = _lines(texts.held_out(), 400 if quick else 9000)
    en = _lines(_texts("en", quick).held_out(), 200 if quick else 6000)
    random_ = random.Random(11)
    return {
        "Chinese": zh,
        "English": en,
        "code": _code(100 if quick else 2500),
        "mixed": [f"  {a[:60]} {b[:60]}" for a, b in zip(zh[::2], en, strict=False)],
        "Japanese, Korean": [_east(random_) for _ in range(100 if quick else 1500)],
        "code points": _blocks()[:: 20 if quick else 1],
        "documents": [d.text[:4000] for d in islice(texts.held_out(), 20 if quick else 400)],
        "hard": [_hard(random_) for _ in range(200 if quick else 2500)] + ["", " ", "\n", "\0"],
    }


def _lines(documents: Iterator[Document], most: int) -> list[str]:
    every = list(dict.fromkeys(
        line[:LINE_CHARS] for d in documents for line in d.text.split("\n") if line.strip()
    ))  # fmt: skip
    return every[:: max(len(every) // most, 1)][:most]


def _code(most: int) -> list[str]:
    """Lines of Python's own library, indented as they are."""
    paths = sorted(Path(os.__file__).parent.glob("*.py"))
    lines = dict.fromkeys(x for p in paths for x in p.read_text("utf-8", "replace").split("\n"))
    return list(lines)[:: max(len(lines) // most, 1)][:most]


def _blocks() -> list[str]:
    """Every assigned code point of the planes that text uses, a block of 64 a line."""
    points = [
        chr(c) for c in [*range(0x20, 0x2FA1E), *range(0x30000, 0x323B0)]
        if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Cc", "Co")
    ]  # fmt: skip
    return ["".join(points[i : i + 64]) for i in range(0, len(points), 64)]


_EAST = ((0x3041, 0x3096), (0x30A1, 0x30FA), (0xAC00, 0xD7A3), (0x4E00, 0x9FFF), (0xFF66, 0xFF9D))


def _east(random_: random.Random) -> str:
    """Words of kana, Hangul and Han with the signs that stand between them."""
    words = []
    for _ in range(random_.randint(3, 14)):
        low, high = random_.choice(_EAST)
        words.append("".join(chr(random_.randint(low, high)) for _ in range(random_.randint(1, 6))))
        words.append(
            random_.choice(["", "", " ", "、", "。", "ー", "は", "의 ", "「", "」", "2026年"])
        )
    return "".join(words)


_HARD = (
    "𠮷", "𪚥𠔻", "㐂龘靐", "👩‍👩‍👧‍👦", "🇨🇳", "😀", "❤️", "ＡＢＣ１２３", "；", "「引号」",
    "《书名》", "……", "——", " ", "  ", "   ", "\t", "\t\t", "\n", "\n\n", "\r\n", " \n",
    "\u3000", "\u00a0", "\u200b", "\ufeff", "1", "2026", "3.14159", "１２", "〇", "㈱", "½", "x²",
    "I'm", "it'S", "WE'LL", "don’t", "'", '"', "é", "e\u0301", "が", "か\u3099", "ﬁ", "ｶﾞ",
    "中", "我们", "人工智能", "，但是", "。\n", "你好World", "a中b文", "<0x0A>", "[PAD7]", "▁",
    "Ġ", "\\n", "http://a.cn/?q=中文&n=1", "def f(x):\n\treturn x", "—", "\0", "\ue000",
    "한국어", "ไทย", "עברית", "العربية", "हिन्दी", "ſ", "'ſ", "\u212a", "İ", "====", "----", "...",
)  # fmt: skip
"""What tokenizers part ways on; put together at random."""


def _hard(random_: random.Random) -> str:
    return "".join(random_.choice(_HARD) for _ in range(random_.randint(1, 12)))


# Who encodes


def measure(base: str, texts: Texts, sets: Sets, options: Any, named: dict[str, str]) -> Any:
    """A base and its extension, each written, read back and encoded with."""
    files = base_files(base)
    found: dict[str, Any] = {}
    wrong: dict[str, set[tuple[str, str]]] = {}
    with tempfile.TemporaryDirectory() as place:
        new = (options.keep or Path(place)) / f"{base}-{ADD[base]}"
        if not new.exists():
            extend_base(files, texts, ADD[base]).save(new)
        files.save(Path(place) / "base")
        for name, folder in (("base", Path(place) / "base"), ("extended", new)):
            found[name], wrong[name] = compare(
                folder, Path(place), sets, options.llama_python, named
            )
    found["added"] = found["extended"]["ids"] - found["base"]["ids"]
    alone = sorted(wrong["extended"] - wrong["base"])
    found["only_extended"] = len(alone)
    found["examples_only_extended"] = [text[:120] for _, text in alone[:SHOWN]]
    return found


def base_files(base: str) -> TokenizerFiles:
    """A base's tokenizer."""
    return read_tokenizer(DEMO / base if base == "tiny-en" else DATA / "tokenizers" / base)


def extend_base(files: TokenizerFiles, texts: Texts, add: int) -> TokenizerFiles:
    """With so many pieces more, learnt from Chinese as ``hanhua vocab extend`` does."""
    family, script, config = family_of(files), script_of("zh"), VocabConfig(add=add)
    runs = gather(family, script, config, texts.learnt, default_progress())
    return extend(family, script, config, runs, default_progress()).files


def compare(
    folder: Path, place: Path, sets: Sets, python: Path | None, named: dict[str, str]
) -> tuple[dict[str, Any], set[tuple[str, str]]]:
    """A saved folder's GGUF file read back, and the ids of every line in each reader."""
    vocab = vocab_metadata(read_tokenizer(folder), where=folder)
    n_rows = (len(vocab.rows) // ROWS_OF + 1) * ROWS_OF
    path = write_vocab(folder, place / "vocab.gguf", n_rows)
    backend = AutoTokenizer.from_pretrained(folder).backend_tokenizer
    special = [token.content for token in backend.get_added_tokens_decoder().values()]
    rows = [(n, t, False) for n, lines in sets.items() for t in lines if not _any(special, t)]
    rows += [("special tokens", text, True) for text in _with_special(special, sets)]
    found: dict[str, Any] = {
        "pre": vocab.pre, "ids": len(vocab.rows), "rows": n_rows, "bytes": path.stat().st_size,
        "read_back": read_back(path, vocab, n_rows), "lines": len(rows),
    }  # fmt: skip
    ids = [e.ids for e in backend.encode_batch_fast([text for _, text, _ in rows])]
    found["tokens"] = sum(map(len, ids))
    found |= in_sentencepiece(folder, rows, ids, add_bos=vocab.add_bos)
    wrong: set[tuple[str, str]] = set()
    if python is not None:
        theirs, named["llama-cpp-python"] = llama_ids(python, path, [(t, s) for _, t, s in rows])
        differ = [row for row, a, b in zip(rows, theirs, ids, strict=True) if a != b]
        wrong = {(name, text) for name, text, _ in differ}
        found["llama_differences"] = dict(Counter(name for name, _, _ in differ))
        found["differing_but_nfc"] = sum(unicodedata.is_normalized("NFC", t) for _, t, _ in differ)
        found["examples"] = [text[:120] for _, text, _ in differ[:SHOWN]]
    return found, wrong


def _any(special: Sequence[str], text: str) -> bool:
    return any(token in text for token in special)


def _with_special(special: Sequence[str], sets: Sets) -> list[str]:
    """Texts around special tokens that are meant; all of these kinds must agree."""
    tokens = special[:8]
    lines = [
        line[:80] for line in (*sets["Chinese"][:40], *sets["English"][:40], *sets["hard"][:40])
    ]
    return [f"{line}{token}{line}" for line in lines for token in tokens if not _any(special, line)]


def in_sentencepiece(
    folder: Path, rows: Sequence[tuple[str, str, bool]], ids: Ids, *, add_bos: bool
) -> dict[str, int]:
    """Lines that tokenizer.model encodes otherwise.

    Without those that special tokens stand in, and those with ▁: it can't tell it from a space.
    """
    if not (folder / "tokenizer.model").exists():
        return {}
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    kept = [
        (text, row[1:] if add_bos else row)
        for (_, text, special), row in zip(rows, ids, strict=True)
        if not special and "▁" not in text
    ]
    found = processor.encode([text for text, _ in kept])
    differ = sum(a != b for a, (_, b) in zip(found, kept, strict=True))
    return {"sentencepiece_lines": len(kept), "sentencepiece_differences": differ}


def llama_ids(python: Path, path: Path, rows: Sequence[tuple[str, bool]]) -> tuple[Ids, str]:
    """The ids that llama.cpp gives, and the version of the package it came in.

    Args:
        python: an interpreter that has llama_cpp.
        path: a GGUF file.
        rows: texts, each with whether special tokens in it are meant.
    """
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".jsonl") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
        file.flush()
        done = subprocess.run(
            [str(python), "-c", WORKER, str(path), file.name], capture_output=True, text=True
        )
    if done.returncode:
        raise RuntimeError(f"llama.cpp stopped: {done.stderr[-2000:]}")
    head, *ids = map(json.loads, done.stdout.splitlines())
    return ids, head[0]


def read_back(path: Path, vocab: VocabMetadata, n_rows: int) -> bool:
    """Whether a file holds the tokens, kinds, scores and merges that it should."""
    fields = gguf.GGUFReader(path).fields
    read = {name.removeprefix("tokenizer.ggml."): field for name, field in fields.items()}
    behind = n_rows - len(vocab.rows)
    tokens = read["tokens"].contents()
    same = [
        tokens[: len(vocab.rows)] == [row.text for row in vocab.rows],
        tokens[len(vocab.rows) :] == [f"[PAD{i}]" for i in range(len(vocab.rows), n_rows)],
        read["token_type"].contents() == [row.kind for row in vocab.rows] + [5] * behind,
    ]
    if vocab.merges:
        same.append(read["merges"].contents() == list(vocab.merges))
    else:
        scores = read["scores"].contents()[: len(vocab.rows)]
        same.append(scores == [row.score for row in vocab.rows])
    return all(same)


# Every name


def splits(sets: Sets, python: Path) -> dict[str, Any]:
    """Llama-3's merges behind each split that has a name: lines on which llama.cpp differs."""
    files = read_tokenizer(DATA / "tokenizers" / "llama3")
    found = {}
    for steps, names in PRE_TOKENIZERS.items():
        for whole, name in names.items():
            raw = json.loads(files.backend.to_str())
            raw["model"]["ignore_merges"] = whole
            raw["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [*map(_step, steps)]}
            changed: TokenizerFiles = replace(files, backend=Tokenizer.from_str(json.dumps(raw)))
            with tempfile.TemporaryDirectory() as place:
                changed.save(Path(place))
                result, _ = compare(Path(place), Path(place), sets, python, {})
            assert result["pre"] == name
            found[name] = {k: result[k] for k in ("lines", "llama_differences", "examples")}
    return found


def _step(step: str) -> dict[str, Any]:
    """A step of a split's name as tokenizer.json writes it."""
    if step.endswith("as bytes"):
        return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                "use_regex": step != "as bytes"}  # fmt: skip
    if step == r"\p{N}":
        return {"type": "Digits", "individual_digits": True}
    return {"type": "Split", "pattern": {"Regex": step}, "behavior": "Isolated", "invert": False}


# The page


def report(found: dict[str, Any]) -> str:
    named = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    lines = [
        f"# The same ids in llama.cpp ({date.today().isoformat()})", "",
        f"`python benchmarks/gguf_ids.py`; {named}.", "",
        "Lines: " + ", ".join(f"{name} {n:,}" for name, n in found["lines"].items()) + ".", "",
        "| tokenizer | pre | ids | lines | tokens | differ in llama.cpp | of those NFC | "
        "differ in SentencePiece | file read back |", "|-|-|-|-|-|-|-|-|-|",
    ]  # fmt: skip
    for base, result in found["bases"].items():
        for name in ("base", "extended"):
            r = result[name]
            title = base if name == "base" else f"{base} +{result['added']:,}"
            differ = r.get("llama_differences")
            lines.append(
                f"| {title} | {r['pre']} | {r['ids']:,} | {r['lines']:,} | {r['tokens']:,} | "
                f"{'not run' if differ is None else sum(differ.values())} | "
                f"{r.get('differing_but_nfc', '-')} | {r.get('sentencepiece_differences', '-')} | "
                f"{'same' if r['read_back'] else 'OTHER'} |"
            )
    lines.append("")
    for base, result in found["bases"].items():
        lines.append(f"- {base}: {result['only_extended']} lines differ in the extension alone")
        for name in ("base", "extended"):
            lines.append(f"  - {name}: {result[name].get('llama_differences')}")
    for name, result in found["splits"].items():
        differ = sum(result["llama_differences"].values())
        lines.append(f"- split `{name}`: {differ} of {result['lines']:,} lines differ "
                     f"{result['llama_differences']}")  # fmt: skip
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
