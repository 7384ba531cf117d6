"""Labelled texts for benchmarks/language.py: the label comes from the publisher, not the script.

Four lengths of each language: at most ten characters, sentences, paragraphs (three sentences of
news, or as an author parted them) and documents (3,000 characters at most). Where from:

- NTREX-128, news of 2019 translated by people into 128 languages (``--ntrex``, a checkout of
  https://github.com/MicrosoftTranslator/NTREX, CC BY-SA 4.0): the test part.
- Universal Dependencies, ``# text`` lines of .conllu files named after their language (``--ud``, a
  folder): the validation part.
- HANHUA_DATA: corpora whose languages are known by their sources, half of the documents (by a hash
  of their ids) for validation, half for the test; UD Chinese GSD in both ways of writing.
- Code: files of Python's library, C and C++ headers and JavaScript as installed on the machine,
  halved likewise.

    python benchmarks/language_data.py [--quick]      # how many texts there are
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("HANHUA_DATA", ROOT / ".." / "shared" / "data"))
LENGTHS = ("10 characters", "sentence", "paragraph", "document")
DOCUMENT_CHARS, SHORT_CHARS = 3_000, 10
Part = Literal["validation", "test"]
Items = dict[str, dict[str, list[str]]]
"""length -> label -> texts."""

NTREX = {
    "zho-CN": "zh-Hans", "zho-TW": "zh-Hant", "yue": "yue", "eng": "en", "jpn": "ja", "kor": "ko",
    "fra": "fr", "deu": "de", "spa": "es", "por": "pt", "ita": "it", "nld": "nl", "pol": "pl",
    "ces": "cs", "slk": "sk", "swe": "sv", "dan": "da", "nob": "no", "fin": "fi", "ron": "ro",
    "hun": "hu", "tur": "tr", "vie": "vi", "ind": "id", "msa": "ms", "cat": "ca", "hrv": "hr",
    "slv": "sl", "lit": "lt", "lav": "lv", "est": "et", "fil": "tl", "swa": "sw", "rus": "ru",
    "ukr": "uk", "bul": "bg", "bel": "be", "mkd": "mk", "srp-Cyrl": "sr", "kaz": "kk", "mon": "mn",
    "arb": "ar", "fas": "fa", "urd": "ur", "pus": "ps", "hin": "hi", "mar": "mr", "nep": "ne",
    "ell": "el", "heb": "he", "tha": "th", "ben": "bn", "tam": "ta", "tel": "te",
}  # fmt: skip
UD = {"zh": "zh-Hant"}
"""Labels of UD files that are not their names: Chinese-PUD is in traditional characters."""
CORPORA = {"corpora/en/en_*": "en", "corpora/zh/zh_*": "zh-Hans", "corpora/zh/zht_*": "zh-Hant"}
TECHNICAL = ("lctt", "pydocs", "webdocs", "pingcap", "peps")
"""Sources with code and foreign lines in their documents, which are read as documents only."""
NOT_ONE = ("poetry",)
"""Sources in several ways of writing."""
CODE = {"Python": ("{library}/*.py", "{library}/*/*.py"),
        "C and C++": ("/usr/include/*.h", "/usr/include/linux/*.h", "/usr/include/c++/*/bits/*.h"),
        "JavaScript": ("/usr/share/nodejs/**/*.js", "/usr/lib/node_modules/**/*.js")}  # fmt: skip
UNSPACED = ("zh-Hans", "zh-Hant", "yue", "ja", "th")
_BREAK = re.compile(r"[^\w\s]+|\s+")
_HAN_RUN = re.compile("[一-鿿]{4,10}")


@dataclass(frozen=True)
class Doc:
    """One document and its parts; the last two may be empty."""

    text: str
    paragraphs: Sequence[str]
    sentences: Sequence[str]


def build(part: Part, ntrex: Path | None, ud: Path | None, limit: int) -> Items:
    """All texts of a part, at most ``limit`` of each language and length."""
    docs: dict[str, list[Doc]] = defaultdict(list)
    for label, doc in _documents(part, ntrex, ud):
        docs[label].append(doc)
    return cut(docs, limit)


def _documents(part: Part, ntrex: Path | None, ud: Path | None) -> Iterator[tuple[str, Doc]]:
    yield from _corpora(part)
    yield from _code(part)
    if part == "test":
        yield from _gsd()
        yield from _ntrex(ntrex)
    elif ud:
        yield from _ud(ud)


def quick() -> Items:
    """Built-in texts: the demo's, Python's library, and a few sentences in other languages."""
    docs: dict[str, list[Doc]] = defaultdict(list)
    for label, name in (("zh-Hans", "zh"), ("en", "en")):
        rows = _jsonl(ROOT / "src/hanhua/demo/data" / f"{name}.jsonl.gz")
        docs[label] = [_prose(row["text"], short=True) for row in rows[:300]]
    docs["code"] = [doc for _, doc in _code("test", ("Python",))][:60]
    for label, lines in SENTENCES.items():
        docs[label] = [_lines([line], label) for line in lines.split("\n")]
    return cut(docs, 60)


def cut(docs: dict[str, list[Doc]], limit: int) -> Items:
    """Texts of every length, drawn evenly from the documents."""
    found: Items = {length: {} for length in LENGTHS}
    for label, group in docs.items():
        rng = random.Random(label)
        sentences = [s for doc in group for s in doc.sentences]
        pools = {
            "sentence": sentences,
            "paragraph": [p for doc in group for p in doc.paragraphs],
            "document": [
                doc.text[:DOCUMENT_CHARS] for doc in group if len(doc.text.encode()) > 500
            ],
            "10 characters": [] if label == "code" else _short(sentences, label, rng, limit),
        }
        for length, pool in pools.items():
            if pool:
                found[length][label] = rng.sample(pool, min(limit, len(pool)))
    return found


def han_runs(items: Items, limit: int) -> dict[str, list[str]]:
    """Strings of four to ten Han characters between other signs, by the language they stand in."""
    found = {}
    for label in ("zh-Hans", "zh-Hant", "ja"):
        text = "\n".join(items["sentence"].get(label, []))
        runs = sorted({run for run in re.findall("[一-鿿]+", text) if _HAN_RUN.fullmatch(run)})
        found[label] = random.Random(label).sample(runs, min(limit, len(runs)))
    return {label: runs for label, runs in found.items() if runs}


def _short(sentences: Sequence[str], label: str, rng: random.Random, limit: int) -> list[str]:
    """Whole words of ten characters at most, not from a sentence's beginning."""
    found = set()
    for sentence in rng.sample(sentences, min(len(sentences), 3 * limit)):
        if label in UNSPACED:
            pieces = [piece for piece in _BREAK.split(sentence) if len(piece) >= 4]
            piece = rng.choice(pieces) if pieces else ""
            start = rng.randint(0, max(len(piece) - SHORT_CHARS, 0))
            text = piece[start : start + SHORT_CHARS]
        else:
            words = sentence.split()[1:]
            start = rng.randrange(len(words)) if words else 0
            text = ""
            for word in words[start:]:
                if len(text) + 1 + len(word) > SHORT_CHARS:
                    break
                text = f"{text} {word}".strip()
        if sum(map(str.isalpha, text)) >= 4 or (label in UNSPACED and len(text) >= 4):
            found.add(text)
    return sorted(found)


