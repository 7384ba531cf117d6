"""A longer context for a model with rotary positions, written into its config and nowhere else.

A pair of a head's numbers is turned by ``position * frequency``; frequencies fall from 1 to
``1 / theta`` along the D rotary dimensions. With s = new / old context:

- ``linear``: every frequency is divided by s, so that position p stands where p / s stood
  (position interpolation, https://arxiv.org/abs/2306.15595).
- ``ntk``: theta is multiplied by s ** (D / (D - 2)), so that the slowest frequency is divided by s
  and the fastest, which tells neighbours apart, stays (NTK-aware scaling, section 3.1 of
  https://arxiv.org/abs/2309.00071).
- ``yarn``: frequencies that turn less than once in the old context are divided by s, those that
  turn more than 32 times stay, between them is a ramp; and query and key grow by
  0.1 ln(s) + 1, which sharpens attention over more tokens (https://arxiv.org/abs/2309.00071).
- ``llama3``: the same kind of ramp, from 1 to 4 turns and in the wavelength, without the growth
  (Llama 3.1, https://arxiv.org/abs/2407.21783; transformers' ``rope_type: llama3``).

The weights stay. What a model makes of the new angles it has to learn, on rows that are as long.
transformers' ``dynamic`` is left out: its frequencies depend on the longest text of a batch, so a
document's loss would depend on its neighbours, and cached keys would turn stale.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig

from hanhua.core.errors import ModelError
from hanhua.model.config import ContextConfig
from hanhua.model.ends import empty_model
from hanhua.model.supported import context_tokens

LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
"""What Llama 3.1 was published with."""
_OLD_NAMES = ("rope_theta", "rope_scaling")


def extended_config(
    raw: Mapping[str, Any], config: PreTrainedConfig, wanted: ContextConfig, where: Path
) -> dict[str, Any]:
    """A config.json with a longer context.

    Args:
        raw: the file's content.
        config: the same, as transformers reads it.
        wanted: tokens and method.
        where: for messages.

    Returns:
        The new content: ``max_position_embeddings`` and ``rope_parameters`` changed.

    Raises:
        ModelError: no rotary positions, another scaling is there already, or it is no longer.
    """
    old = context_tokens(config) or 0
    whole = copy.deepcopy(getattr(config, "rope_parameters", None)) or {}
    layers = _scaled_layers(whole)
    _check(config, layers, old, wanted, where)
    dims = _rotary_dims(config, layers, where) if wanted.method == "ntk" else {}
    for name, parameters in layers.items():
        parameters.update(_stretched(parameters, wanted, old, dims.get(name, 0)))
    kept = {key: value for key, value in raw.items() if key not in _OLD_NAMES}
    return kept | {"max_position_embeddings": wanted.tokens, "rope_parameters": whole}


def _check(
    config: PreTrainedConfig, layers: Mapping[str, Any], old: int, wanted: ContextConfig,
    where: Path,
) -> None:  # fmt: skip
    if not old or not layers:
        raise _refuse(
            where, f"positions of {config.model_type} are not rotary",
            "take base.context out, or choose a base with rotary positions",
        )  # fmt: skip
    if wanted.tokens <= old:
        raise _refuse(
            where, f"it has {old} tokens, {wanted.tokens} are asked for",
            "ask for more, or take base.context out",
        )  # fmt: skip
    for parameters in layers.values():
        if parameters.get("rope_type", "default") != "default":
            raise _refuse(
                where, f"its positions are scaled already: {parameters}",
                "take base.context out, or choose the base before it was lengthened",
            )  # fmt: skip


def check_taken(config: PreTrainedConfig, method: str, where: Path) -> None:
    """Make sure that the model's own positions take part in what its config now says.

    Args:
        config: the new one, as transformers reads it.
        method: of :class:`ContextConfig`.
        where: for the message.

    Raises:
        ModelError: when its rotary module doesn't know the method.
    """
    if method == "ntk":  # only another theta, which every module has
        return
    kinds: set[Any] = set()
    for module in empty_model(config).modules():
        kind = getattr(module, "rope_type", None)
        kinds |= set(kind.values()) if isinstance(kind, dict) else {kind}
    if method not in kinds:
        raise _refuse(
            where, f"its positions can't be scaled by {method}", "set base.context.method: ntk"
        )


def _scaled_layers(whole: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The parameters to change, by kind of layer ("" where all share them).

    Layers that only look back through a window meet no longer distances than before, so where
    they have angles of their own (Gemma 3) those stay.
    """
    nested = {key: value for key, value in whole.items() if isinstance(value, dict)}
    if nested:
        return {key: value for key, value in nested.items() if key == "full_attention"}
    return {"": whole} if whole.get("rope_theta") else {}


def _stretched(
    parameters: Mapping[str, Any], wanted: ContextConfig, old: int, dims: int
) -> dict[str, Any]:
    """What a method changes in the parameters of one kind of layer."""
    factor = wanted.tokens / old
    if wanted.method == "ntk":
        return {"rope_theta": parameters["rope_theta"] * factor ** (dims / (dims - 2))}
    found: dict[str, Any] = {"rope_type": wanted.method, "factor": factor}
    if wanted.method != "linear":
        found["original_max_position_embeddings"] = old
    return found | (LLAMA3 if wanted.method == "llama3" else {})


def _rotary_dims(
    config: PreTrainedConfig, layers: Mapping[str, Any], where: Path
) -> dict[str, int]:
    """Rotary dimensions of a head by kind of layer, as the model's own module has them."""
    found = dict(_frequencies(empty_model(config)))
    if any(found.get(name, 0) <= 2 for name in layers):
        raise _refuse(
            where, f"too few rotary dimensions for ntk: {found or 'none'}",
            "set base.context.method: yarn",
        )  # fmt: skip
    return found


def _frequencies(model: Any) -> Iterator[tuple[str, int]]:
    for name, buffer in model.named_buffers():
        last = name.rsplit(".", 1)[-1]
        if last.endswith("inv_freq") and not last.endswith("original_inv_freq"):
            yield last.removesuffix("inv_freq").removesuffix("_"), 2 * buffer.shape[-1]


def _refuse(where: Path, found: str, fix: str) -> ModelError:
    return ModelError(
        "This model's context can't be made longer.", where=where, found=found, fix=fix
    )
