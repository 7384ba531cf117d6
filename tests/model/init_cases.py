"""What tests of new rows share: a small vocabulary for a base, a small corpus, small models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from hanhua.text.document import Document
from hanhua.text.shards import write_documents
from hanhua.vocab.extend import _pieces
from hanhua.vocab.family import family_of
from hanhua.vocab.learn import Learnt
from hanhua.vocab.tokenizer import read_tokenizer

INPUT, OUTPUT = "model.embed_tokens.weight", "lm_head.weight"
CHARACTERS = "学校，我市场小明天的和在买鱼看书好朋友老师"
WORDS = ["小明", "学校", "，我", "市场", "老师", "朋友", "看书", "买鱼"]


def write_vocab(base: Path, out: Path) -> Path:
    """A vocabulary of some characters and words for a base."""
    family = family_of(read_tokenizer(base))
    learnt = [Learnt(c, 9) for c in dict.fromkeys(CHARACTERS)] + [Learnt(w, 5) for w in WORDS]
    files, taken = family.extend(learnt, len(learnt))
    files.save(out / "tokenizer")
    lines = [
        json.dumps({"id": p.id, "piece": p.piece, "count": p.count, "base_ids": p.base_ids})
        for p in _pieces(family, files, taken)
    ]
    (out / "pieces.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return out


def read_pieces(vocab: Path) -> list[dict[str, Any]]:
    lines = (vocab / "pieces.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def write_corpus(folder: Path, sentences: dict[str, list[str]]) -> Path:
    """Documents of three sentences; every tenth is held out."""
    for language, found in sentences.items():
        documents = [
            Document(f"{language}/{i}", " ".join(found[i : i + 3]), language, "s", "cc0")
            for i in range(0, len(found) - 2, 3)
        ]
        kept = [d for i, d in enumerate(documents) if i % 10]
        write_documents(folder / "train" / f"{language}-00000.parquet", kept)
        write_documents(folder / "held_out" / f"{language}.parquet", documents[::10])
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        found |= load_file(path)
    return found


def save_random(config: Any, tokenizer_from: Path, folder: Path, **options: Any) -> Path:
    """A model with random weights, biases too, beside a tokenizer."""
    torch.manual_seed(5)
    model = AutoModelForCausalLM.from_config(config)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.02)
    model.save_pretrained(folder, **options)
    (folder / "tokenizer.model").write_bytes((tokenizer_from / "tokenizer.model").read_bytes())
    return folder
