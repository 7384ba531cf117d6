"""Data-Juicer's MinHash: datajuicer_near.py INPUT.jsonl REMOVED.txt.

``character`` tokenization, as its documentation has it for Chinese, 5-grams; all but letters and
digits ignored; 112 functions in 14 bands of 8.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HF_DATASETS_CACHE"] = f"{folder}/cache"
        os.environ["DATA_JUICER_CACHE_HOME"] = f"{folder}/dj"
        gone = run(sys.argv[1])
    Path(sys.argv[2]).write_text("".join(name + "\n" for name in gone), encoding="utf-8")


def run(source: str) -> list[str]:
    from data_juicer.core.data import NestedDataset
    from data_juicer.ops.deduplicator.document_minhash_deduplicator import (
        DocumentMinhashDeduplicator,
    )
    from datasets import load_dataset

    texts = NestedDataset(load_dataset("json", data_files=[source], split="train"))
    ids = texts["id"]
    step = DocumentMinhashDeduplicator(
        tokenization="character", window_size=5, ignore_pattern=r"[^\p{L}\p{N}]",
        num_permutations=112, num_bands=14, num_rows_per_band=8,
    )  # fmt: skip
    kept, _ = step.process(texts.map(step.compute_hash, num_proc=1))
    remain = set(kept["id"])
    return [name for name in ids if name not in remain]


if __name__ == "__main__":
    main()
