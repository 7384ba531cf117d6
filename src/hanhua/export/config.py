"""The recipe's ``export`` section: what others are given."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hanhua.core.config import Section


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
