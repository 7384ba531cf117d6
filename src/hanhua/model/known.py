"""Shapes of well-known bases, so that a plan can be made before anything is fetched.

Each row is from the model's own config.json on the Hugging Face hub; the number of parameters that
its publishers state checks it (``tests/model/test_facts.py``). Used for plans only: a run reads the
config of the model itself.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, NamedTuple

from hanhua.model.experts import WIDE_QK_NORM, Experts
from hanhua.model.shapes import BIASED, QK_NORM


class Known(NamedTuple):
    """A row: what config.json says, and the published number of parameters."""

    kind: str
    hidden_size: int
    layers: int
    heads: int
    kv_heads: int
    intermediate_size: int
    vocab_size: int
    context_tokens: int
    tied: bool
    parameters: int
    head_dim: int | None = None
    experts: Experts | None = None


_LLAMA3 = Known("llama", 4096, 32, 32, 8, 14336, 128256, 8192, False, 8_030_261_248)
_LLAMA3_70B = Known("llama", 8192, 80, 64, 8, 28672, 128256, 8192, False, 70_553_706_496)

KNOWN = {
    "llama-2-7b-hf": Known("llama", 4096, 32, 32, 32, 11008, 32000, 4096, False, 6_738_415_616),
    "llama-2-13b-hf": Known("llama", 5120, 40, 40, 40, 13824, 32000, 4096, False, 13_015_864_320),
    "llama-2-70b-hf": Known("llama", 8192, 80, 64, 8, 28672, 32000, 4096, False, 68_976_648_192),
    "meta-llama-3-8b": _LLAMA3,
    "meta-llama-3-70b": _LLAMA3_70B,
    "llama-3.1-8b": _LLAMA3._replace(context_tokens=131072),
    "llama-3.1-70b": _LLAMA3_70B._replace(context_tokens=131072),
    "llama-3.2-1b": Known("llama", 2048, 16, 32, 8, 8192, 128256, 131072, True, 1_235_814_400),
    "llama-3.2-3b": Known("llama", 3072, 28, 24, 8, 8192, 128256, 131072, True, 3_212_749_824),
    "tinyllama-1.1b-intermediate-step-1431k-3t": Known(
        "llama", 2048, 22, 32, 4, 5632, 32000, 2048, False, 1_100_048_384
    ),
    "mistral-7b-v0.1": Known("mistral", 4096, 32, 32, 8, 14336, 32000, 32768, False, 7_241_732_096),
    "mistral-7b-v0.3": Known("mistral", 4096, 32, 32, 8, 14336, 32768, 32768, False, 7_248_023_552),
    "qwen2.5-0.5b": Known("qwen2", 896, 24, 14, 2, 4864, 151936, 32768, True, 494_032_768),
    "qwen2.5-1.5b": Known("qwen2", 1536, 28, 12, 2, 8960, 151936, 131072, True, 1_543_714_304),
    "qwen2.5-3b": Known("qwen2", 2048, 36, 16, 2, 11008, 151936, 32768, True, 3_085_938_688),
    "qwen2.5-7b": Known("qwen2", 3584, 28, 28, 4, 18944, 152064, 131072, False, 7_615_616_512),
    "qwen2.5-14b": Known("qwen2", 5120, 48, 40, 8, 13824, 152064, 131072, False, 14_770_033_664),
    "qwen2.5-32b": Known("qwen2", 5120, 64, 40, 8, 27648, 152064, 131072, False, 32_763_876_352),
    "qwen2.5-72b": Known("qwen2", 8192, 80, 64, 8, 29568, 152064, 131072, False, 72_706_203_648),
    "qwen3-0.6b-base": Known(
        "qwen3", 1024, 28, 16, 8, 3072, 151936, 32768, True, 596_049_920, head_dim=128
    ),
    "qwen3-8b-base": Known("qwen3", 4096, 36, 32, 8, 12288, 151936, 32768, False, 8_190_735_360),
    "smollm2-135m": Known("llama", 576, 30, 9, 3, 1536, 49152, 8192, True, 134_515_008),
    "smollm2-360m": Known("llama", 960, 32, 15, 5, 2560, 49152, 8192, True, 361_821_120),
    "smollm2-1.7b": Known("llama", 2048, 24, 32, 32, 8192, 49152, 8192, True, 1_711_376_384),
    "mixtral-8x7b-v0.1": Known(
        "mixtral", 4096, 32, 32, 8, 14336, 32000, 32768, False, 46_702_792_704,
        experts=Experts(count=8, per_token=2, size=14336),
    ),
    "qwen1.5-moe-a2.7b": Known(
        "qwen2_moe", 2048, 24, 16, 16, 5632, 151936, 8192, False, 14_315_784_192,
        experts=Experts(count=60, per_token=4, size=1408, shared_size=5632, shared_gate=True),
    ),
    "qwen3-30b-a3b-base": Known(
        "qwen3_moe", 2048, 48, 32, 4, 6144, 151936, 32768, False, 30_532_122_624, head_dim=128,
        experts=Experts(count=128, per_token=8, size=768),
    ),
    "olmoe-1b-7b-0924": Known(
        "olmoe", 2048, 16, 16, 16, 1024, 50304, 4096, False, 6_919_161_856,
        experts=Experts(count=64, per_token=8, size=1024),
    ),
}  # fmt: skip
"""By the name on the hub without its owner, in small letters: mirrors keep the name."""


def known_facts(reference: str) -> dict[str, Any]:
    """Facts of a hub id as :func:`hanhua.model.facts.base_facts` gives them; empty if unknown."""
    name = reference.rsplit("/", 1)[-1].partition("@")[0].lower()
    found = KNOWN.get(name)
    if found is None:
        return {}
    facts = found._asdict()
    kind, head_dim = facts.pop("kind"), facts.pop("head_dim")
    del facts["parameters"], facts["experts"]
    if found.experts is not None:
        facts |= {"experts": asdict(found.experts), "wide_qk_norm": kind in WIDE_QK_NORM}
    facts["head_dim"] = head_dim or found.hidden_size // found.heads
    return facts | {"gated": True, "attention_bias": kind in BIASED, "qk_norm": kind in QK_NORM}
