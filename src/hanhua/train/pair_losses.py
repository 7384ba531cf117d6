"""The losses of preference tuning as functions of two answers' log-probabilities."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from hanhua.train.prefer_config import PreferConfig

BETAS = {"dpo": 0.1, "simpo": 2.0, "orpo": 0.1}
"""Where a recipe leaves beta out: DPO's and ORPO's papers, and SimPO's for base models."""
GAMMA = 1.0


def pair_losses(
    config: PreferConfig, sums: Tensor, answer_tokens: Tensor, reference: Tensor
) -> tuple[Tensor, Tensor]:
    """The loss of each pair, and by how much it prefers the better answer.

    - dpo (https://arxiv.org/abs/2305.18290, equation 7): the margin is beta times what the better
      answer has gained on the reference more than the worse.
    - simpo (https://arxiv.org/abs/2405.14734, equation 6): beta times the difference of the
      answers' log-probabilities per token, which should exceed gamma.
    - orpo (https://arxiv.org/abs/2403.07691, equations 6 and 7): beta weighs the log of the odds
      ratio, by log-probabilities per token, beside the better answer's own loss.

    Label smoothing is conservative DPO's (https://ericmitchell.ai/cdpo.pdf); ``sft_weight`` adds
    the better answer's loss per token, as RPO does (https://arxiv.org/abs/2404.19733).

    Args:
        config: the section.
        sums: ``[P, 2]`` log-probabilities of better and worse answers, in nats.
        answer_tokens: ``[P, 2]`` their tokens.
        reference: ``[P, 2]`` as ``sums``, by the start.

    Returns:
        Losses and margins, ``[P]`` each.
    """
    beta = BETAS[config.method] if config.beta is None else config.beta
    mean = sums / answer_tokens
    own = -mean[:, 0]
    if config.method == "orpo":
        below = mean.clamp_max(-1e-9)  # odds of a certain answer are infinite
        odds = below - torch.log(-torch.expm1(below))
        margin = odds[:, 0] - odds[:, 1]
        return own - beta * logsigmoid(margin), margin
    moved = sums - reference if config.method == "dpo" else mean
    margin = beta * (moved[:, 0] - moved[:, 1])
    gamma = GAMMA if config.gamma is None else config.gamma
    z = margin - gamma if config.method == "simpo" else margin
    wrong = config.label_smoothing
    loss = -(1 - wrong) * logsigmoid(z) - wrong * logsigmoid(-z)
    return loss + config.sft_weight * own, margin
