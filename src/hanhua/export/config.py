"""The recipe's ``quantise`` and ``export`` sections: what others are given."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from hanhua.core.config import Apart, Section
from hanhua.export.methods import MethodName

GATE = re.compile(r"max_([a-z]{2,3})_(loss|drop)")
"""Names of gates; see ``quality.py``."""


class QuantiseConfig(Section):
    """The model's weights in fewer bits, each result held against the model it came from."""

    methods: Annotated[
        tuple[MethodName, ...],
        Field(strict=False, min_length=1, description="each is made and measured by itself"),
    ] = ("q8_0",)
    calibration_rows: Annotated[
        int, Field(gt=0, description="rows of text for methods that need it, in the shares of "
                   "tokens.shares")
    ] = 128  # fmt: skip
    calibration_tokens: Annotated[int, Field(gt=1, description="tokens in each row")] = 512
    gate: Annotated[
        dict[str, Annotated[float, Field(ge=0.0, allow_inf_nan=False)]],
        Apart(),
        Field(default_factory=dict, description="most that a language may lose, e.g. "
              "{max_zh_loss: 0.02} (a share of its bits per byte) or {max_zh_drop: 0.02} "
              "(accuracy); what loses more ends the run and is kept aside"),
    ]  # fmt: skip

    @model_validator(mode="after")
    def _gates_are_known(self) -> QuantiseConfig:
        for name in self.gate:
            if not GATE.fullmatch(name):
                raise ValueError(
                    f"unknown gate {name!r}: write max_zh_loss (share of bits per byte) or "
                    "max_zh_drop (accuracy), with any language"
                )
        return self


class ExportConfig(Section):
    """A folder that others load, and how the model samples where nobody says."""

    formats: Annotated[
        tuple[Literal["hf"], ...],
        Field(strict=False, min_length=1, description="hf: a Hugging Face folder with model card"),
    ] = ("hf",)
    shard_bytes: Annotated[
        int, Field(ge=1_000_000, description="largest weight file, in bytes")
    ] = 4_000_000_000
    temperature: Annotated[
        float, Field(gt=0.0, le=2.0, description="default of generation_config.json")
    ] = 0.7
    top_p: Annotated[
        float, Field(gt=0.0, le=1.0, description="default of generation_config.json")
    ] = 0.9
    licence: Annotated[
        str, Field(description="licence named in the model card; empty: none is stated")
    ] = ""
