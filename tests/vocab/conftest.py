"""A small corpus and both kinds of base, extended once for all tests here."""

from __future__ import annotations

from pathlib import Path

import pytest

from hanhua.text.document import Document
from hanhua.vocab.config import VocabConfig
from hanhua.vocab.extend import Extended, extend
from hanhua.vocab.family import Family, family_of
from hanhua.vocab.gather import gather
from hanhua.vocab.script import script_of
from hanhua.vocab.tokenizer import read_tokenizer
from hard_texts import byte_bpe


@pytest.fixture(scope="session")
def documents(sentences: dict[str, list[str]]) -> list[Document]:
    """Chinese documents from two sources of very different size."""
    found = [
        Document(f"a/{i}", "".join(sentences["zh"][i : i + 3]), "zh", "a", "cc0")
        for i in range(0, 270, 3)
    ]
    return found + [
        Document(f"b/{i}", f"GPT 说：{text} OK？\n  “{text}”", "zh", "b", "cc0")
        for i, text in enumerate(sentences["zh"][280:])
    ]


@pytest.fixture(scope="session")
def byte_level(tmp_path_factory: pytest.TempPathFactory, sentences: dict[str, list[str]]) -> Path:
    """A byte-level BPE base as GPT-2 and Llama 3 have, with an added token behind its vocabulary.

    It has seen a little Chinese, so that some characters are one, two and three tokens.
    """
    folder = tmp_path_factory.mktemp("byte-level")
    tokenizer = byte_bpe(sentences)
    tokenizer.add_special_tokens(["<|end|>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"eos_token": "<|end|>"}', encoding="utf-8")
    return folder


def learnt_on(base: Path, documents: list[Document], add: int) -> tuple[Family, Extended]:
    """The base with ``add`` pieces from the documents."""
    family = family_of(read_tokenizer(base))
    script, config = script_of("zh"), VocabConfig(add=add)
    runs = gather(family, script, config, lambda: iter(documents))
    return family, extend(family, script, config, runs)


@pytest.fixture(scope="session", params=["sentencepiece", "byte_level"])
def extended(
    request: pytest.FixtureRequest, tiny_llama: Path, byte_level: Path, documents: list[Document]
) -> tuple[Family, Extended]:
    """Each kind of base with 96 new pieces."""
    return learnt_on(tiny_llama if request.param == "sentencepiece" else byte_level, documents, 96)
