"""A tokenizer and a corpus that are real and small."""

from __future__ import annotations

import pytest

from hanhua.model.load import load_tokenizer
from hanhua.text.document import Document
from hanhua.text.shards import write_documents


@pytest.fixture(scope="session")
def tokenizer(tiny_llama):
    return load_tokenizer(tiny_llama)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory, sentences):
    """A corpus artifact's folder: 150 documents a language, of 1 to 5 sentences."""
    folder = tmp_path_factory.mktemp("corpus")
    for language, lines in sentences.items():
        documents = [
            Document(f"{language}/{i}", " ".join(lines[i : i + 1 + i % 5]), language, "made", "CC0")
            for i in range(150)
        ]
        write_documents(folder / "train" / f"{language}-00000.parquet", documents)
    return folder