def half(key: str) -> Part:
    """Which part a document belongs to."""
    return "test" if sha256(key.encode()).digest()[0] % 2 else "validation"


def _jsonl(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _corpora(part: Part) -> Iterator[tuple[str, Doc]]:
    for pattern, label in CORPORA.items():
        for path in sorted(DATA.glob(f"{pattern}.jsonl.gz")):
            if not any(name in path.name for name in NOT_ONE):
                rows = [row for row in _jsonl(path) if half(row["id"]) == part][:400]
                short = not any(name in path.name for name in TECHNICAL)
                yield from ((label, _prose(row["text"], short)) for row in rows)


def _prose(text: str, short: bool) -> Doc:
    paragraphs = (
        [p.strip() for p in re.split(r"\n\s*\n", text) if len(p.strip()) >= 60] if short else []
    )
    sentences = [
        s.strip() for p in paragraphs for s in re.findall(r"[^.!?。！？\n]+[.!?。！？]", p)
    ]
    return Doc(text, paragraphs[:10], [s for s in sentences if 12 <= len(s) <= 300][:20])


def _lines(lines: Sequence[str], label: str) -> Doc:
    """A document of sentences in order; three make a paragraph."""
    space = "" if label in UNSPACED else " "
    paragraphs = [space.join(lines[i : i + 3]) for i in range(0, len(lines), 3)]
    return Doc("\n\n".join(paragraphs), paragraphs, lines)


def _gsd() -> Iterator[tuple[str, Doc]]:
    path = DATA / "parallel/ud_gsd_hant_hans.jsonl.gz"
    rows = _jsonl(path) if path.exists() else []
    for key, label in (("hans", "zh-Hans"), ("hant", "zh-Hant")):
        yield from ((label, Doc(row[key], [], [row[key]])) for row in rows)


def _ntrex(folder: Path | None) -> Iterator[tuple[str, Doc]]:
    """The documents that the shared file has, in every language that the checkout has."""
    path = DATA / "benchmarks/ntrex/ntrex_en_zh.jsonl.gz"
    if not path.exists():
        return
    lines: dict[str, list[int]] = defaultdict(list)
    for row in _jsonl(path):
        lines[row["doc"]].append(int(row["id"].split("/")[1]))
    for code, label in NTREX.items() if folder else ():
        kind = "src" if code == "eng" else "ref"
        file = folder / "NTREX-128" / f"newstest2019-{kind}.{code}.txt"
        rows = file.read_text(encoding="utf-8-sig").split("\n")
        for numbers in lines.values():
            yield label, _lines([rows[n].strip() for n in numbers if rows[n].strip()], label)


def _ud(folder: Path) -> Iterator[tuple[str, Doc]]:
    for path in sorted(folder.glob("*.conllu")):
        code = path.name.split("_")[0]
        text = path.read_text(encoding="utf-8")
        found = re.findall(r"^# text = (.+)$", text, re.MULTILINE)[:1000]
        label = UD.get(code, code)
        yield from ((label, _lines(found[i : i + 9], label)) for i in range(0, len(found), 9))


def _code(part: Part, kinds: Iterable[str] = tuple(CODE)) -> Iterator[tuple[str, Doc]]:
    for kind in kinds:
        patterns = [p.format(library=Path(os.__file__).parent) for p in CODE[kind]]
        paths = {path for p in patterns for path in Path("/").glob(p.lstrip("/"))}
        chosen = sorted(p for p in paths if half(p.name) == part and p.stat().st_size > 400)
        for path in random.Random(kind).sample(chosen, min(len(chosen), 150)):
            text = path.read_text(encoding="utf-8", errors="replace")
            rows = text.split("\n")
            middle = len(rows) // 2
            line = next((row for row in rows[middle:] if len(row.strip()) >= 12), "")
            yield "code", Doc(text, ["\n".join(rows[middle : middle + 10])], [line] if line else [])


SENTENCES = {
    "ja": "毎朝市場へ行って魚と野菜を買います。\n図書館で新しい本を三冊借りた。\n"
    "電車が遅れたので、会議に間に合わなかった。",
    "ko": "매일 아침 시장에 가서 생선과 채소를 삽니다.\n도서관에서 새 책을 세 권 빌렸다.",
    "fr": "Chaque matin il va au marché pour acheter du poisson.\n"
    "Elle a emprunté trois livres à la bibliothèque.",
    "de": "Jeden Morgen geht er auf den Markt und kauft Fisch.\n"
    "Sie hat in der Bücherei drei Bücher ausgeliehen.",
    "es": "Cada mañana va al mercado y compra pescado.\n"
    "Ella pidió prestados tres libros en la biblioteca.",
    "ru": "Каждое утро он ходит на рынок и покупает рыбу.\nОна взяла в библиотеке три книги.",
    "zh-Hant": "他每天早上去市場買魚和白菜。\n她在圖書館借了三本新書。\n"
    "火車誤點了，所以我們沒趕上會議。",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="built-in texts only")
    parser.add_argument("--ntrex", type=Path)
    parser.add_argument("--ud", type=Path)
    options = parser.parse_args()
    parts = {"quick": quick()} if options.quick else {
        part: build(part, options.ntrex, options.ud, 10_000) for part in ("validation", "test")
    }  # fmt: skip
    for part, items in parts.items():
        for length, labels in items.items():
            print(part, length, {label: len(texts) for label, texts in labels.items()})


if __name__ == "__main__":
    main()
