"""The documents that every training engine gets, as token ids in one file.

``chat``: instructions and answers in English and Chinese (${HANHUA_DATA}/instructions, tokenised
with the vocabulary of the model), the long ones cut; where that data is not at hand, random ids in
lengths of a like distribution. ``full``: the same tokens in documents of exactly one row.
"""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("HANHUA_DATA", ROOT / ".." / "shared" / "data"))
SOURCES = (
    "llamafactory/alpaca_en_demo.json", "llamafactory/alpaca_zh_demo.json",
    "en/alpaca_00000-03252_en.json.gz", "en/lima.json.gz", "multiturn/oaast_sft_zh.json.gz",
)  # fmt: skip
TOKENIZERS = {32_000: "llama2", 55_296: "chinese-llama-2"}
LIMIT = 1024
SEED = 0

Documents = list[list[int]]


def make_documents(kind: str, vocab: int, row_tokens: int, most: int) -> tuple[Documents, str]:
    """Documents and where they are from.

    Args:
        kind: ``chat`` or ``full``.
        vocab: ids.
        row_tokens: length of a full document, limit of the others.
        most: documents at most; full ones: the tokens of so many.
    """
    rng = np.random.default_rng(SEED)
    found, origin = _instructions(vocab), "instructions"
    if not found:
        found, origin = _random(vocab, rng), "random"
    found = [found[i] for i in rng.permutation(len(found))[:most]]
    if kind == "chat":
        return [ids[: min(LIMIT, row_tokens)] for ids in found], origin
    flat = np.concatenate([np.array(ids) for ids in found])
    rows = flat[: len(flat) // row_tokens * row_tokens].reshape(-1, row_tokens)
    return rows.tolist(), origin


def _instructions(vocab: int) -> Documents:
    """All that there are; nothing where data or tokenizer are not at hand."""
    if vocab not in TOKENIZERS:
        return []
    tokenizer = DATA / "tokenizers" / TOKENIZERS[vocab] / "tokenizer.model"
    if not tokenizer.exists() or not (DATA / "instructions" / SOURCES[0]).exists():
        return []
    from sentencepiece import SentencePieceProcessor

    model = SentencePieceProcessor(str(tokenizer))
    texts = []
    for source in SOURCES:
        path = DATA / "instructions" / source
        opened = gzip.open(path, "rt") if path.suffix == ".gz" else path.open(encoding="utf-8")
        with opened as file:
            for entry in json.load(file):
                parts = [str(entry.get(key, "")) for key in ("instruction", "input", "output")]
                texts.append("\n".join(part for part in parts if part))
    return [[model.bos_id(), *ids, model.eos_id()] for ids in model.encode(texts)]


def _random(vocab: int, rng: np.random.Generator) -> Documents:
    """Lengths of a heavy tail, about 150 tokens in the mean; ids as frequent as words are."""
    lengths = np.clip(rng.lognormal(4.5, 0.95, 6000).astype(int), 8, LIMIT)
    ranks = np.minimum(rng.zipf(1.2, int(lengths.sum())) + 2, vocab - 1)
    return [ids.tolist() for ids in np.split(ranks, np.cumsum(lengths)[:-1])]


def write_documents(path: Path, documents: Documents) -> None:
    """One JSON line a document."""
    path.write_text("".join(json.dumps({"input_ids": ids}) + "\n" for ids in documents))
