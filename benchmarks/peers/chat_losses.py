"""Answer loss by language: one measure for every engine's model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM

from hanhua.chat.conversation import Conversation
from hanhua.chat.encode import encode_conversation
from hanhua.chat.template import get_template


@torch.no_grad()
def answer_losses(
    model_path: Path, tokenizer: Any, template: str, held_out: Iterable[Conversation]
) -> dict[str, dict[str, float]]:
    """Loss of the answers and their ends, one conversation at a time, in fp32.

    Returns:
        By language: nats a token, nats a UTF-8 byte of the answers, conversations, tokens.
    """
    model = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32).eval()
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0, 0, 0])
    for conversation in held_out:
        ids, mask = encode_conversation(tokenizer, get_template(template), conversation)
        logits = model(torch.tensor([ids]), use_cache=False).logits[0, :-1]
        losses = F.cross_entropy(logits, torch.tensor(ids[1:]), reduction="none")
        learnt = torch.tensor(mask[1:])
        mine = sums[conversation.language]
        mine[0] += float(losses[learnt].double().sum())
        mine[1] += int(learnt.sum())
        mine[2] += conversation.target_bytes
        mine[3] += 1
    return {
        language: {
            "nats_per_token": round(nats / tokens, 4), "nats_per_byte": round(nats / size, 4),
            "conversations": n, "tokens": tokens,
        }
        for language, (nats, tokens, size, n) in sorted(sums.items())
    }  # fmt: skip
