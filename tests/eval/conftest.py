from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import AddedToken

from hanhua.eval.forward import CausalModel
from hanhua.eval.score import Request
from hanhua.model.load import load_model, load_tokenizer

ADDED = ["河边", "朋友", "市场"]


@pytest.fixture(scope="session")
def base(tiny_llama: Path) -> CausalModel:
    """The tiny LLaMA with weights that make it opinionated (random ones are almost uniform)."""
    torch.set_num_threads(1)
    model = load_model(tiny_llama)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.add_(torch.randn(weight.shape, generator=generator) * 0.15)
    return CausalModel(model, load_tokenizer(tiny_llama))


@pytest.fixture(scope="session")
def expanded(base: CausalModel, tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with three added pieces, padding rows, and weights that have moved a little."""
    folder = tmp_path_factory.mktemp("expanded")
    tokenizer = load_tokenizer(tiny_llama)
    tokenizer.add_tokens([AddedToken(piece, normalized=False) for piece in ADDED])
    model = load_model(tiny_llama)
    model.load_state_dict(base.model.state_dict())
    model.resize_token_embeddings(len(tokenizer) + 5, mean_resizing=False)
    generator = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.02)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def new(expanded: Path) -> CausalModel:
    return CausalModel.load(expanded)


@pytest.fixture(scope="session")
def naive() -> Callable[[CausalModel, Request], list[float]]:
    """Score each option alone, with all logits made."""
    return _naive


def _naive(model: CausalModel, request: Request) -> list[float]:
    found = []
    for option in request.options:
        ids = [*request.context, *option]
        with torch.inference_mode():
            logs = model.model(torch.tensor([ids[:-1]])).logits[0].double().log_softmax(-1)
        start = len(request.context) - 1
        found.append(sum(float(logs[start + k, token]) for k, token in enumerate(option)))
    return found
