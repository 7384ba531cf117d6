"""Tokenizers side by side: tokens per character and bytes per token on each file of text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from hanhua.core.errors import HanhuaError
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
        bytes per token by file; ``files``: name -> characters and bytes; ``refused``: name -> the
        error of one that cannot be read, where others can.

    Raises:
        ModelError: when none can be read, or one is a text.
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
    found, refused = {}, {}
    for path, name in zip(tokenizers, names(tokenizers), strict=True):
        try:
            backend = read_tokenizer(path).backend
        except HanhuaError as error:
            refused[name] = error.as_dict()
            if len(refused) == len(tokenizers) or _may_be_text(path):
                raise
        else:
            found[name] = _measured(backend, by_file, files)
    return {"tokenizers": found, "files": files, "refused": refused}


def _may_be_text(path: Path) -> bool:
    """Whether a file was perhaps meant to be measured on; then nobody should miss it in a table."""
    return path.is_file() and path.suffix not in (".model", ".json", ".tiktoken")


def _measured(
    backend: Tokenizer, by_file: Mapping[str, list[str]], files: Mapping[str, Mapping[str, int]]
) -> dict[str, Any]:
    counts = {
        file: sum(len(e.ids) for e in backend.encode_batch_fast(found, add_special_tokens=False))
        for file, found in by_file.items()
    }
    rates = {file: round(n / files[file]["chars"], 6) for file, n in counts.items()}
    return {
        "size": backend.get_vocab_size(),
        "tokens_per_char": rates,
        "geometric_mean": round(_geometric_mean(list(rates.values())), 6),
        "bytes_per_token": {
            file: round(files[file]["bytes"] / n, 6) for file, n in counts.items() if n
        },
    }


def _geometric_mean(values: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values)) if values and min(values) > 0 else 0.0


def table_text(found: Mapping[str, Any]) -> str:
    """The comparison for the terminal: a row a file, a column a tokenizer, as wide as its name."""
    tokenizers: Mapping[str, Mapping[str, Any]] = found["tokenizers"]
    wide = {name: max(len(name), 10) + 2 for name in tokenizers}
    first = max(len(file) for file in ("tokens per character", *found["files"])) + 1

    def row(title: str, form: str, key: str, file: str | None = None) -> str:
        found = {n: one[key] if file is None else one[key][file] for n, one in tokenizers.items()}
        return f"{title:<{first}}" + "".join(f"{v:>{wide[n]}{form}}" for n, v in found.items())

    rows = [f"{'tokens per character':<{first}}" + "".join(f"{n:>{w}}" for n, w in wide.items())]
    rows.append(row("  size", ",", "size"))
    rows += [row(file, ".4f", "tokens_per_char", file) for file in found["files"]]
    rows.append(row("geometric mean", ".4f", "geometric_mean"))
    for name, error in found["refused"].items():
        why = f" ({error['found']})" if error["found"] else ""
        rows.append(f"left out: {name}: {error['what']}{why}")
    return "\n".join(rows)
