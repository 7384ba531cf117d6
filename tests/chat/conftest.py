"""Tokenizers of the kinds that treat spaces, starts and special tokens differently."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from chat_cases import CHATML, LLAMA3, YAYI
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from hanhua.vocab.tokenizer import read_tokenizer


@pytest.fixture(scope="session")
def spm(tiny_llama: Path) -> Any:
    """SentencePiece as Llama-2's: only a text's first piece begins with a space's mark.

    Built here: what AutoTokenizer makes of a tokenizer.model differs between versions.
    """
    backend = read_tokenizer(tiny_llama).backend
    backend.normalizer = normalizers.Sequence([])
    backend.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


@pytest.fixture(scope="session")
def spm_legacy(spm: Any) -> Any:
    """The same as older files have it: every piece between special tokens gets a space's mark."""
    state = json.loads(spm.backend_tokenizer.to_str())
    backend = Tokenizer.from_str(json.dumps(state))
    backend.pre_tokenizer = None
    backend.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


@pytest.fixture(scope="session")
def spm_yayi(spm: Any) -> Any:
    """With YaYi's tokens, added as its trainer adds them."""
    tokenizer = copy.deepcopy(spm)
    tokenizer.add_special_tokens({"additional_special_tokens": YAYI})
    return tokenizer


def _bytes(texts: list[str], special: list[str], **tokens: str) -> Any:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=special, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    backend.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, **tokens)


@pytest.fixture(scope="session")
def byte_llama3(sentences: dict[str, list[str]]) -> Any:
    """Byte-level BPE with the header tokens of Llama-3."""
    return _bytes(
        sentences["zh"] + sentences["en"], LLAMA3, bos_token=LLAMA3[0], eos_token=LLAMA3[1]
    )


@pytest.fixture(scope="session")
def byte_chatml(sentences: dict[str, list[str]]) -> Any:
    """Byte-level BPE as Qwen's: no begin token."""
    return _bytes(sentences["zh"] + sentences["en"], CHATML, eos_token=CHATML[0])


@pytest.fixture(scope="session")
def tokenizers(
    spm: Any, spm_legacy: Any, spm_yayi: Any, byte_llama3: Any, byte_chatml: Any
) -> dict[str, Any]:
    """All of them by name."""
    return {"spm": spm, "spm_legacy": spm_legacy, "spm_yayi": spm_yayi,
            "byte_llama3": byte_llama3, "byte_chatml": byte_chatml}  # fmt: skip
