"""The same scores on a GPU: bits per byte, options of questions."""

from __future__ import annotations

from pathlib import Path

import pytest

from hanhua.eval.bits_per_byte import Document, score_texts
from hanhua.eval.forward import CausalModel
from hanhua.eval.score import score_options

from .test_score import requests


@pytest.fixture(scope="module")
def both(gpu: str, tiny_llama: Path) -> list[CausalModel]:
    found = [CausalModel.load(tiny_llama, device) for device in ("cpu", gpu)]
    assert [model.device.type for model in found] == ["cpu", gpu]
    return found


def test_bits_of_texts_are_those_of_a_cpu(both, sentences):
    documents = [
        Document(id=f"{language}-{i}", text=text, language=language, source="s", licence="")
        for language, texts in sentences.items() for i, text in enumerate(texts[:40])
    ]  # fmt: skip
    here, there = (score_texts(model, documents) for model in both)
    for one, other in zip(here, there, strict=True):
        assert other.nats == pytest.approx(one.nats, rel=1e-4)
        assert other.nats > 1


@pytest.mark.parametrize("shared", [0, 50])
def test_options_are_scored_as_on_a_cpu(both, shared):
    asked = requests(7, shared, 30, 4)
    here, there = (score_options(model, asked) for model in both)
    for one, other in zip(here, there, strict=True):
        assert other == pytest.approx(one, abs=1e-3)
