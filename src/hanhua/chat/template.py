"""The one template registry: training, evaluation, export, server and page all take it from here.

What a template is stands in `pattern`, the entries in `templates`. Here a conversation is laid
out by one of them, as pieces that say which is learnt and which was written by someone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from hanhua.chat.pattern import Span, Template, pieces, shielded
from hanhua.chat.templates import DEFAULT, TEMPLATES
from hanhua.core.errors import InputError, RecipeError

if TYPE_CHECKING:
    from hanhua.chat.conversation import Conversation

__all__ = ["DEFAULT", "TEMPLATES", "Messages", "Span", "Template", "get_template", "prompt",
           "render", "spans", "template_by_jinja"]  # fmt: skip

Messages = Sequence[Mapping[str, Any]]
"""``[{"role": "system" | "user" | "assistant", "content": text}, …]``"""


def get_template(name: str) -> Template:
    """A template by name.

    Raises:
        RecipeError: when there is none of that name.
    """
    if name not in TEMPLATES:
        raise RecipeError(
            "There is no such chat template.", found=name, fix=f"use one of {', '.join(TEMPLATES)}"
        )
    return TEMPLATES[name]


def template_by_jinja(jinja: str) -> Template | None:
    """The template that was saved as this Jinja; of two that write the same, the first."""
    return _by_jinja().get(jinja)


@cache
def _by_jinja() -> dict[str, Template]:
    return {t.jinja: t for t in reversed(list(TEMPLATES.values()))}


def render(
    template: Template, conversation: Conversation, bos: str | None, eos: str | None
) -> list[Span]:
    """A conversation as spans; their texts in a row are what the template's Jinja gives.

    Args:
        template: one of the registry.
        conversation: a sound one (see `conversation.problem`).
        bos: the tokenizer's begin token, None where it has none.
        eos: the tokenizer's end token.
    """
    return spans(template, conversation.messages(), bos, eos)


def prompt(
    template: Template,
    messages: Messages,
    bos: str | None,
    eos: str | None,
    add_generation_prompt: bool = True,
) -> list[Span]:
    """Messages as spans, ready for an answer.

    Raises:
        InputError: when roles do not take turns.
    """
    return spans(template, messages, bos, eos, add_generation_prompt)


def spans(
    template: Template,
    messages: Messages,
    bos: str | None,
    eos: str | None,
    add_generation_prompt: bool = False,
) -> list[Span]:
    """What `render` and `prompt` share."""
    system, turns = _split(messages)
    if template.system_by_default:
        system = system or template.default_system
    system = shielded(template, system)
    slots = {"bos": bos or "", "eos": eos or ""}
    head = list(_fill(template.system, slots, system)) if system else []
    found = [*_fill(template.start, slots, "", head)]
    for i, message in enumerate(turns):
        text = message["content"].strip()
        if i % 2 == 0:
            text = shielded(template, text)
            found += _fill(template.question, slots, text, head if i == 0 else [])
        else:
            found += _fill(template.opening, slots)
            found += _fill(template.answer, slots, text, target=True)
            found += _fill(template.closing, slots)
    if add_generation_prompt:
        found += _fill(template.opening, slots)
    return found


def _split(messages: Messages) -> tuple[str, Messages]:
    """The system text, trimmed, and the turns, checked."""
    head = bool(messages) and messages[0]["role"] == "system"
    turns = messages[1:] if head else messages
    for i, message in enumerate(turns):
        if message["role"] != ("user", "assistant")[i % 2]:
            raise InputError(
                "User and assistant must take turns, the user first.",
                where=f"message {i + head + 1}",
                found=message["role"],
                fix="send an optional system message, then user and assistant in turn",
            )
    return (str(messages[0]["content"]).strip() if head else ""), turns


def _fill(
    pattern: str,
    slots: Mapping[str, str],
    text: str = "",
    system: Sequence[Span] = (),
    target: bool = False,
) -> Iterator[Span]:
    for slot, literal in pieces(pattern):
        if slot == "system":
            yield from system
        elif slot == "text":
            if text:
                yield Span(text, target, content=True)
        elif value := slots[slot] if slot else literal:
            yield Span(value, target)
