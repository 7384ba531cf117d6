"""The weights of a model to serve, in whatever form ``hanhua quantise`` or a trainer left them.

GGUF and GPTQ weights are unpacked to what their own engines compute with, so a quantised model can
be talked to beside the others. It says what they say; it takes the memory of the unpacked one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from hanhua.core.errors import ArtifactError, DependencyError, ModelError
from hanhua.model.load import load_model, read_config

_BY_TRANSFORMERS = ("torchao", "bitsandbytes")


def load_weights(folder: Path, dtype: torch.dtype, file: Path | None = None) -> Any:
    """A causal language model of transformers, in eval mode, on the CPU.

    Args:
        folder: with config.json, and the weights where no file is given.
        dtype: type of the weights in memory; weights in 8 or 4 bits keep their own.
        file: a GGUF file made from the folder's model.

    Raises:
        ModelError: when it cannot be loaded.
        DependencyError: without the package that its form needs.
    """
    if file is not None:
        return _load_gguf(file, folder).to(dtype)
    stated = getattr(read_config(folder), "quantization_config", None) or {}
    method = stated.get("quant_method") if isinstance(stated, dict) else None
    if method == "gptq":
        from hanhua.export.gptq import load_gptq

        return load_gptq(folder).model.to(dtype)
    if method in _BY_TRANSFORMERS:
        from hanhua.export.torch_weights import load_torch

        try:
            return load_torch(folder).model
        except ImportError as error:
            raise DependencyError(
                "These weights need a package that is not installed.", where=folder, found=error,
                fix=f"pip install {method}",
            ) from error  # fmt: skip
    return load_model(str(folder), dtype=dtype)


def _load_gguf(file: Path, folder: Path) -> Any:
    from hanhua.export.gguf_read import check_vocab, load_gguf

    alone = f"serve it alone: hanhua serve {file}"
    try:
        check_vocab(file, folder)
        return load_gguf(file, folder).model
    except ArtifactError as error:  # its own words are for whoever exports
        raise ModelError(
            "This GGUF file has the tokenizer of another model.", where=file,
            found=f"{error.found}; compared with {folder}", fix=alone,
        ) from error  # fmt: skip
    except ModelError as error:
        raise ModelError(
            error.what, where=file, found=f"{error.found}; read as one of {folder}", fix=alone
        ) from error
