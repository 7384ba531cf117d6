"""datasketch: datasketch_near.py INPUT.jsonl REMOVED.txt [verified] [folded].

Character 5-grams of the text without punctuation and spaces, 112 functions in 14 bands of 8; a
document that shares a band with a kept one goes. ``verified``: 120 functions in 20 bands of 6, and
it goes only where the signatures agree in .75. ``folded``: OpenCC t2s first, as a user might think
of.
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from pathlib import Path

from datasketch import MinHash, MinHashLSH

VERIFIED = "verified" in sys.argv[3:]
BANDS, ROWS = (20, 6) if VERIFIED else (14, 8)
FUNCTIONS = BANDS * ROWS
SHINGLE = 5


def main() -> None:
    fold = converter() if "folded" in sys.argv[3:] else str
    index = MinHashLSH(num_perm=FUNCTIONS, params=(BANDS, ROWS))
    kept: dict[str, MinHash] = {}
    gone: list[str] = []
    with Path(sys.argv[1]).open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            text = re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", row["text"]).lower())
            text = fold(text)
            sketch = MinHash(num_perm=FUNCTIONS)
            grams = {text[i : i + SHINGLE] for i in range(max(len(text) - SHINGLE + 1, 1))}
            sketch.update_batch([gram.encode() for gram in grams])
            others = index.query(sketch)
            if VERIFIED:
                others = [name for name in others if kept[name].jaccard(sketch) >= 0.75]
            if others:
                gone.append(row["id"])
                continue
            index.insert(row["id"], sketch)
            if VERIFIED:
                kept[row["id"]] = sketch
    Path(sys.argv[2]).write_text("".join(name + "\n" for name in gone), encoding="utf-8")


def converter():
    from opencc import OpenCC

    return OpenCC("t2s").convert


if __name__ == "__main__":
    main()
