"""What a model makes of its head's output: the logits themselves, scaled ones, or capped ones.

Gemma caps (https://arxiv.org/abs/2408.00118, section 2), Cohere and Granite scale. Loss and scores
are computed here from the last hidden states, without the model's own last lines, so it is tried
out on a few tokens which of the forms is meant; a config can't be trusted with that
(``logits_scaling`` divides in Granite and multiplies in HyperCLOVA X).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hanhua.core.errors import ModelError

PROBE_TOKENS = 8
TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}
"""Largest difference as a part of the largest logit, by dtype; others: 0.03."""
_SCALES = ("logit_scale", "logits_scaling", "lm_head_multiplier")
_KNOWN = "_hanhua_head_form"


@dataclass(frozen=True, slots=True)
class HeadForm:
    """Logits are ``softcap * tanh(scale * head(hidden) / softcap)``, without a cap ``scale *``.

    Args:
        scale: factor of the head's output.
        softcap: the cap; None: none.
    """

    scale: float = 1.0
    softcap: float | None = None

    def apply(self, raw: Tensor) -> Tensor:
        """The logits of a head's output."""
        logits = raw if self.scale == 1.0 else raw * self.scale
        return logits if self.softcap is None else torch.tanh(logits / self.softcap) * self.softcap


def head_form(model: Any) -> HeadForm:
    """How a model's logits come from its head; tried out once a model, then remembered.

    Raises:
        ModelError: in a way that is not known here.
    """
    found: HeadForm | None = getattr(model, _KNOWN, None)
    if found is None:
        found = _find(model)
        setattr(model, _KNOWN, found)
    return found


def _find(model: Any) -> HeadForm:
    forms = list(_candidates(model.config))
    true, raw = _probe(model)
    if not bool(torch.isfinite(true).all()):
        return forms[0]  # broken weights; whoever computes with them will say so
    tolerance = TOLERANCE.get(model.dtype, 0.03) * float(true.abs().max())
    worst = {form: float((form.apply(raw) - true).abs().max()) for form in forms}
    for form, difference in worst.items():
        if difference <= tolerance:
            return form
    raise ModelError(
        "This architecture computes its logits in a way that hanhua does not know.",
        where=type(model).__name__,
        found=f"logits differ by {min(worst.values()):.3g}",
        fix="use another base, or ask for its support",
    )


def _candidates(config: Any) -> Iterator[HeadForm]:
    """What the config tells first, then with less."""
    told = getattr(config, "final_logit_softcapping", None)
    scales = [float(v) for name in _SCALES if (v := getattr(config, name, None)) not in (None, 1)]
    for cap in dict.fromkeys((told, None)):
        for scale in (*(s for v in scales for s in (v, 1 / v)), 1.0):
            yield HeadForm(scale, None if cap is None else float(cap))


@torch.no_grad()
def _probe(model: Any) -> tuple[Tensor, Tensor]:
    """Float32 logits and head outputs of a few tokens, ``[S, V]`` each."""
    embedding, was_training = model.get_input_embeddings().weight, model.training
    model.eval()
    places = torch.arange(1, PROBE_TOKENS + 1, device=embedding.device)
    ids = (places * 7919 % embedding.shape[0])[None]
    true = model(input_ids=ids, use_cache=False).logits[0].float()
    hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state[0]
    raw = model.get_output_embeddings()(hidden).float()
    model.train(was_training)
    return true, raw
