"""text-dedup's MinHash: textdedup_near.py INPUT.jsonl REMOVED.txt.

It splits on what is no letter (whole Chinese clauses are its words), so the characters are
spaced out before, and punctuation is gone. 112 functions in 14 bands of 8, threshold .7, no second
look at candidates (its ``check_false_positive`` compares all pairs of a cluster in Python).
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import unicodedata
from pathlib import Path


def main() -> None:
    source, removed = Path(sys.argv[1]), Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HF_DATASETS_CACHE"] = f"{folder}/cache"
        spaced, ids = Path(folder) / "spaced.jsonl", []
        with source.open(encoding="utf-8") as lines, spaced.open("w", encoding="utf-8") as out:
            for line in lines:
                row = json.loads(line)
                ids.append(row["id"])
                plain = re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", row["text"]).lower())
                out.write(json.dumps({"text": " ".join(plain)}, ensure_ascii=False) + "\n")
        parents = run(spaced, folder)
    first: dict[int, int] = {}
    for number, group in sorted(parents.items()):
        first.setdefault(group, number)
    gone = [ids[number] for number, group in parents.items() if number != first[group]]
    removed.write_text("".join(name + "\n" for name in gone), encoding="utf-8")


def run(spaced: Path, folder: str) -> dict[int, int]:
    """Its own steps up to the clusters: number -> number of its group."""
    from text_dedup.config.base import Config, load_config_from_toml
    from text_dedup.minhash import cluster, fingerprint, load_and_preprocess

    settings = Path(folder) / "config.toml"
    settings.write_text(
        f"""[input]
input_type = "local_files"
file_type = "json"
read_arguments = {{ path = "json", data_files = ["{spaced}"], split = "train" }}
[algorithm]
algorithm_name = "minhash"
text_column = "text"
num_perm = 112
bands = 14
rows = 8
ngram_size = 5
threshold = 0.7
num_proc = 1
[output]
output_dir = "{folder}/out"
[debug]
""",
        encoding="utf-8",
    )
    Config.model_rebuild()
    config = load_config_from_toml(settings)
    texts, _, _ = load_and_preprocess(config)
    return cluster(config, fingerprint(config, texts))


if __name__ == "__main__":
    main()
