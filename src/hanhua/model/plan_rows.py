"""What an expansion will cost, from config.json alone: to plan 70B on a laptop.

The model is built without memory for its shapes. How much is written depends on how the
checkpoint is cut into files: those without an embedding or head are linked, which costs nothing.
Where the files (or an index) lie beside config.json their sizes are taken, else the bounds hold.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedConfig

from hanhua.core.files import read_json
from hanhua.model.ends import Ends, find_ends, open_config
from hanhua.model.init_combine import CHUNK_BYTES
from hanhua.model.load import INDEX

PROCESS_BYTES = 600_000_000
"""A Python process with torch and transformers and two tokenizers: 0.4 GB measured, and room."""
PIECE_BYTES = 1_500
"""Of a new piece's line, ids and weights in Python."""


def plan_expansion(base: str | Path, new_tokens: int, pad_to: int = 64) -> dict[str, Any]:
    """Say what giving a model new rows will take.

    Args:
        base: model folder, or only its config.json.
        new_tokens: new pieces.
        pad_to: round the rows up to a multiple.

    Returns:
        - old_rows, new_rows, padded_rows, rows; hidden, tied, dtype;
        - params_before, params_after;
        - added_bytes: by how much the checkpoint grows;
        - bytes_to_write: {least, most} written to disk. They are equal where the weight files
          are there to look at; else least is the grown matrices, most the whole checkpoint;
        - peak_memory_bytes: of streaming; the methods that run the model (distill, auto) hold it
          besides;
        - extra_flops_per_token: {forward, training} that the longer head adds.

    Raises:
        ModelError: no config of a model that transformers knows.
    """
    path = Path(base)
    folder = path.parent if path.is_file() else path
    config = open_config(folder)
    ends = find_ends(config)
    old, hidden = _old_rows(folder, ends), ends.shape[1]
    padded = -(old + new_tokens) % pad_to
    rows = old + new_tokens + padded
    matrices, item = 1 if ends.tied else 2, _dtype(config).itemsize
    bias = rows - ends.shape[0] if ends.bias else 0
    grown = matrices * (rows - ends.shape[0]) * hidden + bias
    after = ends.params + grown
    head = 2 * (rows - ends.shape[0]) * hidden
    return {
        "old_rows": old, "new_rows": new_tokens, "padded_rows": padded, "rows": rows,
        "hidden": hidden, "tied": ends.tied, "dtype": str(_dtype(config)).removeprefix("torch."),
        "params_before": ends.params, "params_after": after, "added_bytes": grown * item,
        "bytes_to_write": _written(folder, ends, matrices * rows * hidden * item, after * item,
                                   grown * item),
        "peak_memory_bytes": PROCESS_BYTES + 2 * CHUNK_BYTES + PIECE_BYTES * new_tokens,
        "extra_flops_per_token": {"forward": head, "training": 3 * head},
    }  # fmt: skip


def _old_rows(folder: Path, ends: Ends) -> int:
    """Ids of the tokenizer where there is one; new rows then replace the base's own padding."""
    from hanhua.vocab.tokenizer import read_tokenizer

    names = ("tokenizer.model", "tokenizer.json")
    if not any((folder / name).exists() for name in names):
        return ends.shape[0]
    return int(read_tokenizer(folder).backend.get_vocab_size())


def _dtype(config: PreTrainedConfig) -> torch.dtype:
    found = getattr(config, "dtype", None)
    if isinstance(found, str):
        found = getattr(torch, found, None)
    return found if isinstance(found, torch.dtype) else torch.float32


def _written(folder: Path, ends: Ends, least: int, most: int, grown: int) -> dict[str, int]:
    index = folder / INDEX
    if index.exists():
        places: dict[str, str] = read_json(index)["weight_map"]
        wanted = (ends.input, ends.output, ends.bias)
        spelt = {n for name in wanted if name for n in (name, name.removeprefix(ends.prefix))}
        files = {places[name] for name in spelt & places.keys()}
    else:
        files = {"model.safetensors"}
    if files and all((folder / name).is_file() for name in files):
        exact = sum((folder / name).stat().st_size for name in files) + grown
        return {"least": exact, "most": exact}
    return {"least": least, "most": most}
