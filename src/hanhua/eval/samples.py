"""Sample texts: what a model makes of the recipe's prompts, to read beside the other models'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hanhua.chat.encode import encode_prompt, template_of
from hanhua.eval.config import EvalConfig
from hanhua.eval.forward import CausalModel
from hanhua.model.generate import Sampling, generate


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of one prompt.

    Args:
        text: the answer, or the continuation of a model without a chat template.
        finish: "stop" at an end, "length" where the room was used up; empty: not told.
        n_tokens: generated.
        failed: why it was not asked, in words; empty where it was.
    """

    text: str = ""
    finish: str = ""
    n_tokens: int = 0
    failed: str = ""


def make_samples(model: CausalModel, config: EvalConfig, seed: int) -> list[dict[str, Any]]:
    """Continue each prompt; a model with a chat template answers it as a user's message.

    Returns:
        rows of language, prompt, text, finish ("stop" or "length"), n_tokens and template
        (None where the prompt is continued as plain text).
    """
    asked = [(language, p) for language, prompts in config.prompts.items() for p in prompts]
    sampling, name = ask_as(
        model,
        Sampling(
            max_new_tokens=config.sample.max_new_tokens, temperature=config.sample.temperature,
            top_p=config.sample.top_p, seed=seed,
        ),
    )  # fmt: skip
    chat = _chats(model)
    made = generate(
        model.model, model.tokenizer, [_prompt(model, p, chat) for _, p in asked], sampling
    )
    return [
        {
            "language": language, "prompt": prompt, "text": one.text.strip() if chat else one.text,
            "finish": one.finish, "n_tokens": len(one.ids), "template": name,
        }
        for (language, prompt), one in zip(asked, made, strict=True)
    ]  # fmt: skip


def ask_as(model: CausalModel, sampling: Sampling) -> tuple[Sampling, str | None]:
    """The sampling with what ends an answer in the model's template, and the template's name."""
    if not _chats(model):
        return sampling, None
    template = template_of(model.tokenizer)
    if template is None:
        return sampling, "the model's own"
    return replace(sampling, stop=template.stop), template.name


def answer_all(model: CausalModel, prompts: Sequence[str], sampling: Sampling) -> list[Asked]:
    """Answer each prompt; one that leaves no room in the context fails by itself.

    Args:
        model: the model.
        prompts: users' messages, or text to continue for a model without a chat template.
        sampling: from `ask_as`.

    Returns:
        one for each prompt, in order.
    """
    chat = _chats(model)
    ids = [_prompt(model, prompt, chat) for prompt in prompts]
    fits = [i for i, one in enumerate(ids) if 0 < len(one) < model.context_tokens]
    made = generate(model.model, model.tokenizer, [ids[i] for i in fits], sampling)
    found = {
        i: Asked(one.text.strip(), one.finish, len(one.ids))
        for i, one in zip(fits, made, strict=True)
    }
    context = model.context_tokens
    return [
        found.get(i, Asked(failed=f"prompt of {len(one)} tokens, context {context}"))
        for i, one in enumerate(ids)
    ]


def _chats(model: CausalModel) -> bool:
    return bool(getattr(model.tokenizer, "chat_template", None))


def _prompt(model: CausalModel, prompt: str, chat: bool) -> list[int]:
    if chat:
        return encode_prompt(model.tokenizer, None, [{"role": "user", "content": prompt}])
    return [model.start, *model.encode([prompt])[0]]
