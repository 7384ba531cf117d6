"""Which template of the registry a model was trained with, where its folder does not say.

Older chat models (those of the seed projects among them) came without a chat template: their
format stood in a script. Three things are asked, the surest first: does the tokenizer's Jinja
write what a template of ours writes; has it tokens that only one project uses; is the model known
by name. A base model shares its tokens with its chat model, so names count only where they say
chat, or with the vocabulary's size where two projects chose the same name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from hanhua.chat.encode import check_template
from hanhua.chat.template import TEMPLATES, Template, prompt, template_by_jinja
from hanhua.core.errors import ModelError

_TALK = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "你好"},
    {"role": "assistant", "content": "你好！"},
    {"role": "user", "content": "1+1=?"},
)
_OWN_TOKENS = {"yayi": "<|YaYi|>"}
_NAMES: tuple[tuple[str, int | None, str], ...] = (
    (r"chinese-alpaca-2-(1\.3b|7b|13b)(-16k|-64k|-rlhf)?", None, "chinese-alpaca-2"),
    # hfl/chinese-llama-2-7b (55,296 rows) is a base model, Linly's has 40,076 rows.
    (r"chinese-llama-2-7b(-4bit)?", 32_000, "linksoul"),
    (r"chinese-llama-2-(7b|13b|70b)-hf", 40_076, "linly"),
    (r"(llama2-chinese-(7b|13b)|atom-(1b|7b))-chat", None, "flagalpha"),
    (r"llama-2-(7b|13b|70b)-chat(-hf)?", None, "llama-2"),
    (r"(meta-)?llama-3-(8b|70b)-instruct", None, "llama-3"),
    (r"qwen.*-(chat|instruct)", None, "chatml"),
    (r"(stanford-)?alpaca-(7b|13b)", None, "alpaca"),
)
"""A name as a pattern, rows of the vocabulary where the name alone is not enough, the template."""


@dataclass(frozen=True, slots=True)
class Guess:
    """A template and why it is taken to be the model's.

    Args:
        template: one of the registry, which the tokenizer can write.
        reason: a clause for a message, e.g. "the model is called atom-7b-chat".
    """

    template: Template
    reason: str


def guess_template(config: Any, tokenizer: Any) -> Guess | None:
    """Find the template that a chat model was trained with.

    Args:
        config: of transformers, for ``vocab_size`` and the model's name; None where there is none.
        tokenizer: a fast tokenizer of transformers.

    Returns:
        the template with the reason, or None: for a base model, a model that nobody here knows,
        and a chat template that writes something else.
    """
    if tokenizer.chat_template:
        return _by_writing(tokenizer)
    found = _by_token(tokenizer) or _by_name(config, tokenizer)
    if found is None:
        return None
    try:
        check_template(tokenizer, found.template)
    except ModelError:
        return None
    return found


def give_template(config: Any, tokenizer: Any) -> str:
    """Give a tokenizer without a chat template the one that `guess_template` finds.

    Returns:
        what to tell the user; empty where nothing was done.
    """
    if tokenizer.chat_template:
        return ""
    found = guess_template(config, tokenizer)
    if found is None:
        return ""
    tokenizer.chat_template = found.template.jinja
    return f"no chat template in the folder: using {found.template.name}, as {found.reason}"


def _by_writing(tokenizer: Any) -> Guess | None:
    """The template of this Jinja, else the first that writes a conversation as it does."""
    own = template_by_jinja(str(tokenizer.chat_template))
    if own is not None:
        return Guess(own, "its chat template is that")
    try:
        written = tokenizer.apply_chat_template(
            list(_TALK), tokenize=False, add_generation_prompt=True
        )
    except Exception:  # a foreign template raises what it likes
        return None
    bos, eos = tokenizer.bos_token, tokenizer.eos_token
    for template in TEMPLATES.values():
        if "".join(span.text for span in prompt(template, _TALK, bos, eos)) == written:
            return Guess(template, "its chat template writes the same")
    return None


def _by_token(tokenizer: Any) -> Guess | None:
    added = {str(token) for token in tokenizer.added_tokens_decoder.values()}
    for name, token in _OWN_TOKENS.items():
        if token in added:
            return Guess(TEMPLATES[name], f"its vocabulary has {token}")
    return None


def _by_name(config: Any, tokenizer: Any) -> Guess | None:
    rows = getattr(config, "vocab_size", None)
    for name in _names(config, tokenizer):
        for pattern, wanted, template in _NAMES:
            if re.fullmatch(pattern, name) and wanted in (None, rows):
                return Guess(TEMPLATES[template], f"the model is called {name}")
    return None


def _names(config: Any, tokenizer: Any) -> Iterator[str]:
    """What the model is called, in lower case: its folder's name, or the hub's in a hub cache."""
    for stated in (getattr(config, "_name_or_path", ""), getattr(tokenizer, "name_or_path", "")):
        path = PurePath(str(stated or ""))
        yield path.name.lower()
        for part in path.parts:
            if part.startswith("models--"):
                yield part.split("--")[-1].lower()
