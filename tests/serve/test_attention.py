"""A step of single tokens attends by row: as the whole model does, and as alone to the bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from hanhua.model.fuse import fuse
from hanhua.model.native import NATIVE
from hanhua.serve.attention import attend_by_row
from hanhua.serve.few_rows import serve_few_rows
from hanhua.serve.slots import SlotPool

SHAPE = {
    "vocab_size": 400, "hidden_size": 128, "intermediate_size": 160, "num_hidden_layers": 2,
    "num_attention_heads": 4, "max_position_embeddings": 256, "initializer_range": 0.2,
}  # fmt: skip
PROMPTS = [[5] * 3, list(range(7, 90)), [11, 12], list(range(40, 57))]
NEXT = [9, 8, 7, 6]


class Attentions(TorchFunctionMode):
    """Counts what PyTorch's own attention is asked for."""

    count = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.nn.functional.scaled_dot_product_attention
        return func(*args, **(kwargs or {}))


def made(kind: str, **more: Any) -> Any:
    """A random model in float32 as it is served."""
    torch.manual_seed(4)
    if kind == "qwen":  # with biases
        model: Any = Qwen2ForCausalLM(Qwen2Config(**SHAPE, num_key_value_heads=2, **more))
    else:
        model = LlamaForCausalLM(
            LlamaConfig(**SHAPE, num_key_value_heads=2 if kind == "grouped" else 4, **more)
        )
    model.eval()
    serve_few_rows(model)
    fuse(model)
    attend_by_row()
    return model


def filled(model: Any) -> SlotPool:
    """A pool with each prompt in its slot, each fed alone."""
    pool = SlotPool(model)
    pool.forward(0, [[3]] * len(PROMPTS), [0] * len(PROMPTS))
    for slot, ids in enumerate(PROMPTS):
        pool.forward(slot, [ids], [0])
    return pool


@pytest.mark.parametrize("kind", ["plain", "grouped", "qwen"])
@pytest.mark.parametrize("tied", [False, True])
def test_a_ragged_step_is_what_the_model_says_of_each_row(kind, tied):
    model = made(kind, tie_word_embeddings=tied)
    pool, starts = filled(model), [len(ids) for ids in PROMPTS]
    with Attentions() as attentions:
        found = pool.forward(0, [[token] for token in NEXT], starts)
    assert attentions.count == (2 if NATIVE is None else 0)
    for ids, token, row in zip(PROMPTS, NEXT, found, strict=True):
        with torch.inference_mode(), Attentions() as whole:
            alone = model(torch.tensor([[*ids, token]])).logits[0, -1]
        assert whole.count == 2
        torch.testing.assert_close(row, alone, atol=2e-4, rtol=1e-4)


def test_a_row_has_the_same_bits_alone_and_in_company():
    if NATIVE is None or NATIVE.use(2) < 2:
        pytest.skip("no compiled part, or no AVX-512")
    model = made("grouped")
    starts = [len(ids) for ids in PROMPTS]
    together = filled(model).forward(0, [[token] for token in NEXT], starts)
    pool = filled(model)
    for slot, (token, start) in enumerate(zip(NEXT, starts, strict=True)):
        assert torch.equal(pool.forward(slot, [[token]], [start])[0], together[slot])


def test_whatever_changes_the_scores_is_left_to_others():
    """Another mask than the pool's, or a bias: as if we weren't there."""
    model = made("plain")
    pool, starts = filled(model), [len(ids) for ids in PROMPTS]
    pool.forward(0, [[token] for token in NEXT], starts)
    attention = ALL_ATTENTION_FUNCTIONS["sdpa"]
    layer, step = pool.layers[0], pool.layers[0].step
    new = torch.randn(len(PROMPTS), 4, 1, 32)
    with torch.inference_mode():
        keys, values = layer.update(new, new)
    module = model.model.layers[0].self_attn
    cases = {
        "its own": (step.mask_B1TL, {}, 0 if NATIVE else 1),
        "a copy": (step.mask_B1TL.clone(), {}, 1),
        "another": (torch.zeros_like(step.mask_B1TL), {}, 1),
        "none": (None, {}, 1),
        "a bias": (step.mask_B1TL, {"position_bias": torch.ones_like(step.mask_B1TL)}, 1),
    }
    for name, (mask, more, calls) in cases.items():
        with torch.inference_mode(), Attentions() as attentions:
            found, _ = attention(module, new, keys, values, mask, scaling=0.2, **more)
        assert attentions.count == calls, name
        bias = 0 if mask is None else mask + more.get("position_bias", 0)
        scores = torch.einsum("bhqe,bhte->bhqt", new, keys) * 0.2 + bias
        wanted = scores.softmax(-1) @ values
        torch.testing.assert_close(found, wanted.transpose(1, 2), atol=1e-5, rtol=1e-4)
