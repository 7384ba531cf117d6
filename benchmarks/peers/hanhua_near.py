"""hanhua's near-deduplication alone: hanhua_near.py INPUT.jsonl REMOVED.txt [min_agreement]."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from hanhua.text.copies.exact import content_key
from hanhua.text.copies.keys import DocumentKeys, KeyFiles, rank_of
from hanhua.text.copies.minhash import canonical_points, changed_characters, sign
from hanhua.text.copies.near import find_copies
from hanhua.text.copies.words import mainland_words

AT_ONCE = 2_000


def main() -> None:
    source, removed = Path(sys.argv[1]), Path(sys.argv[2])
    options = {"min_agreement": float(sys.argv[3])} if len(sys.argv) > 3 else {}
    ids: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        with KeyFiles(Path(folder)) as keys, source.open(encoding="utf-8") as lines:
            values: list[bytes] = []
            for line in lines:
                row = json.loads(line)
                ids.append(row["id"])
                values.append(keys_of(row["text"], row["id"]))
                if len(values) == AT_ONCE:
                    keys.append(values)
                    values = []
            if values:
                keys.append(values)
        found = find_copies(keys, **options)
    gone = [name for name, alive in zip(ids, found.alive.tolist(), strict=True) if not alive]
    removed.write_text("".join(name + "\n" for name in gone), encoding="utf-8")


def keys_of(text: str, origin: str) -> bytes:
    """As the stage makes them."""
    points = canonical_points(text)
    changed = changed_characters(text)
    rank = rank_of(text, origin, priority=0, chars=len(points), changed=changed)
    signature = sign(mainland_words(text))
    return DocumentKeys(content_key(points), rank, signature).as_bytes()


if __name__ == "__main__":
    main()
