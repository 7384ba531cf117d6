"""datatrove's MinHash: datatrove_near.py INPUT.jsonl REMOVED.txt [characters].

Words of cmn_Hani (jieba) in 5-grams, 14 buckets of 8, as in FineWeb-2; ``characters``: with a
word tokenizer of our own that gives single characters, the one thing changed.
"""

from __future__ import annotations

import json
import struct
import sys
import tempfile
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
from datatrove.pipeline.readers import JsonlReader
from datatrove.utils.hashing import HashConfig

CONFIG = MinhashConfig(hash_config=HashConfig(hash_fc="xxhash", precision=64))


class Characters:
    """Takes every character for a word."""

    def word_tokenize(self, text: str) -> list[str]:
        """What datatrove calls."""
        return [c for c in text if not c.isspace()]


def main() -> None:
    source, removed = Path(sys.argv[1]).absolute(), Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        duplicates(source, folder)
        gone = set()
        for path in Path(folder, "remove").glob("*.remove"):
            gone |= {number for (number,) in struct.iter_unpack("<I", path.read_bytes())}
    with source.open(encoding="utf-8") as lines:
        names = [json.loads(line)["id"] for i, line in enumerate(lines) if i in gone]
    removed.write_text("".join(name + "\n" for name in names), encoding="utf-8")


def duplicates(source: Path, folder: str) -> None:
    sign = MinhashDedupSignature(f"{folder}/signatures", config=CONFIG, language="cmn_Hani")
    if "characters" in sys.argv[3:]:
        sign.word_tokenizer = Characters()
    steps = [
        (1, [JsonlReader(str(source.parent), glob_pattern=source.name), sign]),
        (14, [MinhashDedupBuckets(f"{folder}/signatures", f"{folder}/buckets", config=CONFIG,
                                  lines_to_buffer=1000)]),
        (1, [MinhashDedupCluster(f"{folder}/buckets", f"{folder}/remove", config=CONFIG,
                                 lines_to_buffer=1000)]),
    ]  # fmt: skip
    for number, (tasks, pipeline) in enumerate(steps):
        LocalPipelineExecutor(
            pipeline, tasks=tasks, workers=1, logging_dir=f"{folder}/logs-{number}"
        ).run()


if __name__ == "__main__":
    main()
