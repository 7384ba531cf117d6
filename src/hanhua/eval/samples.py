"""Sample texts: what a model makes of the recipe's prompts, to read beside the other models'."""

from __future__ import annotations

from typing import Any

from hanhua.chat.encode import encode_prompt, template_of
from hanhua.eval.config import EvalConfig
from hanhua.eval.forward import CausalModel
from hanhua.model.generate import Sampling, generate


def make_samples(model: CausalModel, config: EvalConfig, seed: int) -> list[dict[str, Any]]:
    """Continue each prompt; a model with a chat template answers it as a user's message.

    Returns:
        rows of language, prompt, text, finish ("stop" or "length"), n_tokens and template
        (None where the prompt is continued as plain text).
    """
    asked = [(language, p) for language, prompts in config.prompts.items() for p in prompts]
    chat = bool(getattr(model.tokenizer, "chat_template", None))
    stop: tuple[str, ...] = ()
    name = None
    if chat:
        template = template_of(model.tokenizer)
        name = template.name if template else "the model's own"
        stop = template.stop if template else ()
    sampling = Sampling(
        max_new_tokens=config.sample.max_new_tokens, temperature=config.sample.temperature,
        top_p=config.sample.top_p, seed=seed, stop=stop,
    )  # fmt: skip
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


def _prompt(model: CausalModel, prompt: str, chat: bool) -> list[int]:
    if chat:
        return encode_prompt(model.tokenizer, None, [{"role": "user", "content": prompt}])
    return [model.start, *model.encode([prompt])[0]]
