"""Ways to store a model's weights in fewer bits: what writes each, and what loads it.

All are weight-only: activations keep the precision of the arithmetic. Nothing heavy is imported
here, so that the command line and the recipe can name them.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from hanhua.core.errors import UsageError

Family = Literal["gguf", "k", "torch", "gptq"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One way.

    Args:
        name: as --method and recipes call it.
        family: "gguf" is written by us, "k" by llama.cpp's own program, "torch" through
            transformers, "gptq" by auto-round.
        bits: per weight of a quantised matrix, its scales counted in.
        loads: what runs it.
        extra: the optional dependency that makes it; empty: none of pip's.
        calibrated: whether text is needed to make it.
    """

    name: str
    family: Family
    bits: float
    loads: str
    extra: str
    calibrated: bool = False


_GGUF = "llama.cpp, Ollama"
_ALL = (
    Method(name="int8", family="torch", bits=8, loads="transformers", extra="int8"),
    Method(name="nf4", family="torch", bits=4.5, loads="transformers", extra="gpu"),
    Method(name="gptq-int4", family="gptq", bits=4.2, loads="vLLM", extra="gptq", calibrated=True),
    Method(name="f32", family="gguf", bits=32, loads=_GGUF, extra="gguf"),
    Method(name="f16", family="gguf", bits=16, loads=_GGUF, extra="gguf"),
    Method(name="bf16", family="gguf", bits=16, loads=_GGUF, extra="gguf"),
    Method(name="q8_0", family="gguf", bits=8.5, loads=_GGUF, extra="gguf"),
    Method(name="q5_1", family="gguf", bits=6, loads=_GGUF, extra="gguf"),
    Method(name="q5_0", family="gguf", bits=5.5, loads=_GGUF, extra="gguf"),
    Method(name="q4_1", family="gguf", bits=5, loads=_GGUF, extra="gguf"),
    Method(name="q4_0", family="gguf", bits=4.5, loads=_GGUF, extra="gguf"),
    Method(name="q6_k", family="k", bits=6.5625, loads=_GGUF, extra="gguf"),
    Method(name="q5_k_m", family="k", bits=5.5, loads=_GGUF, extra="gguf"),
    Method(name="q4_k_m", family="k", bits=4.5, loads=_GGUF, extra="gguf"),
    Method(name="q3_k_m", family="k", bits=3.4375, loads=_GGUF, extra="gguf"),
)
METHODS = {method.name: method for method in _ALL}
"""By name; bits of blocks: https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h."""

MethodName = Literal[
    "int8", "nf4", "gptq-int4", "f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0",
    "q6_k", "q5_k_m", "q4_k_m", "q3_k_m",
]  # fmt: skip
"""Those of :data:`METHODS`."""

DIRECT = tuple(name for name, method in METHODS.items() if method.family == "gguf")
"""GGUF types that are written without any other program."""


def parse_methods(text: str) -> list[Method]:
    """Names with commas between.

    Raises:
        UsageError: for a name that is none, with the nearest one.
    """
    names = dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip())
    for name in names:
        if name not in METHODS:
            near = difflib.get_close_matches(name, METHODS, n=1)
            raise UsageError(
                "There is no such way to quantise.", where="--method", found=name,
                fix=f"did you mean {near[0]}?" if near else f"choose from {', '.join(METHODS)}",
            )  # fmt: skip
    if not names:
        raise UsageError(
            "No method is named.", where="--method", fix=f"choose from {', '.join(METHODS)}"
        )
    return [METHODS[name] for name in names]
