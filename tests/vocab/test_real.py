"""The promises on real text: real bases, real Chinese and English lines by the ten thousand."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path

import pytest
import sentencepiece

from hanhua.text.document import Document
from hanhua.vocab.script import script_of
from hanhua.vocab.tokenizer import read_tokenizer

from .conftest import learnt_on

LINES = 9_500


def documents(folder: Path, each: int) -> list[Document]:
    """The first documents of every file, so that all domains are there."""
    found = []
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            rows = [json.loads(line) for line in itertools.islice(file, each)]
        found += [Document(r["id"], r["text"][:6000], "zh", path.name, "") for r in rows]
    return found


def lines(found: list[Document]) -> list[str]:
    """Distinct lines, taken from all over."""
    every = dict.fromkeys(line for d in found for line in d.text.split("\n") if line)
    step = max(1, len(every) // LINES)
    return list(every)[::step][:LINES]


@pytest.fixture(scope="module", params=["models/stories3M-hf", "tokenizers/llama2"])
def real(request: pytest.FixtureRequest, shared_data: Path):
    zh = documents(shared_data / "corpora" / "zh", 40)
    en = documents(shared_data / "corpora" / "en", 40)
    family, found = learnt_on(shared_data / request.param, zh[::2], 2000)
    return family, found, lines(zh), lines(en)


def test_sentencepiece_agrees_on_every_line(real, tmp_path: Path):
    _, found, zh, en = real
    found.files.save(tmp_path)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "tokenizer.model"))
    tokenizer = read_tokenizer(tmp_path).fast().backend_tokenizer
    mixed = [f"  {a[:40]}  {b[:40]}" for a, b in zip(zh, en, strict=False)][:2500]
    text = [
        line for line in zh + en + mixed if not any(s in line for s in ("<s>", "</s>", "<unk>"))
    ]
    assert len(text) > 20_000
    ours = tokenizer.encode_batch_fast(text, add_special_tokens=False)
    wrong = [t for t, o, s in zip(text, ours, processor.encode(text), strict=True) if o.ids != s]
    assert not wrong
    back = tokenizer.decode_batch([o.ids for o in ours])
    assert [t for t, b in zip(text, back, strict=True) if t != b and "▁" not in t] == []


def test_english_lines_keep_their_ids_and_chinese_shrinks(real):
    family, found, zh, en = real
    own = script_of("zh").own
    plain = [line for line in en if not own.search(line)]
    assert len(plain) > 8_000
    old, new = (f.backend.encode_batch_fast(plain, add_special_tokens=False)
                for f in (family.files, found.files))  # fmt: skip
    assert all(a.ids == b.ids for a, b in zip(old, new, strict=True))
    before, after = (
        sum(len(e.ids) for e in f.backend.encode_batch_fast(zh))
        for f in (family.files, found.files)
    )
    assert after < before * 0.75


def test_every_piece_is_alive_and_the_base_keeps_its_ids(real):
    family, found, _, _ = real
    old, new = family.files.backend, found.files.backend
    assert len(found.pieces) == 2000
    for piece in found.pieces:
        assert [t.id for t in new.model.tokenize(piece.piece)] == [piece.id]
    assert all(old.id_to_token(i) == new.id_to_token(i) for i in range(found.base_tokens))
