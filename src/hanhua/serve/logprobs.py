"""Log probabilities of tokens: what the model itself gave them, and how the API writes them.

They are of the model's own distribution over its tokenizer's ids: before temperature, penalties,
bias and JSON's grammar. So they say what the model thinks, not what was asked of it.
Shapes: https://platform.openai.com/docs/api-reference/chat/object

Shape legend: V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class TokenChance:
    """One token of an answer and the ones that could have stood in its place.

    Args:
        data: the bytes it stands for; none for a special token.
        name: what to show where there are no bytes.
        logprob: natural logarithm; None for the first token of a text.
        top: the most probable tokens here, as (bytes, name, logprob), the best first.
    """

    data: bytes
    name: str
    logprob: float | None
    top: tuple[tuple[bytes, str, float], ...] = ()


class Chances:
    """Reads log probabilities off logits for one model.

    Args:
        served: has ``token_bytes`` and ``tokenizer``.
    """

    def __init__(self, served: Any) -> None:
        self.served = served

    def read(self, logits_V: torch.Tensor, token: int, count: int) -> TokenChance:
        """The chance of one token and of the ``count`` most probable ones.

        Args:
            logits_V: float32, as the model gave them.
            token: the one that was chosen.
            count: alternatives to report.
        """
        logs_V = torch.log_softmax(logits_V, dim=-1)
        top: list[tuple[bytes, str, float]] = []
        if count:
            values, ids = torch.topk(logs_V, min(count, logs_V.shape[0]))
            top = [
                (*self.named(int(i)), _finite(float(v))) for i, v in zip(ids, values, strict=True)
            ]
        return TokenChance(*self.named(token), _finite(float(logs_V[token])), tuple(top))

    def named(self, token: int) -> tuple[bytes, str]:
        """A token's bytes and its name."""
        data = self.served.token_bytes[token]
        return data, "" if data else str(self.served.tokenizer.convert_ids_to_tokens(token))


def _finite(value: float) -> float:
    return max(value, -9999.0)  # OpenAI's own floor; minus infinity is no JSON


def chat_logprobs(chances: Iterable[TokenChance]) -> dict[str, Any]:
    """The ``logprobs`` of a chat choice."""
    content = []
    for chance in chances:
        top = [_chat_item(data, name, logprob) for data, name, logprob in chance.top]
        item = _chat_item(chance.data, chance.name, chance.logprob)
        content.append({**item, "top_logprobs": top})
    return {"content": content, "refusal": None}


def _chat_item(data: bytes, name: str, logprob: float | None) -> dict[str, Any]:
    text = data.decode("utf-8", errors="replace") if data else name
    return {"token": text, "logprob": logprob, "bytes": list(data)}


def text_logprobs(chances: Sequence[TokenChance], offset: int) -> tuple[dict[str, Any], int]:
    """The ``logprobs`` of a completion choice, and the offset at which the next part begins.

    Args:
        chances: one per token.
        offset: characters of the text before them; -1: the text lacks the first one of theirs.
    """
    offsets = []
    for chance in chances:
        offsets.append(max(offset, 0))
        # the bytes that begin a character count it, those that go on don't
        offset += sum(byte & 0xC0 != 0x80 for byte in chance.data)
    return {
        "tokens": [_text_token(chance.data, chance.name) for chance in chances],
        "token_logprobs": [chance.logprob for chance in chances],
        "top_logprobs": [_text_top(chance) for chance in chances],
        "text_offset": offsets,
    }, offset


def _text_top(chance: TokenChance) -> dict[str, float] | None:
    if chance.logprob is None:
        return None
    found: dict[str, float] = {}
    for data, name, logprob in chance.top:
        found.setdefault(_text_token(data, name), logprob)  # names that agree: the best counts
    return found


def _text_token(data: bytes, name: str) -> str:
    """A token as text; part of a character as OpenAI writes it: "bytes:" and its escapes."""
    try:
        return data.decode("utf-8") if data else name
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)
