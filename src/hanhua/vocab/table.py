"""Tokenizers side by side: tokens per character and bytes per token on each file of text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hanhua.vocab.texts import Texts, names
from hanhua.vocab.tokenizer import read_tokenizer


def compare(tokenizers: Sequence[Path], texts: Texts, max_chars: int) -> dict[str, Any]:
    """Count the tokens of every file with every tokenizer.

    Args:
        tokenizers: folders or files.
        texts: what to encode; whole documents, each without BOS.
        max_chars: of each file, at most about so many characters, from its beginning.

    Returns:
        ``tokenizers``: name -> size, tokens per character by file and their geometric mean,
        bytes per token by file; ``files``: name -> characters and bytes.
    """
    by_file: dict[str, list[str]] = {name: [] for name in names(texts.files)}
    room = dict.fromkeys(by_file, max_chars)
    for document in texts.documents():
        if room[document.source] > 0:
            by_file[document.source].append(document.text)
            room[document.source] -= len(document.text)
    by_file = {name: found for name, found in by_file.items() if found}
    files = {
        name: {"chars": sum(map(len, found)), "bytes": sum(len(t.encode()) for t in found)}
        for name, found in by_file.items()
    }
    found = {}
    for path, name in zip(tokenizers, names(tokenizers), strict=True):
        backend = read_tokenizer(path).backend
        counts = {
            file: sum(
                len(e.ids) for e in backend.encode_batch_fast(texts_, add_special_tokens=False)
            )
            for file, texts_ in by_file.items()
        }
        rates = {file: round(n / files[file]["chars"], 6) for file, n in counts.items()}
        found[name] = {
            "size": backend.get_vocab_size(),
            "tokens_per_char": rates,
            "geometric_mean": round(_geometric_mean(list(rates.values())), 6),
            "bytes_per_token": {
                file: round(files[file]["bytes"] / n, 6) for file, n in counts.items() if n
            },
        }
    return {"tokenizers": found, "files": files}


def _geometric_mean(values: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values)) if values and min(values) > 0 else 0.0


def table_text(found: Mapping[str, Any]) -> str:
    """The comparison for the terminal: a row a file, a column a tokenizer."""
    tokenizers: Mapping[str, Mapping[str, Any]] = found["tokenizers"]
    head = "".join(f"{name[-15:]:>17}" for name in tokenizers)
    rows = [f"{'tokens per character':<30}{head}"]
    rows.append(f"{'  size':<30}" + "".join(f"{t['size']:>17,}" for t in tokenizers.values()))
    for file in found["files"]:
        values = "".join(f"{t['tokens_per_char'][file]:>17.4f}" for t in tokenizers.values())
        rows.append(f"{file[-29:]:<30}{values}")
    means = "".join(f"{t['geometric_mean']:>17.4f}" for t in tokenizers.values())
    return "\n".join([*rows, f"{'geometric mean':<30}{means}"])
