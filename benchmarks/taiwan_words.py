"""Make src/hanhua/text/copies/taiwan_words.tsv from the phrase tables that OpenCC ships.

    python benchmarks/taiwan_words.py

OpenCC's tables are read by its own tool, ``opencc_dict``, which lies in the installed package.
Words that are translations of each other make a class, whatever the direction of the entry, and
each class gets one form: the mainland's, the shortest of several. So a text and its conversion
come to the same, and so do real texts that use either word. Words of one character are left out
(矽 for 硅): they would have to be looked for at every character.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import opencc

from hanhua.text.copies.minhash import canonical_points

LIBRARY = Path(opencc.__file__).parent / "clib"
TABLE = Path(__file__).parents[1] / "src/hanhua/text/copies/taiwan_words.tsv"
HEAD = f"""\
# Taiwan's word, the mainland's word, as they are compared (simplified, lower case, no punctuation).
# Made by benchmarks/taiwan_words.py from TWPhrases and TWPhrasesRev of OpenCC {opencc.__version__},
# Apache-2.0, https://github.com/BYVoid/OpenCC. A word beside itself keeps shorter ones in it as
# they are.
"""


def compared(word: str) -> str:
    return canonical_points(word).tobytes().decode("utf-32-le")


def entries(name: str) -> Iterator[tuple[str, list[str]]]:
    """(word, its translations, the usual one first) of one of OpenCC's tables."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "table.txt"
        subprocess.run(
            [LIBRARY / "bin/opencc_dict", "-i", LIBRARY / f"share/opencc/{name}.ocd2", "-o", out,
             "-f", "ocd2", "-t", "text"], check=True,
        )  # fmt: skip
        for line in out.read_text(encoding="utf-8").splitlines():
            word, others = line.split("\t")
            yield compared(word), [compared(other) for other in others.split(" ")]


def classes(pairs: list[tuple[str, str]]) -> list[list[str]]:
    """Words that translate each other, over any number of steps."""
    leader: dict[str, str] = {}

    def first(word: str) -> str:
        while leader.setdefault(word, word) != word:
            word = leader[word]
        return word

    for one, other in pairs:
        leader[first(one)] = first(other)
    found: dict[str, list[str]] = defaultdict(list)
    for word in leader:
        found[first(word)].append(word)
    return list(found.values())


def table() -> dict[str, str]:
    """Word -> the one that stands for its class."""
    there, here = dict(entries("TWPhrases")), dict(entries("TWPhrasesRev"))
    mainland = set(there).union(*here.values())
    taiwan = set(here).union(*there.values())
    pairs = [(word, other) for found in (there, here)
             for word, others in found.items() for other in others]  # fmt: skip
    form: dict[str, str] = {}
    for words in classes(pairs):
        best = min(words, key=lambda w: (w not in mainland, w in taiwan, len(w), w))
        form |= dict.fromkeys(words, best)
    changed = {word: to for word, to in form.items() if word != to and len(word) > 1}
    kept = {word: word for word in form
            if word not in changed and any(other in word for other in changed)}  # fmt: skip
    return changed | kept


if __name__ == "__main__":
    rows = [f"{word}\t{to}\n" for word, to in sorted(table().items())]
    TABLE.write_text(HEAD + "".join(rows), encoding="utf-8")
